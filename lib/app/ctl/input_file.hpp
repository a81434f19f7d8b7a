// Input files: what a subcommand reads that an operator names, a file or standard input.
//
//   const Result<std::string> text = read_input_file("-");  // standard input
//
// Errors: unreadable_input naming the file, with the errno. Source: open(2).
#pragma once

#include <string>

#include "lib/base/error.hpp"

namespace portmapper::ctl {

Result<std::string> read_input_file(const std::string& name);

}  // namespace portmapper::ctl

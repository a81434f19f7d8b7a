// Input files: what a subcommand reads that an operator names, a file or standard input.
//
//   const Result<std::string> text = read_input_file("-");  // standard input
//   const Result<std::string> list = read_regular_file("/etc/cni/net.d/10-flannel.conflist");
//
// An operator may well name a FIFO, and waits for it then. What is found in a directory must be a regular file,
// behind links, and nothing is waited for. Errors: unreadable_input naming the file, with the errno if there
// was one. Source: open(2).
#pragma once

#include <string>

#include "lib/base/error.hpp"

namespace portmapper::ctl {

Result<std::string> read_input_file(const std::string& name);
Result<std::string> read_regular_file(const std::string& name);

}  // namespace portmapper::ctl

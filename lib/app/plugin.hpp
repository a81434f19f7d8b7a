// The CNI plugin: one call of a runtime, from its environment and standard input to what it prints.
//
//   PluginRunner is made inside; main does:
//   Outcome outcome = run_plugin([](const char* name) { return getenv(name); }, stdin_text);
//   write(1, outcome.out); write(2, outcome.log); return outcome.status;
//
// Errors: none; every failure is a CNI error object in `out` and status 1. Does not promise: to be
// called twice in one process. Source: CNI SPEC.md sections 2 to 5; shared design, section 4.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/error.hpp"
#include "lib/cni/request.hpp"

namespace portmapper {

struct Outcome {
  int status = 0;
  std::string out;
  std::string log;
};

// `input`: what stdin had, or why it could not be read.
Outcome run_plugin(const Environment& environment, const Result<std::string>& input);

}  // namespace portmapper

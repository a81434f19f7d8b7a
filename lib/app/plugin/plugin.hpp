// The CNI plugin: one call of a runtime, from its environment and standard input to what it prints.
//
//   const app::Outcome outcome =
//       run_plugin([](const char* name) { return std::getenv(name); },
//                  [] { return read_all(STDIN_FILENO, "standard input"); });
//
// Standard input is read only for a CNI command, so that a person who runs the program by hand gets
// an answer. Errors: none; every failure is a CNI error object in `out` and status 1. Source: CNI
// SPEC.md sections 2 to 5; packaging/doc/design.md, "The commands".
#pragma once

#include <functional>
#include <string>

#include "lib/app/outcome.hpp"
#include "lib/base/error.hpp"
#include "lib/cni/request.hpp"

namespace portmapper::plugin {

using ReadInput = std::function<Result<std::string>()>;

app::Outcome run_plugin(const cni::Environment& environment, const ReadInput& read_input);

}  // namespace portmapper::plugin

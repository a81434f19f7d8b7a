// The CNI commands, one function each; lib/app/plugin/plugin chooses among them.
//
//   const Result<std::string> out = add(context);
//
// Each returns what goes to stdout. Notes for the operator go to the log of `context`, a line each.
// Errors: as packaging/doc/design.md, "The commands". Does not promise: that a command of an older
// CNI version is refused; lib/app/plugin/plugin does. Source: CNI SPEC.md section 4;
// packaging/doc/design.md, "The commands".
#pragma once

#include <string>

#include "lib/app/command_context.hpp"
#include "lib/base/error.hpp"

namespace portmapper::plugin {

Result<std::string> add(const app::CommandContext& context);
Result<std::string> del(const app::CommandContext& context);
Result<std::string> check(const app::CommandContext& context);
Result<std::string> gc(const app::CommandContext& context);
Result<std::string> status(const app::CommandContext& context);

// All that the attachment published: for an ADD without ports, where none of an ADD before may stay.
// True: it may be masqueraded still.
Result<bool> unmap_ports(const app::CommandContext& context);
// DEL without the delegate: that it is masqueraded as well. For a failed ADD too.
Status unmap_all(const app::CommandContext& context);

}  // namespace portmapper::plugin

// The subcommands of nft-port-mapperctl, one function each; lib/app/ctl/ctl holds their table.
//
//   const app::Outcome outcome = list(arguments);
//
// Each opens what it needs, changes only what its name says, and returns what to print. Errors: an
// outcome of status 1 or 3. Source: packaging/doc/design.md, "The commands".
#pragma once

#include "lib/app/ctl/ctl.hpp"

namespace portmapper::ctl {

app::Outcome list(const Arguments& arguments);
app::Outcome owner(const Arguments& arguments);
app::Outcome check(const Arguments& arguments);
app::Outcome prune(const Arguments& arguments);
app::Outcome release(const Arguments& arguments);
app::Outcome restore(const Arguments& arguments);
app::Outcome adopt(const Arguments& arguments);
app::Outcome render(const Arguments& arguments);
app::Outcome lint(const Arguments& arguments);
app::Outcome doctor(const Arguments& arguments);
app::Outcome metrics(const Arguments& arguments);
app::Outcome trace(const Arguments& arguments);
app::Outcome install(const Arguments& arguments);
app::Outcome uninstall(const Arguments& arguments);
app::Outcome watch(const Arguments& arguments);
app::Outcome flush(const Arguments& arguments);
app::Outcome version(const Arguments& arguments);
app::Outcome help(const Arguments& arguments);

}  // namespace portmapper::ctl

// The subcommands of nft-port-mapperctl, one function each; lib/app/ctl/ctl holds their table.
//
//   Outcome outcome = ctl_list(arguments);
//
// Each opens what it needs, changes only what its name says, and returns what to print. Errors: an
// outcome of status 1. Does not promise: an order of calls. Source: shared design, section 6.
#pragma once

#include "lib/app/ctl/ctl.hpp"

namespace portmapper {

Outcome ctl_list(const CtlArguments& arguments);
Outcome ctl_owner(const CtlArguments& arguments);
Outcome ctl_check(const CtlArguments& arguments);
Outcome ctl_prune(const CtlArguments& arguments);
Outcome ctl_restore(const CtlArguments& arguments);
Outcome ctl_render(const CtlArguments& arguments);
Outcome ctl_doctor(const CtlArguments& arguments);
Outcome ctl_flush(const CtlArguments& arguments);
Outcome ctl_version(const CtlArguments& arguments);

}  // namespace portmapper

// mend: carries out what an audit would repair.
//
//   const Audit audit = audit_table(contents);
//   const Result<std::vector<Error>> left = mend(transport, audit, Mending::all);
//
// Elements are one batch, which the kernel refuses where anything changed since the audit's reading;
// interfaces are closed before it and opened behind it. Mending::additions leaves alone what nobody owns:
// for who cannot ask whether it still serves somebody. Errors: mapping_failed where the batch was refused;
// otherwise one for each device that could not be closed or opened, and it goes on with the next. Source:
// packaging/doc/design.md, "Host effects".
#pragma once

#include <vector>

#include "lib/app/ctl/audit.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::ctl {

enum class Mending { all, additions };
Result<std::vector<Error>> mend(Transport& transport, const Audit& audit, Mending mending);

}  // namespace portmapper::ctl

// audit_steadily: the whole table and what is damaged in it and in that of egress, while ADDs and DELs go on.
//
//   const Result<SteadyAudit> steady = audit_steadily(transport);
//   for (const Finding& finding : steady->audit.findings) use(to_string(finding));
//
// The sets are read one after the other, and the kernel does not tell that one changed during its dump. So a finding
// counts that each reading has: two, if nothing changed during the last; 16, if something changed during all of them.
// Without a finding the first reading counts during which nothing changed, or the fifth. Errors: as read_table.
// Source: packaging/doc/kernel-facts.md.
#pragma once

#include "lib/app/ctl/audit.hpp"
#include "lib/app/ctl/table_contents.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::ctl {

struct SteadyAudit {
  TableContents contents;
  Audit audit;
};

Result<SteadyAudit> audit_steadily(Transport& transport);

}  // namespace portmapper::ctl

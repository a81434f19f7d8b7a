// seen_of: what a look at the table comes to for the watch.
//
//   const watch::Seen seen = seen_of(contents, audit_table(contents), *find_missing(transport), false);
//
// What is nobody's stays as it is, since it may still serve somebody whom no record names; a container that
// is gone is no damage. A table that does not exist is gone where it had ports before, or somebody lives who
// should have some. Errors: none; a pure function. Source: packaging/doc/monitoring.md, "How it decides".
#pragma once

#include <optional>
#include <vector>

#include "lib/app/ctl/audit.hpp"
#include "lib/app/ctl/missing.hpp"
#include "lib/app/watch/vigil.hpp"

namespace portmapper::ctl {

// `missing`: nothing where the records were not read. `had_ports`: the table, before.
watch::Seen seen_of(const TableContents& contents, const Audit& audit,
                    const std::optional<std::vector<Missing>>& missing, bool had_ports);

}  // namespace portmapper::ctl

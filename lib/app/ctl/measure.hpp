// measure: the figures of this host, from one reading of the table, of the host and of the records.
//
//   Result<metrics::Figures> figures = measure(transport);
//   use(metrics::format(*figures, metrics::PerPort::yes));
//
// Figures are of one moment: while ADDs and DELs change the sets they are read again, some times; a finding counts
// that two readings have (lib/app/ctl/steady_audit). Errors: mapping_failed as nft/read/reader. Does not
// promise: to tell an attachment whose DEL has begun from one that lost its ports. Source:
// lib/app/ctl/audit.
#pragma once

#include <string>

#include "lib/app/metrics/figures.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::ctl {

Result<metrics::Figures> measure(Transport& transport);

// For node_exporter, which runs as somebody else: everybody may read the file.
Status write_figures(const std::string& file, const std::string& text);

}  // namespace portmapper::ctl

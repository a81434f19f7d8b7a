#include "lib/app/ctl/steady_audit.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "lib/app/ctl/missing.hpp"
#include "lib/app/egress.hpp"
#include "lib/app/retry.hpp"

namespace portmapper::ctl {
namespace {

constexpr int kMostReadings = 5;
constexpr int kMostOfFindings = 16;  // each reading leaves about a third of what is not damaged

using Findings = std::vector<Finding>;

void keep(Audit& audit, const Findings& found) {
  std::erase_if(audit.findings, [&found](const Finding& finding) {
    return std::find(found.begin(), found.end(), finding) == found.end();
  });
}

}  // namespace

Result<SteadyAudit> audit_steadily(Transport& transport) {
  std::optional<Findings> found;  // by all readings so far
  for (int reading = 1;; ++reading) {
    const Result<app::EgressAudit> egress = app::audit_masquerade(transport);
    if (!egress) return egress.error();
    Result<TableContents> contents = app::retried([&] { return read_table(transport); });
    if (!contents) return contents.error();
    contents->is_steady = contents->is_steady && contents->generation == egress->generation;
    find_records(transport, *contents);
    Audit audit = audit_table(*contents);
    add_egress(*egress, audit);
    if (found) keep(audit, *found);
    const bool is_told_twice = found || audit.findings.empty();
    const int most = audit.findings.empty() ? kMostReadings : kMostOfFindings;
    if ((contents->is_steady && is_told_twice) || reading >= most)
      return SteadyAudit{std::move(*contents), std::move(audit)};
    found = std::move(audit.findings);
  }
}

}  // namespace portmapper::ctl

#include "lib/app/ctl/seen.hpp"

#include <algorithm>
#include <string>

#include "lib/base/escape.hpp"
#include "nft/names.hpp"

namespace portmapper::ctl {
namespace {

// Without what a person could do about it.
std::string thing_of(const std::string& finding) {
  return finding.substr(0, finding.find("; "));
}

}  // namespace

watch::Seen seen_of(const TableContents& contents, const Audit& audit,
                    const std::optional<std::vector<Missing>>& missing, bool had_ports) {
  watch::Seen seen;
  for (const std::string& finding : audit.findings)
    if (audit.of_host.contains(finding))
      seen.of_host.insert(thing_of(finding));
    else if (!audit.outlived.contains(finding) && !audit.nobodys.contains(finding))
      seen.damage.insert(thing_of(finding));
  const bool is_needed =
      had_ports || (missing && std::any_of(missing->begin(), missing->end(),
                                           [](const Missing& one) { return !one.ports.empty(); }));
  if (!contents.exists && is_needed)
    seen.damage.insert(std::string("table inet ") + nft::kTable + " is gone");
  if (!missing) return seen;
  seen.missing.emplace();
  for (const Missing& one : *missing) {
    const std::string name = "attachment " + nft::attachment_comment(one.attachment);
    if (one.ports.empty())
      seen.missing->insert(printable(name + " is not masqueraded"));
    else if (contents.exists)
      seen.missing->insert(printable(name + " has lost ports"));
  }
  return seen;
}

}  // namespace portmapper::ctl

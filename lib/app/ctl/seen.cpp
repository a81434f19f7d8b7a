#include "lib/app/ctl/seen.hpp"

#include <algorithm>
#include <string>

#include "lib/base/escape.hpp"
#include "nft/names.hpp"

namespace portmapper::ctl {
watch::Seen seen_of(const TableContents& contents, const Audit& audit,
                    const std::optional<std::vector<Missing>>& missing, bool had_ports) {
  watch::Seen seen;
  for (const Finding& finding : audit.findings) switch (finding.kind) {
      case Finding::Kind::egress:
      case Finding::Kind::damage:
        seen.damage.insert(finding.thing);
        break;
      case Finding::Kind::of_host:
      case Finding::Kind::exposure:
      case Finding::Kind::loopback6:
        seen.of_host.insert(finding.thing);
        break;
      case Finding::Kind::outlived:
      case Finding::Kind::nobodys:
        break;
    }
  const bool is_needed =
      had_ports || (missing && std::any_of(missing->begin(), missing->end(),
                                           [](const Missing& one) { return !one.ports.empty(); }));
  if (!contents.exists && is_needed)
    seen.damage.insert(std::string("table inet ") + nft::kTable + " is gone");
  if (!missing) return seen;
  const bool has_egress_damage =
      std::any_of(audit.findings.begin(), audit.findings.end(),
                  [](const Finding& one) { return one.kind == Finding::Kind::egress; });
  seen.missing.emplace();
  for (const Missing& one : *missing) {
    const std::string name = "attachment " + nft::attachment_comment(one.attachment);
    if (!one.ports.empty()) {
      if (contents.exists) seen.missing->insert(printable(name + " has lost ports"));
    } else if (!has_egress_damage) {  // else that says what happened
      seen.missing->insert(printable(name + " is not masqueraded"));
    }
  }
  return seen;
}

}  // namespace portmapper::ctl

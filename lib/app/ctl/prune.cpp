#include <map>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/look.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/base/escape.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

// "web/abc/eth0 (2 ports)"
std::string describe(const std::vector<nft::OwnerEntry>& entries, const nft::OwnerHash& owner) {
  std::size_t ports = 0;
  std::string comment;
  for (const nft::OwnerEntry& entry : entries) {
    if (entry.owner != owner) continue;
    if (ports++ == 0) comment = entry.comment;
  }
  return printable(comment) + " (" + std::to_string(ports) + (ports == 1 ? " port)" : " ports)");
}

}  // namespace

app::Outcome prune(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failure(netlink.error());
  const Result<std::vector<nft::OwnerEntry>> entries =
      app::retry_reading([&netlink] { return nft::read_owners(*netlink); });
  if (!entries) return failure(entries.error());
  const std::vector<nft::Withdrawal> dead =
      nft::decide_prune(*entries, app::owner_states(*entries));
  const bool dry_run = arguments.has("--dry-run");
  app::Outcome outcome;
  std::vector<std::string> notes;
  std::vector<nft::InstalledPorts> all_gone;
  for (const nft::Withdrawal& withdrawal : dead) {
    const std::string what = describe(*entries, withdrawal.owner);
    if (!dry_run) {
      Result<nft::InstalledPorts> gone = app::withdraw_ports(*netlink, withdrawal, notes);
      if (!gone) {
        const app::Outcome failed = failure(gone.error());
        outcome.log += failed.log;
        outcome.status = failed.status;
        continue;
      }
      if (gone->empty()) {
        outcome.out += "left " + what + ": it was added again, or removed, meanwhile\n";
        continue;
      }
      all_gone.push_back(std::move(*gone));
    }
    outcome.out += (dry_run ? "would remove " : "removed ") + what + "\n";
  }
  app::effects_of_dels(*netlink, all_gone, notes);
  outcome.log += log_lines(notes);
  if (dead.empty()) outcome.out = "every owner is alive; nothing to remove\n";
  return outcome;
}

}  // namespace portmapper::ctl

#include <map>

#include "lib/app/columns.hpp"
#include "lib/app/ctl/commands.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/publish.hpp"
#include "lib/base/escape.hpp"
#include "lib/host/netns.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

struct Dead {
  std::string comment;
  std::string chain;
  std::size_t ports = 0;
};

Result<std::map<nft::OwnerHash, Dead>> find_dead(Transport& transport) {
  const Result<std::vector<nft::OwnerEntry>> owners = nft::read_owners(transport);
  if (!owners) return owners.error();
  host::Namespaces namespaces;
  std::map<nft::OwnerHash, bool> alive;
  std::map<nft::OwnerHash, Dead> dead;
  for (const nft::OwnerEntry& owner : *owners) {
    const auto [state, is_new] = alive.try_emplace(owner.owner);
    if (is_new) state->second = namespaces.hold(owner.netns);
    if (state->second) continue;
    Dead& attachment = dead[owner.owner];
    attachment.comment = owner.comment;
    attachment.chain = owner.chain;
    ++attachment.ports;
  }
  return dead;
}

}  // namespace

app::Outcome prune(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failure(netlink.error());
  const Result<std::map<nft::OwnerHash, Dead>> dead = find_dead(*netlink);
  if (!dead) return failure(dead.error());
  const bool dry_run = arguments.has("--dry-run");
  app::Outcome outcome;
  for (const auto& [owner, attachment] : *dead) {
    const std::string what = printable(attachment.comment) + " (" +
                             std::to_string(attachment.ports) +
                             (attachment.ports == 1 ? " port)" : " ports)");
    if (!dry_run) {
      const Result<nft::InstalledPorts> gone = app::withdraw(*netlink, owner, attachment.chain);
      std::vector<std::string> notes;
      if (gone) {
        app::effects_of_del(*netlink, *gone, notes);
      } else {
        const app::Outcome failed = failure(gone.error());
        outcome.log += failed.log;
        outcome.status = failed.status;
        continue;
      }
    }
    outcome.out += (dry_run ? "would remove " : "removed ") + what + "\n";
  }
  if (dead->empty()) outcome.out = "every owner lives; nothing to remove\n";
  return outcome;
}

}  // namespace portmapper::ctl

#include <set>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listing.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

constexpr char kWhoCanTell[] =
    "who lives can be told as root on the host itself, or where the runtime runs the plugin, in the"
    " same PID and mount namespace; nft-port-mapperctl release CONTAINER frees the ports of one";

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

// Those that stay because nobody can tell from here.
std::string unknown_owners(const Listing& listing) {
  std::string text;
  std::set<nft::OwnerHash> seen;
  for (const nft::OwnerEntry& entry : listing.owners)
    if (nft::liveness_of(listing.life.at(entry.owner)) == nft::Liveness::unknown &&
        seen.insert(entry.owner).second)
      text +=
          "left " + describe(listing.owners, entry.owner) + ": it is unknown whether it lives\n";
  return text;
}

void remove(Transport& transport, const nft::Withdrawal& withdrawal, const std::string& what,
            std::vector<nft::InstalledPorts>& all_gone, std::vector<std::string>& notes,
            app::Outcome& outcome) {
  Result<nft::InstalledPorts> gone = app::withdraw_ports(transport, withdrawal, notes);
  if (!gone) {
    const app::Outcome failed = failure(gone.error());
    outcome.log += failed.log;
    outcome.status = failed.status;
  } else if (gone->empty()) {
    outcome.out += "left " + what + ": it was added again, or removed, meanwhile\n";
  } else {
    outcome.out += "removed " + what + "\n";
    all_gone.push_back(std::move(*gone));
  }
}

}  // namespace

app::Outcome prune(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failure(netlink.error());
  const Result<Listing> listing = read_listing(*netlink);
  if (!listing) return failure(listing.error());
  const std::vector<nft::Withdrawal> dead = nft::decide_prune(listing->owners, listing->life);
  app::Outcome outcome;
  std::vector<std::string> notes;
  std::vector<nft::InstalledPorts> all_gone;
  for (const nft::Withdrawal& withdrawal : dead) {
    const std::string what = describe(listing->owners, withdrawal.owner);
    if (arguments.has("--dry-run"))
      outcome.out += "would remove " + what + "\n";
    else
      remove(*netlink, withdrawal, what, all_gone, notes, outcome);
  }
  app::effects_of_dels(*netlink, all_gone, notes);
  outcome.log += log_lines(notes);
  const std::string unknown = unknown_owners(*listing);
  if (dead.empty() && unknown.empty()) outcome.out = "every owner is alive; nothing to remove\n";
  if (unknown.empty()) return outcome;
  outcome.out += unknown;
  outcome.log += std::string("nft-port-mapperctl: ") + kWhoCanTell + "\n";
  outcome.status = kProblem;
  return outcome;
}

}  // namespace portmapper::ctl

#include <set>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/facts.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

constexpr char kWhoCanTell[] =
    "who lives can be told as root on the host itself, or where the runtime runs the plugin, in the"
    " same PID and mount namespace; nft-port-mapperctl release CONTAINER frees the ports of one";

// An attachment, and what became of it.
struct Fate {
  enum class Kind { removed, changed, unknown, failed };
  Kind kind;
  std::string comment;  // "web/abc/eth0"
  std::size_t ports = 0;
  std::string error{};  // why it failed
};

Fate fate_of(Fate::Kind kind, const Listing& listing, const nft::OwnerHash& owner) {
  Fate fate{kind, {}, 0};
  for (const nft::OwnerEntry& entry : listing.owners) {
    if (entry.owner != owner) continue;
    if (fate.ports++ == 0) fate.comment = entry.comment;
  }
  return fate;
}

// Those that stay because nobody can tell from here.
std::vector<Fate> unknown_owners(const Listing& listing) {
  std::vector<Fate> fates;
  std::set<nft::OwnerHash> seen;
  for (const nft::OwnerEntry& entry : listing.owners)
    if (nft::liveness_of(listing.life.at(entry.owner)) == nft::Liveness::unknown &&
        seen.insert(entry.owner).second)
      fates.push_back(fate_of(Fate::Kind::unknown, listing, entry.owner));
  return fates;
}

std::vector<Fate> remove_dead(Transport& transport, const Listing& listing, bool dry_run,
                              std::vector<std::string>& notes) {
  std::vector<Fate> fates;
  std::vector<nft::InstalledPorts> all_gone;
  for (const nft::Withdrawal& withdrawal : nft::decide_prune(listing.owners, listing.life)) {
    Fate& fate = fates.emplace_back(fate_of(Fate::Kind::removed, listing, withdrawal.owner));
    if (dry_run) continue;
    Result<nft::InstalledPorts> gone = app::withdraw_ports(transport, withdrawal, notes);
    if (!gone) {
      fate.kind = Fate::Kind::failed;
      fate.error = gone.error().message();
    } else if (gone->empty()) {
      fate.kind = Fate::Kind::changed;
    } else {
      all_gone.push_back(std::move(*gone));
    }
  }
  app::effects_of_dels(transport, all_gone, notes);
  return fates;
}

std::string line_of(const Fate& fate, bool dry_run) {
  const std::string what = printable(fate.comment) + " (" + std::to_string(fate.ports) +
                           (fate.ports == 1 ? " port)" : " ports)");
  switch (fate.kind) {
    case Fate::Kind::removed:
      return (dry_run ? "would remove " : "removed ") + what + "\n";
    case Fate::Kind::changed:
      return "left " + what + ": it was added again, or removed, meanwhile\n";
    case Fate::Kind::unknown:
      return "left " + what + ": it is unknown whether it lives\n";
    case Fate::Kind::failed:
      break;
  }
  return "";  // the log has it
}

std::string json_of(const std::vector<Fate>& fates, bool dry_run) {
  constexpr std::pair<Fate::Kind, const char*> kLists[] = {{Fate::Kind::removed, "removed"},
                                                           {Fate::Kind::unknown, "unknown"},
                                                           {Fate::Kind::changed, "changed"},
                                                           {Fate::Kind::failed, "failed"}};
  json::Writer out;
  out.begin_object().member("dryRun", dry_run);
  for (const auto& [kind, name] : kLists) {
    out.key(name).begin_array();
    for (const Fate& fate : fates) {
      if (fate.kind != kind) continue;
      out.begin_object();
      write_attachment(out, nft::known_parts(fate.comment));
      out.member("ports", static_cast<std::int64_t>(fate.ports));
      if (kind == Fate::Kind::failed) out.member("error", fate.error);
      out.end_object();
    }
    out.end_array();
  }
  out.end_object();
  return std::move(out).text() + "\n";
}

}  // namespace

app::Outcome prune(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  const Result<Listing> listing = read_listing(*netlink);
  if (!listing) return could_not_look(listing.error());
  const bool dry_run = arguments.has("--dry-run");
  app::Outcome outcome;
  std::vector<std::string> notes;
  std::vector<Fate> fates = remove_dead(*netlink, *listing, dry_run, notes);
  const std::vector<Fate> unknown = unknown_owners(*listing);
  fates.insert(fates.end(), unknown.begin(), unknown.end());
  for (const Fate& fate : fates) {
    outcome.out += line_of(fate, dry_run);
    if (fate.kind == Fate::Kind::failed) outcome.log += log_lines({fate.error});
    if (fate.kind == Fate::Kind::failed || fate.kind == Fate::Kind::unknown)
      outcome.status = kProblem;
  }
  if (fates.empty()) outcome.out = "every owner is alive; nothing to remove\n";
  outcome.log += log_lines(notes);
  if (!unknown.empty()) outcome.log += log_lines({kWhoCanTell});
  if (arguments.has("--json")) outcome.out = json_of(fates, dry_run);
  return outcome;
}

}  // namespace portmapper::ctl

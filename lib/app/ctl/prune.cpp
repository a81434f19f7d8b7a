#include <algorithm>
#include <set>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/facts.hpp"
#include "lib/app/ctl/removal.hpp"
#include "lib/app/egress.hpp"
#include "lib/app/lost_claims.hpp"
#include "lib/base/counted.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

constexpr char kWhoCanTell[] =
    "who lives can be told as root on the host itself, or where the runtime runs the plugin, in the"
    " same PID and mount namespace; nft-port-mapperctl release CONTAINER frees the ports of one";

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

// Who has ports as well is among them already.
void add_unknown(const std::vector<std::string>& masqueraded, std::vector<Fate>& fates) {
  for (const std::string& comment : masqueraded)
    if (std::none_of(fates.begin(), fates.end(),
                     [&comment](const Fate& fate) { return fate.comment == comment; }))
      fates.push_back({.kind = Fate::Kind::unknown, .comment = comment});
}

std::string line_of(const Fate& fate, bool dry_run) {
  const std::string ports = fate.ports == 0 ? "masqueraded" : counted(fate.ports, "port");
  const std::string what = printable(fate.comment) + " (" + ports + ")";
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

// What no attachment has after this, and leads on to where it led.
Result<std::vector<nft::ClaimEntry>> find_left(Transport& transport, const Listing& listing,
                                               const std::vector<nft::Withdrawal>& removed) {
  Result<std::vector<nft::ClaimEntry>> lost = app::find_lost(transport, listing.owners);
  if (!lost) return lost.error();
  std::erase_if(*lost, [&removed](const nft::ClaimEntry& claim) {
    return std::any_of(removed.begin(), removed.end(),
                       [&claim](const nft::Withdrawal& one) { return claim.owner == one.owner; });
  });
  return lost;
}

std::string json_of(const std::vector<Fate>& fates, const std::vector<std::string>& unmasqueraded,
                    const std::vector<nft::ClaimEntry>& lost, bool dry_run) {
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
  out.key("unmasqueraded").begin_array();
  for (const std::string& comment : unmasqueraded) {
    out.begin_object();
    write_attachment(out, nft::known_parts(comment));
    out.end_object();
  }
  out.end_array().key("lost").begin_array();
  for (const nft::ClaimEntry& claim : lost)
    out.begin_object()
        .member("protocol", to_string(claim.published.protocol))
        .member("hostAddress", claim.published.address.to_string())
        .member("hostPort", claim.published.port.value())
        .member("comment", claim.comment)
        .end_object();
  out.end_array().end_object();
  return std::move(out).text() + "\n";
}

// What was found, if it was; else the outcome has the error.
template <typename T>
T kept(Result<T> found, app::Outcome& outcome) {
  if (found) return *std::move(found);
  outcome.log += failure(found.error()).log;
  outcome.status = kProblem;
  return {};
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
  const std::vector<nft::Withdrawal> dead = nft::decide_prune(listing->owners, listing->life);
  std::vector<Fate> fates = remove_each(*netlink, *listing, dead, dry_run, notes);
  // What was removed is told, whatever comes after it.
  const app::Unmasqueraded unmasqueraded = kept(app::unmasquerade_dead(*netlink, dry_run), outcome);
  const std::vector<nft::ClaimEntry> lost = kept(find_left(*netlink, *listing, dead), outcome);
  std::vector<Fate> unknown = unknown_owners(*listing);
  add_unknown(unmasqueraded.unknown, unknown);
  fates.insert(fates.end(), unknown.begin(), unknown.end());
  for (const Fate& fate : fates) {
    outcome.out += line_of(fate, dry_run);
    if (fate.kind == Fate::Kind::failed) outcome.log += log_lines({fate.error});
    if (fate.kind == Fate::Kind::failed || fate.kind == Fate::Kind::unknown)
      outcome.status = kProblem;
  }
  for (const std::string& comment : unmasqueraded.ended)
    outcome.out += (dry_run ? "would end the masquerading of " : "ended the masquerading of ") +
                   printable(comment) + "\n";
  for (const nft::ClaimEntry& claim : lost)
    outcome.out += "left: " + printable(app::what_helps(claim)) + "\n";
  if (!lost.empty()) outcome.status = kProblem;
  for (const Error& error : unmasqueraded.failures) outcome.log += failure(error).log;
  if (!unmasqueraded.failures.empty()) outcome.status = kProblem;
  if (unmasqueraded.ended_table)
    outcome.out += "removed table inet " + std::string(nft::kEgressTable) + ", which was empty\n";
  if (outcome.out.empty() && outcome.status == 0)
    outcome.out = "every owner is alive; nothing to remove\n";
  outcome.log += log_lines(notes);
  if (!unknown.empty()) outcome.log += log_lines({kWhoCanTell});
  if (arguments.has("--json")) outcome.out = json_of(fates, unmasqueraded.ended, lost, dry_run);
  return outcome;
}

}  // namespace portmapper::ctl

#include <algorithm>
#include <map>
#include <set>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listing.hpp"
#include "lib/app/egress.hpp"
#include "lib/app/lost_claims.hpp"
#include "lib/app/publish.hpp"
#include "lib/base/escape.hpp"

namespace portmapper::ctl {
namespace {

// Which attachments are meant; what is not named may be any.
struct Wanted {
  std::string container;
  std::optional<std::string> network;
  std::optional<std::string> ifname;
};

// Of the ports, or of the masquerading. Names that did not fit a comment are known by their hash, if all
// three are named.
template <typename Entry>
bool is_meant(const Entry& entry, const Wanted& wanted) {
  Attachment attachment;
  if (!nft::parse_attachment_comment(entry.comment, attachment)) {
    if (wanted.network && wanted.ifname)
      return entry.owner == nft::owner_hash({*wanted.network, wanted.container, *wanted.ifname});
    return !wanted.ifname && entry.container &&
           *entry.container == nft::container_hash(wanted.container) &&
           (!wanted.network || nft::is_of_network(entry, *wanted.network));
  }
  return attachment.container_id == wanted.container &&
         (!wanted.network || attachment.network == *wanted.network) &&
         (!wanted.ifname || attachment.ifname == *wanted.ifname);
}

// A claim names the container, and the attachment by its hash.
bool is_meant(const nft::ClaimEntry& claim, const Wanted& wanted,
              const std::set<std::string>& interfaces) {
  if (nft::parse_container_comment(claim.comment) != wanted.container) return false;
  if (wanted.network)
    return app::is_of_network(claim, *wanted.network,
                              wanted.ifname ? std::set{*wanted.ifname} : interfaces);
  return !wanted.ifname;
}

std::string text_of(const Wanted& wanted) {
  return "container " + printable(wanted.container) +
         (wanted.network ? " of network " + printable(*wanted.network) : "") +
         (wanted.ifname ? " (" + printable(*wanted.ifname) + ")" : "");
}

app::Outcome nobody(const Listing& listing, const Wanted& wanted) {
  std::string why = text_of(wanted) + " publishes no port";
  const bool is_beginning =
      std::any_of(listing.ports.begin(), listing.ports.end(), [&wanted](const ListedPort& port) {
        const std::string& id = port.attachment.container_id;
        return id != wanted.container && id.starts_with(wanted.container);
      });
  why += is_beginning ? "; the ID must be whole, as nft-port-mapperctl list --no-trunc shows it"
                      : "; nft-port-mapperctl list --no-trunc shows who publishes ports";
  return failure(mapping_failed(why));
}

// "released web/abc/eth0: 0.0.0.0:8080/tcp, [::]:8080/tcp"
std::string line_of(const nft::InstalledPorts& gone) {
  std::string text;
  for (const nft::InstalledPort& port : gone.ports)
    text += (text.empty() ? "" : ", ") + to_string(port.published);
  return "released " + printable(gone.comment) + ": " + text + "\n";
}

}  // namespace

app::Outcome release(const Arguments& arguments) {
  if (arguments.words.empty()) return wrong_usage("release needs the ID of a container");
  const Wanted wanted{arguments.words.front(), arguments.value("--network"),
                      arguments.value("--ifname")};
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  const Result<Listing> listing = read_listing(*netlink);
  if (!listing) return could_not_look(listing.error());
  std::map<nft::OwnerHash, nft::Withdrawal> meant;
  for (const nft::OwnerEntry& entry : listing->owners)
    if (is_meant(entry, wanted))
      meant.try_emplace(entry.owner, nft::Withdrawal{entry.owner, entry.chain, entry.netns});
  Result<std::vector<nft::ClaimEntry>> claims = app::find_lost(*netlink, listing->owners);
  if (!claims) return could_not_look(claims.error());
  const std::set<std::string> interfaces = app::interface_names(listing->owners);
  for (nft::Withdrawal& lost : app::withdrawals_of_lost(
           {listing->owners, std::move(*claims)}, nft::kSharedChain,
           [&](const nft::ClaimEntry& claim) { return is_meant(claim, wanted, interfaces); }))
    meant.try_emplace(lost.owner, std::move(lost));
  const Result<app::Unmasqueraded> unmasqueraded =
      app::unmasquerade_meant(*netlink, [&wanted](const nft::EgressEntry& entry) {
        return entry.record != nft::EgressEntry::Record::nobodys && is_meant(entry, wanted);
      });
  if (!unmasqueraded) return could_not_look(unmasqueraded.error());
  if (meant.empty() && unmasqueraded->ended.empty() && unmasqueraded->failures.empty())
    return nobody(*listing, wanted);
  app::Outcome outcome;
  std::vector<std::string> notes;
  for (const auto& [owner, withdrawal] : meant) {
    const Result<nft::InstalledPorts> gone = app::withdraw(*netlink, withdrawal, notes);
    if (!gone) {
      outcome.log += failure(gone.error()).log;
      outcome.status = kProblem;
    } else if (gone->empty()) {
      outcome.log +=
          failure(mapping_failed(text_of(wanted) + " was added again, or removed, meanwhile")).log;
      outcome.status = kProblem;
    } else {
      outcome.out += line_of(*gone);
    }
  }
  for (const std::string& comment : unmasqueraded->ended)
    outcome.out += "ended the masquerading of " + printable(comment) + "\n";
  for (const Error& error : unmasqueraded->failures) {
    outcome.log += failure(error).log;
    outcome.status = kProblem;
  }
  outcome.log += log_lines(notes);
  return outcome;
}

}  // namespace portmapper::ctl

#include <algorithm>
#include <map>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listing.hpp"
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

// Names that did not fit a comment are known by their hash, if all three are named.
bool is_meant(const nft::OwnerEntry& entry, const Wanted& wanted) {
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
  if (meant.empty()) return nobody(*listing, wanted);
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
  outcome.log += log_lines(notes);
  return outcome;
}

}  // namespace portmapper::ctl

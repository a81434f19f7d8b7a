#include <algorithm>
#include <set>

#include "nft/hairpin_tag.hpp"
#include "nft/key.hpp"
#include "nft/read/keyed_reader.hpp"
#include "nft/read/objects.hpp"
#include "nft/read/query.hpp"
#include "nft/read/reader.hpp"
#include "nft/read/set_dump.hpp"
#include "nft/read/standby_reader.hpp"
#include "nft/siblings.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

constexpr std::uint32_t kFirstKeys = 4;
// More than any configuration can ask for (see lib/json/document.hpp): a larger number is ignored.
constexpr std::uint32_t kMostPorts = 1U << 21U;

// The first entry tells what all of an attachment's entries have in common. `chain_is_known`: by it.
void take_entry(InstalledPorts& installed, const ElementView& element, bool& chain_is_known) {
  const auto key = parse_owner_key(element.key);
  const auto published = parse_owner_data(element.data);
  if (!key || !published) return;
  if (installed.ports.empty()) {
    const ElementData data = parse_element_data(element.userdata);
    installed.comment = data.comment;
    installed.netns = data.netns;
    chain_is_known = !data.chain.empty();
    if (chain_is_known) installed.chain = data.chain;
    installed.hairpin = data.hairpin;
    installed.wish = data.wish;
    installed.container = data.container;
    installed.restored = data.restored;
    installed.count = data.count <= kMostPorts ? data.count : 0;
  }
  installed.ports.push_back({key->index, *published, false, {}});
}

// All entries, where the first have told how many there are, and whether others have some. False: it
// takes less to ask for each.
Result<bool> dump_entries(Transport& transport, InstalledPortsAt& held) {
  InstalledPorts& installed = held.installed;
  std::vector<InstalledPort> ports;
  bool others = false;
  const auto take = [&](const ElementView& element) {
    const auto key = parse_owner_key(element.key);
    const bool is_own = key && key->owner == installed.owner;
    others = others || !is_own;
    const auto published = parse_owner_data(element.data);
    if (is_own && published) ports.push_back({key->index, *published, false, {}});
  };
  const Result<bool> dumped = dump_instead(transport, kOwners, installed.count, take);
  if (!dumped) return dumped.error();
  if (others || *dumped) held.others_publish = others;
  if (!*dumped) return false;
  installed.ports = std::move(ports);
  std::sort(installed.ports.begin(), installed.ports.end(),
            [](const InstalledPort& a, const InstalledPort& b) { return a.index < b.index; });
  return true;
}

// Owner entries of one attachment, in the order of their indexes. Each is asked for by itself, so
// that one that an operator deleted does not hide those behind it; any of the first tells how many
// there are. Entries of a table that was saved and loaded again do not: their end is where none is.
// The first exchange ends with a dump of `standby`, which is empty on most hosts.
Status read_entries(Transport& transport, InstalledPortsAt& held, bool& chain_is_known) {
  InstalledPorts& installed = held.installed;
  std::vector<StandbyElement> standby;
  std::uint32_t next = 0;
  for (std::uint32_t count = kFirstKeys;; count = kMoreKeys) {
    if (next == kFirstKeys) {
      const Result<bool> dumped = dump_entries(transport, held);
      if (!dumped) return dumped.error();
      if (*dumped) break;
    }
    const std::uint32_t end =
        installed.count == 0 ? next + count : std::min(next + count, installed.count);
    Query query;
    if (next == 0) {
      query.generation();
      const Element user{device_user_key(installed.owner)};
      query.elements(kLocalnetUsers, {&user, 1});
      query.table(kEgressTable);
    }
    for (std::uint32_t index = next; index < end; ++index) {
      const Element key{owner_key(installed.owner, index)};
      query.elements(kOwners, {&key, 1});
    }
    const std::uint32_t dump = next == 0 ? end - next + 4 : 0;  // its sequence number
    if (next == 0) query.all_elements(kStandby);
    const std::size_t before = installed.ports.size();
    bool has_egress = false;
    const Status status = query.run(transport, [&](const nlmsghdr& reply) {
      has_egress = has_egress || is_table(reply, kEgressTable);
      const bool is_user = next == 0 && reply.nlmsg_seq == 2;
      for_each_element(reply, [&](const ElementView& element) {
        if (is_user)
          installed.localnet_device = parse_device(element.data);
        else if (dump != 0 && reply.nlmsg_seq == dump)
          add_standby(standby, element);
        else
          take_entry(installed, element, chain_is_known);
      });
    });
    if (!status) return status.error();
    if (next == 0) {
      held.generation = query.found_generation();
      installed.may_be_masqueraded = has_egress;
    }
    next = end;
    if (installed.count == 0 ? installed.ports.size() == before : next >= installed.count) break;
  }
  take_standby(installed, standby);
  return {};
}

// Those of its claims that no owner entry stands for, as an operator's hand leaves them.
Status find_lost_ports(Transport& transport, InstalledPorts& installed) {
  std::set<PublishedPort> known;
  for (const InstalledPort& port : installed.ports) known.insert(port.published);
  for (const Suffix suffix : kSuffixes) {
    const Result<std::vector<ClaimEntry>> claims = read_claim_set(transport, suffix);
    if (!claims) return claims.error();
    for (const ClaimEntry& claim : *claims) {
      if (claim.owner != installed.owner || known.contains(claim.published)) continue;
      if (installed.comment.empty()) installed.comment = claim.comment;
      installed.ports.push_back({std::nullopt, claim.published, false, {}});
    }
  }
  return {};
}

// Which of the ports have a claim of this owner, and a target. `lost`: those that another claims.
Status read_claims_and_targets(Transport& transport, InstalledPorts& installed,
                               std::set<PublishedPort>& lost) {
  std::vector<PublishedPort> ports;
  ports.reserve(installed.ports.size());
  for (const InstalledPort& port : installed.ports) ports.push_back(port.published);
  const Result<std::vector<Claim>> claims = read_claims(transport, ports);
  if (!claims) return claims.error();
  const auto targets = read_targets(transport, installed.chain, ports);
  if (!targets) return targets.error();
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const Claim& claim = (*claims)[i];
    // A claim that was saved and loaded again names no owner; the owner entry does.
    const bool standby = installed.ports[i].standby.has_value();
    const bool ours = claim.exists && (claim.owner ? *claim.owner == installed.owner : !standby);
    installed.ports[i].claimed = ours;
    if (standby || (claim.exists && !ours)) lost.insert(ports[i]);
    // Without a claim the target is a leftover; with another's claim it is the other's.
    if (ours || (!claim.exists && !standby)) installed.ports[i].endpoint = (*targets)[i];
  }
  return {};
}

// An older version's entries tell no wish, and their IPv4 ports may have been listed since. Who wants
// 127.0.0.0/8 has a device, or has lost its record.
bool may_be_listed(const InstalledPorts& installed, const PublishedPort& port) {
  const Family family = port.address.family();
  return is_reachable_by_loopback(port) &&
         (!loopback_device(installed, family).empty() ||
          (family == Family::ipv4 && (!installed.wish || wants_loopback(*installed.wish, family))));
}

// By which device ::1 reaches it. Without a port that it may reach there is no such record.
Status find_loopback6_device(Transport& transport, InstalledPorts& installed) {
  const bool may_have_one =
      std::any_of(installed.ports.begin(), installed.ports.end(), [](const InstalledPort& port) {
        return port.published.address.family() == Family::ipv6 &&
               is_reachable_by_loopback(port.published);
      });
  if (!may_have_one) return {};
  Result<std::string> device = read_loopback6_device(transport, installed.owner);
  if (!device) return device.error();
  installed.loopback6_device = std::move(*device);
  return {};
}

// Which of the ports the loopback sets have, of those that no other's claim on another address of
// 127.0.0.0/8 needs there.
Status read_loopback(Transport& transport, InstalledPorts& installed,
                     const std::set<PublishedPort>& lost) {
  std::vector<std::size_t> numbers;
  std::vector<PublishedPort> services;
  bool has_address = false;
  bool may_share = false;  // there is but one ::1
  for (std::size_t i = 0; i < installed.ports.size(); ++i) {
    const PublishedPort& port = installed.ports[i].published;
    if (lost.contains(port) || !may_be_listed(installed, port)) continue;
    numbers.push_back(i);
    services.push_back(on_any(port));
    has_address = has_address || !port.address.is_any();
    may_share = may_share || (!port.address.is_any() && port.address.family() == Family::ipv4);
  }
  const Status status = read_each(
      transport, services, [](Suffix suffix) { return loopback_set(suffix.family); },
      [&](std::size_t number, const ElementView&) {
        installed.ports[numbers[number]].by_loopback = true;
      });
  if (!status || !has_address) return status;
  std::set<PublishedPort> needed;  // by others, as services
  if (may_share) {
    const auto claims = read_claim_set(transport, {Family::ipv4, AddressScope::one});
    if (!claims) return claims.error();
    std::set<PublishedPort> own;
    for (const InstalledPort& port : installed.ports) own.insert(port.published);
    const auto is_anothers = [&own](const ClaimEntry& claim) {
      return claim.published.address.is_loopback() && !own.contains(claim.published);
    };
    if (std::any_of(claims->begin(), claims->end(), is_anothers)) {
      const auto users = read_device_users(transport, Family::ipv4);
      if (!users) return users.error();
      for (const ClaimEntry& claim : *claims)  // who has no device is not reached by loopback
        if (is_anothers(claim) && (!claim.owner || users->contains(*claim.owner)))
          needed.insert(on_any(claim.published));
    }
  }
  for (InstalledPort& port : installed.ports)  // two of its addresses have one element
    port.by_loopback = port.by_loopback && needed.insert(on_any(port.published)).second;
  return {};
}

// Who only stands by has no target yet: its chain is the one that names its network.
Status find_chain_of_network(Transport& transport, InstalledPorts& installed) {
  Attachment attachment;
  if (!parse_attachment_comment(installed.comment, attachment)) return {};
  const Result<std::string> chain = read_chain_of_network(transport, attachment.network);
  if (!chain) return chain.error();
  installed.chain = chain->empty() ? kSharedChain : *chain;
  return {};
}

// Where the targets are of entries that do not tell their chain, since the table was loaded by
// `nft -f`: in one chain, the one that has most of those that are missing in the chain asked for.
Status find_chain(Transport& transport, InstalledPorts& installed) {
  std::vector<PublishedPort> ports;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < installed.ports.size(); ++i) {
    if (!installed.ports[i].claimed) continue;
    if (installed.ports[i].endpoint) return {};  // it is the chain asked for
    ports.push_back(installed.ports[i].published);
    places.push_back(i);
  }
  if (ports.empty()) return find_chain_of_network(transport, installed);
  const Result<std::vector<std::string>> chains = read_network_chains(transport);
  if (!chains) return chains.error();
  std::size_t most = 0;
  for (const std::string& chain : *chains) {
    const auto targets = read_targets(transport, chain, ports);
    if (!targets) return targets.error();
    const auto count = static_cast<std::size_t>(std::count_if(
        targets->begin(), targets->end(), [](const auto& target) { return target.has_value(); }));
    if (count <= most) continue;
    most = count;
    installed.chain = chain;
    for (std::size_t i = 0; i < ports.size(); ++i)
      installed.ports[places[i]].endpoint = (*targets)[i];
  }
  return {};
}

}  // namespace

Result<InstalledPortsAt> read_installed_ports(Transport& transport, const OwnerHash& owner,
                                              const std::string& chain, Lost lost_ports) {
  InstalledPortsAt held;
  held.installed.owner = owner;
  held.installed.chain = chain;
  bool chain_is_known = false;
  if (const Status status = read_entries(transport, held, chain_is_known); !status)
    return status.error();
  if (lost_ports == Lost::sought || held.installed.ports.size() < held.installed.count)
    if (const Status status = find_lost_ports(transport, held.installed); !status)
      return status.error();
  if (held.installed.empty()) return held;
  std::set<PublishedPort> lost;
  if (const Status status = read_claims_and_targets(transport, held.installed, lost); !status)
    return status.error();
  if (!chain_is_known)
    if (const Status status = find_chain(transport, held.installed); !status) return status.error();
  if (const Status status = find_loopback6_device(transport, held.installed); !status)
    return status.error();
  if (std::any_of(
          held.installed.ports.begin(), held.installed.ports.end(),
          [&](const InstalledPort& port) { return may_be_listed(held.installed, port.published); }))
    if (const Status status = read_loopback(transport, held.installed, lost); !status)
      return status.error();
  std::vector<IpAddress> endpoints;
  for (const InstalledPort& port : held.installed.ports)
    for (const std::optional<Endpoint>& endpoint : {port.endpoint, port.standby})
      if (held.installed.hairpin != 0 && endpoint) endpoints.push_back(endpoint->address);
  held.installed.hairpins = hairpins_of_tag(held.installed.hairpin, endpoints);
  return held;
}

Result<bool> others_publish(Transport& transport, const InstalledPorts& installed) {
  const auto entries = static_cast<std::size_t>(
      std::count_if(installed.ports.begin(), installed.ports.end(),
                    [](const InstalledPort& port) { return port.index.has_value(); }));
  const auto counted = count_elements(transport, kOwners);
  if (!counted) return counted.error();
  if (*counted) return **counted != entries;

  bool others = false;
  const Status status = peek_elements(
      transport, kOwners,
      [&](const ElementView& element) {
        const auto key = parse_owner_key(element.key);
        others = others || !key || key->owner != installed.owner;
      },
      [&others] { return others; });
  if (!status) return status.error();
  return others;
}

}  // namespace portmapper::nft

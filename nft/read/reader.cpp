#include "nft/read/reader.hpp"

#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "nft/hairpin_fit.hpp"
#include "nft/hairpin_tag.hpp"
#include "nft/read/element_view.hpp"
#include "nft/read/query.hpp"
#include "nft/siblings.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

// Answers come one by one, a socket buffer holds some 200 of them: so many keys at a time.
constexpr std::uint32_t kFirstKeys = 4;
constexpr std::uint32_t kMoreKeys = 128;
// More than any configuration can ask for (see lib/json/document.hpp): a larger number is ignored.
constexpr std::uint32_t kMostPorts = 1U << 21U;

std::uint32_t index_of(Bytes owner_key_bytes) {
  std::uint32_t index = 0;
  std::memcpy(&index, owner_key_bytes.data() + 16, sizeof index);
  return index;
}

// How many elements a set has, where the kernel tells (Linux 6.16).
Result<std::optional<std::size_t>> count_elements(Transport& transport, const std::string& set) {
  constexpr std::uint16_t kSetCount = 20;  // NFTA_SET_COUNT, newer than Debian's headers
  std::optional<std::size_t> count;
  Query query;
  query.set(set);
  const Status status = query.run(transport, [&count](const nlmsghdr& reply) {
    const auto number = Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(kSetCount);
    if (number) count = number->number32();
  });
  if (!status) return status.error();
  return count;
}

constexpr std::size_t kManyKeys = 1024;

// Whether to read a set as a whole takes less than to ask for so many of its keys: where it has not
// many more. Property 1 of packaging/doc/design.md: nobody reads what thousands of others have.
Result<bool> is_better_dumped(Transport& transport, const std::string& set, std::size_t wanted) {
  constexpr std::size_t kElementsForAKey = 8;  // a dump costs an eighth for each, if not less
  if (wanted < kManyKeys) return false;
  const auto count = count_elements(transport, set);
  if (!count) return count.error();
  return *count && **count <= wanted * kElementsForAKey;
}

using Numbers = std::vector<std::size_t>;  // of ports

// Asks for one key each, `kMoreKeys` at a time.
template <typename Set, typename Visit>
Status ask_for_each(Transport& transport, const std::vector<PublishedPort>& ports,
                    const Numbers& numbers, Set set, Visit visit) {
  for (std::size_t first = 0; first < numbers.size(); first += kMoreKeys) {
    const std::size_t last = std::min<std::size_t>(numbers.size(), first + kMoreKeys);
    Query query;
    for (std::size_t i = first; i < last; ++i) {
      const PublishedPort& port = ports[numbers[i]];
      const Element element{claim_key(port)};
      query.elements(set(suffix_of(port)), {&element, 1});
    }
    const Status status = query.run(transport, [&](const nlmsghdr& reply) {
      const std::size_t place = first + reply.nlmsg_seq - 1;
      if (reply.nlmsg_seq == 0 || place >= last) return;
      for_each_element(reply, [&](const ElementView& element) { visit(numbers[place], element); });
    });
    if (!status) return status.error();
  }
  return {};
}

template <typename Visit>
Status find_in_dump(Transport& transport, const std::string& set,
                    const std::vector<PublishedPort>& ports, const Numbers& numbers, Visit visit) {
  using Wanted = std::pair<std::string, std::size_t>;
  std::vector<Wanted> wanted;
  wanted.reserve(numbers.size());
  for (const std::size_t number : numbers) {
    const Key key = claim_key(ports[number]);
    wanted.emplace_back(std::string(key.bytes().begin(), key.bytes().end()), number);
  }
  // They come in order where they are somebody's conflicts, and mostly where they are an attachment's.
  if (!std::is_sorted(wanted.begin(), wanted.end())) std::sort(wanted.begin(), wanted.end());
  Query query;
  query.all_elements(set);
  return query.run(transport, [&](const nlmsghdr& reply) {
    for_each_element(reply, [&](const ElementView& element) {
      const std::string key(element.key.begin(), element.key.end());
      for (auto found = std::lower_bound(wanted.begin(), wanted.end(), Wanted{key, 0});
           found != wanted.end() && found->first == key; ++found)
        visit(found->second, element);
    });
  });
}

// Hands on the elements of the ports, with the port's number, that are there.
template <typename Set, typename Visit>
Status read_each(Transport& transport, const std::vector<PublishedPort>& ports, Set set,
                 Visit visit) {
  Numbers rest(ports.size());
  std::iota(rest.begin(), rest.end(), std::size_t{0});
  if (ports.size() < kManyKeys) return ask_for_each(transport, ports, rest, set, visit);
  rest.clear();
  std::map<std::string, Numbers> by_set;
  for (std::size_t i = 0; i < ports.size(); ++i) by_set[set(suffix_of(ports[i]))].push_back(i);
  for (const auto& [name, numbers] : by_set) {
    const Result<bool> dumped = is_better_dumped(transport, name, numbers.size());
    if (!dumped) return dumped.error();
    if (!*dumped) {
      rest.insert(rest.end(), numbers.begin(), numbers.end());
    } else if (const Status status = find_in_dump(transport, name, ports, numbers, visit);
               !status) {
      return status;
    }
  }
  std::sort(rest.begin(), rest.end());
  return ask_for_each(transport, ports, rest, set, visit);
}

// The first entry tells what all of an attachment's entries have in common. `chain_is_known`: by it.
void take_entry(InstalledPorts& installed, const ElementView& element, bool& chain_is_known) {
  const auto published = parse_owner_data(element.data);
  if (!published || element.key.size() != 20) return;
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
  installed.ports.push_back({index_of(element.key), *published, false, {}});
}

// All entries, where the first have told how many there are.
Status dump_entries(Transport& transport, InstalledPorts& installed) {
  installed.ports.clear();
  Query query;
  query.all_elements(kOwners);
  const Status status = query.run(transport, [&installed](const nlmsghdr& reply) {
    for_each_element(reply, [&installed](const ElementView& element) {
      const auto published = parse_owner_data(element.data);
      const bool is_own =
          element.key.size() == 20 &&
          std::equal(installed.owner.begin(), installed.owner.end(), element.key.begin());
      if (published && is_own)
        installed.ports.push_back({index_of(element.key), *published, false, {}});
    });
  });
  std::sort(installed.ports.begin(), installed.ports.end(),
            [](const InstalledPort& a, const InstalledPort& b) { return a.index < b.index; });
  return status;
}

// An element of map `standby`.
struct StandbyElement {
  OwnerHash owner{};
  std::uint32_t index = 0;
  Endpoint endpoint;
  std::string comment{};
  std::optional<OwnerHash> container{};
};

void add_standby(std::vector<StandbyElement>& standby, const ElementView& element) {
  const auto endpoint = parse_standby_data(element.data);
  if (!endpoint || element.key.size() != 20) return;
  StandbyElement& one =
      standby.emplace_back(StandbyElement{{}, index_of(element.key), *endpoint, {}, {}});
  std::copy_n(element.key.begin(), one.owner.size(), one.owner.begin());
  ElementData data = parse_element_data(element.userdata);
  const auto id = parse_container_comment(data.comment);
  one.container = data.container || !id ? data.container : container_hash(*id);
  one.comment = std::move(data.comment);
}

// Puts the elements of its own to its ports, and notes who else of its container stands by.
void take_standby(InstalledPorts& installed, std::span<const StandbyElement> standby) {
  const std::optional<OwnerHash> container = container_of(installed);
  std::set<OwnerHash> others;
  for (const StandbyElement& element : standby) {
    if (element.owner != installed.owner) {
      if (container && element.container == container) others.insert(element.owner);
      continue;
    }
    const auto port = std::lower_bound(
        installed.ports.begin(), installed.ports.end(), element.index,
        [](const InstalledPort& one, std::uint32_t index) { return one.index < index; });
    if (port == installed.ports.end() || port->index != element.index) {
      installed.strays.push_back(element.index);
      continue;
    }
    port->standby = element.endpoint;
    if (installed.standby_comment.empty()) installed.standby_comment = element.comment;
  }
  std::sort(installed.strays.begin(), installed.strays.end());
  installed.standing_by.assign(others.begin(), others.end());
}

Result<std::vector<StandbyElement>> read_standby(Transport& transport) {
  std::vector<StandbyElement> standby;
  Query query;
  query.all_elements(kStandby);
  const Status status = query.run(transport, [&standby](const nlmsghdr& reply) {
    for_each_element(reply,
                     [&standby](const ElementView& element) { add_standby(standby, element); });
  });
  if (!status) return status.error();
  return standby;
}

// Each to its owner entry.
void give_standby(Owners& owners, const std::vector<StandbyElement>& standby) {
  std::map<std::pair<OwnerHash, std::uint32_t>, Endpoint> rest;
  for (const StandbyElement& one : standby)
    rest.emplace(std::pair(one.owner, one.index), one.endpoint);
  if (rest.empty()) return;
  for (OwnerEntry& entry : owners.entries) {
    const auto found = rest.find({entry.owner, entry.index});
    if (found == rest.end()) continue;
    entry.standby = found->second;
    rest.erase(found);
  }
  for (const auto& [key, endpoint] : rest)
    owners.strays.push_back({key.first, key.second, endpoint});
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
      const Result<bool> dumped = is_better_dumped(transport, kOwners, installed.count);
      if (!dumped) return dumped.error();
      if (*dumped) {
        if (const Status status = dump_entries(transport, installed); !status) return status;
        break;
      }
    }
    const std::uint32_t end =
        installed.count == 0 ? next + count : std::min(next + count, installed.count);
    Query query;
    if (next == 0) {
      query.generation();
      const Element user{device_user_key(installed.owner)};
      query.elements(kLocalnetUsers, {&user, 1});
    }
    for (std::uint32_t index = next; index < end; ++index) {
      const Element key{owner_key(installed.owner, index)};
      query.elements(kOwners, {&key, 1});
    }
    const std::uint32_t dump = next == 0 ? end - next + 3 : 0;  // its sequence number
    if (next == 0) query.all_elements(kStandby);
    const std::size_t before = installed.ports.size();
    const Status status = query.run(transport, [&](const nlmsghdr& reply) {
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
    if (next == 0) held.generation = query.found_generation();
    next = end;
    if (installed.count == 0 ? installed.ports.size() == before : next >= installed.count) break;
  }
  take_standby(installed, standby);
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

// Which of the ports the loopback sets have, of those that no other's claim on another address of
// 127.0.0.0/8 needs there.
Status read_loopback(Transport& transport, InstalledPorts& installed,
                     const std::set<PublishedPort>& lost) {
  std::vector<std::size_t> numbers;
  std::vector<PublishedPort> services;
  bool may_share = false;
  for (std::size_t i = 0; i < installed.ports.size(); ++i) {
    const PublishedPort& port = installed.ports[i].published;
    if (lost.contains(port) || !is_reachable_by_loopback(port)) continue;
    numbers.push_back(i);
    services.push_back({IpAddress::any(port.address.family()), port.protocol, port.port});
    may_share = may_share || !port.address.is_any();
  }
  const Status status = read_each(
      transport, services, [](Suffix suffix) { return loopback_set(suffix.family); },
      [&](std::size_t number, const ElementView&) {
        installed.ports[numbers[number]].by_loopback = true;
      });
  if (!status || !may_share) return status;
  const auto claims = read_claim_set(transport, {Family::ipv4, AddressScope::one});
  if (!claims) return claims.error();
  for (InstalledPort& port : installed.ports)
    port.by_loopback =
        port.by_loopback && std::none_of(claims->begin(), claims->end(), [&](const ClaimEntry& c) {
          return c.published.address.is_loopback() && c.published.port == port.published.port &&
                 c.published.protocol == port.published.protocol &&
                 c.published.address != port.published.address;
        });
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
  if (ports.empty()) return {};
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
                                              const std::string& chain) {
  InstalledPortsAt held;
  held.installed.owner = owner;
  held.installed.chain = chain;
  bool chain_is_known = false;
  if (const Status status = read_entries(transport, held, chain_is_known); !status)
    return status.error();
  if (held.installed.empty()) return held;
  std::set<PublishedPort> lost;
  if (const Status status = read_claims_and_targets(transport, held.installed, lost); !status)
    return status.error();
  if (!chain_is_known)
    if (const Status status = find_chain(transport, held.installed); !status) return status.error();
  if (!held.installed.localnet_device.empty())
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
  std::size_t own = 0;
  Query query;
  query.all_elements(kOwners);
  const auto count = [&](const nlmsghdr& reply) {
    for_each_element(reply, [&](const ElementView& element) {
      const bool is_own =
          element.key.size() == 20 &&
          std::equal(installed.owner.begin(), installed.owner.end(), element.key.begin());
      is_own ? static_cast<void>(++own) : static_cast<void>(others = true);
    });
  };
  if (const Status status = query.peek(transport, count); !status) return status.error();
  if (others || own == entries) return others;
  // A peek full of its own entries: whoever has so large a part of the map may look at all of it.
  if (const Status status = query.run(transport, count); !status) return status.error();
  return others;
}

Result<bool> is_set_empty(Transport& transport, const std::string& set) {
  bool empty = true;
  Query query;
  query.all_elements(set);
  const Status status = query.peek(transport, [&empty](const nlmsghdr& reply) {
    for_each_element(reply, [&empty](const ElementView&) { empty = false; });
  });
  if (!status) return status.error();
  return empty;
}

Result<std::vector<Claim>> read_claims(Transport& transport,
                                       const std::vector<PublishedPort>& ports) {
  std::vector<Claim> claims(ports.size());
  const Status status = read_each(
      transport, ports, [](Suffix suffix) { return claim_set(suffix); },
      [&](std::size_t number, const ElementView& element) {
        const ElementData data = parse_element_data(element.userdata);
        claims[number] = {true, data.comment, data.owner};
      });
  if (!status) return status.error();
  return claims;
}

Result<std::vector<std::optional<Endpoint>>> read_targets(Transport& transport,
                                                          const std::string& chain,
                                                          const std::vector<PublishedPort>& ports) {
  std::vector<std::optional<Endpoint>> targets(ports.size());
  const Status status = read_each(
      transport, ports, [&](Suffix suffix) { return target_map(chain, suffix); },
      [&](std::size_t number, const ElementView& element) {
        targets[number] = parse_target_data(element.data, ports[number].address.family());
      });
  if (!status) return status.error();
  return targets;
}

Result<std::vector<Hairpin>> read_hairpins(Transport& transport) {
  std::vector<Hairpin> hairpins;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    Query query;
    query.all_elements(hairpin_set(family));
    const Status status = query.run(transport, [&](const nlmsghdr& reply) {
      for_each_element(reply, [&](const ElementView& element) {
        const auto pair = parse_hairpin_key(element.key, element.key_end, family);
        if (pair) hairpins.push_back({pair->first, pair->second});
      });
    });
    if (!status) return status.error();
  }
  return hairpins;
}

Result<std::vector<Hairpin>> read_hairpins(Transport& transport,
                                           const std::vector<Hairpin>& wanted) {
  std::vector<Hairpin> found;
  Query query;
  for (const Hairpin& hairpin : wanted) {
    const Element element{hairpin_key(hairpin.source, hairpin.destination),
                          hairpin_key_end(hairpin.source, hairpin.destination)};
    query.elements(hairpin_set(hairpin.destination.address.family()), {&element, 1});
  }
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    const std::size_t number = reply.nlmsg_seq - std::size_t{1};
    if (number >= wanted.size()) return;
    for_each_element(reply, [&](const ElementView& element) {
      const Family family = wanted[number].destination.address.family();
      const auto pair = parse_hairpin_key(element.key, element.key_end, family);
      if (pair) found.push_back({pair->first, pair->second});
    });
  });
  if (!status) return status.error();
  if (fit_hairpins(wanted, found).add.empty()) return found;
  return read_hairpins(transport);
}

Result<Shared> read_shared(Transport& transport, const Plan& plan) {
  // What holds the pair of a source and the first address of a subnet: the subnet's own pair, that of
  // 127.0.0.0/8, that of everything.
  std::vector<IpPrefix> subnets;
  Query query;
  for (const IpPrefix& subnet : plan.subnets) {
    const Family family = subnet.address.family();
    const IpPrefix outside = IpPrefix::host(IpPrefix::everything(family).last());
    for (const IpPrefix& source :
         {IpPrefix::host(subnet.address), IpPrefix::loopback(family), outside}) {
      const Element element{hairpin_key(source, subnet)};
      query.elements(hairpin_set(family), {&element, 1});
      subnets.push_back(subnet);
    }
  }
  const Element device{device_key(plan.localnet_device)};
  if (!plan.localnet_device.empty()) query.elements(kLocalnetDevices, {&device, 1});
  Shared shared;
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    const std::size_t number = reply.nlmsg_seq - std::size_t{1};
    for_each_element(reply, [&](const ElementView& element) {
      if (number >= subnets.size()) {
        shared.device_is_recorded = true;
        return;
      }
      const auto pair =
          parse_hairpin_key(element.key, element.key_end, subnets[number].address.family());
      if (!pair || pair->second != subnets[number]) return;
      const Hairpin hairpin{pair->first, pair->second};
      if (std::find(shared.hairpins.begin(), shared.hairpins.end(), hairpin) ==
          shared.hairpins.end())
        shared.hairpins.push_back(hairpin);
    });
  });
  if (!status) return status.error();
  return shared;
}

Result<DeviceUse> read_device_use(Transport& transport, const InstalledPorts& installed) {
  DeviceUse use;
  const Element device{device_key(installed.localnet_device)};
  Query record;
  record.elements(kLocalnetDevices, {&device, 1});
  const Status read = record.run(transport, [&use](const nlmsghdr& reply) {
    for_each_element(reply, [&use](const ElementView&) { use.is_recorded = true; });
  });
  if (!read) return read.error();
  const auto look = [&](const nlmsghdr& reply) {
    for_each_element(reply, [&](const ElementView& element) {
      use.is_shared = use.is_shared || (parse_device(element.data) == installed.localnet_device &&
                                        parse_device(element.key) != to_string(installed.owner));
    });
  };
  Query users;
  users.all_elements(kLocalnetUsers);
  // Where many need it, the beginning tells.
  if (const Status status = users.peek(transport, look); !status) return status.error();
  if (use.is_shared) return use;
  if (const Status status = users.run(transport, look); !status) return status.error();
  return use;
}

Result<std::vector<std::string>> read_localnet_devices(Transport& transport) {
  std::vector<std::string> devices;
  Query query;
  query.all_elements(kLocalnetDevices);
  const Status status = query.run(transport, [&devices](const nlmsghdr& reply) {
    for_each_element(reply, [&devices](const ElementView& element) {
      devices.push_back(parse_device(element.key));
    });
  });
  if (!status) return status.error();
  return devices;
}

Result<std::map<OwnerHash, std::string>> read_localnet_users(Transport& transport) {
  std::map<OwnerHash, std::string> users;
  Query query;
  query.all_elements(kLocalnetUsers);
  const Status status = query.run(transport, [&users](const nlmsghdr& reply) {
    for_each_element(reply, [&users](const ElementView& element) {
      OwnerHash owner{};
      if (element.key.size() < owner.size()) return;
      std::copy_n(element.key.begin(), owner.size(), owner.begin());
      users.emplace(owner, parse_device(element.data));
    });
  });
  if (!status) return status.error();
  return users;
}

Result<std::vector<ClaimEntry>> read_unlisted_loopback(Transport& transport) {
  bool is_listed = false;
  Query query;
  query.set(loopback_set(Family::ipv4));
  const Status status = query.run(transport, [&is_listed](const nlmsghdr&) { is_listed = true; });
  if (!status) return status.error();
  std::vector<ClaimEntry> claims;
  if (is_listed) return claims;
  for (const AddressScope scope : {AddressScope::any, AddressScope::one}) {
    const auto some = read_claim_set(transport, {Family::ipv4, scope});
    if (!some) return some.error();
    claims.insert(claims.end(), some->begin(), some->end());
  }
  return claims;
}

Result<std::uint32_t> read_generation(Transport& transport) {
  Query query;
  query.generation();
  const Status status = query.run(transport, [](const nlmsghdr&) {});
  if (!status) return status.error();
  return query.found_generation();
}

Result<Emptiness> read_emptiness(Transport& transport, const std::string& chain) {
  const Result<std::uint32_t> generation = read_generation(transport);
  if (!generation) return generation.error();
  Emptiness emptiness{.generation = *generation, .empty = true};
  for (const Suffix suffix : kSuffixes) {
    const Result<bool> empty = is_set_empty(transport, target_map(chain, suffix));
    if (!empty) return empty.error();
    emptiness.empty = emptiness.empty && *empty;
  }
  return emptiness;
}

Result<Owners> read_owners_and_standby(Transport& transport) {
  Owners owners;
  std::vector<OwnerEntry>& entries = owners.entries;
  Query query;
  query.all_elements(kOwners);
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    for_each_element(reply, [&](const ElementView& element) {
      const auto published = parse_owner_data(element.data);
      if (!published || element.key.size() != 20) return;
      const ElementData data = parse_element_data(element.userdata);
      OwnerEntry& entry = entries.emplace_back(OwnerEntry{{},
                                                          index_of(element.key),
                                                          data.comment,
                                                          data.netns,
                                                          data.chain,
                                                          *published,
                                                          data.network,
                                                          data.container});
      std::copy_n(element.key.begin(), entry.owner.size(), entry.owner.begin());
    });
  });
  if (!status) return status.error();
  const Result<std::vector<StandbyElement>> standby = read_standby(transport);
  if (!standby) return standby.error();
  give_standby(owners, *standby);
  return owners;
}

Result<std::vector<OwnerEntry>> read_owners(Transport& transport) {
  Result<Owners> owners = read_owners_and_standby(transport);
  if (!owners) return owners.error();
  return std::move(owners->entries);
}

namespace {

Result<std::vector<ClaimEntry>> read_services(Transport& transport, const std::string& set,
                                              Suffix suffix) {
  std::vector<ClaimEntry> entries;
  Query query;
  query.all_elements(set);
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    for_each_element(reply, [&](const ElementView& element) {
      const auto published = parse_claim_key(element.key, suffix);
      if (!published) return;
      ElementData data = parse_element_data(element.userdata);
      entries.push_back({*published, std::move(data.comment), data.owner});
    });
  });
  if (!status) return status.error();
  return entries;
}

}  // namespace

Result<std::vector<ClaimEntry>> read_claim_set(Transport& transport, Suffix suffix) {
  return read_services(transport, claim_set(suffix), suffix);
}

Result<std::vector<ClaimEntry>> read_loopback_set(Transport& transport, Family family) {
  return read_services(transport, loopback_set(family), {family, AddressScope::any});
}

Result<std::vector<TargetEntry>> read_target_map(Transport& transport, const std::string& chain,
                                                 Suffix suffix) {
  std::vector<TargetEntry> entries;
  Query query;
  query.all_elements(target_map(chain, suffix));
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    for_each_element(reply, [&](const ElementView& element) {
      const auto published = parse_claim_key(element.key, suffix);
      const auto endpoint = parse_target_data(element.data, suffix.family);
      if (!published || !endpoint) return;
      entries.push_back(
          {*published, *endpoint, parse_element_data(element.userdata).comment, element.packets});
    });
  });
  if (!status) return status.error();
  return entries;
}

}  // namespace portmapper::nft

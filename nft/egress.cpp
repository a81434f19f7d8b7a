#include "nft/egress.hpp"

#include <linux/netfilter.h>

#include <algorithm>
#include <array>

#include "nft/names.hpp"

namespace portmapper::nft {
namespace {

constexpr char kEgressSources[] = "sources";
// type nat hook postrouting priority srcnat + 1
constexpr Hook kEgressHook = {"nat", NF_INET_POST_ROUTING, 101};

constexpr std::array kEgressOwner = {FieldType::ifname, FieldType::mark};
constexpr std::array kEgressAddress4 = {FieldType::ipv4_addr};
constexpr std::array kEgressAddress6 = {FieldType::ipv6_addr};

MatchValue destination_value(const IpPrefix& prefix) {
  return prefix.is_host() ? MatchValue::address(prefix.address) : MatchValue::prefix(prefix);
}

// ip daddr { 10.22.0.0/16, 192.168.0.0/16 } return
Rule return_to_any_of(Family family, std::span<const IpPrefix> prefixes) {
  Match match{.field = family == Family::ipv4 ? MatchField::ip_daddr : MatchField::ip6_daddr,
              .values = {}};
  for (const IpPrefix& prefix : prefixes) match.values.push_back(destination_value(prefix));
  match.values = as_set(match.field, std::move(match.values));
  return {Return{}, {std::move(match)}};
}

// What no router hands on, or everybody gets.
std::vector<IpPrefix> never_masqueraded(Family family) {
  if (family == Family::ipv4)
    return {*IpPrefix::parse("224.0.0.0/4"), *IpPrefix::parse("255.255.255.255/32")};
  return {IpPrefix::link_local(), *IpPrefix::parse("ff00::/8")};
}

}  // namespace

std::vector<EgressSource> egress_sources(const std::string& network, const EgressWish& wish,
                                         std::span<const IpPrefix> addresses) {
  std::vector<EgressSource> sources;
  for (const IpPrefix& one : addresses) {
    if (one.address.unmapped() != one.address) continue;  // no packet has such a source
    const Family family = one.address.family();
    const auto is_known = [&one](const EgressSource& s) { return s.address == one.address; };
    if (std::any_of(sources.begin(), sources.end(), is_known)) continue;
    EgressNetwork chain{.network = network, .subnet = one.network()};
    for (const IpPrefix& stay : wish.stays)
      if (stay.address.family() == family) chain.stays.push_back(stay);
    std::sort(chain.stays.begin(), chain.stays.end());
    for (const IpAddress& address : wish.snat)
      if (address.family() == family) chain.snat = address;
    sources.push_back({one.address, std::move(chain)});
  }
  return sources;
}

std::string egress_chain_name(const EgressNetwork& network) {
  std::string end = "-" + network.subnet.to_string();
  std::replace(end.begin(), end.end(), '/', '-');
  std::replace(end.begin(), end.end(), ':', '_');
  std::string name = "net-" + network.network;
  const bool is_plain = network.stays.empty() && !network.snat;
  if (is_plain && name.size() + end.size() <= kMaxChainName) return name + end;
  std::string all = network.network;
  for (const IpPrefix& stay : network.stays) all += " " + stay.to_string();
  if (network.snat) all += " snat " + network.snat->to_string();
  end += "/" + std::string(to_string(network_hash(all)));
  name.resize(std::min(name.size(), kMaxChainName - end.size()));
  return name + end;
}

ChainSpec egress_chain(const EgressNetwork& network) {
  const Family family = network.subnet.address.family();
  std::vector<IpPrefix> stays = {network.subnet};
  stays.insert(stays.end(), network.stays.begin(), network.stays.end());
  ChainSpec chain{.name = egress_chain_name(network),
                  .rules = {return_to_any_of(family, stays)},
                  .owner = ChainOwner{network_comment(network.network),
                                      network_hash(network.network), std::nullopt}};
  if (network.snat)
    chain.rules.push_back({Snat{*network.snat}});
  else
    chain.rules.push_back({Masquerade{}});
  return chain;
}

ChainSpec egress_base_chain() {
  ChainSpec chain{.name = kPostrouting, .hook = kEgressHook};
  for (const Family family : kFamilies)
    chain.rules.push_back(return_to_any_of(family, never_masqueraded(family)));
  for (const Family family : kFamilies)
    chain.rules.push_back({SourceVerdict{egress_sources_spec(family).name, family}});
  return chain;
}

SetSpec egress_owners_spec() {
  return {.name = kOwners, .key = kEgressOwner, .data = kEgressAddress6};
}

SetSpec egress_sources_spec(Family family) {
  return {
      .name = std::string(kEgressSources) + (family == Family::ipv4 ? "-ip" : "-ip6"),
      .key = family == Family::ipv4 ? std::span<const FieldType>(kEgressAddress4) : kEgressAddress6,
      .verdicts = true};
}

std::vector<SetSpec> egress_sets() {
  return {egress_owners_spec(), egress_sources_spec(Family::ipv4),
          egress_sources_spec(Family::ipv6)};
}

Key egress_owner_data(const IpAddress& address) {
  return egress_source_key(address.mapped());
}

Key egress_source_key(const IpAddress& address) {
  Key key;
  key.add({address.bytes().data(), address.length()});
  return key;
}

std::optional<IpAddress> parse_egress_address(std::span<const std::uint8_t> bytes) {
  if (bytes.size() == 4) return IpAddress::from_bytes(Family::ipv4, bytes.data());
  if (bytes.size() == 16) return IpAddress::from_bytes(Family::ipv6, bytes.data()).unmapped();
  return std::nullopt;
}

}  // namespace portmapper::nft

#include "nft/ruleset.hpp"

#include <linux/netfilter.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <set>

#include "lib/base/hash.hpp"

namespace portmapper::nft {
namespace {

constexpr std::array kHookNames = {"prerouting", "input", "forward", "output", "postrouting"};

// type nat hook prerouting priority dstnat + 1
constexpr Hook kPreroutingHook = {"nat", NF_INET_PRE_ROUTING, kTranslationPriority};
// type nat hook output priority -99; the same for what the host itself sends
constexpr Hook kOutputHook = {"nat", NF_INET_LOCAL_OUT, kTranslationPriority};
// type nat hook postrouting priority srcnat - 1; before everybody's masquerade, for hairpins alone
constexpr Hook kPostroutingHook = {"nat", NF_INET_POST_ROUTING, 99};
// type filter hook prerouting priority raw; what route_localnet must not open (CVE-2020-8558)
constexpr Hook kLocalnetGuardHook = {"filter", NF_INET_PRE_ROUTING, -300};
// type filter hook input priority filter; a source route is followed behind prerouting
constexpr Hook kLocalnetGuardInputHook = {"filter", NF_INET_LOCAL_IN, 0};

Match to(Family family, const IpPrefix& prefix) {
  return {.field = family == Family::ipv4 ? MatchField::ip_daddr : MatchField::ip6_daddr,
          .values = {prefix.is_host() ? MatchValue::address(prefix.address)
                                      : MatchValue::prefix(prefix)}};
}

Match not_from_loopback_device() {
  return {.field = MatchField::iifname,
          .op = MatchOperator::not_equal,
          .values = {MatchValue::interface_name("lo")}};
}

// fib daddr type != local return
Rule return_unless_local() {
  return {Return{},
          {Match{.field = MatchField::fib_daddr_type,
                 .op = MatchOperator::not_equal,
                 .values = {MatchValue::number(RTN_LOCAL, 4)}}}};
}

// ip daddr . meta l4proto . th dport @published-hostip jump networks
Rule jump_if_published_on_address(Family family) {
  const Suffix suffix{family, AddressScope::one};
  return {Jump{kNetworks}, {ServiceLookup{claim_set(suffix), suffix}}};
}

// meta nfproto ipv4 meta l4proto . th dport @published-ip ...
Rule if_published_on_any(Family family, Action action) {
  const Suffix suffix{family, AddressScope::any};
  return {std::move(action), {OnlyFamily{family}, ServiceLookup{claim_set(suffix), suffix}}};
}

// ip daddr 127.0.0.0/8 meta l4proto . th dport != @loopback-ip return
Rule return_unless_reachable_by_loopback(Family family) {
  return {Return{},
          {to(family, IpPrefix::loopback(family)),
           ServiceLookup{loopback_set(family), {family, AddressScope::any}, /*is_inverted=*/true}}};
}

// ip6 daddr fe80::/10 return
Rule return_link_local() {
  return {Return{}, {to(Family::ipv6, IpPrefix::link_local())}};
}

// ip daddr { 127.0.0.53, 127.0.0.54 } return
Rule return_resolver_stubs() {
  Match stubs{.field = MatchField::ip_daddr, .values = {}};
  for (const IpAddress& address : resolver_stubs())
    stubs.values.push_back(MatchValue::address(address));
  return {Return{}, {std::move(stubs)}};
}

std::vector<Rule> prerouting_rules() {
  std::vector<Rule> rules = {return_unless_local()};
  for (const Family family : kFamilies) rules.push_back(jump_if_published_on_address(family));
  rules.push_back(return_link_local());
  for (const Family family : kFamilies)
    rules.push_back(if_published_on_any(family, Goto{kAnyAddress}));
  return rules;
}

// What a process of the host serves on one address stays its own, as with bind(2). A chain for itself,
// so that the port is looked up once.
std::vector<Rule> any_address_rules() {
  return {{Return{}, {SocketHasAddress{}}}, {Goto{kNetworks}}};
}

// Not by chain any-address: a socket expression here would look at the sender's own socket.
std::vector<Rule> output_rules() {
  std::vector<Rule> rules = {return_unless_local()};
  for (const Family family : kFamilies)
    rules.push_back(return_unless_reachable_by_loopback(family));
  for (const Family family : kFamilies) rules.push_back(jump_if_published_on_address(family));
  rules.push_back(return_resolver_stubs());
  rules.push_back(return_link_local());
  for (const Family family : kFamilies)
    rules.push_back(if_published_on_any(family, Jump{kNetworks}));
  return rules;
}

// ct status dnat ct label 127 ip saddr . ip daddr @hairpin-ip masquerade
std::vector<Rule> postrouting_rules() {
  return {{Masquerade{}, {TranslatedByUs{}, HairpinLookup{Family::ipv4}}},
          {Masquerade{}, {TranslatedByUs{}, HairpinLookup{Family::ipv6}}}};
}

std::vector<Rule> guard_rules() {
  Match from = to(Family::ipv4, IpPrefix::loopback(Family::ipv4));
  from.field = MatchField::ip_saddr;
  return {
      {Drop{}, {not_from_loopback_device(), to(Family::ipv4, IpPrefix::loopback(Family::ipv4))}},
      {Drop{}, {not_from_loopback_device(), std::move(from)}}};
}

std::string_view beginning_of(std::string_view device) {
  return device.substr(0, device.size() - 1);  // without its '*'
}

bool is_covered(const std::string& device, const std::vector<std::string>& others) {
  return std::any_of(others.begin(), others.end(), [&device](const std::string& other) {
    return other != device && other.ends_with('*') && device.starts_with(beginning_of(other));
  });
}

// iifname { "mesos-cni0", "docker0" }; and by itself iifname "veth*": nft joins beginnings that are
// neighbours, as "eth0*" and "eth1*", to a range that it cannot list.
std::vector<Match> excluded_devices(const NetworkChain& network) {
  std::set<std::string> beginnings;
  std::vector<MatchValue> names;
  for (const std::string& device : network.exclude_devices) {
    if (is_covered(device, network.exclude_devices)) continue;
    if (device.ends_with('*'))
      beginnings.insert(device);
    else
      names.push_back(MatchValue::interface_name(device));
  }
  std::vector<Match> matches;
  const auto add = [&matches](std::vector<MatchValue> values) {
    matches.push_back({.field = MatchField::iifname, .values = std::move(values)});
  };
  if (!names.empty()) add(as_set(MatchField::iifname, std::move(names)));
  for (const std::string& device : beginnings)
    add({MatchValue::interface_prefix(beginning_of(device))});
  return matches;
}

// ip daddr { 10.96.0.0/12, 192.0.2.7 }; nothing where none is of the family
std::optional<Match> excluded_addresses(const NetworkChain& network, Family family) {
  Match match{.field = family == Family::ipv4 ? MatchField::ip_daddr : MatchField::ip6_daddr,
              .values = {}};
  for (const IpPrefix& prefix : network.exclude_addresses)
    if (prefix.address.family() == family)
      match.values.push_back(prefix.is_host() ? MatchValue::address(prefix.address)
                                              : MatchValue::prefix(prefix));
  if (match.values.empty()) return std::nullopt;
  match.values = as_set(match.field, std::move(match.values));
  return match;
}

// What somebody's own DNAT leads to 127.0.0.1 goes on, as an agent's for its metadata does.
std::vector<Rule> guard_input_rules() {
  return {{Drop{},
           {not_from_loopback_device(), to(Family::ipv4, IpPrefix::loopback(Family::ipv4)),
            OriginalDirection{}, NotTranslated{}}}};
}

}  // namespace

std::array<IpAddress, 2> resolver_stubs() {
  return {IpAddress(Family::ipv4, {127, 0, 0, 53}), IpAddress(Family::ipv4, {127, 0, 0, 54})};
}

std::vector<ChainSpec> skeleton_chains() {
  return {{.name = kAnyAddress, .rules = any_address_rules()},
          {kPrerouting, kPreroutingHook, prerouting_rules()},
          {kOutput, kOutputHook, output_rules()},
          {kPostrouting, kPostroutingHook, postrouting_rules()},
          {kLocalnetGuard, kLocalnetGuardHook, guard_rules()},
          {kLocalnetGuardInput, kLocalnetGuardInputHook, guard_input_rules()}};
}

ChainSpec networks_chain(std::span<const std::string> network_chains) {
  ChainSpec chain{.name = kNetworks};
  for (const std::string& name : network_chains) chain.rules.push_back({Jump{name}});
  return chain;
}

ChainSpec network_chain(const NetworkChain& network) {
  ChainSpec chain{.name = network.name};
  if (!network.network.empty())
    chain.owner = ChainOwner{network_comment(network.network), network_hash(network.network),
                             restrictions(network)};
  for (Match& match : excluded_devices(network))
    chain.rules.push_back({Return{}, {std::move(match)}});
  // One address before any, as with bind(2).
  for (const Family family : kFamilies)
    for (const AddressScope scope : {AddressScope::one, AddressScope::any}) {
      const Suffix suffix{family, scope};
      // Whoever publishes on one address asks for exactly that one.
      if (scope == AddressScope::any)
        if (std::optional<Match> excluded = excluded_addresses(network, family))
          chain.rules.push_back({Return{}, {*std::move(excluded)}});
      const std::vector<Match>& conditions =
          family == Family::ipv4 ? network.conditions_v4 : network.conditions_v6;
      Rule rule{Translate{target_map(network.name, suffix), suffix},
                {conditions.begin(), conditions.end()}};
      rule.conditions.emplace_back(OnlyFamily{family});
      chain.rules.push_back(std::move(rule));
    }
  return chain;
}

std::uint64_t restrictions(const NetworkChain& network) {
  std::string text;
  for (const Match& match : excluded_devices(network))
    for (const MatchValue& device : match.values)
      text += to_string(Match{.field = MatchField::iifname, .values = {device}}) + "\n";
  for (const auto* conditions : {&network.conditions_v4, &network.conditions_v6}) {
    for (const Match& match : *conditions) text += to_string(match) + " ";
    text += "\n";
  }
  for (const Family family : kFamilies)
    if (const std::optional<Match> excluded = excluded_addresses(network, family))
      text += to_string(*excluded) + "\n";
  return fnv1a(text);
}

bool is_owned_by(const ChainOwner& owner, std::string_view network) {
  return owner.network ? *owner.network == network_hash(network)
                       : owner.comment == network_comment(network);
}

std::string to_string(const Hook& hook) {
  return std::string("type ") + hook.type + " hook " + kHookNames[hook.number] + " priority " +
         std::to_string(hook.priority) + "; policy accept;";
}

}  // namespace portmapper::nft

// nft/rule, nft/ruleset, nft/set: the whole text of what we build, against ruleset.nft.
#include "nft/ruleset.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "lib/base/hash.hpp"
#include "nft/set.hpp"

using namespace portmapper;
using namespace portmapper::nft;

namespace {

std::string text_of(const ChainSpec& chain) {
  std::string text = "chain " + chain.name + "\n";
  if (chain.hook) text += "  " + to_string(*chain.hook) + "\n";
  for (const Rule& rule : chain.rules) text += "  " + to_string(rule) + "\n";
  return text;
}

std::string text_of(const std::vector<SetSpec>& sets) {
  std::string text;
  for (const SetSpec& set : sets)
    text += (set.data.empty() ? "set " : "map ") + set.name + " " + to_string(set) + "\n";
  return text;
}

}  // namespace

TEST_CASE("the base chains are those of ruleset.nft") {
  std::string text;
  for (const ChainSpec& chain : skeleton_chains()) text += text_of(chain);
  CHECK(text ==
        "chain any-address\n"
        "  socket wildcard 0 return\n"
        "  goto networks\n"
        "chain prerouting\n"
        "  type nat hook prerouting priority -99; policy accept;\n"
        "  fib daddr type != local return\n"
        "  ip daddr . meta l4proto . th dport @published-hostip jump networks\n"
        "  ip6 daddr . meta l4proto . th dport @published-hostip6 jump networks\n"
        "  ip6 daddr fe80::/10 return\n"
        "  meta nfproto ipv4 meta l4proto . th dport @published-ip goto any-address\n"
        "  meta nfproto ipv6 meta l4proto . th dport @published-ip6 goto any-address\n"
        "chain output\n"
        "  type nat hook output priority -99; policy accept;\n"
        "  fib daddr type != local return\n"
        "  ip daddr 127.0.0.0/8 meta l4proto . th dport != @loopback-ip return\n"
        "  ip6 daddr ::1 meta l4proto . th dport != @loopback-ip6 return\n"
        "  ip daddr . meta l4proto . th dport @published-hostip jump networks\n"
        "  ip6 daddr . meta l4proto . th dport @published-hostip6 jump networks\n"
        "  ip daddr { 127.0.0.53, 127.0.0.54 } return\n"
        "  ip6 daddr fe80::/10 return\n"
        "  meta nfproto ipv4 meta l4proto . th dport @published-ip jump networks\n"
        "  meta nfproto ipv6 meta l4proto . th dport @published-ip6 jump networks\n"
        "chain postrouting\n"
        "  type nat hook postrouting priority 99; policy accept;\n"
        "  ct status dnat ct label 127 ip saddr . ip daddr @hairpin-ip masquerade\n"
        "  ct status dnat ct label 127 ip6 saddr . ip6 daddr @hairpin-ip6 masquerade\n"
        "chain localnet-guard\n"
        "  type filter hook prerouting priority -300; policy accept;\n"
        "  iifname != \"lo\" ip daddr 127.0.0.0/8 drop\n"
        "  iifname != \"lo\" ip saddr 127.0.0.0/8 drop\n"
        "chain localnet-guard-input\n"
        "  type filter hook input priority 0; policy accept;\n"
        "  iifname != \"lo\" ip daddr 127.0.0.0/8 ct direction original ct status ! dnat drop\n");
}

TEST_CASE("a network chain is that of ruleset.nft, its devices in one order") {
  const std::string expected =
      "chain MESOS-WEB\n"
      "  iifname { \"docker0\", \"mesos-cni0\" } return\n"
      "  meta nfproto ipv4 ct label set 127 dnat ip to ip daddr . meta l4proto . th dport map "
      "@MESOS-WEB-hostip\n"
      "  meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th dport map @MESOS-WEB-ip\n"
      "  meta nfproto ipv6 ct label set 127 dnat ip6 to ip6 daddr . meta l4proto . th dport map "
      "@MESOS-WEB-hostip6\n"
      "  meta nfproto ipv6 ct label set 127 dnat ip6 to meta l4proto . th dport map "
      "@MESOS-WEB-ip6\n";
  CHECK(text_of(network_chain({"MESOS-WEB", {"mesos-cni0", "docker0"}})) == expected);
  CHECK(text_of(network_chain({"MESOS-WEB", {"docker0", "mesos-cni0"}})) == expected);
  CHECK(text_of(network_chain({"MESOS-WEB", {"docker0", "mesos-cni0", "docker0"}})) == expected);
}

TEST_CASE("one excluded device needs no set, none needs no rule") {
  CHECK(to_string(network_chain({"c", {"eth0"}}).rules.front()) == "iifname \"eth0\" return");
  CHECK(to_string(network_chain({"c", {"eth0", "eth0"}}).rules.front()) ==
        "iifname \"eth0\" return");
  CHECK(to_string(network_chain({"c", {}}).rules.front()) ==
        "meta nfproto ipv4 ct label set 127 dnat ip to ip daddr . meta l4proto . th dport map "
        "@c-hostip");
  CHECK(network_chain({"c", {}}).rules.size() == 4);
}

TEST_CASE("a jump names its chain") {
  CHECK(to_string(Rule{Jump{"MESOS-WEB"}}) == "jump MESOS-WEB");
  CHECK(to_string(Rule{Goto{"MESOS-WEB"}}) == "goto MESOS-WEB");
}

TEST_CASE("a fingerprint is that of the rule's text, and never changes by itself") {
  // FNV-1a of "2 jump MESOS-WEB"; an ADD rebuilds chains whose fingerprints are others.
  CHECK(fingerprint(Rule{Jump{"MESOS-WEB"}}) == 0x6a7598297c958331);
}

TEST_CASE("every rule of one ruleset has another fingerprint, equal rules have the same") {
  std::set<std::uint64_t> fingerprints;
  std::size_t rules = 0;
  std::vector<ChainSpec> chains = {network_chain({"a", {"eth0", "eth1"}}),
                                   network_chain({"b", {"eth0"}})};
  for (ChainSpec& chain : skeleton_chains())
    if (chain.name != kOutput) chains.push_back(std::move(chain));  // has rules of prerouting
  chains.push_back(networks_chain(std::vector<std::string>{"a", "b"}));
  for (const ChainSpec& chain : chains)
    for (const Rule& rule : chain.rules) {
      fingerprints.insert(fingerprint(rule));
      ++rules;
    }
  CHECK(rules == 25);
  CHECK(fingerprints.size() == rules);
  CHECK(fingerprint(skeleton_chains()[1].rules[0]) == fingerprint(skeleton_chains()[2].rules[0]));
  CHECK(fingerprint(network_chain({"a", {"x", "y"}}).rules[0]) ==
        fingerprint(network_chain({"a", {"y", "x"}}).rules[0]));
  CHECK(fingerprint(network_chain({"a", {"x", "y"}}).rules[0]) !=
        fingerprint(network_chain({"a", {"x", "z"}}).rules[0]));
}

TEST_CASE("the skeleton's sets are those of ruleset.nft") {
  CHECK(text_of(skeleton_sets()) ==
        "set published-ip type inet_proto . inet_service\n"
        "set published-hostip type ipv4_addr . inet_proto . inet_service\n"
        "set published-ip6 type inet_proto . inet_service\n"
        "set published-hostip6 type ipv6_addr . inet_proto . inet_service\n"
        "map owners type ifname . mark : ipv6_addr . inet_proto . inet_service\n"
        "map standby type ifname . mark : ipv6_addr . inet_service\n"
        "set loopback-ip type inet_proto . inet_service\n"
        "set loopback-ip6 type inet_proto . inet_service\n"
        "set hairpin-ip type ipv4_addr . ipv4_addr; flags interval\n"
        "set hairpin-ip6 type ipv6_addr . ipv6_addr; flags interval\n"
        "set localnet-devices type ifname\n"
        "map localnet-users type ifname : ifname\n"
        "set loopback-routes type ifname\n"
        "map loopback-users type ifname : ifname\n");
}

TEST_CASE("a network's maps are those of ruleset.nft, with counters") {
  CHECK(text_of(network_sets("MESOS-WEB")) ==
        "map MESOS-WEB-ip type inet_proto . inet_service : ipv4_addr . inet_service; counter\n"
        "map MESOS-WEB-hostip type ipv4_addr . inet_proto . inet_service : "
        "ipv4_addr . inet_service; counter\n"
        "map MESOS-WEB-ip6 type inet_proto . inet_service : ipv6_addr . inet_service; counter\n"
        "map MESOS-WEB-hostip6 type ipv6_addr . inet_proto . inet_service : "
        "ipv6_addr . inet_service; counter\n");
}

TEST_CASE(
    "restrictions are the devices and conditions of a chain, whatever their order and its rules") {
  const NetworkChain two{.name = "c", .exclude_devices = {"a", "b"}, .network = "web"};
  const NetworkChain other{.name = "d", .exclude_devices = {"b", "a"}, .network = "db"};
  CHECK(restrictions(two) == restrictions(other));
  CHECK(restrictions(two) != restrictions({.name = "c", .exclude_devices = {"a"}}));
  CHECK(restrictions({.name = "c"}) != restrictions({.name = "c", .exclude_devices = {"a"}}));
  const Match saddr{.field = MatchField::ip_saddr,
                    .values = {MatchValue::address(*IpAddress::parse("10.0.0.1"))}};
  CHECK(restrictions({.name = "c", .conditions_v4 = {saddr}}) != restrictions({.name = "c"}));
  // It is kept in the table: of the same configuration it stays the same for ever.
  CHECK(restrictions({.name = "c"}) == fnv1a("\n\n"));
}

TEST_CASE("a chain's owner is told by the hash, and by the comment where a listing lost the hash") {
  const ChainOwner kept = *network_chain({.name = "c", .network = "web"}).owner;
  CHECK(kept.comment == "network: web");
  CHECK(is_owned_by(kept, "web"));
  CHECK_FALSE(is_owned_by(kept, "db"));
  CHECK(is_owned_by({.comment = "network: web"}, "web"));
  CHECK_FALSE(is_owned_by({.comment = "network: web"}, "we"));
  CHECK_FALSE(network_chain({.name = "hostports"}).owner);
}

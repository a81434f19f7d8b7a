// nft/rule, nft/ruleset, nft/set: the whole text of what we build, against ruleset.nft.
#include "nft/ruleset.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

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
        "chain prerouting\n"
        "  type nat hook prerouting priority -99; policy accept;\n"
        "  fib daddr type local jump networks\n"
        "chain output\n"
        "  type nat hook output priority -99; policy accept;\n"
        "  fib daddr type local jump networks\n"
        "chain postrouting\n"
        "  type nat hook postrouting priority 99; policy accept;\n"
        "  ct status dnat ip saddr . ip daddr @hairpin-ip masquerade\n"
        "  ct status dnat ip6 saddr . ip6 daddr @hairpin-ip6 masquerade\n"
        "chain localnet-guard\n"
        "  type filter hook prerouting priority -300; policy accept;\n"
        "  iifname != \"lo\" ip daddr 127.0.0.0/8 drop\n");
}

TEST_CASE("a network chain is that of ruleset.nft, its devices in one order") {
  const std::string expected =
      "chain MESOS-WEB\n"
      "  iifname { \"docker0\", \"mesos-cni0\" } return\n"
      "  dnat ip to ip daddr . meta l4proto . th dport map @MESOS-WEB-hostip\n"
      "  dnat ip to meta l4proto . th dport map @MESOS-WEB-ip\n"
      "  dnat ip6 to ip6 daddr . meta l4proto . th dport map @MESOS-WEB-hostip6\n"
      "  dnat ip6 to meta l4proto . th dport map @MESOS-WEB-ip6\n";
  CHECK(text_of(network_chain({"MESOS-WEB", {"mesos-cni0", "docker0"}})) == expected);
  CHECK(text_of(network_chain({"MESOS-WEB", {"docker0", "mesos-cni0"}})) == expected);
  CHECK(text_of(network_chain({"MESOS-WEB", {"docker0", "mesos-cni0", "docker0"}})) == expected);
}

TEST_CASE("one excluded device needs no set, none needs no rule") {
  CHECK(to_string(network_chain({"c", {"eth0"}}).rules.front()) == "iifname \"eth0\" return");
  CHECK(to_string(network_chain({"c", {"eth0", "eth0"}}).rules.front()) ==
        "iifname \"eth0\" return");
  CHECK(to_string(network_chain({"c", {}}).rules.front()) ==
        "dnat ip to ip daddr . meta l4proto . th dport map @c-hostip");
  CHECK(network_chain({"c", {}}).rules.size() == 4);
}

TEST_CASE("a jump names its chain") {
  CHECK(to_string(Rule{Jump{"MESOS-WEB"}}) == "jump MESOS-WEB");
}

TEST_CASE("a fingerprint is that of the rule's text, and never changes by itself") {
  // FNV-1a of "1 jump MESOS-WEB"; an ADD rebuilds chains whose fingerprints are others.
  CHECK(fingerprint(Rule{Jump{"MESOS-WEB"}}) == 0x8a263b3ed952a8ba);
}

TEST_CASE("every rule of one ruleset has another fingerprint, equal rules have the same") {
  std::set<std::uint64_t> fingerprints;
  std::size_t rules = 0;
  std::vector<ChainSpec> chains = {network_chain({"a", {"eth0", "eth1"}}),
                                   network_chain({"b", {"eth0"}})};
  for (ChainSpec& chain : skeleton_chains())
    if (chain.name != kOutput) chains.push_back(std::move(chain));  // has prerouting's rule
  chains.push_back({"networks", std::nullopt, {{Jump{"a"}}, {Jump{"b"}}}});
  for (const ChainSpec& chain : chains)
    for (const Rule& rule : chain.rules) {
      fingerprints.insert(fingerprint(rule));
      ++rules;
    }
  CHECK(rules == 16);
  CHECK(fingerprints.size() == rules);
  CHECK(fingerprint(skeleton_chains()[0].rules[0]) == fingerprint(skeleton_chains()[1].rules[0]));
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
        "set hairpin-ip type ipv4_addr . ipv4_addr; flags interval\n"
        "set hairpin-ip6 type ipv6_addr . ipv6_addr; flags interval\n");
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

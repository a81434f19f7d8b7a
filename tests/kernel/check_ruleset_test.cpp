// CHECK: it says what of skeleton and network chain is not as ADD builds them.
#include <doctest/doctest.h>

#include <array>

#include "nft/ruleset.hpp"
#include "tests/support/checked.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// The whole findings that several kinds of damage share.
const std::string lacks_network_rules =
    "chain MESOS-WEB lacks rule: iifname { \"docker0\", \"mesos-cni0\" } return; "
    "chain MESOS-WEB lacks rule: meta nfproto ipv4 ct label set 127 dnat ip to ip daddr . meta "
    "l4proto . th dport map "
    "@MESOS-WEB-hostip; "
    "chain MESOS-WEB lacks rule: meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th "
    "dport map "
    "@MESOS-WEB-ip; "
    "chain MESOS-WEB lacks rule: meta nfproto ipv6 ct label set 127 dnat ip6 to ip6 daddr . meta "
    "l4proto . th dport map "
    "@MESOS-WEB-hostip6; "
    "chain MESOS-WEB lacks rule: meta nfproto ipv6 ct label set 127 dnat ip6 to meta l4proto . th "
    "dport map "
    "@MESOS-WEB-ip6";
std::string lacks(const std::string& name) {
  std::string text;
  for (const nft::ChainSpec& chain : nft::skeleton_chains())
    for (const nft::Rule& rule : chain.rules)
      if (chain.name == name)
        text += (text.empty() ? "" : "; ") + ("chain " + name + " lacks rule: ") + to_string(rule);
  return text;
}
const std::string lacks_masquerades = lacks("postrouting");
const std::string lacks_any_address_rules = lacks("any-address");
const std::string lacks_prerouting_rules = lacks("prerouting");
const std::string lacks_output_rules = lacks("output");
const std::string lacks_guard = lacks("localnet-guard");

}  // namespace

TEST_CASE("check: a base chain that is gone, or hangs elsewhere, is named") {
  check_each({
      {"flush chain prerouting; delete chain prerouting",
       "chain prerouting is missing; " + lacks_prerouting_rules},
      {"flush chain output; delete chain output", "chain output is missing; " + lacks_output_rules},
      {"flush chain postrouting; delete chain postrouting",
       "chain postrouting is missing; " + lacks_masquerades},
      {"flush chain localnet-guard; delete chain localnet-guard",
       "chain localnet-guard is missing; " + lacks_guard},
      {"flush chain networks; flush chain MESOS-WEB; delete chain MESOS-WEB",
       "chain MESOS-WEB is missing; " + lacks_network_rules},
      {"flush chain prerouting; flush chain output; flush chain any-address; flush chain networks; "
       "delete chain networks",
       "chain networks is missing; " + lacks_any_address_rules + "; " + lacks_prerouting_rules +
           "; " + lacks_output_rules},
      {"flush chain prerouting; delete chain prerouting; add chain prerouting { type nat hook "
       "prerouting priority -98; }",
       "chain prerouting has another hook or priority than { type nat hook prerouting priority "
       "-99; policy accept; }; " +
           lacks_prerouting_rules},
      {"flush chain prerouting; delete chain prerouting; add chain prerouting { type filter hook "
       "prerouting priority -99; }",
       "chain prerouting has another hook or priority than { type nat hook prerouting priority "
       "-99; policy accept; }; " +
           lacks_prerouting_rules},
      {"flush chain output; delete chain output; add chain output { type nat hook input priority "
       "-99; }",
       "chain output has another hook or priority than { type nat hook output priority -99; policy "
       "accept; }; " +
           lacks_output_rules},
      {"flush chain output; delete chain output; add chain output",
       "chain output has another hook or priority than { type nat hook output priority -99; policy "
       "accept; }; " +
           lacks_output_rules},
      {"flush chain postrouting; delete chain postrouting; add chain postrouting { type nat hook "
       "postrouting priority 100; }",
       "chain postrouting has another hook or priority than { type nat hook postrouting priority "
       "99; policy accept; }; " +
           lacks_masquerades},
      {"flush chain localnet-guard; delete chain localnet-guard; add chain localnet-guard { type "
       "filter hook prerouting priority -299; }",
       "chain localnet-guard has another hook or priority than { type filter hook prerouting "
       "priority -300; policy accept; }; " +
           lacks_guard},
      {"add chain localnet-guard { policy drop; }",
       "chain localnet-guard has another policy than accept"},
  });
}

TEST_CASE("check: a rule that is gone, changed or in another place is named") {
  struct Place {
    const char* chain;
    const char* rule;
    const char* begin;  // of the rule where nft lists a set of it in an order of its own
  };
  constexpr std::array places = {
      Place{"prerouting", "fib daddr type != local return", ""},
      Place{"prerouting", "ip daddr . meta l4proto . th dport @published-hostip jump networks", ""},
      Place{"prerouting",
            "meta nfproto ipv6 meta l4proto . th dport @published-ip6 goto any-address", ""},
      Place{"any-address", "socket wildcard 0 return", ""},
      Place{"any-address", "goto networks", ""},
      Place{"output", "ip daddr 127.0.0.0/8 meta l4proto . th dport != @loopback-ip return", ""},
      Place{"output", "ip daddr { 127.0.0.53, 127.0.0.54 } return", "ip daddr {"},
      Place{"output", "ip6 daddr fe80::/10 return", ""},
      Place{"localnet-guard-input",
            "iifname != \"lo\" ip daddr 127.0.0.0/8 ct direction original ct status ! dnat drop",
            ""},
      Place{"postrouting", "ct status dnat ct label 127 ip saddr . ip daddr @hairpin-ip masquerade",
            ""},
      Place{"postrouting",
            "ct status dnat ct label 127 ip6 saddr . ip6 daddr @hairpin-ip6 masquerade", ""},
      Place{"localnet-guard", "iifname != \"lo\" ip daddr 127.0.0.0/8 drop", ""},
      Place{"MESOS-WEB", "iifname { \"docker0\", \"mesos-cni0\" } return", "iifname {"},
      Place{"MESOS-WEB",
            "meta nfproto ipv4 ct label set 127 dnat ip to ip daddr . meta l4proto . th dport map "
            "@MESOS-WEB-hostip",
            ""},
      Place{
          "MESOS-WEB",
          "meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th dport map @MESOS-WEB-ip",
          ""},
      Place{"MESOS-WEB",
            "meta nfproto ipv6 ct label set 127 dnat ip6 to ip6 daddr . meta l4proto . th dport "
            "map @MESOS-WEB-hostip6",
            ""},
      Place{"MESOS-WEB",
            "meta nfproto ipv6 ct label set 127 dnat ip6 to meta l4proto . th dport map "
            "@MESOS-WEB-ip6",
            ""}};
  Checked checked;
  for (const Place& place : places) {
    const std::string chain = place.chain;
    const std::string rule = place.rule;
    const std::string lacks = "chain " + chain + " lacks rule: " + rule;
    const std::string other = "chain " + chain + " has other rules than ours, or in another order";
    CAPTURE(lacks);
    const auto handle = [&] {
      return chain + " handle " + checked.handle(chain, *place.begin != 0 ? place.begin : rule);
    };
    const auto damaged = [&](const std::string& script) {
      checked.nft(script);
      const std::string answer = checked.check();
      checked.restore();
      return answer;
    };
    CHECK(damaged("delete rule" + in_table + handle()) == finding(lacks));
    CHECK(damaged("replace rule" + in_table + handle() + " tcp dport 1 accept") ==
          finding(lacks + "; " + other));
    // The same rule by an operator's hand, behind the others: it does the same, where it was the last.
    const std::string listed =
        run({"nft", "list", "chain", "inet", "nft-port-mapper", chain}, {.ns = checked.lab.host()})
            .out;
    const std::size_t at = listed.find(*place.begin != 0 ? place.begin : rule);
    const bool was_last = listed.compare(listed.find('\n', at), 3, "\n\t}") == 0;
    CHECK(damaged("delete rule" + in_table + handle() + "\nadd rule" + in_table + chain + " " +
                  rule) == (was_last ? "ok" : finding(other)));
    CHECK(damaged("insert rule" + in_table + chain + " counter") == finding(other));
    CHECK(damaged("add rule" + in_table + chain + " counter") == finding(other));
  }
}

TEST_CASE("check: our own rules in another order are named") {
  Checked checked;
  // A position is not ours to choose with nft, but a chain that is built again in another order is.
  const auto swap = [&](const std::string& chain, const std::string& first) {
    const std::string list =
        run({"nft", "list", "chain", "inet", "nft-port-mapper", chain}, {.ns = checked.lab.host()})
            .out;
    const std::size_t at = list.find(first);
    REQUIRE(at != std::string::npos);
    const std::string rule = list.substr(at, list.find('\n', at) - at);
    checked.nft("delete rule" + in_table + chain + " handle " + checked.handle(chain, first) +
                "\nadd rule" + in_table + chain + " " + rule);
  };
  swap("MESOS-WEB", "meta nfproto ipv4 ct label set 127 dnat ip to ip daddr");
  swap("postrouting", "ct status dnat ct label 127 ip saddr");
  CHECK(checked.check() ==
        finding("chain postrouting has other rules than ours, or in another order; "
                "chain MESOS-WEB has other rules than ours, or in another order"));
}

TEST_CASE("check: the jump to the network chain is missed wherever else one leads there") {
  Checked checked;
  const std::string lacks = finding("chain networks lacks rule: jump MESOS-WEB");
  const auto jump = [&] {
    return "networks handle " + checked.handle("networks", "jump MESOS-WEB");
  };
  checked.nft("delete rule" + in_table + jump());
  CHECK(checked.check() == lacks);
  CHECK(checked.add() == done);
  CHECK(checked.check() == "ok");
  const std::string foreign = "chain networks has rules that are not ours";
  checked.nft("replace rule" + in_table + jump() + " counter");
  CHECK(checked.check() == lacks + "; " + foreign);
  checked.restore();
  checked.nft("insert rule" + in_table + "networks return");
  CHECK(checked.check() == finding(foreign));
  checked.restore();
  checked.nft("delete rule" + in_table + jump() + "\nadd chain" + in_table + "mine\nadd rule" +
              in_table + "mine jump MESOS-WEB");
  CHECK(checked.check() == lacks);
}

TEST_CASE("check: a set of another type, or one that is gone, is named") {
  check_each({
      {"flush chain prerouting; flush chain output; delete set published-ip; add set published-ip "
       "{ type inet_service . inet_proto; }",
       lacks_prerouting_rules + "; " + lacks_output_rules +
           "; set published-ip has another type than { type inet_proto . inet_service; }; element "
           "of "
           "0.0.0.0:8080/tcp in published-ip is missing or another's"},
      {"flush chain prerouting; flush chain output; delete set published-hostip; add set "
       "published-hostip { type inet_proto . inet_service; }",
       lacks_prerouting_rules + "; " + lacks_output_rules +
           "; set published-hostip has another type than { type ipv4_addr . inet_proto . "
           "inet_service; "
           "}; element of 192.0.2.1:5353/udp in published-hostip is missing or another's"},
      {"flush chain prerouting; flush chain output; delete set published-ip6; add set "
       "published-ip6 { type inet_proto . inet_service; flags "
       "interval; }",
       lacks_prerouting_rules + "; " + lacks_output_rules +
           "; set published-ip6 has another type than { type inet_proto . inet_service; }; element "
           "of "
           "[::]:8080/tcp in published-ip6 is missing or another's"},
      {"flush chain prerouting; flush chain output; delete set published-hostip6",
       lacks_prerouting_rules + "; " + lacks_output_rules + "; set published-hostip6 is missing"},
      {"delete map owners; add map owners { type ifname . mark : ipv4_addr . inet_proto . "
       "inet_service; }",
       "set owners has another type than { type ifname . mark : ipv6_addr . inet_proto . "
       "inet_service; }; " +
           no_owners},
      {"delete map owners", "set owners is missing; " + no_owners},
      {"flush chain postrouting; delete set hairpin-ip; add set hairpin-ip { type ipv4_addr . "
       "ipv4_addr; }",
       lacks_masquerades +
           "; set hairpin-ip has another type than { type ipv4_addr . ipv4_addr; flags interval; "
           "}; element 10.22.0.0/16 . 10.22.0.0/16 is missing in hairpin-ip; element 127.0.0.0/8 . "
           "10.22.0.0/16 is missing in hairpin-ip"},
      {"flush chain postrouting; delete set hairpin-ip6",
       lacks_masquerades +
           "; set hairpin-ip6 is missing; element fd00::/64 . fd00::/64 is missing in hairpin-ip6; "
           "element ::1/128 . fd00::/64 is missing in hairpin-ip6"},
      {"flush chain MESOS-WEB; delete map MESOS-WEB-ip; add map MESOS-WEB-ip { type inet_proto . "
       "inet_service : ipv4_addr; }",
       lacks_network_rules +
           "; set MESOS-WEB-ip has another type than { type inet_proto . inet_service : ipv4_addr "
           ". inet_service; counter; }; element of 0.0.0.0:8080/tcp in MESOS-WEB-ip is missing"},
      {"flush chain MESOS-WEB; delete map MESOS-WEB-hostip",
       lacks_network_rules + "; set MESOS-WEB-hostip is missing; element of 192.0.2.1:5353/udp in "
                             "MESOS-WEB-hostip is missing"},
      {"flush chain MESOS-WEB; delete map MESOS-WEB-ip6; add set MESOS-WEB-ip6 { type inet_proto "
       ". inet_service; }",
       lacks_network_rules +
           "; set MESOS-WEB-ip6 has another type than { type inet_proto . inet_service : ipv6_addr "
           ". inet_service; counter; }; element of [::]:8080/tcp in MESOS-WEB-ip6 is missing"},
      {"flush chain MESOS-WEB; delete map MESOS-WEB-hostip6",
       lacks_network_rules + "; set MESOS-WEB-hostip6 is missing"},
  });
}

TEST_CASE("check: without the table everything is missing") {
  Checked checked;
  checked.nft("delete table inet nft-port-mapper");
  CHECK(
      checked.check() ==
      finding(
          "chain any-address is missing; chain prerouting is missing; chain output is missing; "
          "chain postrouting is "
          "missing; chain localnet-guard is missing; chain localnet-guard-input is missing; chain "
          "networks is missing; chain MESOS-WEB is missing; " +
          lacks_any_address_rules + "; " + lacks_prerouting_rules +
          "; chain output lacks rule: fib daddr type != local return; chain output"
          " lacks rule: ip daddr 127.0.0.0/8 meta l4proto . th dport != @loopback-ip return; chain "
          "output"
          " lacks rule: ip6 daddr ::1 meta l4proto . th dport != @loopback-ip6 return; chain "
          "output lacks"
          " rule: ip daddr . meta l4proto . th dport @published-hostip jump networks; and 40 "
          "more"));
  CHECK(checked.add() == done);
  CHECK(checked.check() == "ok");
}

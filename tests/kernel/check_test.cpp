// CHECK: it says what is not as ADD builds it, for every part of it, and costs the same at any
// size.
#include <doctest/doctest.h>

#include <array>
#include <regex>

#include "nft/ruleset.hpp"
#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string in_table = " inet nft-port-mapper ";

// What CHECK answers when `findings` is what it found.
std::string finding(const std::string& findings) {
  return "103 cniVersion 1.0.0: the ports of container abc are not as ADD builds them: " + findings;
}

// Container "abc" of the example, published with the example's options and ports.
class Checked {
 public:
  Checked() {
    lab.container("abc", "10.22.0.2/16", "fd00::2/64");
    REQUIRE(add() == done);
  }
  std::string add() const { return Runtime(lab, example_options).add("abc", example_ports); }
  std::string check(const std::string& result = "") const {
    return verdict(Plugin{PLUGIN}.call(lab, lab.host(), "CHECK", "abc", config(result)));
  }
  std::string config(const std::string& result = "") const {
    return chained_config("web", result.empty() ? lab.previous_result("abc") : result,
                          to_json(example_ports), example_options);
  }
  void nft(const std::string& script) const { test::nft(lab.host(), script); }
  // A new table as ADD makes it, whatever happened to the old one.
  void restore() const {
    nft("table inet nft-port-mapper\ndelete table inet nft-port-mapper\n");
    REQUIRE(add() == done);
  }
  // The handle of the rule of `chain` that contains `text`.
  std::string handle(const std::string& chain, const std::string& text) const {
    const std::string rules =
        run({"nft", "-a", "list", "chain", "inet", "nft-port-mapper", chain}, {.ns = lab.host()})
            .out;
    const std::size_t at = rules.find(text);
    REQUIRE_MESSAGE(at != std::string::npos, rules);
    const std::string rest = rules.substr(rules.find("# handle ", at) + 9);
    return rest.substr(0, rest.find('\n'));
  }
  // The first part of the keys of owners, quoted as nft wants it.
  std::string owner() const {
    static const std::regex pattern("\"k[0-9a-v]{14}\"");
    const std::string text = listing(lab.host());
    std::smatch match;
    REQUIRE(std::regex_search(text, match, pattern));
    return match.str();
  }

  Lab lab;
};

// The whole findings that several kinds of damage share.
const std::string lacks_network_rules =
    "chain MESOS-WEB lacks rule: iifname { \"docker0\", \"mesos-cni0\" } return; "
    "chain MESOS-WEB lacks rule: dnat ip to ip daddr . meta l4proto . th dport map "
    "@MESOS-WEB-hostip; "
    "chain MESOS-WEB lacks rule: meta nfproto ipv4 dnat ip to meta l4proto . th dport map "
    "@MESOS-WEB-ip; "
    "chain MESOS-WEB lacks rule: dnat ip6 to ip6 daddr . meta l4proto . th dport map "
    "@MESOS-WEB-hostip6; "
    "chain MESOS-WEB lacks rule: meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map "
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
const std::string lacks_prerouting_rules = lacks("prerouting");
const std::string lacks_output_rules = lacks("output");
const std::string lacks_guard = lacks("localnet-guard");
const std::string lacks_label = "chain networks lacks rule: ct label set 127";
const std::string no_owners =
    "element of 0.0.0.0:8080/tcp in owners is missing; "
    "element of 192.0.2.1:5353/udp in owners is missing; "
    "element of [::]:8080/tcp in owners is missing";

struct Damage {
  std::string script;    // each command without its "inet nft-port-mapper"
  std::string findings;  // joined by "; "
};

// "delete element published-ip ..." -> "delete element inet nft-port-mapper published-ip ..."
std::string expanded(const std::string& script) {
  static const std::regex command(
      "(add|create|delete|flush|insert) (element|chain|rule|set|map) ([^;{]*)");
  return std::regex_replace(script, command, "$1 $2" + in_table + "$3");
}

void check_each(const std::vector<Damage>& damages) {
  Checked checked;
  for (const Damage& damage : damages) {
    CAPTURE(damage.script);
    checked.nft(replaced(expanded(damage.script), "OWNER", checked.owner()));
    CHECK(checked.check() == finding(damage.findings));
    CHECK(checked.check() == finding(damage.findings));  // it mends nothing
    checked.restore();
    CHECK(checked.check() == "ok");
  }
}

const std::string elsewhere =
    R"({"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/x"}],)"
    R"("ips":[{"address":"10.22.0.9/16","interface":0}]})";

}  // namespace

TEST_CASE("check: it succeeds after ADD, after another container's, and with operators' rules") {
  Checked checked;
  CHECK(checked.check() == "ok");
  CHECK(checked.check() == "ok");
  const Lab& lab = checked.lab;
  checked.lab.container("def", "10.22.0.3/16", "fd00::3/64");
  REQUIRE(Runtime(lab, example_options).add("def", {{9090, 80}, {9091, 80, "udp"}}) == done);
  REQUIRE(Runtime(lab, "", "mail").add("def", {{25, 25}}) == done);
  CHECK(checked.check() == "ok");
  checked.nft(
      "add table inet operators\n"
      "add set inet operators published-ip { type inet_service; }\n"
      "add chain inet operators prerouting { type nat hook prerouting priority dstnat; }\n"
      "add rule inet operators prerouting tcp dport 8080 accept\n"
      "add chain inet operators MESOS-WEB\n"
      "add rule inet operators MESOS-WEB drop\n"
      "add table ip nft-port-mapper\n"
      "add chain ip nft-port-mapper prerouting\n"
      "add rule ip nft-port-mapper prerouting drop\n");
  CHECK(checked.check() == "ok");
  REQUIRE(Runtime(lab, example_options).del("def") == done);
  CHECK(checked.check() == "ok");
  // Traffic moves counters and nothing else.
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.11", 8080) != "timeout");
  CHECK(checked.check() == "ok");
}

TEST_CASE("check: ADD again with changed ports is checked for the new ones only") {
  Checked checked;
  REQUIRE(Runtime(checked.lab, example_options).add("abc", {{8080, 80}}) == done);
  CHECK(checked.check() ==
        finding("element of 192.0.2.1:5353/udp in owners leads to [::]:8080/tcp; "
                "element of [::]:8080/tcp in owners is missing"));
  REQUIRE(Runtime(checked.lab, example_options)
              .add("abc", {{8080, 80}, {5353, 53, "udp", "192.0.2.1"}, {9090, 90, "udp", "::"}}) ==
          done);
  CHECK(checked.check() ==
        finding("element of [::]:9090/udp in owners is not in the configuration"));
}

TEST_CASE("check: a configuration without port mappings needs no table") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  for (const char* mappings : {"null", "[]"}) {
    const std::string config = chained_config("web", lab.previous_result("abc"), mappings);
    CHECK(verdict(Plugin{PLUGIN}.call(lab, lab.host(), "CHECK", "abc", config)) == "ok");
  }
  CHECK(listing(lab.host()).empty());
}

TEST_CASE("check: a network without hairpin pairs (snat false) is no question without a key") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const std::string options = R"("snat":false)";
  REQUIRE(Runtime(lab, options).add("abc", {{8080, 80}}) == done);
  const std::string config =
      chained_config("web", lab.previous_result("abc"), to_json({{8080, 80}}), options);
  CHECK(verdict(Plugin{PLUGIN}.call(lab, lab.host(), "CHECK", "abc", config)) == "ok");
}

TEST_CASE("check: an element that is gone is named") {
  check_each({
      {"delete element published-ip { tcp . 8080 }",
       "element of 0.0.0.0:8080/tcp in published-ip is missing or another's"},
      {"delete element published-hostip { 192.0.2.1 . udp . 5353 }",
       "element of 192.0.2.1:5353/udp in published-hostip is missing or another's"},
      {"delete element published-ip6 { tcp . 8080 }",
       "element of [::]:8080/tcp in published-ip6 is missing or another's"},
      {"delete element MESOS-WEB-ip { tcp . 8080 }",
       "element of 0.0.0.0:8080/tcp in MESOS-WEB-ip is missing"},
      {"delete element MESOS-WEB-hostip { 192.0.2.1 . udp . 5353 }",
       "element of 192.0.2.1:5353/udp in MESOS-WEB-hostip is missing"},
      {"delete element MESOS-WEB-ip6 { tcp . 8080 }",
       "element of [::]:8080/tcp in MESOS-WEB-ip6 is missing"},
      {"delete element owners { OWNER . 0 }", "element of 0.0.0.0:8080/tcp in owners is missing"},
      {"delete element owners { OWNER . 1 }", "element of 192.0.2.1:5353/udp in owners is missing"},
      {"delete element owners { OWNER . 2 }", "element of [::]:8080/tcp in owners is missing"},
      {"delete element hairpin-ip { 10.22.0.0/16 . 10.22.0.0/16 }",
       "element 10.22.0.0/16 . 10.22.0.0/16 is missing in hairpin-ip"},
      {"delete element hairpin-ip { 127.0.0.0/8 . 10.22.0.0/16 }",
       "element 127.0.0.0/8 . 10.22.0.0/16 is missing in hairpin-ip"},
      {"delete element hairpin-ip6 { fd00::/64 . fd00::/64 }",
       "element fd00::/64 . fd00::/64 is missing in hairpin-ip6"},
      {"flush set published-ip; flush map MESOS-WEB-ip; flush map owners", no_owners},
  });
}

TEST_CASE("check: an element that leads elsewhere is named, and where it leads") {
  check_each({
      {"delete element MESOS-WEB-ip { tcp . 8080 }; add element MESOS-WEB-ip { tcp . 8080 : "
       "10.22.0.9 . 80 }",
       "element of 0.0.0.0:8080/tcp in MESOS-WEB-ip leads to 10.22.0.9:80, not to 10.22.0.2:80"},
      {"delete element MESOS-WEB-ip { tcp . 8080 }; add element MESOS-WEB-ip { tcp . 8080 : "
       "10.22.0.2 . 81 }",
       "element of 0.0.0.0:8080/tcp in MESOS-WEB-ip leads to 10.22.0.2:81, not to 10.22.0.2:80"},
      {"delete element MESOS-WEB-hostip { 192.0.2.1 . udp . 5353 }; add element MESOS-WEB-hostip { "
       "192.0.2.1 . udp . 5353 : 10.22.0.9 . 53 }",
       "element of 192.0.2.1:5353/udp in MESOS-WEB-hostip leads to 10.22.0.9:53, not to "
       "10.22.0.2:53"},
      {"delete element MESOS-WEB-ip6 { tcp . 8080 }; add element MESOS-WEB-ip6 { tcp . 8080 : "
       "fd00::9 . 80 }",
       "element of [::]:8080/tcp in MESOS-WEB-ip6 leads to [fd00::9]:80, not to [fd00::2]:80"},
      {"delete element owners { OWNER . 1 }; add element owners { OWNER . 1 : ::ffff:192.0.2.1 . "
       "udp . 5354 }",
       "element of 192.0.2.1:5353/udp in owners leads to 192.0.2.1:5354/udp"},
      {"delete element hairpin-ip { 10.22.0.0/16 . 10.22.0.0/16 }; add element hairpin-ip { "
       "10.22.0.0/24 . 10.22.0.0/24 }",
       "element 10.22.0.0/16 . 10.22.0.0/16 is missing in hairpin-ip"},
      {"delete element hairpin-ip6 { fd00::/64 . fd00::/64 }; add element hairpin-ip6 { fd00::/80 "
       ". "
       "fd00::/64 }",
       "element fd00::/64 . fd00::/64 is missing in hairpin-ip6"},
      {"add element owners { OWNER . 3 : :: . udp . 1 }",
       "element of [::]:1/udp in owners is not in the configuration"},
  });
}

TEST_CASE("check: a prevResult with another address does not match what is published") {
  Checked checked;
  CHECK(
      checked.check(elsewhere) ==
      finding(
          "element of 0.0.0.0:8080/tcp in MESOS-WEB-ip leads to 10.22.0.2:80, not to 10.22.0.9:80; "
          "element of 192.0.2.1:5353/udp in MESOS-WEB-hostip leads to 10.22.0.2:53, not to "
          "10.22.0.9:53; element of [::]:8080/tcp in owners is not in the configuration"));
}

TEST_CASE("check: a port that another container took is missing") {
  Checked checked;
  checked.lab.container("def", "10.22.0.3/16", "fd00::3/64");
  const Runtime runtime(checked.lab, example_options);
  checked.nft(expanded(
      "delete element published-ip { tcp . 8080 }; delete element published-ip6 { tcp . 8080 }"));
  // A claim alone is not the port: what else "abc" has of it says whose it is.
  CHECK(runtime.add("def", {{8080, 80}}) ==
        conflict("def", published_by("0.0.0.0:8080/tcp", "abc") + "; " +
                            published_by("[::]:8080/tcp", "abc")));
  checked.nft(replaced(expanded("delete element MESOS-WEB-ip { tcp . 8080 }; "
                                "delete element MESOS-WEB-ip6 { tcp . 8080 }; "
                                "delete element owners { OWNER . 0 }; "
                                "delete element owners { OWNER . 2 }"),
                       "OWNER", checked.owner()));
  REQUIRE(runtime.add("def", {{8080, 80}}) == done);
  CHECK(checked.check() == finding("element of 0.0.0.0:8080/tcp in owners is missing; "
                                   "element of [::]:8080/tcp in owners is missing"));
}

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
       "chain MESOS-WEB is missing; " + lacks_network_rules + "; " + lacks_label},
      {"flush chain prerouting; flush chain output; flush chain networks; delete chain networks",
       "chain networks is missing; " + lacks_prerouting_rules + "; " + lacks_output_rules},
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
            "meta nfproto ipv6 meta l4proto . th dport @published-ip6 socket wildcard 0 return",
            ""},
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
      Place{"MESOS-WEB", "dnat ip to ip daddr . meta l4proto . th dport map @MESOS-WEB-hostip", ""},
      Place{"MESOS-WEB", "meta nfproto ipv4 dnat ip to meta l4proto . th dport map @MESOS-WEB-ip",
            ""},
      Place{"MESOS-WEB", "dnat ip6 to ip6 daddr . meta l4proto . th dport map @MESOS-WEB-hostip6",
            ""},
      Place{"MESOS-WEB", "meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @MESOS-WEB-ip6",
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
  swap("MESOS-WEB", "dnat ip to ip daddr");
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
           "; set hairpin-ip6 is missing; element fd00::/64 . fd00::/64 is missing in hairpin-ip6"},
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
          "chain prerouting is missing; chain output is missing; chain postrouting is "
          "missing; chain localnet-guard is missing; chain localnet-guard-input is missing; chain "
          "networks is missing; chain MESOS-WEB is missing; " +
          lacks_prerouting_rules +
          "; chain output lacks rule: fib daddr type != local return; chain output"
          " lacks rule: ip daddr 127.0.0.0/8 meta l4proto . th dport != @loopback-ip return; chain "
          "output"
          " lacks rule: ip6 daddr ::1 meta l4proto . th dport != @loopback-ip6 return; chain "
          "output lacks"
          " rule: ip daddr . meta l4proto . th dport @published-hostip jump networks; chain output "
          "lacks"
          " rule: ip6 daddr . meta l4proto . th dport @published-hostip6 jump networks; and 36 "
          "more"));
  CHECK(checked.add() == done);
  CHECK(checked.check() == "ok");
}

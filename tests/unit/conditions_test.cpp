// lib/config/conditions and lib/base/match: what words of nft mean, and what is said about others.
#include "lib/config/conditions.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "lib/config/condition_words.hpp"
#include "nft/encode.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
using namespace portmapper::config;
using namespace portmapper::nft;

namespace {

struct Case {
  std::vector<std::string> words;
  std::string expected;  // the matches, each with a blank behind it; or the error
  Family family = Family::ipv4;
};

std::string text_of(const std::vector<Match>& matches) {
  std::string text;
  for (const Match& match : matches) text += (text.empty() ? "" : " ") + to_string(match);
  return text;
}

std::string parsed(const std::vector<std::string>& words, Family family = Family::ipv4) {
  const auto matches =
      parse_conditions(words, family, family == Family::ipv4 ? "conditionsV4" : "conditionsV6");
  if (matches) return text_of(*matches);
  CHECK(matches.error().kind == ErrorKind::invalid_input);
  return matches.error().message();
}

void check(const std::vector<Case>& cases) {
  for (const Case& item : cases) {
    std::string words;
    for (const std::string& word : item.words) words += "[" + word + "]";
    CAPTURE(words);
    CHECK(parsed(item.words, item.family) == item.expected);
  }
}

const std::string kNoIp4 =
    " is not an IPv4 address, a prefix such as 10.0.0.0/8 or a range such as 10.0.0.1-10.0.0.9";
const std::string kNoIp6 =
    " is not an IPv6 address, a prefix such as fd00::/8 or a range such as fd00::1-fd00::9";
const std::string kNoPort = " is not a port (0-65535) or a range such as 1024-65535";
const std::string kNoMark = " is not a mark (32 bits, decimal or 0x...) or a range of two";
const std::string kNoName = " is not the name of an interface, or its beginning and \"*\"";
const std::string kNoState = " is not one of invalid, established, related, new, untracked";
const std::string kQuotes = " has to be in quotes to be the name of an interface";
const std::string kNoMatch =
    " is not a supported match; those are ip|ip6 saddr|daddr, iifname, oifname, meta mark|l4proto, "
    "tcp|udp|sctp|th sport|dport, ct state, fib daddr type";
const std::string kIptables =
    " belongs to iptables; conditions are words of an nft match expression";

}  // namespace

TEST_CASE("conditions: no words are no conditions") {
  check({{{}, ""}, {{"", " ", "\t"}, ""}});
}

TEST_CASE("conditions: each field, in the words of nft list") {
  check({
      {{"ip", "saddr", "192.0.2.1"}, "ip saddr 192.0.2.1"},
      {{"ip", "daddr", "192.0.2.1/24"}, "ip daddr 192.0.2.0/24"},
      {{"ip", "saddr", "10.0.0.1/32"}, "ip saddr 10.0.0.1"},
      {{"ip", "saddr", "1.2.3.4/0"}, "ip saddr 0.0.0.0/0"},
      {{"ip", "saddr", "10.0.0.1-10.0.0.9"}, "ip saddr 10.0.0.1-10.0.0.9"},
      {{"ip", "saddr", "10.0.0.1-10.0.0.1"}, "ip saddr 10.0.0.1-10.0.0.1"},
      {{"ip", "saddr", "10.0.0.0-10.255.255.255"}, "ip saddr 10.0.0.0-10.255.255.255"},
      {{"ip6", "saddr", "FD00::1/64"}, "ip6 saddr fd00::/64", Family::ipv6},
      {{"ip6", "daddr", "::ffff:1.2.3.4"}, "ip6 daddr ::ffff:1.2.3.4", Family::ipv6},
      {{"ip6", "daddr", "fd00::1/128"}, "ip6 daddr fd00::1", Family::ipv6},
      {{"iifname", "eth0"}, "iifname \"eth0\""},
      {{"iifname", "\"veth@1\""}, "iifname \"veth@1\""},
      {{"iifname", "abcdefghijklmno"}, "iifname \"abcdefghijklmno\""},
      {{"meta", "iifname", "eth*"}, "iifname \"eth*\""},
      {{"oifname", "\"ip\""}, "oifname \"ip\""},
      {{"meta", "oifname", "5"}, "oifname \"5\""},
      {{"meta", "mark", "255"}, "meta mark 0x000000ff"},
      {{"meta", "mark", "0XfF-0x100"}, "meta mark 0x000000ff-0x00000100"},
      {{"meta", "mark", "4294967295"}, "meta mark 0xffffffff"},
      {{"meta", "l4proto", "SCTP"}, "meta l4proto sctp"},
      {{"meta", "l4proto", "17"}, "meta l4proto udp"},
      {{"tcp", "sport", "0-65535"}, "tcp sport 0-65535"},
      {{"udp", "dport", "53"}, "udp dport 53"},
      {{"sctp", "dport", "0x50"}, "sctp dport 80"},
      {{"th", "dport", "0"}, "th dport 0"},
      {{"ct", "state", "new"}, "ct state new"},
      {{"ct", "state", "untracked,new", ",", "invalid"}, "ct state invalid,new,untracked"},
      {{"fib", "daddr", "type", "local"}, "fib daddr type local"},
  });
}

TEST_CASE("conditions: operators") {
  check({
      {{"tcp", "dport", "==", "80"}, "tcp dport 80"},
      {{"tcp", "dport", "eq", "80"}, "tcp dport 80"},
      {{"tcp", "dport", "!=80-90"}, "tcp dport != 80-90"},
      {{"tcp dport<1024 meta mark>=0x10"}, "tcp dport < 1024 meta mark >= 0x00000010"},
      {{"ip", "saddr", ">", "10.0.0.1"}, "ip saddr > 10.0.0.1"},
      {{"ip6", "saddr", "<=", "fd00::"}, "ip6 saddr <= fd00::", Family::ipv6},
      {{"meta", "l4proto", "!=", "udp"}, "meta l4proto != udp"},
      {{"iifname", "!=", "\"lo\""}, "iifname != \"lo\""},
      {{"ip", "saddr", "ne", "10.0.0.0/8"}, "ip saddr != 10.0.0.0/8"},
      // "==" compares all bits; a list behind "!=" is their sum to nft, so it always matches.
      {{"ct", "state", "==", "new"}, "ct state == new"},
      {{"ct", "state", "!=", "new"}, "ct state != new"},
      {{"ct", "state", "!=", "new,established"}, "ct state != established | new"},
      {{"fib", "daddr", "type", "!=", "local"}, "fib daddr type != local"},
  });
}

TEST_CASE("conditions: sets, each value once and in nft's order") {
  check({
      {{"tcp", "dport", "{", "443", ",", "80", "}"}, "tcp dport { 80, 443 }"},
      {{"tcp", "dport", "{443,80,443}"}, "tcp dport { 80, 443 }"},
      {{"tcp", "dport", "{", "80", ",,", "81", ",", "}"}, "tcp dport { 80, 81 }"},
      {{"tcp", "dport", "== {80, 1024-65535}"}, "tcp dport { 80, 1024-65535 }"},
      {{"ip saddr != {192.0.2.1, 10.0.0.0/8}"}, "ip saddr != { 10.0.0.0/8, 192.0.2.1 }"},
      {{"ip saddr {10.0.0.0-10.0.0.255, 192.0.2.1}"}, "ip saddr { 10.0.0.0/24, 192.0.2.1 }"},
      {{"meta mark {0-7,0x20}"}, "meta mark { 0x00000000/29, 0x00000020 }"},
      {{"meta l4proto {udp,tcp}"}, "meta l4proto { tcp, udp }"},
      {{"ct state {new,established}"}, "ct state { established, new }"},
      {{"ct state == {new,established}"}, "ct state { established, new }"},
      {{"fib daddr type {broadcast,local}"}, "fib daddr type { local, broadcast }"},
      {{"iifname {\"eth*\",lo}"}, "iifname { \"eth*\", \"lo\" }"},
      {{"ip6 saddr {ff00::/8,fd00::1}"}, "ip6 saddr { fd00::1, ff00::/8 }", Family::ipv6},
  });
}

TEST_CASE("conditions: what nft would join is joined, and one value needs no set") {
  check({
      {{"tcp dport {80}"}, "tcp dport 80"},
      {{"tcp dport {80,80}"}, "tcp dport 80"},
      {{"tcp dport {1-5,6-9}"}, "tcp dport 1-9"},
      {{"tcp dport {80-90,85,90-95,97}"}, "tcp dport { 80-95, 97 }"},
      {{"tcp dport {80,81,82}"}, "tcp dport { 80, 81, 82 }"},
      {{"tcp dport {80-80,85}"}, "tcp dport { 80, 85 }"},
      {{"ip saddr {10.0.0.0/8,11.0.0.0/8}"}, "ip saddr 10.0.0.0/7"},
      {{"ip saddr {10.0.0.0/8,10.1.0.0/16}"}, "ip saddr 10.0.0.0/8"},
      {{"ip saddr {10.0.0.1/32,10.0.0.2}"}, "ip saddr 10.0.0.1-10.0.0.2"},
      {{"ip saddr {0.0.0.0/1,128.0.0.0/1}"}, "ip saddr 0.0.0.0/0"},
      {{"ip saddr {255.255.255.255,0.0.0.0/0}"}, "ip saddr 0.0.0.0/0"},
      {{"ip6 saddr {::/1,8000::/1}"}, "ip6 saddr ::/0", Family::ipv6},
      {{"meta mark {0-7,8-15}"}, "meta mark 0x00000000-0x0000000f"},
      {{"iifname {\"eth*\",\"eth0\",\"eth1*\"}"}, "iifname \"eth*\""},
      {{"ct state == {new}"}, "ct state == new"},
  });
}

TEST_CASE("conditions: several matches, in the order and the words in which nft keeps them") {
  check({
      {{"ip", "saddr", "10.0.0.0/8", "tcp", "dport", "80"}, "ip saddr 10.0.0.0/8 tcp dport 80"},
      {{"tcp dport 80", "ip saddr 10.0.0.0/8"}, "tcp dport 80 ip saddr 10.0.0.0/8"},
      {{"tcp dport 80 tcp sport 1"}, "tcp sport 1 tcp dport 80"},
      {{"tcp sport 1 iifname lo tcp dport 80"}, "tcp sport 1 tcp dport 80 iifname \"lo\""},
      {{"tcp dport 80 iifname lo tcp sport 1"}, "iifname \"lo\" tcp sport 1 tcp dport 80"},
      {{"tcp dport 1 tcp sport 2 tcp dport 3"}, "tcp sport 2 tcp dport 1 tcp dport 3"},
      {{"tcp dport 80 tcp sport != 1"}, "tcp dport 80 tcp sport != 1"},
      {{"tcp dport != 80 tcp sport != 1"}, "tcp sport != 1 tcp dport != 80"},
      {{"tcp dport 80-81 tcp sport 1"}, "tcp dport 80-81 tcp sport 1"},
      {{"meta l4proto tcp tcp dport 80"}, "tcp dport 80"},
      {{"tcp dport 80 meta l4proto tcp"}, "tcp dport 80"},
      {{"meta l4proto udp th dport 53"}, "udp dport 53"},
      {{"th sport {1,2} tcp dport 80"}, "tcp sport { 1, 2 } tcp dport 80"},
      {{"meta l4proto tcp iifname lo meta l4proto tcp"}, "meta l4proto tcp iifname \"lo\""},
      {{"meta l4proto != tcp th dport 80"}, "meta l4proto != tcp th dport 80"},
      {{"meta l4proto {tcp,udp} th dport 80"}, "meta l4proto { tcp, udp } th dport 80"},
  });
}

TEST_CASE("conditions: values that are none") {
  const std::string k0 = "conditionsV4[0]: ";
  check({
      {{"ip", "saddr", "localhost"}, "conditionsV4[2]: \"localhost\"" + kNoIp4},
      {{"ip", "saddr", "10.1"}, "conditionsV4[2]: \"10.1\"" + kNoIp4},
      {{"ip", "saddr", "010.0.0.1"}, "conditionsV4[2]: \"010.0.0.1\"" + kNoIp4},
      {{"ip saddr 10.0.0.0/33"}, k0 + "\"10.0.0.0/33\"" + kNoIp4},
      {{"ip saddr 10.0.0.0/08"}, k0 + "\"10.0.0.0/08\"" + kNoIp4},
      {{"ip saddr fd00::1"}, k0 + "\"fd00::1\"" + kNoIp4},
      {{"ip6 saddr 1.2.3.4"}, "conditionsV6[0]: \"1.2.3.4\"" + kNoIp6, Family::ipv6},
      {{"ip6 saddr fd00::1%eth0"}, "conditionsV6[0]: \"fd00::1%eth0\"" + kNoIp6, Family::ipv6},
      {{"ip saddr 10.0.0.9-10.0.0.1"},
       k0 + "\"10.0.0.9-10.0.0.1\" is a range that ends before it begins"},
      {{"tcp dport {1,90-80}"}, k0 + "\"90-80\" is a range that ends before it begins"},
      {{"tcp dport 65536"}, k0 + "\"65536\"" + kNoPort},
      {{"tcp dport http"}, k0 + "\"http\"" + kNoPort},
      {{"tcp dport 080"}, k0 + "\"080\"" + kNoPort},
      {{"tcp dport 1-2-3"}, k0 + "\"1-2-3\"" + kNoPort},
      {{"tcp dport 80;"}, k0 + "\"80;\"" + kNoPort},
      {{"tcp dport -1"}, k0 + "\"-1\"" + kNoPort},
      {{"meta mark 4294967296"}, k0 + "\"4294967296\"" + kNoMark},
      {{"meta mark 0x"}, k0 + "\"0x\"" + kNoMark},
      {{"meta mark & 1"}, k0 + "\"&\"" + kNoMark},
      {{"meta l4proto icmp"},
       k0 + "\"icmp\" is not tcp, udp or sctp, the protocols of published ports"},
      {{"iifname \"*\""}, k0 + "\"*\"" + kNoName},
      {{"iifname \"\""}, k0 + "\"\"" + kNoName},
      {{"iifname \"a b\""}, k0 + "\"a b\"" + kNoName},
      {{"iifname \"eth\\*\""}, k0 + "\"eth\\\\*\"" + kNoName},
      {{"iifname abcdefghijklmnop"}, k0 + "\"abcdefghijklmnop\"" + kNoName},
      {{"iifname", "ip", "saddr"}, "conditionsV4[1]: \"ip\"" + kQuotes},
      {{"iifname 0x5"}, k0 + "\"0x5\"" + kQuotes},
      {{"iifname veth@1"}, k0 + "\"veth@1\"" + kQuotes},
      {{"ct state new,snat"}, k0 + "\"snat\"" + kNoState},
      {{"ct state 8"}, k0 + "\"8\"" + kNoState},
      {{"ct state ! new"}, k0 + "\"!\"" + kNoState},
      {{"fib daddr type throw"},
       k0 + "\"throw\" is not one of unspec, unicast, local, broadcast, anycast, multicast, "
            "blackhole, unreachable, prohibit"},
  });
}

TEST_CASE("conditions: words in the wrong place, by key and position") {
  const std::string k0 = "conditionsV4[0]: ";
  check({
      {{"ip", "saddr", "10.0.0.1", "log"}, "conditionsV4[3]: \"log\"" + kNoMatch},
      {{"ip saddr 10.0.0.1 accept"}, k0 + "\"accept\"" + kNoMatch},
      {{"tcp dport 80", "# x"}, "conditionsV4[1]: \"#\"" + kNoMatch},
      {{"\"ip\" saddr 1.2.3.4"}, k0 + "\"ip\"" + kNoMatch},
      {{"tcp dport {80},81"}, k0 + "\",\"" + kNoMatch},
      {{"a\n\x1b[31m"}, k0 + "\"a\\n\\u001b[31m\"" + kNoMatch},
      {{"-s", "10.0.0.1"}, k0 + "\"-s\"" + kIptables},
      {{"", "!", "-s", "10.0.0.1"}, "conditionsV4[1]: \"!\"" + kIptables},
      {{"ip saddr 1.2.3.4 - 1.2.3.5"}, k0 + "\"-\" stands alone; a range or a prefix is one word"},
      {{"udp length 8"}, k0 + "\"length\" after \"udp\" is not supported; sport or dport is"},
      {{"fib daddr oif"}, k0 + "\"oif\" after \"daddr\" is not supported; type is"},
      {{"tcp"}, k0 + "\"tcp\" is the last word; after it must follow sport or dport"},
      {{"tcp", "dport", "<"},
       "conditionsV4[2]: \"<\" is the last word; after it must follow a port (0-65535) or a"
       " range such as 1024-65535"},
      {{"ct state new,"},
       k0 + "\",\" is the last word; after it must follow one of invalid, established, related,"
            " new, untracked"},
      {{"ip saddr 1.2.3.4,1.2.3.5"}, k0 + "\",\" is not in a set; several values are { a, b }"},
      {{"iifname \"eth0"}, k0 + "\"\\\"eth0\" opens a quote that does not end in this string"},
      {{"ip saddr = 1.2.3.4"}, k0 + "\"=\"" + kNoIp4},
      {{"tcp dport {"}, k0 + "\"{\" opens a set that does not end"},
      {{"tcp dport { 80,"}, k0 + "\"{\" opens a set that does not end"},
      {{"tcp dport {}"}, k0 + "\"}\"" + kNoPort},
      {{"tcp dport {{80}}"}, k0 + "\"{\"" + kNoPort},
      {{"tcp dport {80 81}"}, k0 + "\"81\" is in a set where \",\" or \"}\" is expected"},
      {{"tcp dport < {80}"}, k0 + "\"{\" opens a set, where one value is compared"},
      {{"tcp dport < 80-90"}, k0 + "\"80-90\" is a prefix or a range, where one value is compared"},
      {{"ip saddr >= 10.0.0.0/8"},
       k0 + "\"10.0.0.0/8\" is a prefix or a range, where one value is compared"},
      {{"iifname < lo"}, k0 + "\"<\" needs values with an order; use == or != here"},
      {{"ct state == new,invalid"},
       k0 + "\",\" lists states after \"==\", and no packet has several; without \"==\" any of "
            "them matches"},
      {{"iifname {\"a*\", b}"},
       k0 + "\"{\" opens a set of names that nft joins to one range and cannot list; write them "
            "another way"},
  });
}

TEST_CASE("conditions: what cannot stand together") {
  check({
      {{"ip6", "saddr", "fd00::1"},
       "conditionsV4[0]: \"ip6\" matches IPv6 alone, and these conditions are for IPv4"},
      {{"tcp dport 1", "ip saddr 1.2.3.4"},
       "conditionsV6[1]: \"ip\" matches IPv4 alone, and these conditions are for IPv6",
       Family::ipv6},
      {{"tcp", "dport", "80", "udp", "dport", "53"},
       "conditionsV4[3]: \"udp\" contradicts \"tcp\" of conditionsV4[0]: one rule is about one "
       "protocol"},
      {{"iifname lo", "tcp dport 80", "meta l4proto {tcp,udp}"},
       "conditionsV4[2]: \"meta\" contradicts \"tcp\" of conditionsV4[1]: one rule is about one "
       "protocol"},
      {{"meta l4proto {tcp,udp}", "tcp dport 80"},
       "conditionsV4[1]: \"tcp\" contradicts \"meta\" of conditionsV4[0]: one rule is about one "
       "protocol"},
  });
}

TEST_CASE("conditions: as many as one rule of the kernel can have") {
  std::vector<std::string> words(kMaxConditions, "meta mark 1-5");
  CHECK(parse_conditions(words, Family::ipv4, "conditionsV4"));
  words.emplace_back("iifname lo");
  CHECK(parsed(words) ==
        "conditionsV4[24]: \"iifname\" begins one match more than the 24 that a rule can have");
}

TEST_CASE("conditions: each word knows the element that it came from") {
  std::string text;
  const std::vector<std::string> elements = {"tcp dport", "", "!={80,\"a b\"}"};
  for (const ConditionWord& word : split_words(elements))
    text += std::to_string(word.position) + word.text.data()[0];
  CHECK(text == "0t0d2!2{282,2a2}");
}

TEST_CASE("conditions: a rule is said as nft lists it, and its fingerprint follows") {
  const auto rule_of = [](const std::string& words) {
    NetworkChain network{"c", {}};
    network.conditions_v4 = *parse_conditions({words}, Family::ipv4, "conditionsV4");
    return network_chain(network).rules[1];
  };
  CHECK(to_string(rule_of("")) ==
        "meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th dport map @c-ip");
  CHECK(to_string(rule_of("iifname lo")) ==
        "iifname \"lo\" meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th dport map "
        "@c-ip");
  CHECK(to_string(rule_of("ip saddr 10.0.0.1 tcp dport 80")) ==
        "ip saddr 10.0.0.1 tcp dport 80 ct label set 127 dnat ip to meta l4proto . tcp dport map "
        "@c-ip");
  CHECK(
      to_string(rule_of("meta l4proto udp")) ==
      "meta l4proto udp meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . udp dport map "
      "@c-ip");
  CHECK(fingerprint(rule_of("tcp dport 80")) ==
        fingerprint(rule_of("meta l4proto tcp th dport 80")));
  CHECK(fingerprint(rule_of("tcp dport 80")) != fingerprint(rule_of("tcp dport 81")));
  CHECK(fingerprint(rule_of("")) != fingerprint(rule_of("meta l4proto udp")));
}

TEST_CASE("conditions: every set of a batch has a number of its own") {
  NetworkChain network{"c", {"eth0", "eth1"}};
  network.conditions_v4 =
      *parse_conditions({"tcp dport {80,81} iifname {lo,eth0}"}, Family::ipv4, "conditionsV4");
  const Batch batch = encode(build_tables(network, {}, {}));
  std::vector<std::uint32_t> sets;
  for (const test::Request& request : test::requests_in(batch.messages.bytes()))
    if (request.name() == "NEWSET")
      sets.push_back(request.attributes().find(NFTA_SET_ID).value().number32());
  CHECK(sets.size() == 18 + 1 + 2 * 2 + 1);
  std::sort(sets.begin(), sets.end());
  CHECK(std::adjacent_find(sets.begin(), sets.end()) == sets.end());
}

TEST_CASE("conditions: those of one family stand before both dnat rules of that family alone") {
  NetworkChain network{"c", {"eth0"}};
  network.conditions_v4 = *parse_conditions({"ct state new"}, Family::ipv4, "conditionsV4");
  network.conditions_v6 = *parse_conditions({"ip6 saddr fd00::/8"}, Family::ipv6, "conditionsV6");
  std::string text;
  for (const Rule& rule : network_chain(network).rules) text += to_string(rule) + "\n";
  CHECK(text ==
        "iifname \"eth0\" return\n"
        "ct state new meta nfproto ipv4 ct label set 127 dnat ip to ip daddr . meta l4proto . th "
        "dport map @c-hostip\n"
        "ct state new meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th dport map "
        "@c-ip\n"
        "ip6 saddr fd00::/8 ct label set 127 dnat ip6 to ip6 daddr . meta l4proto . th dport map "
        "@c-hostip6\n"
        "ip6 saddr fd00::/8 ct label set 127 dnat ip6 to meta l4proto . th dport map @c-ip6\n");
}

TEST_CASE("conditions: a plan says them") {
  PlanInput input{.attachment = {"web", "abc", "eth0"}, .netns = {}, .chain = {"c", {}}};
  input.chain.conditions_v4 = *parse_conditions({"ct state new"}, Family::ipv4, "conditionsV4");
  input.chain.conditions_v6 = *parse_conditions({"tcp dport 1-5"}, Family::ipv6, "conditionsV6");
  CHECK(to_string(make_plan(input)) ==
        "attachment web/abc/eth0\n"
        "chain c\n"
        "condition IPv4 ct state new\n"
        "condition IPv6 tcp dport 1-5\n");
}

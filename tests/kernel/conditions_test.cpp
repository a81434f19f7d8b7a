// Conditions in the kernel: what we build of them, against what nft builds of the same words.
//
// Each list of words goes both ways into a fresh table: through parse_conditions, network_chain and
// construction, and typed before the dnat rules of a table that nft loads. Both must list the same,
// consist of the same expressions and set elements, and list the same again after a reload; what
// was loaded again counts as ours, and what nft has typed as well.
#include "lib/config/conditions.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <regex>
#include <sstream>

#include "nft/commit.hpp"
#include "nft/read/reader.hpp"
#include "nft/transaction.hpp"
#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::config;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

constexpr Family v4 = Family::ipv4;
constexpr Family v6 = Family::ipv6;

enum class Nft {
  same,      // lists and builds the same
  joins,     // lists the same; two ports are one comparison, a protocol is tested where it was said
  settles,   // lists and builds the same once it has loaded its own listing
  rewrites,  // never lists the words itself: ours stay as they are until nft loads them
};

struct Case {
  Family family;
  std::string words;
  Nft nft = Nft::same;
};

const std::vector<Case> kAccepted = {
    {v4, "ip saddr 192.0.2.1"},
    {v4, "ip daddr 10.0.0.1/8"},
    {v4, "ip saddr 10.0.0.0/12"},
    {v4, "ip saddr 0.0.0.0/0"},
    {v4, "ip saddr 10.0.0.1/32"},
    {v4, "ip saddr != 10.0.0.0/8"},
    {v4, "ip saddr != 10.0.0.0/12"},
    {v4, "ip saddr 10.0.0.1-10.0.0.9"},
    {v4, "ip saddr != 10.0.0.1-10.0.0.9"},
    {v4, "ip saddr < 10.0.0.5"},
    {v4, "ip saddr { 10.0.0.1 }"},
    {v4, "ip saddr { 4.3.2.1, 1.2.3.4 }"},
    {v4, "ip saddr != { 4.3.2.1, 1.2.3.4 }"},
    {v4, "ip saddr { 10.0.0.1, 10.0.0.0/8, 192.0.2.1-192.0.2.9 }"},
    {v4, "ip saddr { 0.0.0.0/1, 128.0.0.1-255.255.255.255 }"},
    {v4, "ip saddr { 10.0.0.1, 10.0.0.1 }", Nft::settles},
    {v4, "ip saddr { 10.0.0.0/8, 11.0.0.0/8 }", Nft::settles},
    {v4, "ip saddr { 10.0.0.1/32, 10.0.0.2 }", Nft::settles},
    {v4, "ip daddr 10.0.0.1 ip saddr 10.0.0.2"},
    {v6, "ip6 saddr fd00::1"},
    {v6, "ip6 saddr fd00::/64"},
    {v6, "ip6 daddr != fd00::/7"},
    {v6, "ip6 saddr fd00::1-fd00::9"},
    {v6, "ip6 saddr { ff00::/8, fd00::1 }"},
    {v6, "ip6 saddr { ::/1, 8000::/1 }", Nft::settles},
    {v6, "tcp dport 80 ip6 saddr >= fd00::1"},
    {v4, "iifname eth0"},
    {v4, "iifname != \"eth*\""},
    {v4, "iifname { docker0, mesos-cni0, eth7, lo }"},
    {v4, "iifname != { \"eth*\", lo }"},
    {v4, "iifname { \"eth*\", eth0 }", Nft::settles},
    {v6, "meta iifname lo oifname \"veth@1\""},
    {v4, "meta mark 1"},
    {v4, "meta mark < 0x10"},
    {v4, "meta mark 1-5"},
    {v4, "meta mark != 1-5"},
    {v4, "meta mark { 0x01000000, 2 }"},
    {v4, "meta mark { 0-7, 0x20, 0xffffff00-0xffffffff }"},
    {v4, "meta mark != { 1-5, 9 }"},
    {v4, "meta mark { 0-7, 8-15 }", Nft::rewrites},  // { 0x00000000/28 }
    {v4, "meta l4proto tcp"},
    {v4, "meta l4proto > tcp"},
    {v4, "meta l4proto { udp, tcp } th dport 80"},
    {v4, "meta l4proto != { tcp, udp }"},
    {v4, "tcp dport 80"},
    {v6, "udp sport 53"},
    {v4, "sctp dport != 80"},
    {v4, "th dport 0-1023"},
    {v4, "tcp dport < 1024"},
    {v4, "tcp dport { 443, 80, 60000-65535 }"},
    {v4, "tcp dport { 1-5, 6-9 }", Nft::settles},
    {v4, "tcp sport { 1, 2 } tcp dport != { 80-90, 100 }"},
    {v4, "tcp dport 80 iifname lo tcp sport 1", Nft::joins},
    {v4, "tcp dport 80 meta l4proto tcp", Nft::rewrites},
    {v4, "th sport 1 th dport 80", Nft::rewrites},  // @th,0,32 0x10050
    {v4, "ct state related,new"},
    {v4, "ct state == new"},
    {v4, "ct state != new,established"},
    {v4, "ct state != { new, invalid, untracked }"},
    {v4, "fib daddr type local"},
    {v4, "fib daddr type != { local, broadcast }"},
    {v4, "iifname lo ip saddr 1.2.3.4 udp dport 53 ct state new meta mark 5 fib daddr type local"},
};

const std::vector<Case> kRefusedByBoth = {
    {v4, "ip saddr 10.0.0.9-10.0.0.1"},
    {v4, "ip saddr 10.0.0.0/33"},
    {v4, "ip saddr >= 10.0.0.0/8"},
    {v4, "ip saddr < { 1.2.3.4, 4.3.2.1 }"},
    {v4, "ip saddr 1.2.3.4,4.5.6.7"},
    {v4, "ip6 saddr fd00::1"},
    {v6, "ip saddr 1.2.3.4"},
    {v4, "tcp dport 65536"},
    {v4, "tcp dport {}"},
    {v4, "tcp dport { 1 2 }"},
    {v4, "tcp dport 80 udp dport 53"},
    {v4, "meta l4proto { tcp, udp } tcp dport 80"},
    {v4, "meta mark 4294967296"},
    {v4, "iifname \"*\""},
    {v4, "iifname tcp"},
    {v4, "iifname abcdefghijklmnop"},
    {v4, "ct state new-established"},
    {v4, "fib daddr type throw"},
    {v4, "tcp dport 80 drop"},
};

Result<std::vector<Match>> parse(const Case& item) {
  return parse_conditions({item.words}, item.family, "conditions");
}

void build(const std::string& ns, const NetworkChain& network) {
  in_namespace(ns, [&network] {
    Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
    REQUIRE(netlink);
    const Transaction transaction = build_tables(network, std::vector{network.name}, {});
    const Status status = to_status(commit(*netlink, transaction), transaction);
    CHECK_MESSAGE(status, (status ? "" : status.error().message()));
  });
}

void flush(const std::string& ns) {
  test::nft(ns, "flush ruleset");
}

void load_again(const std::string& ns) {
  const std::string saved = listing(ns);
  flush(ns);
  test::nft(ns, saved);
}

// What is not as we build it, "" where nothing is.
std::string damage(const std::string& ns, const NetworkChain& network) {
  return in_namespace(ns, [&network]() -> std::string {
    Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
    REQUIRE(netlink);
    const Result<Ruleset> ruleset = read_ruleset(*netlink, network);
    const Result<ChainDamage> chain = read_chain_damage(*netlink, network.name);
    if (!ruleset || !chain) return "unreadable";
    std::string text = chain->lacks_jump ? "no jump\n" : "";
    for (const auto& all : {ruleset->diff.damage, chain->damage})
      for (const nft::Damage& one : all) text += to_string(one) + "\n";
    return text;
  });
}

// nft 1.0.6 compares with both ends of a range, as we do; 1.1 has an expression for it.
std::string range_as_comparisons(const std::string& line) {
  static const std::regex range("range eq (reg [0-9]+)((?: 0x[0-9a-f]+)+) ");
  std::smatch match;
  if (!std::regex_search(line, match, range)) return line;
  const std::string ends = match[2];
  const std::string reg = match[1];
  const std::size_t half = ends.size() / 2;
  return "  [ cmp gte " + reg + ends.substr(0, half) + " ]\n  [ cmp lte " + reg +
         ends.substr(half) + " ]";
}

// The expressions and the elements of anonymous sets, without names, numbers and the tag of each
// rule, which is ours alone.
std::string expressions(const std::string& ns) {
  const RunResult dump =
      run({"nft", "--debug=netlink", "list", "chain", "inet", "nft-port-mapper", "c"}, {.ns = ns});
  REQUIRE(dump.status == 0);
  std::istringstream lines(dump.out.substr(0, dump.out.find("\ntable inet")));
  std::vector<std::string> elements;
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    if (const std::size_t set = line.find("__set"); set != std::string::npos)
      line.erase(set + 5, line.find_first_not_of("0123456789", set + 5) - set - 5);
    // nft knows no order in which the label comes behind the look-up.
    if (line.find(" 0x80000000 ]") != std::string::npos || line.find("ct set label") != line.npos)
      continue;
    if (line.starts_with("\telement"))
      elements.push_back(line.substr(0, line.find("  userdata")) + "\n");  // nft 1.1 has some
    else if (line.starts_with("  ["))
      text += range_as_comparisons(line) + "\n";
  }
  std::sort(elements.begin(), elements.end());
  for (const std::string& element : elements) text += element;
  return text;
}

// Marks of a set that are a prefix are listed as one by nft 1.0.6, and said so by us; as a range by 1.1.
std::string mark_prefixes_as_ranges(const std::string& text) {
  static const std::regex prefix("(0x[0-9a-f]{8})/([0-9]+)");
  std::string result;
  auto rest = text.cbegin();
  for (std::sregex_iterator match(text.begin(), text.end(), prefix), end; match != end; ++match) {
    const auto first = static_cast<std::uint32_t>(std::stoul((*match)[1], nullptr, 16));
    std::array<char, 32> range{};
    std::snprintf(range.data(), range.size(), "0x%08x-0x%08x", first,
                  first | static_cast<std::uint32_t>(0xffffffffU >> std::stoul((*match)[2])));
    result.append(rest, (*match)[0].first).append(range.data());
    rest = (*match)[0].second;
  }
  return result.append(rest, text.cend());
}

std::string nfproto_of(const Case& item) {
  return item.family == v4 ? "meta nfproto ipv4 " : "meta nfproto ipv6 ";
}
std::string dnat_of(const Case& item) {
  return item.family == v4 ? "ct label set 127 dnat ip to" : "ct label set 127 dnat ip6 to";
}

void check(const std::string& ns, const std::string& unconditioned, const Case& item) {
  CAPTURE(item.words);
  const Result<std::vector<Match>> conditions = parse(item);
  REQUIRE_MESSAGE(conditions, (conditions ? "" : conditions.error().message()));
  NetworkChain network{"c", {}};
  (item.family == v4 ? network.conditions_v4 : network.conditions_v6) = *conditions;
  flush(ns);
  build(ns, network);
  const std::string ours = listing(ns);
  const std::string our_expressions = expressions(ns);
  std::string chain = "\tchain c {\n";
  for (const Rule& rule : network_chain(network).rules) chain += "\t\t" + to_string(rule) + "\n";
  CHECK_MESSAGE(
      mark_prefixes_as_ranges(ours).find(mark_prefixes_as_ranges(chain)) != std::string::npos,
      difference(ours, chain));
  load_again(ns);
  if (item.words != "th sport 1 th dport 80") CHECK(difference(listing(ns), ours) == "");
  CHECK(damage(ns, network) == "");

  flush(ns);
  const std::string nfproto = nfproto_of(item);
  const std::string dnat = dnat_of(item);
  // nft lists no family behind what only that family has.
  const bool tells_family = std::any_of(conditions->begin(), conditions->end(), [](const Match& m) {
    return m.field <= MatchField::ip6_daddr;
  });
  test::nft(ns, replaced(unconditioned, "\t\t" + nfproto + dnat,
                         "\t\t" + item.words + " " + (tells_family ? "" : nfproto) + dnat));
  if (item.nft == Nft::settles) {
    CHECK(difference(listing(ns), ours) != "");
    load_again(ns);
  }
  CHECK((difference(listing(ns), ours) == "") == (item.nft != Nft::rewrites));
  if (item.words != "meta mark { 0-7, 8-15 }") CHECK(damage(ns, network) == "");
  const bool is_alike = item.nft == Nft::same || item.nft == Nft::settles;
  if (is_alike)
    CHECK(difference(expressions(ns), our_expressions) == "");
  else
    CHECK(expressions(ns) != our_expressions);
}

}  // namespace

TEST_CASE("conditions: nft lists, and builds, the same of the same words") {
  Lab lab;
  const std::string ns = lab.bare("nft");
  build(ns, {"c", {}});
  const std::string unconditioned = listing(ns);
  for (const Case& item : kAccepted) check(ns, unconditioned, item);
}

TEST_CASE("conditions: what is refused here and what nft refuses") {
  Lab lab;
  const std::string ns = lab.bare("nft");
  build(ns, {"c", {}});
  const std::string unconditioned = listing(ns);
  for (const Case& item : kRefusedByBoth) {
    CAPTURE(item.words);
    CHECK_FALSE(parse(item));
    flush(ns);
    const std::string rule = nfproto_of(item) + dnat_of(item);
    CHECK_THROWS(test::nft(
        ns, replaced(unconditioned, "\t\t" + rule, "\t\t" + item.words + " " + dnat_of(item))));
  }
}

TEST_CASE("conditions: the longest list there may be is taken by the kernel") {
  Lab lab;
  const std::string ns = lab.bare("nft");
  std::string words = "ip6 saddr fd00::1 tcp sport 5";
  for (std::size_t i = 2; i < kMaxConditions; ++i)
    words += i % 2 == 0 ? " meta mark 1-5" : " ip6 daddr fd00::/63";
  NetworkChain network{"c", {}};
  network.conditions_v6 = *parse({v6, words});
  CHECK(network.conditions_v6.size() == kMaxConditions);
  build(ns, network);
  CHECK(listing(ns).find(
            "meta mark 0x00000001-0x00000005 ip6 daddr fd00::/63 ct label set 127 dnat ip6 to") !=
        std::string::npos);
}

TEST_CASE("conditions: a set of thousands of prefixes is one set") {
  Lab lab;
  const std::string ns = lab.bare("nft");
  std::string words = "ip saddr {";
  for (int i = 0; i < 5000; ++i)
    words += "10." + std::to_string(i / 100) + "." + std::to_string(i % 100 * 2) + ".0/24,";
  NetworkChain network{"c", {}};
  network.conditions_v4 = *parse({v4, words + "}"});
  build(ns, network);
  const std::string text = listing(ns);
  std::size_t prefixes = 0;
  for (std::size_t at = text.find("/24"); at != std::string::npos; at = text.find("/24", at + 1))
    ++prefixes;
  CHECK(prefixes == 2 * 5000);
  load_again(ns);
  CHECK((listing(ns) == text));
}

TEST_CASE("conditions: a port is reached from the address that they name, and from no other") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  for (const char* address : {"192.0.2.3/24", "192.0.2.4/24"})
    REQUIRE(run({"ip", "-n", lab.client(), "addr", "add", address, "dev", "eth0"}).status == 0);
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  const Server server6(abc, "abc", Protocol::tcp, "::", 80);
  const auto from = [&lab](const std::string& source, const std::string& host = "192.0.2.1") {
    return probe(lab.client(), Protocol::tcp, host, 8080,
                 {.source_address = source, .timeout = std::chrono::milliseconds(2000)});
  };

  CHECK(
      Runtime(lab, R"("conditionsV4":["ip","saddr","192.0.2.2"])")
          .add("abc", {{8080, 80}})
          .find("nft-port-mapper: network web has conditionsV4 and no conditionsV6: over IPv6 its "
                "ports are open to everybody\n") != std::string::npos);
  CHECK(from("192.0.2.2") == "abc 192.0.2.2");
  CHECK(from("192.0.2.3") == "refused");
  CHECK(from("2001:db8::2", "2001:db8::1") == "abc 2001:db8::2");  // no condition for IPv6

  // The next ADD of the network changes its rules.
  REQUIRE(Runtime(lab, R"("conditionsV4":["ip saddr {192.0.2.3,192.0.2.4}"],)"
                       R"("conditionsV6":["tcp dport != 8080"])")
              .add("abc", {{8080, 80}}) == done);
  CHECK(from("192.0.2.2") == "refused");
  CHECK(from("192.0.2.3") == "abc 192.0.2.3");
  CHECK(from("192.0.2.4") == "abc 192.0.2.4");
  CHECK(from("2001:db8::2", "2001:db8::1") == "refused");
}

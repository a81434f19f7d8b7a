// lib/app/doctor: rules before, at and behind the forward chains, judged without a kernel.
#include <doctest/doctest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>

#include "lib/app/doctor/doctor.hpp"
#include "lib/app/doctor/passing.hpp"
#include "nft/names.hpp"
#include "nft/netlink_message.hpp"

using namespace portmapper;
using namespace portmapper::doctor;
using nft::foreign::Blob;
using nft::foreign::Condition;
using nft::foreign::Deed;
using nft::foreign::PacketField;
using nft::foreign::TableId;
using Kind = nft::foreign::Verdict::Kind;
using OtherChain = nft::foreign::Chain;
using OtherHook = nft::foreign::Hook;
using OtherRule = nft::foreign::Rule;

namespace {

RoutedPort tcp_port(const std::string& address, std::uint16_t number, const std::string& endpoint) {
  return {{*IpAddress::parse(address), Protocol::tcp, *Port::from(number)},
          {*IpAddress::parse(endpoint), *Port::from(80)},
          {"cni0", 3},
          "WEB"};
}

Host two_uplinks() {
  Host host;
  host.ports = {tcp_port("0.0.0.0", 8080, "10.22.0.2")};
  host.addresses = {*IpAddress::parse("127.0.0.1"), *IpAddress::parse("192.0.2.1"),
                    *IpAddress::parse("192.0.2.11")};
  host.devices = {{"eth0", 2}, {"cni0", 3}, {"wlan0", 4}};
  host.default_devices = {"eth0"};
  host.ports_of = {{"cni0", {"veth1"}}};
  return host;
}

std::string told(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings)
    text += (finding.level == Finding::Level::note ? "note: " : "problem: ") + finding.what +
            " | " + finding.why + " | " + finding.command + "\n";
  return text;
}

// What is found, without reasons and commands.
std::string heads(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings)
    text += (finding.level == Finding::Level::note ? "note: " : "problem: ") + finding.what + "\n";
  return text;
}

OtherChain chain(std::uint8_t family, OtherHook hook, std::vector<OtherRule> rules,
                 const std::string& name = "c") {
  return {
      .table = {family, "t"}, .name = name, .handle = 1, .hook = hook, .rules = std::move(rules)};
}

OtherRule ends(std::uint64_t handle, Kind kind, std::vector<Condition> conditions = {}) {
  return {.handle = handle, .conditions = std::move(conditions), .verdict = {kind, {}}};
}

Host with(Host host, const OtherChain& other) {
  host.others.chains.emplace(nft::foreign::Name{other.table, other.name}, other);
  return host;
}

Condition is(PacketField field, const std::string& text, Blob value, bool inverted = false) {
  return {.key = {{field, text, value.size()}}, .values = {{value, value}}, .inverted = inverted};
}

Condition by(const std::string& device, bool inverted = false) {
  Blob name(device.begin(), device.end());
  name.resize(16);
  return is(PacketField::iifname, "iifname", name, inverted);
}

Condition unknown(const std::string& text) {
  return {.key = {{PacketField::opaque, text, 4}}};
}

const Condition to_8080 = is(PacketField::dport, "dport", {0x1f, 0x90});
const Condition to_80 = is(PacketField::dport, "dport", {0x00, 0x50});
const Condition from_80 = is(PacketField::sport, "sport", {0x00, 0x50});
const Condition is_new = is(PacketField::ct_state, "ct state",
                            nft::foreign::blob_of(host_number(NF_CT_STATE_BIT(IP_CT_NEW))));
const std::string kPort = "0.0.0.0:8080/tcp";
constexpr std::int32_t kRaw = -300;
constexpr std::int32_t kMangle = -150;

OtherHook prerouting(std::int32_t priority) {
  return {"filter", NF_INET_PRE_ROUTING, priority};
}

}  // namespace

TEST_CASE("doctor: a packet is what it is at the chain's priority") {
  struct Row {
    std::int32_t priority;
    Condition condition;
    std::string finding;
  };
  const std::string drops = ": table ip t, chain c, rule handle 7: drops ";
  const std::vector<Row> rows = {
      {kRaw, to_8080, "problem" + drops + "packets to " + kPort + "\n"},
      {kRaw, to_80, ""},
      {kRaw, from_80, "problem" + drops + "replies from " + kPort + "\n"},
      // Nothing is tracked there, so the rule is none for us.
      {kRaw, is_new, ""},
      {kRaw, is(PacketField::ct_status, "ct status", Blob(4), true), ""},
      {kMangle, is_new, "problem" + drops + "packets to " + kPort + "\n"},
      {-200, is_new,
       "note" + drops + "packets to " + kPort + " where ct state new\nnote" + drops +
           "replies from " + kPort + " where ct state new\n"},
      // In front of our translation, or behind it: of two at dstnat nobody knows.
      {-101, to_80, ""},
      {-100, to_80, "note" + drops + "packets to " + kPort + "\n"},
      {-100, to_8080, "note" + drops + "packets to " + kPort + "\n"},
      {-99, to_80, "problem" + drops + "packets to " + kPort + "\n"},
      {-99, to_8080, ""},
      // No device is known by which it leaves.
      {kRaw, is(PacketField::oifname, "oifname", Blob{'c', 'n', 'i', '0', 0}), ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.priority);
    CAPTURE(to_string(row.condition));
    CHECK(heads(find_arrival_drops(
              with(two_uplinks(), chain(NFPROTO_IPV4, prerouting(row.priority),
                                        {ends(7, Kind::drop, {row.condition})})))) == row.finding);
  }
}

TEST_CASE("doctor: a rule that lets connections begin, and drops what they send") {
  const auto found = [](OtherRule rule) {
    const OtherChain forward =
        chain(NFPROTO_INET, {"filter", NF_INET_FORWARD, 0, false}, {std::move(rule)});
    return told(find_forward_drops(with(two_uplinks(), forward)));
  };
  const auto flags = [](std::uint8_t value) {
    Condition condition = is(PacketField::tcp_flags, "tcp flags", {0}, true);
    condition.key[0].mask = {value};
    return condition;
  };
  const std::string place = ": table inet t, chain c, rule handle 7: drops packets to ";
  CHECK(found(ends(7, Kind::drop, {by("eth0"), flags(0x10)})) ==
        "problem" + place +
            "open connections of 0.0.0.0:8080/tcp | connections are made, and hang when something"
            " is to be sent | nft insert rule inet t c handle 7 ct status dnat accept\n");
  CHECK(found(ends(7, Kind::drop, {by("eth0"), flags(0x08)}))
            .starts_with("note" + place + "open connections of 0.0.0.0:8080/tcp where tcp flags"));
  // What takes the first packets is told once.
  CHECK(found(ends(7, Kind::drop, {by("eth0")})).find("open connections") == std::string::npos);
}

TEST_CASE("doctor: clients come by the default route's interface, others are a note") {
  const auto found = [](std::vector<OtherRule> rules) {
    return heads(find_arrival_drops(
        with(two_uplinks(), chain(NFPROTO_INET, prerouting(kRaw), std::move(rules)))));
  };
  const std::string drops = ": table inet t, chain c, rule handle 7: drops packets to " + kPort;
  CHECK(found({ends(7, Kind::drop, {by("eth0"), to_8080})}) == "problem" + drops + "\n");
  CHECK(found({ends(7, Kind::drop, {by("wlan0"), to_8080})}) ==
        "note" + drops + " where iifname \"wlan0\"\n");
  CHECK(found({ends(7, Kind::drop, {by("eth0", true), to_8080})}) ==
        "note" + drops + " where iifname != \"eth0\"\n");
  CHECK(found({ends(6, Kind::accept, {by("eth0")}), ends(7, Kind::drop, {to_8080})}) ==
        "note" + drops + " except where iifname \"eth0\"\n");
  Host asked = with(two_uplinks(), chain(NFPROTO_INET, prerouting(kRaw),
                                         {ends(7, Kind::drop, {by("wlan0"), to_8080})}));
  asked.client = Client{*IpAddress::parse("198.51.100.7"), "wlan0"};
  CHECK(heads(find_arrival_drops(asked)) == "problem" + drops + "\n");
  asked.client->device = "eth0";
  CHECK(heads(find_arrival_drops(asked)) == "");
}

TEST_CASE("doctor: a client that was named is compared with source addresses") {
  Host host = with(
      two_uplinks(),
      chain(NFPROTO_IPV4, {"filter", NF_INET_FORWARD, 0},
            {ends(7, Kind::drop, {is(PacketField::ip_saddr, "ip saddr", {198, 51, 100, 7})})}));
  const std::string drops = ": table ip t, chain c, rule handle 7: drops packets to " + kPort;
  CHECK(heads(find_forward_drops(host)) == "note" + drops + " where ip saddr 198.51.100.7\n");
  host.client = Client{*IpAddress::parse("198.51.100.7"), "eth0"};
  CHECK(heads(find_forward_drops(host)) == "problem" + drops + "\n");
  host.client = Client{*IpAddress::parse("198.51.100.8"), "eth0"};
  CHECK(heads(find_forward_drops(host)) == "");
}

TEST_CASE("doctor: before the translation, no command lifts what may be a ban") {
  const auto found = [](std::vector<OtherRule> rules) {
    return told(find_arrival_drops(
        with(two_uplinks(), chain(NFPROTO_INET, prerouting(kRaw), std::move(rules)))));
  };
  CHECK(found({ends(7, Kind::drop, {is(PacketField::ip_saddr, "ip saddr", {192, 0, 2, 9})})}) ==
        "note: table inet t, chain c, rule handle 7: drops packets to 0.0.0.0:8080/tcp where ip"
        " saddr 192.0.2.9 | it depends on the client, or on a condition that the doctor does not"
        " know | \n");
  CHECK(found({ends(7, Kind::drop, {to_8080})}) ==
        "problem: table inet t, chain c, rule handle 7: drops packets to 0.0.0.0:8080/tcp | it"
        " does so before they are translated, so nothing reaches the container | nft insert rule"
        " inet t c handle 7 tcp dport 8080 accept\n");
  CHECK(
      found({ends(7, Kind::divert, {to_8080})})
          .starts_with("note: table inet t, chain c, rule handle 7: diverts packets to " + kPort));
}

TEST_CASE("doctor: an ingress chain on the client's interface, on its port, on another") {
  Host host = two_uplinks();
  host.ports_of["eth0"] = {"port1", "port2"};
  const auto found = [&host](std::vector<std::string> devices) {
    OtherHook hook{"filter", NF_NETDEV_INGRESS, 0};
    hook.devices = std::move(devices);
    return heads(find_arrival_drops(
        with(host, chain(NFPROTO_NETDEV, hook, {ends(7, Kind::drop, {to_8080})}))));
  };
  const std::string drops = ": table netdev t, chain c, rule handle 7: drops packets to " + kPort;
  CHECK(found({"eth0"}) == "problem" + drops + " on eth0\n");
  CHECK(found({"port1", "port2"}) == "problem" + drops + " on port1, port2\n");
  CHECK(found({"port1"}) == "note" + drops + " on port1\n");
  CHECK(found({"wlan0"}) == "note" + drops + " on wlan0\n");
  CHECK(found({"cni0"}) == "");
  CHECK(found({"veth9"}) == "");
}

TEST_CASE("doctor: answers come in by the container's end of a bridge, and may be dropped there") {
  const auto found = [](std::uint8_t family, std::uint32_t number, const Condition& condition,
                        std::vector<std::string> devices = {}) {
    OtherHook hook{"filter", number, 0};
    hook.devices = std::move(devices);
    const Host host = with(two_uplinks(), chain(family, hook, {ends(7, Kind::drop, {condition})}));
    return heads(find_arrival_drops(host)) + heads(find_departure_drops(host));
  };
  const std::string of = "chain c, rule handle 7: drops ";
  CHECK(found(NFPROTO_NETDEV, NF_NETDEV_INGRESS, from_80, {"veth1"}) ==
        "problem: table netdev t, " + of + "replies from " + kPort + " on veth1\n");
  CHECK(found(NFPROTO_NETDEV, NF_NETDEV_EGRESS, to_80, {"cni0"}) ==
        "problem: table netdev t, " + of + "packets to " + kPort + " on cni0\n");
  CHECK(found(NFPROTO_BRIDGE, NF_INET_PRE_ROUTING, from_80) ==
        "problem: table bridge t, " + of + "replies from " + kPort + "\n");
  CHECK(found(NFPROTO_BRIDGE, NF_INET_LOCAL_OUT, to_80) ==
        "problem: table bridge t, " + of + "packets to " + kPort + "\n");
  CHECK(found(NFPROTO_BRIDGE, NF_INET_LOCAL_OUT, from_80) == "");
  CHECK(found(NFPROTO_BRIDGE, NF_INET_FORWARD, to_80) == "");
}

TEST_CASE("doctor: what a bridge forwards by itself is a note, where br_netfilter translates it") {
  Host host = with(two_uplinks(), chain(NFPROTO_BRIDGE, {"filter", NF_INET_FORWARD, 0},
                                        {ends(7, Kind::drop, {to_80})}));
  CHECK(told(find_forward_drops(host)) == "");
  host.bridge_calls = 1;
  CHECK(told(find_forward_drops(host)) == "");  // there is no neighbour
  host.ports_of["cni0"].push_back("veth2");
  CHECK(told(find_forward_drops(host)) ==
        "note: table bridge t, chain c, rule handle 7: drops packets to 0.0.0.0:8080/tcp |"
        " br_netfilter is on, so what a container sends to the published port of another on its"
        " bridge passes this chain | \n");
}

TEST_CASE("doctor: behind the forward chains, answers have the host's port again") {
  const auto found = [](std::int32_t priority, const Condition& condition) {
    return told(find_departure_drops(
        with(two_uplinks(), chain(NFPROTO_INET, {"filter", NF_INET_POST_ROUTING, priority},
                                  {ends(7, Kind::drop, {condition})}))));
  };
  CHECK(found(0, to_80) ==
        "problem: table inet t, chain c, rule handle 7: drops packets to 0.0.0.0:8080/tcp | it"
        " does so behind the forward chains, where they are translated already | nft insert rule"
        " inet t c handle 7 ct status dnat accept\n");
  const Condition from_8080 = is(PacketField::sport, "sport", {0x1f, 0x90});
  CHECK(found(0, from_8080) == "");
  CHECK(found(300, from_8080)
            .starts_with("problem: table inet t, chain c, rule handle 7: drops replies from " +
                         kPort + " | connections reach the container, but nothing comes back"));
}

TEST_CASE("doctor: what keeps a connection from being tracked, and conntrack zones that differ") {
  const auto deed = [](std::uint64_t handle, Deed what, std::vector<Condition> conditions) {
    OtherRule rule{.handle = handle, .conditions = std::move(conditions)};
    rule.deeds.push_back(std::move(what));
    return rule;
  };
  const auto found = [](std::vector<OtherRule> rules, std::int32_t priority = kRaw) {
    return heads(find_untracked(
        with(two_uplinks(), chain(NFPROTO_IPV4, prerouting(priority), std::move(rules)))));
  };
  const Deed untrack{.kind = Deed::Kind::untrack};
  const auto zone = [](std::uint16_t number) {
    return Deed{.kind = Deed::Kind::zone, .zone = number};
  };
  const std::string rule = "table ip t, chain c, rule handle ";
  CHECK(found({deed(7, untrack, {to_8080})}) ==
        "problem: " + rule + "7: keeps packets to " + kPort + " from being tracked\n");
  CHECK(found({deed(7, untrack, {from_80})}) ==
        "problem: " + rule + "7: keeps replies from " + kPort + " from being tracked\n");
  CHECK(found({deed(7, untrack, {to_8080})}, kMangle) == "");
  CHECK(found({deed(7, untrack, {to_8080, unknown("meta mark")})}) ==
        "note: " + rule + "7: keeps packets to " + kPort + " from being tracked where meta mark\n");
  CHECK(found({deed(6, zone(5), {by("eth0")}), deed(7, zone(5), {by("cni0")})}) == "");
  CHECK(found({deed(6, zone(5), {by("eth0")})}) ==
        "problem: " + rule + "6: puts packets to " + kPort + " into conntrack zone 5\n");
  CHECK(found({deed(6, zone(5), {by("cni0")})}) ==
        "problem: " + rule + "6: puts replies from " + kPort + " into conntrack zone 5\n");
  CHECK(found({deed(6, Deed{.kind = Deed::Kind::zone}, {})}) ==
        "note: " + rule + "6: puts packets to " + kPort + " into a conntrack zone\n");
  const Deed rewrite{.kind = Deed::Kind::rewrite, .field = {PacketField::dport, "dport", 2}};
  CHECK(found({deed(7, rewrite, {to_8080})}, kMangle) ==
        "problem: " + rule + "7: rewrites dport of packets to " + kPort + "\n");
}

TEST_CASE(
    "doctor: whoever hides the clients' addresses is told, containers' own masquerade is not") {
  const auto found = [](Host host, std::vector<Condition> conditions) {
    return heads(find_lost_sources(
        with(std::move(host), chain(NFPROTO_IPV4, {"nat", NF_INET_POST_ROUTING, 100},
                                    {ends(7, Kind::masquerade, std::move(conditions))}))));
  };
  const std::string hides =
      "note: table ip t, chain c, rule handle 7: hides who connects to " + kPort + "\n";
  CHECK(found(two_uplinks(), {}) == hides);
  CHECK(found(two_uplinks(), {is(PacketField::ip_saddr, "ip saddr", {10, 22})}) == "");
  CHECK(found(two_uplinks(), {unknown("meta mark")}) == "");
  // masqAll: our own pair has every source.
  Host all = two_uplinks();
  const TableId own{NFPROTO_INET, nft::kTable};
  const Condition pair{
      .key = {{PacketField::ip_saddr, "ip saddr", 4}, {PacketField::ip_daddr, "ip daddr", 4}},
      .values = {{{0, 0, 0, 0, 10, 22, 0, 0}, {255, 255, 255, 255, 10, 22, 255, 255}}},
      .set = "hairpin-ip"};
  OtherChain ours = chain(NFPROTO_INET, {"nat", NF_INET_POST_ROUTING, 99},
                          {ends(3, Kind::masquerade, {pair})}, nft::kPostrouting);
  ours.table = own;
  all.own.chains.emplace(nft::foreign::Name{own, nft::kPostrouting}, ours);
  CHECK(found(all, {}) == "");
}

TEST_CASE("doctor: a network's own chain that leaves the default route's interface out") {
  const TableId own{NFPROTO_INET, nft::kTable};
  const auto found = [&own](std::vector<OtherRule> rules) {
    Host host = two_uplinks();
    Condition lookup = unknown("lookup");
    lookup.set = "WEB-ip";
    rules.push_back(ends(9, Kind::translate, {lookup}));
    OtherChain web{.table = own, .name = "WEB", .rules = std::move(rules)};
    host.own.chains.emplace(nft::foreign::Name{own, "WEB"}, web);
    return heads(find_shut_out(host));
  };
  const std::string leaves =
      "chain WEB leaves out what comes by eth0: clients there do not reach " + kPort + "\n";
  CHECK(found({}) == "");
  CHECK(found({ends(5, Kind::leave, {by("cni0")})}) == "");
  CHECK(found({ends(5, Kind::leave, {by("wlan0")})}) == "");
  CHECK(found({ends(5, Kind::leave, {by("eth0")})}) == "note: " + leaves);
  CHECK(found({ends(5, Kind::leave, {by("eth0")}), ends(6, Kind::leave, {by("wlan0")})}) ==
        "problem: " + leaves);
  CHECK(found({ends(5, Kind::leave, {is(PacketField::ip_daddr, "ip daddr", {192, 0, 2, 11})})}) ==
        "");
}

TEST_CASE("doctor: rules of a living keeper are told of, and no command deletes them") {
  const auto found = [](const std::string& name, const std::string& table = "t") {
    OtherChain base = chain(NFPROTO_IPV4, {"nat", NF_INET_PRE_ROUTING, -100},
                            {{.handle = 4, .verdict = {Kind::jump, name}}}, "PREROUTING");
    OtherChain service{.table = {NFPROTO_IPV4, table}, .name = name};
    service.rules.push_back(ends(5, Kind::translate, {to_8080}));
    service.rules.front().target = *IpAddress::parse("10.22.0.9");
    base.table.name = table;
    Host host = with(with(two_uplinks(), base), service);
    return host;
  };
  const auto command = [](const Host& host) {
    const std::vector<Finding> findings = find_earlier_translations(host);
    REQUIRE(findings.size() == 1);
    CHECK(findings.front().level == Finding::Level::problem);
    return findings.front().command;
  };
  CHECK(command(found("mine")) == "nft delete rule ip t mine handle 5");
  for (const char* name : {"KUBE-NODEPORTS", "DOCKER", "CNI-DN-0123", "NETAVARK-DN-1"}) {
    CAPTURE(name);
    CHECK(command(found(name)) == "");
  }
  for (const char* table : {"kube-proxy", "io.systemd.nat", "cni_hostport"}) {
    CAPTURE(table);
    CHECK(command(found("mine", table)) == "");
  }
  Host host = found("CNI-DN-0123");
  host.gone = {*IpAddress::parse("10.22.0.9")};
  CHECK(command(host) == "nft delete rule ip t CNI-DN-0123 handle 5");
}

TEST_CASE(
    "doctor: of two chains of our priority, only what the tables' numbers prove is a problem") {
  Host host = with(two_uplinks(), chain(NFPROTO_IPV4, {"nat", NF_INET_PRE_ROUTING, -99},
                                        {ends(7, Kind::translate, {to_8080})}));
  const std::string translates = ": table ip t, chain c, rule handle 7: translates " + kPort + "\n";
  CHECK(heads(find_earlier_translations(host)) == "note" + translates);
  const TableId own{NFPROTO_INET, nft::kTable};
  OtherChain ours = chain(NFPROTO_INET, {"nat", NF_INET_PRE_ROUTING, -99}, {}, nft::kPrerouting);
  ours.table = own;
  ours.handle = 30;
  host.own.chains.emplace(nft::foreign::Name{own, nft::kPrerouting}, ours);
  host.table_handles = {{own, 3}, {{NFPROTO_IPV4, "t"}, 4}};
  CHECK(heads(find_earlier_translations(host)) == "problem" + translates);
  host.table_handles[own] = 5;
  CHECK(heads(find_earlier_translations(host)) == "note" + translates);
  host.table_handles[own] = 3;
  host.own.chains.begin()->second.handle = 60;  // made again
  CHECK(heads(find_earlier_translations(host)) == "note" + translates);
}

TEST_CASE("doctor: of portmap's rules only those that lead to nobody are cleaned away") {
  Host host = two_uplinks();
  const auto add = [&host](const std::string& name, std::vector<OtherRule> rules) {
    OtherChain one{.table = {NFPROTO_IPV4, "nat"}, .name = name, .rules = std::move(rules)};
    host.others.chains.emplace(nft::foreign::Name{one.table, name}, one);
  };
  const auto leads_to = [](std::uint64_t handle, const char* address) {
    OtherRule rule = ends(handle, Kind::translate, {to_8080});
    rule.target = *IpAddress::parse(address);
    return rule;
  };
  add("PREROUTING", {{.handle = 4, .verdict = {Kind::jump, "CNI-HOSTPORT-DNAT"}}});
  add("CNI-HOSTPORT-DNAT", {{.handle = 5, .verdict = {Kind::jump, "CNI-DN-a"}},
                            {.handle = 6, .verdict = {Kind::jump, "CNI-DN-b"}}});
  add("CNI-DN-a", {leads_to(7, "10.22.0.8")});
  add("CNI-DN-b", {leads_to(8, "10.22.0.9")});
  CHECK(portmap_targets(host.others) ==
        std::set<IpAddress>{*IpAddress::parse("10.22.0.8"), *IpAddress::parse("10.22.0.9")});
  const std::string head =
      "note: table ip nat has chains of portmap: CNI-DN-a, CNI-DN-b, CNI-HOSTPORT-DNAT |"
      " portmap's rules are evaluated before ours: a port in one of them leads to its container; ";
  CHECK(told(find_portmap_leftovers(host)) ==
        head + "none of its containers is proven gone, so leave them to portmap | \n");
  host.gone = {*IpAddress::parse("10.22.0.8")};
  CHECK(told(find_portmap_leftovers(host)) ==
        head +
            "no namespace of this host has the addresses that 1 of them leads to; the others"
            " stay | nft 'delete rule ip nat CNI-HOSTPORT-DNAT handle 5; flush chain ip nat"
            " CNI-DN-a; delete chain ip nat CNI-DN-a'\n");
  host.gone.insert(*IpAddress::parse("10.22.0.9"));
  CHECK(told(find_portmap_leftovers(host)) ==
        head +
            "no namespace of this host has the addresses that they lead to | nft 'delete rule"
            " ip nat PREROUTING handle 4; flush chain ip nat CNI-DN-a; flush chain ip nat"
            " CNI-DN-b; flush chain ip nat CNI-HOSTPORT-DNAT; delete chain ip nat CNI-DN-a;"
            " delete chain ip nat CNI-DN-b; delete chain ip nat CNI-HOSTPORT-DNAT'\n");
}

TEST_CASE("doctor: a port on the loopback alone meets no forward chain") {
  Host host = with(two_uplinks(), chain(NFPROTO_IPV4, {"filter", NF_INET_FORWARD, 0, true}, {}));
  host.ports = {tcp_port("127.0.0.1", 8080, "10.22.0.2")};
  CHECK(heads(find_forward_drops(host)) == "");
}

TEST_CASE("doctor: where a command's effect is kept depends on who loads the chain") {
  const auto keep = [](const std::string& table, const std::string& name,
                       const std::string& other_chain = "") {
    OtherChain base = chain(NFPROTO_IPV4, {"filter", NF_INET_FORWARD, 0, true}, {}, name);
    base.table.name = table;
    Host host = with(two_uplinks(), base);
    if (!other_chain.empty())
      host = with(host, OtherChain{.table = base.table, .name = other_chain});
    const std::vector<Finding> findings = find_forward_drops(host);
    REQUIRE(findings.size() == 1);
    return findings.front().keep;
  };
  CHECK(keep("fw", "forward") ==
        "it lasts until the ruleset is loaded again; write it into /etc/nftables.conf, or whatever"
        " loads this table");
  CHECK(keep("firewalld", "filter_FORWARD") ==
        "firewalld forgets it when it is reloaded; StrictForwardPorts=no in"
        " /etc/firewalld/firewalld.conf, or a policy of its own, lasts");
  CHECK(keep("filter", "FORWARD", "ufw-before-forward") ==
        "ufw forgets it when it is reloaded; the rule lasts in /etc/ufw/before.rules");
  CHECK(keep("filter", "FORWARD") ==
        "it lasts until the host boots; netfilter-persistent save, or whatever loads your iptables"
        " rules, keeps it");
}

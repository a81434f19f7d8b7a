// lib/app/doctor/marks: the marks that rules give packets, and the routes that follow from them.
#include <doctest/doctest.h>
#include <linux/fib_rules.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "lib/app/doctor/marks.hpp"
#include "lib/host/route_lookup.hpp"
#include "tests/support/healthy_host.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::doctor;
using namespace portmapper::test;
using nft::foreign::Deed;
using nft::foreign::PacketField;

namespace {

nft::foreign::Rule marking(std::uint64_t handle, const std::string& device,
                           std::optional<std::uint32_t> mark, std::uint32_t kept = 0) {
  nft::foreign::Rule rule{.handle = handle};
  if (!device.empty()) {
    nft::foreign::Blob name(device.begin(), device.end());
    name.resize(16);
    rule.conditions = {{.key = {{PacketField::iifname, "iifname", 16}}, .values = {{name, name}}}};
  }
  rule.deeds = {{.kind = Deed::Kind::mark, .mark = mark, .kept = kept}};
  return rule;
}

// Chains of prerouting, by priority.
Host with(const std::map<std::int32_t, std::vector<nft::foreign::Rule>>& chains) {
  Host host = healthy_host();
  host.ports.pop_back();
  host.families_by_mark = {Family::ipv4};
  const nft::foreign::TableId table{NFPROTO_IPV4, "fw"};
  for (const auto& [priority, rules] : chains) {
    const std::string name = "at" + std::to_string(-priority);
    host.others.chains.emplace(
        nft::foreign::Name{table, name},
        nft::foreign::Chain{table, name, 1,
                            nft::foreign::Hook{"filter", NF_INET_PRE_ROUTING, priority}, rules});
  }
  return host;
}

std::string mark_in(const Host& host, Direction direction = Direction::request) {
  const host::Device in =
      direction == Direction::request ? host::Device{"eth0", 2} : host::Device{"cni0", 3};
  const Mark mark = mark_of(host, host.ports[0], in, direction);
  return (mark.number ? std::to_string(*mark.number) : "?") + " " + mark.by;
}

nft::foreign::Rule only_some(nft::foreign::Rule rule) {
  rule.conditions.push_back({.key = {{PacketField::opaque, "limit", 4}}});
  return rule;
}

}  // namespace

TEST_CASE("doctor marks: the last rule decides, and only for packets that meet it") {
  const std::string by = " table ip fw, chain at150, rule handle ";
  CHECK(mark_in(with({})) == "0 ");
  CHECK(mark_in(with({{-150, {marking(2, "eth0", 9)}}})) == "9" + by + "2");
  CHECK(mark_in(with({{-150, {marking(2, "eth1", 9)}}})) == "0 ");
  CHECK(mark_in(with({{-150, {marking(2, "eth0", 9)}}}), Direction::answer) == "0 ");
  CHECK(mark_in(with({{-150, {marking(2, "cni0", 9)}}}), Direction::answer) == "9" + by + "2");
  CHECK(mark_in(with({{-300, {marking(2, "", 7)}}, {-150, {marking(3, "", 9)}}})) ==
        "9" + by + "3");
  // Bits are added to what an earlier rule gave.
  CHECK(mark_in(with({{-300, {marking(2, "", 7)}}, {-150, {marking(3, "", 8, ~8U)}}})) ==
        "15" + by + "3");
}

TEST_CASE("doctor marks: one that is computed, or that only some packets get, is not known") {
  const std::string by = " table ip fw, chain at150, rule handle ";
  CHECK(mark_in(with({{-150, {marking(2, "", std::nullopt)}}})) == "?" + by + "2");
  CHECK(mark_in(with({{-150, {only_some(marking(2, "", 9))}}})) == "?" + by + "2");
  CHECK(mark_in(with({{-150, {marking(2, "", 9), only_some(marking(3, "", 9))}}})) ==
        "9" + by + "3");
  CHECK(mark_in(with({{-150, {marking(2, "", std::nullopt), marking(3, "", 4)}}})) ==
        "4" + by + "3");
  // Where no ip rule looks at marks they lead nobody elsewhere.
  Host host = with({{-150, {marking(2, "", 9)}}});
  host.families_by_mark = {Family::ipv6};
  CHECK(mark_in(host) == "0 ");
}

TEST_CASE(
    "doctor marks: a route that was looked up with the mark is a problem, without it a note") {
  Host host = with({});
  const std::string by = "table ip fw, chain c, rule handle 2";
  host.ports[0].ways[0].request = {.in = "eth0", .refusal = EINVAL, .mark = {9, by}};
  host.ports[0].trial = {host::Answer::answered, host::Answer::answered};
  CHECK(told(find_lost_ways(host)) ==
        "problem: a blackhole route leads to 10.22.0.2, where 0.0.0.0:8080/tcp leads | the host"
        " drops requests to 0.0.0.0:8080/tcp; `ip route get 10.22.0.2 from 192.0.2.2 iif eth0 mark"
        " 9` shows it, `ip rule` the rules; table ip fw, chain c, rule handle 2 gives them that"
        " mark | \n");
  host.ports[0].ways[0].request.mark.number.reset();
  const std::string unsure =
      "note: a blackhole route leads to 10.22.0.2, where 0.0.0.0:8080/tcp leads | the host drops"
      " requests to 0.0.0.0:8080/tcp from clients such as 192.0.2.2; `ip route get 10.22.0.2 from"
      " 192.0.2.2 iif eth0` shows it, `ip rule` the rules; table ip fw, chain c, rule handle 2 may"
      " mark them, and with what is not known here: some rules of `ip rule` look at marks | \n";
  CHECK(told(find_lost_ways(host)) == unsure);
  host.ports[0].trial = {};
  CHECK(told(find_lost_ways(host)) == unsure);
  host.ports[0].trial = {host::Answer::answered, host::Answer::silent};
  CHECK(told(find_lost_ways(host)).starts_with("problem: a blackhole route leads to 10.22.0.2"));
}

TEST_CASE("doctor marks: one that is not known is told of, where nothing else is wrong") {
  Host host = with({});
  const std::string by = "table ip fw, chain c, rule handle 2";
  host.ports[0].ways[0].answer->mark = {std::nullopt, by};
  CHECK(told(diagnose(host)) ==
        "note: table ip fw, chain c, rule handle 2: marks replies from 0.0.0.0:8080/tcp, or some of"
        " them, with what is not known here | `ip rule` has rules that look at marks, so the route"
        " that these packets take may be another than the one that was looked up | \n");
}

TEST_CASE("route lookup: a mark is asked about, and which families' rules look at marks") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().acknowledge(0));
  (void)host::look_up(kernel, {.to = *IpAddress::parse("10.22.0.2"), .mark = 9});
  REQUIRE(kernel.requests.size() == 1);
  const auto& request = *reinterpret_cast<const nlmsghdr*>(kernel.requests[0].data());
  const auto mark = Attributes(message_attributes(request, sizeof(rtmsg))).find(RTA_MARK);
  REQUIRE(mark);
  CHECK(mark->raw<std::uint32_t>() == 9);
  const auto rule = [](std::uint8_t family, std::uint16_t attribute) {
    Buffer body(sizeof(fib_rule_hdr));
    body[0] = family;
    const Attrs attributes = Attrs().put(attribute, unhex("09000000"));
    body.insert(body.end(), attributes.bytes().begin(), attributes.bytes().end());
    return Replies().message(RTM_NEWRULE, NLM_F_MULTI, 0, body);
  };
  kernel.answers = {rule(AF_INET, FRA_PRIORITY), rule(AF_INET6, FRA_FWMARK)};
  CHECK(host::families_by_mark(kernel)->empty());
  CHECK(*host::families_by_mark(kernel) == std::set<Family>{Family::ipv6});
}

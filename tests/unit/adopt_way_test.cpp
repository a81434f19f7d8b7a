// Whether rules that are not portmap's decide about a port before portmap's do, or would instead of ours.
#include <doctest/doctest.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>

#include "lib/app/adopt/way.hpp"
#include "lib/base/attributes.hpp"
#include "tests/support/bytes.hpp"

using namespace portmapper;
using namespace portmapper::adopt;
using namespace portmapper::nft::foreign;

namespace {

using Field = PacketField;
using Kind = Verdict::Kind;

const std::string own_chain = "CNI-DN-079b088a6514b81574c10";
const TableId nat{NFPROTO_IPV4, "nat"};
const TableId backend{NFPROTO_IPV4, "cni_hostport"};

Condition is(Field field, Blob value, const std::string& text = "") {
  return {.key = {{field, text, value.size()}}, .values = {{value, value}}};
}
Condition tcp() {
  return is(Field::l4proto, {6}, "meta l4proto");
}
Condition to_port(std::uint16_t port) {
  return is(Field::dport, {static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port)},
            "dport");
}
Condition from_client() {
  return is(Field::ip_saddr, {192, 0, 2, 2}, "ip saddr");
}
Condition to_address(std::uint8_t last) {
  return is(Field::ip_daddr, {192, 0, 2, last}, "ip daddr");
}
Condition local() {
  return is(Field::daddr_type, blob_of(host_number(RTN_LOCAL)), "fib daddr type");
}

Rule rule(std::uint64_t handle, std::vector<Condition> conditions, Kind kind,
          const std::string& chain = {}) {
  return {.handle = handle, .conditions = std::move(conditions), .verdict = {kind, chain}};
}
Rule translation(std::uint64_t handle, std::vector<Condition> conditions) {
  Rule made = rule(handle, std::move(conditions), Kind::translate);
  made.target = IpAddress::parse("10.22.0.2");
  made.target_port = Port::from(80);
  return made;
}

void add(Ruleset& all, const TableId& table, const std::string& name, std::vector<Rule> rules,
         std::optional<std::uint32_t> hook = {}, std::int32_t priority = -100) {
  Chain chain{.table = table, .name = name, .rules = std::move(rules)};
  if (hook) chain.hook = Hook{.type = "nat", .number = *hook, .priority = priority};
  all.chains.emplace(Name(table, name), std::move(chain));
}

// As portmap writes it with iptables-nft for one port.
Ruleset by_iptables() {
  Ruleset all;
  add(all, nat, "CNI-HOSTPORT-DNAT", {rule(22, {tcp(), to_port(8080)}, Kind::jump, own_chain)});
  add(all, nat, own_chain, {translation(15, {tcp(), to_port(8080)})});
  for (const auto& [name, hook] :
       {std::pair{"PREROUTING", NF_INET_PRE_ROUTING}, std::pair{"OUTPUT", NF_INET_LOCAL_OUT}})
    add(all, nat, name, {rule(9, {local()}, Kind::jump, "CNI-HOSTPORT-DNAT")}, hook);
  return all;
}

Ruleset by_backend() {
  Ruleset all;
  Rule own = translation(11, {tcp(), to_port(8080)});
  own.comment = "abc";
  add(all, backend, "hostports", {own});
  add(all, backend, "hostports_all", {rule(5, {}, Kind::jump, "hostports")});
  add(all, backend, "prerouting", {rule(7, {local()}, Kind::jump, "hostports_all")},
      NF_INET_PRE_ROUTING);
  add(all, backend, "output", {rule(9, {local()}, Kind::jump, "hostports_all")}, NF_INET_LOCAL_OUT);
  return all;
}

std::vector<Rule>& rules_of(Ruleset& all, const std::string& name, const TableId& table = nat) {
  return all.chains.at({table, name}).rules;
}

std::string why(const Ruleset& all) {
  const std::vector<PortmapPart> parts = portmap_parts(all);
  REQUIRE(parts.size() == 1);
  REQUIRE(parts.front().oddities.empty());
  Ways ways(all, parts, {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("127.0.0.1")});
  return ways.why_not(parts.front());
}

constexpr char kWhatToDo[] =
    ", which ours would not obey: write it into the network's configuration (conditionsV4,"
    " conditionsV6), or into a chain that filters, and take it away there";

std::string decides(const std::string& where) {
  return where + " about packets to 0.0.0.0:8080/tcp" + kWhatToDo;
}

}  // namespace

TEST_CASE("adopt's way: rules as portmap writes them are nobody else's business") {
  CHECK(why(by_iptables()) == "");
  CHECK(why(by_backend()) == "");
}

TEST_CASE("adopt's way: a client that an administrator excluded does not get in by ours") {
  Ruleset all = by_iptables();
  auto& entries = rules_of(all, "CNI-HOSTPORT-DNAT");
  entries.insert(entries.begin(), rule(30, {from_client()}, Kind::leave));
  CHECK(
      why(all) ==
      std::string("of packets to 0.0.0.0:8080/tcp only those get to portmap's rule in chain ip nat"
                  " CNI-HOSTPORT-DNAT for which holds: not ip saddr 192.0.2.2") +
          kWhatToDo);
  all = by_iptables();
  auto& before = rules_of(all, "PREROUTING");
  before.insert(before.begin(), rule(30, {from_client(), tcp(), to_port(8080)}, Kind::accept));
  CHECK(why(all) == decides("rule ip nat PREROUTING handle 30 is not portmap's, and decides before"
                            " it, where ip saddr 192.0.2.2,"));
  all = by_backend();
  auto& shared = rules_of(all, "hostports_all", backend);
  shared.insert(shared.begin(), rule(30, {from_client()}, Kind::drop));
  CHECK(why(all) == decides("rule ip cni_hostport hostports_all handle 30 is not portmap's, and"
                            " decides before it, where ip saddr 192.0.2.2,"));
}

TEST_CASE("adopt's way: what is about other packets, or behind portmap's rule, keeps nobody") {
  Ruleset all = by_iptables();
  auto& before = rules_of(all, "PREROUTING");
  // docker's, and kube-proxy's: by the port, the address, and in a chain of its own.
  add(all, nat, "DOCKER",
      {rule(31, {is(Field::iif, {1, 0, 0, 0}, "iif")}, Kind::leave),
       translation(32, {tcp(), to_port(9999)})});
  add(all, nat, "KUBE-SERVICES",
      {rule(33, {to_address(77), tcp(), to_port(8080)}, Kind::jump, "KUBE-SVC")});
  add(all, nat, "KUBE-SVC", {translation(34, {})});
  before.insert(before.begin(), {rule(35, {local()}, Kind::jump, "DOCKER"),
                                 rule(36, {}, Kind::jump, "KUBE-SERVICES")});
  rules_of(all, "CNI-HOSTPORT-DNAT").push_back(rule(37, {from_client()}, Kind::leave));
  CHECK(why(all) == "");
}

TEST_CASE("adopt's way: a translation that portmap was asked before does not get the port") {
  Ruleset all = by_iptables();
  rules_of(all, "PREROUTING").push_back(translation(40, {tcp(), to_port(8080)}));
  CHECK(why(all) ==
        "rule ip nat PREROUTING handle 40 is not portmap's, and would get 0.0.0.0:8080/tcp since it"
        " is asked before ours: remove one of the two");
  const TableId mine{NFPROTO_INET, "mine"};
  all = by_iptables();
  add(all, mine, "pre", {translation(3, {tcp(), to_port(8080), from_client()})},
      NF_INET_PRE_ROUTING, -99);
  CHECK(why(all) ==
        "rule inet mine pre handle 3 is not portmap's, and would get 0.0.0.0:8080/tcp, where ip"
        " saddr 192.0.2.2, since it is asked before ours: remove one of the two");
  all.chains.at({mine, "pre"}).hook->priority = -98;  // behind ours
  CHECK(why(all) == "");
}

// What the CNI project's portmap has in nf_tables: its names, its rules as parts, and their removal.
#include "nft/foreign/portmap.hpp"

#include <doctest/doctest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

#include <cerrno>

#include "lib/app/doctor/doctor.hpp"
#include "lib/app/portmap_rules.hpp"
#include "lib/base/sha512.hpp"
#include "nft/portmap.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::nft::foreign;
using namespace portmapper::test;

namespace {

using Field = PacketField;
namespace portmap = nft::portmap;
using nft::PortmapLeft;

const std::string own_chain = "CNI-DN-079b088a6514b81574c10";  // of web and abc
const TableId nat{NFPROTO_IPV4, "nat"};
const TableId backend{NFPROTO_IPV4, "cni_hostport"};

Condition is(Field field, Blob value) {
  return {.key = {{field, "", value.size()}}, .values = {{value, value}}};
}
Condition tcp() {
  return is(Field::l4proto, {6});
}
Condition to_port(std::uint16_t port) {
  return is(Field::dport, {static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port)});
}
Condition local() {
  return is(Field::daddr_type, blob_of(host_number(RTN_LOCAL)));
}

Rule translation(std::uint64_t handle, std::vector<Condition> conditions,
                 const std::string& address = "10.22.0.2", std::uint16_t port = 80) {
  return {.handle = handle,
          .conditions = std::move(conditions),
          .verdict = {Verdict::Kind::translate},
          .target = IpAddress::parse(address),
          .target_port = Port::from(port)};
}
Rule jump(std::uint64_t handle, std::vector<Condition> conditions, const std::string& chain) {
  return {.handle = handle,
          .conditions = std::move(conditions),
          .verdict = {Verdict::Kind::jump, chain}};
}

void add(Ruleset& all, const TableId& table, const std::string& name, std::vector<Rule> rules,
         std::optional<std::uint32_t> hook = {}) {
  Chain chain{.table = table, .name = name, .rules = std::move(rules)};
  if (hook) chain.hook = Hook{.type = "nat", .number = *hook};
  all.chains.emplace(Name(table, name), std::move(chain));
}

// As portmap writes it with iptables-nft for one port.
Ruleset by_iptables(const TableId& table = nat) {
  Ruleset all;
  Rule entry = jump(22, {tcp(), to_port(8080)}, own_chain);
  entry.comment = R"(dnat name: "web" id: "abc")";
  add(all, table, "CNI-HOSTPORT-DNAT", {entry});
  add(all, table, own_chain,
      {jump(13, {is(Field::ip_saddr, {10, 22}), tcp(), to_port(8080)}, "CNI-HOSTPORT-SETMARK"),
       translation(15, {tcp(), to_port(8080)})});
  for (const auto& [name, hook] :
       {std::pair{"PREROUTING", NF_INET_PRE_ROUTING}, std::pair{"OUTPUT", NF_INET_LOCAL_OUT}})
    add(all, table, name, {jump(9, {local()}, "CNI-HOSTPORT-DNAT")}, hook);
  return all;
}

Rule commented(Rule rule, const std::string& comment) {
  rule.comment = comment;
  return rule;
}

// As its nftables backend writes them for two containers.
Ruleset by_backend() {
  Ruleset all;
  add(all, backend, "hostports",
      {commented(translation(11, {tcp(), to_port(8080)}), "abc"),
       commented(translation(12, {is(Field::ip_daddr, {192, 0, 2, 1}), tcp(), to_port(53)}), "abc"),
       commented(translation(13, {tcp(), to_port(9090)}, "10.22.0.3"), "def")});
  Rule hairpin{
      .handle = 14,
      .conditions = {is(Field::ip_saddr, {10, 22, 0, 2}), is(Field::ip_daddr, {10, 22, 0, 2})},
      .verdict = {Verdict::Kind::masquerade},
      .comment = "abc"};
  add(all, backend, "masquerading", {hairpin}, NF_INET_POST_ROUTING);
  add(all, backend, "hostports_all", {jump(5, {}, "hostports")});
  add(all, backend, "prerouting", {jump(7, {local()}, "hostports_all")}, NF_INET_PRE_ROUTING);
  add(all, backend, "output", {jump(9, {local()}, "hostports_all")}, NF_INET_LOCAL_OUT);
  return all;
}

std::string listed(const PortmapPart& part) {
  std::string text = part.network + "/" + part.container;
  for (const PortmapMapping& mapping : part.mappings)
    text += " " + to_string(mapping.published) + ">" + to_string(mapping.endpoint);
  for (const std::string& oddity : part.oddities) text += "; " + oddity;
  return text;
}

std::string oddities_of(const Ruleset& all) {
  const std::vector<PortmapPart> parts = portmap_parts(all);
  REQUIRE(parts.size() == 1);
  std::string text;
  for (const std::string& oddity : parts.front().oddities)
    text += (text.empty() ? "" : "; ") + oddity;
  return text;
}

Chain& chain_of(Ruleset& all, const std::string& name) {
  return all.chains.at({nat, name});
}

std::string value_of(const nlmsghdr& message, const Attribute& one) {
  if (one.type == NFTA_RULE_HANDLE && one.payload.size() == 8)
    return std::to_string(one.number64());
  const bool is_begin = message.nlmsg_type == NFNL_MSG_BATCH_BEGIN;
  return is_begin ? std::to_string(one.number32()) : std::string(one.text());
}

}  // namespace

TEST_CASE("SHA-512: the examples of FIPS 180-4, and lengths around a block") {
  CHECK(hexadecimal(sha512(""), 16) == "cf83e1357eefb8bd");
  CHECK(hexadecimal(sha512("abc"), 128) ==
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
  CHECK(hexadecimal(sha512(std::string(111, 'a')), 16) == "fa9121c7b32b9e01");
  CHECK(hexadecimal(sha512(std::string(112, 'a')), 16) == "c01d080efd492776");
  CHECK(hexadecimal(sha512(std::string(128, 'a')), 16) == "b73d1929aa615934");
  CHECK(hexadecimal(sha512("abc"), 1000).size() == 128);
}

TEST_CASE("portmap: the chain of a container has the name that portmap gives it") {
  CHECK(portmap::container_chain("web", "abc") == own_chain);
  CHECK(portmap::is_container_chain(own_chain));
  CHECK(!portmap::is_container_chain("CNI-DN-MASQ"));
  CHECK(!portmap::is_container_chain("CNI-DN-079b088a6514b81574c1X"));
}

TEST_CASE("portmap: rules by iptables, as parts") {
  const std::vector<PortmapPart> parts = portmap_parts(by_iptables());
  REQUIRE(parts.size() == 1);
  CHECK(listed(parts.front()) == "web/abc 0.0.0.0:8080/tcp>10.22.0.2:80");
  CHECK(parts.front().chain == own_chain);
  CHECK(to_string(parts.front().removal) ==
        "nft 'delete rule ip nat CNI-HOSTPORT-DNAT handle 22; delete rule ip nat " + own_chain +
            " handle 13; delete rule ip nat " + own_chain +
            " handle 15'; nft 'delete chain ip nat " + own_chain + "'");
}

TEST_CASE("portmap: of iptables-legacy nothing is to be removed") {
  TableId legacy = nat;
  legacy.is_legacy = true;
  const std::vector<PortmapPart> parts = portmap_parts(by_iptables(legacy));
  REQUIRE(parts.size() == 1);
  CHECK(listed(parts.front()) == "web/abc 0.0.0.0:8080/tcp>10.22.0.2:80");
  CHECK(parts.front().removal.empty());
}

TEST_CASE("portmap: rules of the nftables backend, by comment and address") {
  const std::vector<PortmapPart> parts = portmap_parts(by_backend());
  REQUIRE(parts.size() == 2);
  CHECK(listed(parts[0]) == "/abc 0.0.0.0:8080/tcp>10.22.0.2:80 192.0.2.1:53/tcp>10.22.0.2:80");
  CHECK(to_string(parts[0].removal) ==
        "nft 'delete rule ip cni_hostport hostports handle 11; delete rule ip cni_hostport"
        " hostports handle 12; delete rule ip cni_hostport masquerading handle 14'");
  CHECK(listed(parts[1]) == "/def 0.0.0.0:9090/tcp>10.22.0.3:80");
}

TEST_CASE("portmap: what was changed by hand is an oddity") {
  Ruleset all = by_iptables();
  CHECK(oddities_of(all) == "");
  chain_of(all, own_chain).rules.push_back({.handle = 16, .verdict = {Verdict::Kind::leave}});
  CHECK(oddities_of(all) == "rule ip nat " + own_chain + " handle 16 is not one of portmap's");
  all = by_iptables();
  chain_of(all, own_chain).rules.back().conditions.push_back(is(Field::iif, {1, 0, 0, 0}));
  CHECK(oddities_of(all) == "rule ip nat " + own_chain + " handle 15 is not one of portmap's");
  all = by_iptables();
  chain_of(all, "CNI-HOSTPORT-DNAT")
      .rules.front()
      .conditions.push_back(is(Field::ip_saddr, {192, 0, 2, 9}));
  CHECK(oddities_of(all) ==
        "rule ip nat CNI-HOSTPORT-DNAT handle 22 has other conditions than the ports; no rule of"
        " chain CNI-HOSTPORT-DNAT leads to it for 0.0.0.0:8080/tcp");
  all = by_iptables();
  chain_of(all, "OUTPUT").rules.clear();
  CHECK(oddities_of(all) == "not all packets to this host get to chain ip nat CNI-HOSTPORT-DNAT");
  all = by_backend();
  all.chains.at({backend, "prerouting"})
      .rules.front()
      .conditions.push_back(is(Field::ip_saddr, {192, 0, 2, 9}));
  CHECK(portmap_parts(all).front().oddities ==
        std::vector<std::string>{"not all packets to this host get to chain ip cni_hostport"
                                 " hostports"});
}

TEST_CASE("portmap: the removal as bytes") {
  const portmap::Removal removal{.rules = {{NFPROTO_IPV4, "nat", "CNI-HOSTPORT-DNAT", 22}},
                                 .chains = {{NFPROTO_IPV6, "nat", own_chain}}};
  const nft::Messages messages = portmap::encode(removal, 7);
  const std::span<const std::uint8_t> bytes = messages.bytes();
  std::vector<std::string> seen;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto& header = *reinterpret_cast<const nlmsghdr*>(bytes.data() + at);
    std::string text = std::to_string(header.nlmsg_type & 0xff) + " " +
                       std::to_string(header.nlmsg_flags) + " " +
                       std::to_string(*(bytes.data() + at + NLMSG_HDRLEN));
    for (const Attribute& one : Attributes(message_attributes(header, sizeof(nfgenmsg))))
      text += " " + std::to_string(one.type) + "=" + value_of(header, one);
    seen.push_back(text);
    at += NLMSG_ALIGN(header.nlmsg_len);
  }
  CHECK(seen ==
        std::vector<std::string>{"16 1 0 1=7", "8 1 2 1=nat 2=CNI-HOSTPORT-DNAT 3=22",
                                 "5 " + std::to_string(NLM_F_REQUEST | NLM_F_NONREC | NLM_F_ACK) +
                                     " 10 1=nat 3=" + own_chain,
                                 "17 1 0"});
}

TEST_CASE("portmap: a removal that the kernel refuses names the rule, and the command") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(3, EPERM));
  const auto gone = app::remove_portmap_rules(kernel, [](bool) -> Result<PortmapLeft> {
    return PortmapLeft{.removal = {.rules = {{NFPROTO_IPV4, "nat", "CNI-HOSTPORT-DNAT", 22}},
                                   .chains = {{NFPROTO_IPV4, "nat", own_chain}}},
                       .generation = 7};
  });
  REQUIRE(!gone);
  CHECK(gone.error().message() ==
        "nftables refused to remove portmap's rules, which stay; this removes them: nft 'delete"
        " rule ip nat CNI-HOSTPORT-DNAT handle 22'; nft 'delete chain ip nat " +
            own_chain + "': delete chain ip nat " + own_chain + ": Operation not permitted");
}

TEST_CASE("portmap: a chain to which somebody else's rule leads does not keep the rules") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(3, EBUSY));
  kernel.answers.push_back(Replies().error(2, 0));
  const auto gone = app::remove_portmap_rules(kernel, [](bool) -> Result<PortmapLeft> {
    return PortmapLeft{.removal = {.rules = {{NFPROTO_IPV4, "nat", "CNI-HOSTPORT-DNAT", 22}},
                                   .chains = {{NFPROTO_IPV4, "nat", own_chain}}},
                       .generation = 7};
  });
  REQUIRE(gone);
  CHECK(to_string(*gone) == "nft 'delete rule ip nat CNI-HOSTPORT-DNAT handle 22'");
}

TEST_CASE("portmap: a removal is read again when others changed the ruleset meanwhile") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(1, ERESTART));
  kernel.answers.push_back(Replies().error(2, 0));
  int reads = 0;
  const auto gone =
      app::remove_portmap_rules(kernel, [&reads](bool has_begun) -> Result<PortmapLeft> {
        CHECK(!has_begun);
        ++reads;
        return PortmapLeft{.removal = {.rules = {{NFPROTO_IPV4, "nat", "CNI-HOSTPORT-DNAT", 22}}},
                           .generation = 7};
      });
  REQUIRE(gone);
  CHECK(gone->rules.size() == 1);
  CHECK(reads == 2);
}

TEST_CASE("portmap: the doctor lets go what its containers shared when none is left") {
  doctor::Host host;
  add(host.others, nat, "PREROUTING", {jump(4, {local()}, "CNI-HOSTPORT-DNAT")},
      NF_INET_PRE_ROUTING);
  add(host.others, nat, "CNI-HOSTPORT-DNAT", {});
  add(host.others, backend, "hostports", {});
  const std::vector<doctor::Finding> findings = doctor::find_portmap_leftovers(host);
  REQUIRE(findings.size() == 2);
  for (const doctor::Finding& finding : findings)
    CHECK(finding.why ==
          "it has no container's rules, so it does nothing: if no configuration says portmap any"
          " more, it can go");
  CHECK(findings[0].command == "nft delete table ip cni_hostport");
  CHECK(findings[1].command ==
        "nft 'delete rule ip nat PREROUTING handle 4; flush chain ip nat CNI-HOSTPORT-DNAT; delete"
        " chain ip nat CNI-HOSTPORT-DNAT'");
}

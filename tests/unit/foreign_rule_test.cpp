// nft/foreign/rule and nft/foreign/xt: others' rules, from bytes written by hand.
#include <doctest/doctest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>

#include <cstring>

#include "nft/foreign/reader.hpp"
#include "nft/foreign/rule.hpp"
#include "nft/foreign/xt.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::nft::foreign;
using namespace portmapper::test;

namespace {

Attrs expression(const std::string& name, const Attrs& data) {
  return Attrs().text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, data);
}

Attrs meta(std::uint32_t key) {
  return expression("meta", Attrs().number(NFTA_META_DREG, 1).number(NFTA_META_KEY, key));
}

Attrs compare(std::uint32_t op, const std::string& bytes) {
  return expression("cmp", Attrs()
                               .number(NFTA_CMP_SREG, 1)
                               .number(NFTA_CMP_OP, op)
                               .nest(NFTA_CMP_DATA, Attrs().put(NFTA_DATA_VALUE, unhex(bytes))));
}

Attrs payload(std::uint32_t reg, std::uint32_t base, std::uint32_t offset, std::uint32_t length) {
  return expression("payload", Attrs()
                                   .number(NFTA_PAYLOAD_DREG, reg)
                                   .number(NFTA_PAYLOAD_BASE, base)
                                   .number(NFTA_PAYLOAD_OFFSET, offset)
                                   .number(NFTA_PAYLOAD_LEN, length));
}

Attrs verdict(std::uint32_t code) {
  return expression("immediate", Attrs()
                                     .number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT)
                                     .nest(NFTA_IMMEDIATE_DATA,
                                           Attrs().nest(NFTA_DATA_VERDICT,
                                                        Attrs().number(NFTA_VERDICT_CODE, code))));
}

Attrs xt(const std::string& name, std::uint32_t revision, const void* info, std::size_t size) {
  return expression("match",
                    Attrs()
                        .text(NFTA_MATCH_NAME, name)
                        .number(NFTA_MATCH_REV, revision)
                        .put(NFTA_MATCH_INFO, {static_cast<const std::uint8_t*>(info), size}));
}

Attrs xt_target_of(const std::string& name, std::uint32_t revision, const void* info,
                   std::size_t size) {
  return expression("target",
                    Attrs()
                        .text(NFTA_TARGET_NAME, name)
                        .number(NFTA_TARGET_REV, revision)
                        .put(NFTA_TARGET_INFO, {static_cast<const std::uint8_t*>(info), size}));
}

std::vector<Deed> deeds_of(const std::vector<Attrs>& expressions) {
  Attrs list;
  for (const Attrs& one : expressions) list.nest(NFTA_LIST_ELEM, one);
  const Attrs attributes = Attrs().nest(NFTA_RULE_EXPRESSIONS, list);
  Buffer body = {NFPROTO_IPV4, 0, 0, 0};
  body.insert(body.end(), attributes.bytes().begin(), attributes.bytes().end());
  const Replies reply = Replies().message(Replies::nft(NFT_MSG_NEWRULE), 0, 1, body);
  return parse_rule(*reinterpret_cast<const nlmsghdr*>(reply.bytes().data()), {}).rule.deeds;
}

// The rule as this test prints it: its conditions in nft's words, then the kind of its verdict.
std::string parsed(const std::vector<Attrs>& expressions, std::uint8_t family = NFPROTO_IPV4,
                   const std::map<nft::foreign::Name, nft::foreign::Set>& sets = {}) {
  Attrs list;
  for (const Attrs& one : expressions) list.nest(NFTA_LIST_ELEM, one);
  const Attrs attributes = Attrs()
                               .text(NFTA_RULE_TABLE, "fw")
                               .text(NFTA_RULE_CHAIN, "forward")
                               .nest(NFTA_RULE_EXPRESSIONS, list);
  Buffer body = {family, 0, 0, 0};
  body.insert(body.end(), attributes.bytes().begin(), attributes.bytes().end());
  const Replies reply = Replies().message(Replies::nft(NFT_MSG_NEWRULE), 0, 1, body);
  const RuleReply read = parse_rule(*reinterpret_cast<const nlmsghdr*>(reply.bytes().data()), sets);
  CHECK(read.chain == nft::foreign::Name{{family, "fw"}, "forward"});
  std::string text;
  for (const Condition& condition : read.rule.conditions) text += to_string(condition) + "; ";
  if (read.rule.verdict_map) text += "vmap " + to_string(*read.rule.verdict_map) + "; ";
  return text + std::to_string(static_cast<int>(read.rule.verdict.kind));
}

const std::string accepts = std::to_string(static_cast<int>(Verdict::Kind::accept));
const std::string goes_on = std::to_string(static_cast<int>(Verdict::Kind::none));

}  // namespace

TEST_CASE("foreign rule: loads and comparisons") {
  CHECK(parsed({meta(NFT_META_L4PROTO), compare(NFT_CMP_EQ, "06"),
                payload(1, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), compare(NFT_CMP_NEQ, "0050"),
                verdict(NF_ACCEPT)}) == "meta l4proto tcp; dport != 80; " + accepts);
  CHECK(parsed({meta(NFT_META_IIFNAME), compare(NFT_CMP_EQ, "636e 69")}) ==
        "iifname \"cni*\"; " + goes_on);
  CHECK(parsed({payload(1, NFT_PAYLOAD_NETWORK_HEADER, 16, 2), compare(NFT_CMP_EQ, "0a16")}) ==
        "ip daddr 10.22.0.0/16; " + goes_on);
}

TEST_CASE("foreign rule: an inet rule says its family before it looks into the header") {
  const std::vector<Attrs> address = {payload(1, NFT_PAYLOAD_NETWORK_HEADER, 16, 4),
                                      compare(NFT_CMP_EQ, "0a160002")};
  CHECK(parsed(address, NFPROTO_INET) == "a part of the packet ...; " + goes_on);
  CHECK(parsed({meta(NFT_META_NFPROTO), compare(NFT_CMP_EQ, "02"), address[0], address[1]},
               NFPROTO_INET) == "meta nfproto ipv4; ip daddr 10.22.0.2; " + goes_on);
}

TEST_CASE("foreign rule: what is not known is a condition, and nothing is known of registers") {
  CHECK(parsed({meta(NFT_META_IIFNAME), expression("numgen", Attrs()),
                compare(NFT_CMP_EQ, "6c6f 00"), verdict(NF_DROP)}) ==
        "numgen; numgen ...; " + std::to_string(static_cast<int>(Verdict::Kind::drop)));
  CHECK(parsed({expression("counter", Attrs()), verdict(NF_ACCEPT)}) == accepts);
  CHECK(parsed({compare(NFT_CMP_EQ, "06")}) == " ...; " + goes_on);
}

TEST_CASE("foreign rule: marks that a rule gives, by a number or by what it computes") {
  const auto marks = [](const std::vector<Attrs>& expressions) {
    std::string text;
    for (const Deed& deed : deeds_of(expressions))
      if (deed.kind == Deed::Kind::mark)
        text += (deed.mark ? std::to_string(*deed.mark) : "?") + " kept " +
                std::to_string(deed.kept) + "; ";
    return text;
  };
  const Attrs set_mark =
      expression("meta", Attrs().number(NFTA_META_SREG, 1).number(NFTA_META_KEY, NFT_META_MARK));
  const Attrs nine = expression(
      "immediate", Attrs()
                       .number(NFTA_IMMEDIATE_DREG, 1)
                       .nest(NFTA_IMMEDIATE_DATA, Attrs().put(NFTA_DATA_VALUE, host_number(9))));
  CHECK(marks({nine, set_mark}) == "9 kept 0; ");
  CHECK(marks({meta(NFT_META_MARK), set_mark}) == "? kept 0; ");
  const xt_mark_tginfo2 bit{0x4000, 0x4000};
  CHECK(marks({xt_target_of("MARK", 2, &bit, sizeof bit)}) == "16384 kept 4294950911; ");
  xt_connmark_tginfo1 restore{};
  restore.mode = XT_CONNMARK_SAVE;
  CHECK(marks({xt_target_of("CONNMARK", 1, &restore, sizeof restore)}) == "");
  restore.mode = XT_CONNMARK_RESTORE;
  CHECK(marks({xt_target_of("CONNMARK", 1, &restore, sizeof restore)}) == "? kept 0; ");
}

TEST_CASE("foreign rule: attributes that are cut or wrong do no harm") {
  CHECK(parsed({expression("cmp", Attrs()), expression("lookup", Attrs()),
                expression("meta", Attrs()),
                expression("payload", Attrs().number(NFTA_PAYLOAD_DREG, 0xffffffff)),
                expression("bitwise", Attrs().number(NFTA_BITWISE_SREG, 23)),
                expression("immediate", Attrs()), expression("range", Attrs()),
                expression("match", Attrs()), expression("target", Attrs()), Attrs()})
            .ends_with("; " + goes_on));
}

TEST_CASE("foreign rule: a lookup of a concatenation") {
  std::map<nft::foreign::Name, nft::foreign::Set> sets;
  sets[{{NFPROTO_IPV4, "fw"}, "services"}] = {
      8, false, {{unhex("06000000 1f900000"), unhex("06000000 1f900000"), {}}}};
  const std::vector<Attrs> loads = {
      expression(
          "meta",
          Attrs().number(NFTA_META_DREG, NFT_REG32_00).number(NFTA_META_KEY, NFT_META_L4PROTO)),
      payload(NFT_REG32_01, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2)};
  const auto lookup = [](const Attrs& more) {
    return expression(
        "lookup",
        Attrs(more).text(NFTA_LOOKUP_SET, "services").number(NFTA_LOOKUP_SREG, NFT_REG32_00));
  };
  CHECK(parsed({loads[0], loads[1], lookup(Attrs())}, NFPROTO_IPV4, sets) ==
        "meta l4proto . dport @services; " + goes_on);
  CHECK(parsed({loads[0], loads[1], lookup(Attrs().number(NFTA_LOOKUP_DREG, NFT_REG_VERDICT))},
               NFPROTO_IPV4, sets) == "vmap meta l4proto . dport @services; " + goes_on);
}

TEST_CASE("foreign rule: the matches of iptables that are understood, and one that is not") {
  xt_multiport_v1 ports{};
  ports.flags = XT_MULTIPORT_DESTINATION;
  ports.count = 3;
  ports.ports[0] = 80;
  ports.ports[1] = 8000;
  ports.pflags[1] = 1;
  ports.ports[2] = 8100;
  const auto conditions =
      xt_match("multiport", 1, {reinterpret_cast<const std::uint8_t*>(&ports), sizeof ports});
  REQUIRE(conditions);
  REQUIRE(conditions->size() == 1);
  REQUIRE((*conditions)[0].values.size() == 2);
  CHECK(hex((*conditions)[0].values[0].last) == "0050");
  CHECK(hex((*conditions)[0].values[1].first) == "1f40");
  CHECK(hex((*conditions)[0].values[1].last) == "1fa4");

  xt_conntrack_mtinfo3 states{};
  states.match_flags = XT_CONNTRACK_STATE;
  states.state_mask = 0x06;  // ESTABLISHED,RELATED
  CHECK(parsed({xt("conntrack", 3, &states, sizeof states)}) ==
        "ct state established,related; " + goes_on);
  states.state_mask = 0x80;  // DNAT
  CHECK(parsed({xt("conntrack", 3, &states, sizeof states)}) == "ct status dnat; " + goes_on);
  states.match_flags |= XT_CONNTRACK_EXPIRES;
  CHECK(parsed({xt("conntrack", 3, &states, sizeof states)}) == "-m conntrack; " + goes_on);
  CHECK(parsed({xt("conntrack", 3, &states, 8)}) == "-m conntrack; " + goes_on);  // too short
  CHECK(parsed({xt("recent", 0, &states, 8)}) == "-m recent; " + goes_on);
  CHECK(parsed({expression("target", Attrs().text(NFTA_TARGET_NAME, "DNAT"))}) ==
        std::to_string(static_cast<int>(Verdict::Kind::translate)));
}

TEST_CASE("foreign: iptables' match of SCTP, as iptables writes it for a destination port") {
  // The info of `iptables-nft -p sctp --dport 8082`, from its netlink message.
  Buffer info(296);
  const std::uint16_t ports[] = {8082, 8082};
  const std::uint32_t flags = 2;  // XT_SCTP_DEST_PORTS
  std::memcpy(info.data(), ports, sizeof ports);
  for (const std::size_t at : {268U, 271U, 274U, 277U}) info[at] = 0xff;
  std::memcpy(info.data() + 284, &flags, sizeof flags);
  const auto conditions = xt_match("sctp", 0, info);
  REQUIRE(conditions);
  REQUIRE(conditions->size() == 1);
  CHECK(conditions->front().key.front().field == PacketField::dport);
  CHECK(conditions->front().values.front().first == Blob{0x1f, 0x92});
}

TEST_CASE("foreign reader: an interval set is joined from where its intervals begin and end") {
  FakeTransport kernel;
  const auto element = [](const std::string& key, std::uint32_t flags) {
    Attrs attributes = Attrs().nest(NFTA_SET_ELEM_KEY, Attrs().put(NFTA_DATA_VALUE, unhex(key)));
    return flags == 0 ? attributes : attributes.number(NFTA_SET_ELEM_FLAGS, flags);
  };
  Attrs elements;  // 80-89, 90, 65535; in any order
  elements.nest(NFTA_LIST_ELEM, element("005b", NFT_SET_ELEM_INTERVAL_END))
      .nest(NFTA_LIST_ELEM, element("0050", 0))
      .nest(NFTA_LIST_ELEM, element("0000", NFT_SET_ELEM_INTERVAL_END))
      .nest(NFTA_LIST_ELEM, element("005a", 0))
      .nest(NFTA_LIST_ELEM, element("005a", NFT_SET_ELEM_INTERVAL_END))
      .nest(NFTA_LIST_ELEM, element("ffff", 0));
  const Attrs hook =
      Attrs().number(NFTA_HOOK_HOOKNUM, NF_INET_FORWARD).number(NFTA_HOOK_PRIORITY, 0);
  kernel.answers.push_back(Replies().nft_message(NFT_MSG_NEWCHAIN, 1,
                                                 Attrs()
                                                     .text(NFTA_CHAIN_TABLE, "fw")
                                                     .text(NFTA_CHAIN_NAME, "forward")
                                                     .nest(NFTA_CHAIN_HOOK, hook)));
  kernel.answers.push_back(Replies().nft_message(NFT_MSG_NEWSET, 1,
                                                 Attrs()
                                                     .text(NFTA_SET_TABLE, "fw")
                                                     .text(NFTA_SET_NAME, "ports")
                                                     .number(NFTA_SET_KEY_LEN, 2)
                                                     .number(NFTA_SET_FLAGS, NFT_SET_INTERVAL)));
  kernel.answers.push_back(Replies().nft_message(
      NFT_MSG_NEWSETELEM, 1, Attrs().nest(NFTA_SET_ELEM_LIST_ELEMENTS, elements)));
  const Result<nft::foreign::Ruleset> read = nft::foreign::read_ruleset(kernel);
  REQUIRE(read);
  std::string text;
  for (const nft::foreign::Element& one : read->sets.at({{NFPROTO_INET, "fw"}, "ports"}).elements)
    text += hex(one.first) + "-" + hex(one.last) + " ";
  CHECK(text == "0050-0059 005a-005a ffff-ffff ");
  // Three dumps of all families, and one of the set.
  REQUIRE(kernel.requests.size() == 4);
  for (const std::size_t dump : {0U, 1U, 3U})
    CHECK(kernel.requests[dump].at(NLMSG_HDRLEN) == NFPROTO_UNSPEC);
  CHECK(kernel.requests[2].at(NLMSG_HDRLEN) == NFPROTO_INET);
}

TEST_CASE("foreign reader: a dump that was interrupted is an error that can be tried again") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().nft_message(NFT_MSG_NEWCHAIN, 1, Attrs(), NLM_F_DUMP_INTR));
  const Result<nft::foreign::Ruleset> read = nft::foreign::read_ruleset(kernel);
  REQUIRE_FALSE(read);
  CHECK(read.error().error_number == EINTR);
  CHECK(read.error().message() == "cannot read: the tables: Interrupted system call");
}

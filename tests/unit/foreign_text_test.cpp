// nft/foreign/rule_text and nft/foreign/condition_text: rules as nft writes them.
#include <doctest/doctest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "lib/base/bytes.hpp"
#include "nft/foreign/rule_text.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::nft::foreign;
using namespace portmapper::test;

namespace {

Attrs made(const std::string& name, const Attrs& data) {
  return Attrs().text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, data);
}

Attrs load_meta(std::uint32_t key) {
  return made("meta", Attrs().number(NFTA_META_DREG, 1).number(NFTA_META_KEY, key));
}

Attrs is(std::uint32_t op, Bytes bytes) {
  return made("cmp", Attrs()
                         .number(NFTA_CMP_SREG, 1)
                         .number(NFTA_CMP_OP, op)
                         .nest(NFTA_CMP_DATA, Attrs().put(NFTA_DATA_VALUE, bytes)));
}
Attrs is(std::uint32_t op, const std::string& bytes) {
  return is(op, unhex(bytes));
}
Attrs is_number(std::uint32_t number) {  // of the host
  return is(NFT_CMP_EQ, host_number(number));
}

Attrs header(std::uint32_t base, std::uint32_t offset, std::uint32_t length) {
  return made("payload", Attrs()
                             .number(NFTA_PAYLOAD_DREG, 1)
                             .number(NFTA_PAYLOAD_BASE, base)
                             .number(NFTA_PAYLOAD_OFFSET, offset)
                             .number(NFTA_PAYLOAD_LEN, length));
}

Attrs masked(Bytes bits) {
  return made("bitwise",
              Attrs()
                  .number(NFTA_BITWISE_SREG, 1)
                  .number(NFTA_BITWISE_DREG, 1)
                  .nest(NFTA_BITWISE_MASK, Attrs().put(NFTA_DATA_VALUE, bits))
                  .nest(NFTA_BITWISE_XOR, Attrs().put(NFTA_DATA_VALUE, Buffer(bits.size()))));
}

Attrs wide(std::uint16_t type, std::uint8_t low, std::uint8_t high) {
  return Attrs().put(type, Buffer{0, 0, 0, 0, 0, 0, high, low});
}

Attrs joined_attributes(std::vector<Attrs> parts, std::uint32_t burst, std::uint32_t flags) {
  // Attributes of several lists, one behind the other.
  Buffer all;
  for (const Attrs& part : parts) all.insert(all.end(), part.bytes().begin(), part.bytes().end());
  Attrs joined;
  for (const Attribute& one : Attributes(all)) joined.put(one.type, one.payload);
  return joined.number(NFTA_LIMIT_BURST, burst).number(NFTA_LIMIT_FLAGS, flags);
}

Attrs drops() {
  return made("immediate", Attrs()
                               .number(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT)
                               .nest(NFTA_IMMEDIATE_DATA,
                                     Attrs().nest(NFTA_DATA_VERDICT,
                                                  Attrs().number(NFTA_VERDICT_CODE, NF_DROP))));
}

std::string text_of(const std::vector<Attrs>& expressions, std::uint8_t family = NFPROTO_INET) {
  Attrs list;
  for (const Attrs& one : expressions) list.nest(NFTA_LIST_ELEM, one);
  const Attrs attributes = Attrs()
                               .text(NFTA_RULE_TABLE, "fw")
                               .text(NFTA_RULE_CHAIN, "c")
                               .nest(NFTA_RULE_EXPRESSIONS, list);
  Buffer body = {family, 0, 0, 0};
  body.insert(body.end(), attributes.bytes().begin(), attributes.bytes().end());
  const Replies reply = Replies().message(Replies::nft(NFT_MSG_NEWRULE), 0, 1, body);
  return rule_text(*reinterpret_cast<const nlmsghdr*>(reply.bytes().data()), {});
}

const Attrs of_tcp = is(NFT_CMP_EQ, "06");
const Attrs of_ipv4 = is(NFT_CMP_EQ, "02");

}  // namespace

TEST_CASE("rule text: a protocol that a port needs is its word, and no condition of its own") {
  const Attrs dport = header(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
  const Attrs to_8080 = is(NFT_CMP_EQ, "1f90");
  CHECK(text_of({load_meta(NFT_META_L4PROTO), of_tcp, dport, to_8080, drops()}) ==
        "tcp dport 8080 drop");
  CHECK(text_of({load_meta(NFT_META_L4PROTO), of_tcp, header(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2),
                 is(NFT_CMP_EQ, "0050"), dport, to_8080}) == "tcp sport 80 tcp dport 8080");
  CHECK(text_of({load_meta(NFT_META_L4PROTO), of_tcp, drops()}) == "meta l4proto tcp drop");
  CHECK(text_of({dport, to_8080, drops()}) == "th dport 8080 drop");
  CHECK(text_of({load_meta(NFT_META_L4PROTO), is(NFT_CMP_NEQ, "06"), dport, to_8080}) ==
        "meta l4proto != tcp th dport 8080");
  CHECK(text_of({load_meta(NFT_META_L4PROTO), of_tcp, load_meta(NFT_META_MARK), is_number(9), dport,
                 to_8080}) == "meta l4proto tcp meta mark 0x00000009 tcp dport 8080");
}

TEST_CASE("rule text: a family that an address needs is left out") {
  const Attrs daddr = header(NFT_PAYLOAD_NETWORK_HEADER, 16, 4);
  const Attrs to_container = is(NFT_CMP_EQ, "0a160002");
  CHECK(text_of({load_meta(NFT_META_NFPROTO), of_ipv4, daddr, to_container, drops()}) ==
        "ip daddr 10.22.0.2 drop");
  CHECK(text_of({load_meta(NFT_META_PROTOCOL), is(NFT_CMP_EQ, "0800"), daddr, to_container},
                NFPROTO_BRIDGE) == "ip daddr 10.22.0.2");
  CHECK(text_of({load_meta(NFT_META_PROTOCOL), is(NFT_CMP_EQ, "86dd"), drops()}, NFPROTO_BRIDGE) ==
        "meta protocol ip6 drop");
  CHECK(text_of({load_meta(NFT_META_NFPROTO), of_ipv4, load_meta(NFT_META_L4PROTO), of_tcp,
                 header(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), is(NFT_CMP_EQ, "1f90")}) ==
        "meta nfproto ipv4 tcp dport 8080");
}

TEST_CASE(
    "condition text: limits, flags, options, reverse paths and comparisons, as nft has them") {
  constexpr std::uint8_t kOne = 1;
  const Attrs rate = joined_attributes(
      {wide(NFTA_LIMIT_RATE, kOne, 0), wide(NFTA_LIMIT_UNIT, 0x10, 0x0e)},  // 3600
      1, NFT_LIMIT_F_INV);
  CHECK(text_of({made("limit", rate), drops()}) == "limit rate over 1/hour burst 1 packets drop");
  CHECK(text_of({made("limit", Attrs()), drops()}) == "limit drop");
  const Attrs flags = header(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
  CHECK(text_of({load_meta(NFT_META_L4PROTO), of_tcp, flags, masked(Buffer{0x02}),
                 is(NFT_CMP_NEQ, "00")}) == "tcp flags syn");
  CHECK(text_of({flags, masked(Buffer{0x02}), is(NFT_CMP_EQ, "00")}) == "tcp flags ! syn");
  CHECK(text_of({flags, masked(Buffer{0x17}), is(NFT_CMP_EQ, "02")}) ==
        "tcp flags syn / fin,syn,rst,ack");
  const auto option = [](std::uint32_t present) {
    return made("exthdr", Attrs()
                              .number(NFTA_EXTHDR_DREG, 1)
                              .put(NFTA_EXTHDR_TYPE, Buffer{2})
                              .number(NFTA_EXTHDR_OFFSET, present == 0 ? 2 : 0)
                              .number(NFTA_EXTHDR_LEN, present == 0 ? 2 : 1)
                              .number(NFTA_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT)
                              .number(NFTA_EXTHDR_FLAGS, present));
  };
  CHECK(text_of({option(0), is(NFT_CMP_GT, "0064")}) == "tcp option maxseg size > 100");
  CHECK(text_of({option(NFT_EXTHDR_F_PRESENT), is(NFT_CMP_EQ, "01")}) ==
        "tcp option maxseg exists");
  const auto fib = [](std::uint32_t more, std::uint32_t result) {
    return made("fib", Attrs()
                           .number(NFTA_FIB_DREG, 1)
                           .number(NFTA_FIB_RESULT, result)
                           .number(NFTA_FIB_FLAGS, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | more));
  };
  CHECK(text_of({fib(NFTA_FIB_F_PRESENT, NFT_FIB_RESULT_OIF), is(NFT_CMP_EQ, "00000000")}) ==
        "fib saddr . iif oif missing");
  CHECK(text_of({fib(NFTA_FIB_F_MARK, NFT_FIB_RESULT_OIF), is(NFT_CMP_EQ, "00000000")}) ==
        "fib saddr . mark . iif oif 0");
  CHECK(text_of({load_meta(NFT_META_MARK), masked(host_number(0xff)), is_number(1)}) ==
        "meta mark & 0x000000ff == 0x00000001");
  const Attrs dport = header(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
  CHECK(text_of({dport, is(NFT_CMP_GTE, "0400")}) == "th dport >= 1024");
  CHECK(text_of({dport, is(NFT_CMP_LT, "0400")}) == "th dport < 1024");
  CHECK(text_of({dport, is(NFT_CMP_LTE, "0400")}) == "th dport <= 1024");
}

#include "nft/rule_builder.hpp"

#include <cstdio>  // libnftnl/expr.h needs FILE
// clang-format off
#include <libnftnl/expr.h>
// clang-format on
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <array>

namespace portmapper::nft {
namespace {

constexpr std::size_t kExpressionBytes = 160;  // one with two 16-byte values needs 100

std::uint32_t size_of(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint32_t>(bytes.size());
}

}  // namespace

std::uint32_t slot(std::uint32_t number) {
  return number % 4 == 0 ? NFT_REG_1 + number / 4 : NFT_REG32_00 + number;
}

RuleBuilder::RuleBuilder(Messages& messages, std::uint32_t set_id)
    : messages_(messages), next_set_id_(set_id), rule_(nftnl_rule_alloc()) {}

nftnl_expr* RuleBuilder::add(const char* name) {
  nftnl_expr* expression = nftnl_expr_alloc(name);
  nftnl_rule_add_expr(rule_.get(), expression);
  ++expressions_;
  return expression;
}

void RuleBuilder::meta(std::uint32_t key, std::uint32_t reg) {
  nftnl_expr* expression = add("meta");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_META_KEY, key);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_META_DREG, reg);
}

void RuleBuilder::connection(std::uint32_t key, std::uint32_t reg) {
  nftnl_expr* expression = add("ct");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_CT_KEY, key);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_CT_DREG, reg);
}

void RuleBuilder::destination_type() {
  nftnl_expr* expression = add("fib");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_FIB_DREG, slot(0));
}

void RuleBuilder::payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length,
                          std::uint32_t reg) {
  nftnl_expr* expression = add("payload");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_BASE, base);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_LEN, length);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

void RuleBuilder::address(Family family, Side side, std::uint32_t reg, std::uint32_t length) {
  const std::uint32_t source = family == Family::ipv4 ? 12 : 8;
  const auto whole = static_cast<std::uint32_t>(address_length(family));
  payload(NFT_PAYLOAD_NETWORK_HEADER, source + (side == Side::destination ? whole : 0), length,
          reg);
}

void RuleBuilder::address(Family family, Side side, std::uint32_t reg) {
  address(family, side, reg, static_cast<std::uint32_t>(address_length(family)));
}

// tcp, udp and sctp have their ports in the same places.
void RuleBuilder::port(Side side, std::uint32_t reg) {
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, side == Side::source ? 0 : 2, 2, reg);
}

void RuleBuilder::mask(std::span<const std::uint8_t> bits) {
  const std::array<std::uint8_t, 16> zero{};
  nftnl_expr* expression = add("bitwise");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_BITWISE_SREG, slot(0));
  nftnl_expr_set_u32(expression, NFTNL_EXPR_BITWISE_DREG, slot(0));
  nftnl_expr_set_u32(expression, NFTNL_EXPR_BITWISE_LEN, size_of(bits));
  nftnl_expr_set_data(expression, NFTNL_EXPR_BITWISE_MASK, bits.data(), size_of(bits));
  nftnl_expr_set_data(expression, NFTNL_EXPR_BITWISE_XOR, zero.data(), size_of(bits));
}

void RuleBuilder::to_network_order() {
  nftnl_expr* expression = add("byteorder");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_BYTEORDER_SREG, slot(0));
  nftnl_expr_set_u32(expression, NFTNL_EXPR_BYTEORDER_DREG, slot(0));
  nftnl_expr_set_u32(expression, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_BYTEORDER_LEN, 4);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_BYTEORDER_SIZE, 4);
}

void RuleBuilder::compare(std::uint32_t operation, std::span<const std::uint8_t> data) {
  nftnl_expr* expression = add("cmp");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_SREG, slot(0));
  nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_OP, operation);
  nftnl_expr_set_data(expression, NFTNL_EXPR_CMP_DATA, data.data(), size_of(data));
}

void RuleBuilder::not_between(std::span<const std::uint8_t> first,
                              std::span<const std::uint8_t> last) {
  nftnl_expr* expression = add("range");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_RANGE_SREG, slot(0));
  nftnl_expr_set_u32(expression, NFTNL_EXPR_RANGE_OP, NFT_RANGE_NEQ);
  nftnl_expr_set_data(expression, NFTNL_EXPR_RANGE_FROM_DATA, first.data(), size_of(first));
  nftnl_expr_set_data(expression, NFTNL_EXPR_RANGE_TO_DATA, last.data(), size_of(last));
}

void RuleBuilder::lookup(const std::string& set, bool is_inverted) {
  nftnl_expr* expression = add("lookup");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_SREG, slot(0));
  nftnl_expr_set_str(expression, NFTNL_EXPR_LOOKUP_SET, set.c_str());
  if (is_inverted) nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

void RuleBuilder::lookup(const std::string& map, std::uint32_t data_register) {
  nftnl_expr* expression = add("lookup");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_SREG, slot(0));
  nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_DREG, data_register);
  nftnl_expr_set_str(expression, NFTNL_EXPR_LOOKUP_SET, map.c_str());
}

void RuleBuilder::lookup(const AnonymousSet& set, bool is_inverted) {
  encode_anonymous_set(messages_, set, next_set_id_);
  nftnl_expr* expression = add("lookup");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_SREG, slot(0));
  nftnl_expr_set_str(expression, NFTNL_EXPR_LOOKUP_SET, kAnonymousSet);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_SET_ID, next_set_id_++);
  if (is_inverted) nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

void RuleBuilder::verdict(int code, const char* chain) {
  nftnl_expr* expression = add("immediate");
  nftnl_expr_set_u32(expression, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
  nftnl_expr_set_u32(expression, NFTNL_EXPR_IMM_VERDICT, static_cast<std::uint32_t>(code));
  if (chain != nullptr) nftnl_expr_set_str(expression, NFTNL_EXPR_IMM_CHAIN, chain);
}

void RuleBuilder::only_family(Family family) {
  if (family_is_tested_) return;
  family_is_tested_ = true;
  meta(NFT_META_NFPROTO, slot(0));
  const std::uint8_t number = protocol_family(family);
  compare(NFT_CMP_EQ, {&number, 1});
}

void RuleBuilder::only_protocol(Protocol protocol) {
  if (protocol_is_tested_) return;
  protocol_is_tested_ = true;
  meta(NFT_META_L4PROTO, slot(0));
  const auto number = static_cast<std::uint8_t>(protocol);
  compare(NFT_CMP_EQ, {&number, 1});
}

std::uint32_t RuleBuilder::finish(const std::string& chain, std::string_view userdata) {
  nftnl_rule_set_str(rule_.get(), NFTNL_RULE_TABLE, messages_.table());
  nftnl_rule_set_str(rule_.get(), NFTNL_RULE_CHAIN, chain.c_str());
  if (!userdata.empty())
    nftnl_rule_set_data(rule_.get(), NFTNL_RULE_USERDATA, userdata.data(),
                        static_cast<std::uint32_t>(userdata.size()));
  nlmsghdr* header = messages_.begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND,
                                     Messages::kDefaultCapacity + expressions_ * kExpressionBytes);
  nftnl_rule_nlmsg_build_payload(header, rule_.get());
  messages_.end();
  return next_set_id_;
}

}  // namespace portmapper::nft

// Rules as expressions: the conditions, then the action.

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

#include <array>

// libnftnl/expr.h needs FILE
#include <cstdio>
// clang-format off
#include <libnftnl/expr.h>
// clang-format on

#include "lib/base/bytes.hpp"
#include "nft/encode.hpp"
#include "nft/encode_match.hpp"
#include "nft/rule_builder.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

std::uint32_t address_slots(Family family) {
  return static_cast<std::uint32_t>(address_length(family) / 4);
}

// [ip daddr .] meta l4proto . th dport, from slot 0 on
void load_service(RuleBuilder& rule, Suffix suffix) {
  std::uint32_t next = 0;
  if (suffix.scope == AddressScope::one) {
    rule.only_family(suffix.family);
    rule.address(suffix.family, Side::destination, slot(0));
    next = address_slots(suffix.family);
  }
  rule.meta(NFT_META_L4PROTO, slot(next));
  rule.port(Side::destination, slot(next + 1));
}

class TestEncoder {
 public:
  explicit TestEncoder(RuleBuilder& rule) : rule_(rule) {}

  void operator()(const Match& match) { encode_match(rule_, match); }

  // meta nfproto ipv4
  void operator()(const OnlyFamily& test) { rule_.only_family(test.family); }

  // ip daddr . meta l4proto . th dport @published-hostip
  void operator()(const ServiceLookup& test) {
    load_service(rule_, test.suffix);
    rule_.lookup(test.set, test.is_inverted);
  }

  // socket wildcard 0
  void operator()(const SocketHasAddress&) {
    nftnl_expr* socket = rule_.add("socket");
    nftnl_expr_set_u32(socket, NFTNL_EXPR_SOCKET_KEY, NFT_SOCKET_WILDCARD);
    nftnl_expr_set_u32(socket, NFTNL_EXPR_SOCKET_DREG, slot(0));
    const std::uint8_t no = 0;
    rule_.compare(NFT_CMP_EQ, {&no, 1});
  }

  // ct direction original
  void operator()(const OriginalDirection&) {
    rule_.connection(NFT_CT_DIRECTION, slot(0));
    const std::uint8_t original = IP_CT_DIR_ORIGINAL;
    rule_.compare(NFT_CMP_EQ, {&original, 1});
  }

  // ct status ! dnat
  void operator()(const NotTranslated&) { test_status(NFT_CMP_EQ); }

  // ct status dnat ct label 127
  void operator()(const TranslatedByUs&) {
    test_status(NFT_CMP_NEQ);
    rule_.connection(NFT_CT_LABELS, slot(0));
    rule_.mask(label_bit());
    rule_.compare(NFT_CMP_NEQ, std::array<std::uint8_t, 16>{});
  }

  // ip saddr . ip daddr @hairpin-ip
  void operator()(const HairpinLookup& test) {
    rule_.only_family(test.family);
    rule_.address(test.family, Side::source, slot(0));
    rule_.address(test.family, Side::destination, slot(address_slots(test.family)));
    rule_.lookup(hairpin_set(test.family));
  }

 private:
  void test_status(std::uint32_t operation) {
    rule_.connection(NFT_CT_STATUS, slot(0));
    rule_.mask(host_number(IPS_DST_NAT));
    rule_.compare(operation, host_number(0));
  }

  RuleBuilder& rule_;
};

class ActionEncoder {
 public:
  explicit ActionEncoder(RuleBuilder& rule) : rule_(rule) {}

  void operator()(const Return&) { rule_.verdict(NFT_RETURN); }
  void operator()(const Drop&) { rule_.verdict(NF_DROP); }
  void operator()(const Masquerade&) { rule_.add("masq"); }
  // snat ip to 192.0.2.7
  void operator()(const Snat& action) {
    const IpAddress& address = action.address;
    nftnl_expr* value = rule_.add("immediate");
    nftnl_expr_set_u32(value, NFTNL_EXPR_IMM_DREG, slot(0));
    nftnl_expr_set_data(value, NFTNL_EXPR_IMM_DATA, address.bytes().data(),
                        static_cast<std::uint32_t>(address.length()));
    nftnl_expr* nat = rule_.add("nat");
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_TYPE, NFT_NAT_SNAT);
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FAMILY, protocol_family(address.family()));
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_ADDR_MIN, slot(0));
  }
  // ip saddr vmap @sources-ip
  void operator()(const SourceVerdict& action) {
    rule_.only_family(action.family);
    rule_.address(action.family, Side::source, slot(0));
    rule_.lookup(action.map, std::uint32_t{NFT_REG_VERDICT});
  }
  void operator()(const Jump& action) { rule_.verdict(NFT_JUMP, action.chain.c_str()); }
  void operator()(const Goto& action) { rule_.verdict(NFT_GOTO, action.chain.c_str()); }

  // ct label set 127 dnat ip to ip daddr . meta l4proto . th dport map @MESOS-WEB-hostip
  void operator()(const Translate& action) {
    const Family family = action.suffix.family;
    load_service(rule_, action.suffix);
    rule_.lookup(action.map, slot(0));
    set_label(slot(kBehindTarget));
    nftnl_expr* nat = rule_.add("nat");
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FAMILY, protocol_family(family));
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_ADDR_MIN, slot(0));
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_PROTO_MIN, slot(address_slots(family)));
  }

 private:
  static constexpr std::uint32_t kBehindTarget = 8;  // an IPv6 address and a port need five

  void set_label(std::uint32_t number) {
    constexpr std::array<std::uint8_t, 16> kBits = label_bit();
    nftnl_expr* value = rule_.add("immediate");
    nftnl_expr_set_u32(value, NFTNL_EXPR_IMM_DREG, number);
    nftnl_expr_set_data(value, NFTNL_EXPR_IMM_DATA, kBits.data(), kBits.size());
    nftnl_expr* set = rule_.add("ct");
    nftnl_expr_set_u32(set, NFTNL_EXPR_CT_KEY, NFT_CT_LABELS);
    nftnl_expr_set_u32(set, NFTNL_EXPR_CT_SREG, number);
  }

  RuleBuilder& rule_;
};

}  // namespace

std::uint32_t encode_rule(Messages& messages, const std::string& chain, const Rule& rule,
                          std::uint32_t set_id, RulePlace place) {
  RuleBuilder builder(messages, set_id);
  for (const Test& test : rule.conditions) std::visit(TestEncoder(builder), test);
  std::visit(ActionEncoder(builder), rule.action);
  return builder.finish(chain, encode_rule_tag(fingerprint(rule), place));
}

}  // namespace portmapper::nft

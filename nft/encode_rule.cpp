// Rules as expressions: the conditions, then the action.

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

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

class ActionEncoder {
 public:
  explicit ActionEncoder(RuleBuilder& rule) : rule_(rule) {}

  // iifname { "mesos-cni0", "docker0" } return
  void operator()(const ReturnDevices& action) {
    std::vector<MatchValue> names;
    for (const std::string& device : action.devices)
      names.push_back(MatchValue::interface_name(device));
    encode_match(rule_, {.field = MatchField::iifname, .values = std::move(names)});
    rule_.verdict(NFT_RETURN);
  }

  // dnat ip to ip daddr . meta l4proto . th dport map @MESOS-WEB-hostip
  void operator()(const Translate& action) {
    const Family family = action.suffix.family;
    const auto address_slots = static_cast<std::uint32_t>(address_length(family) / 4);
    std::uint32_t next = 0;
    if (action.suffix.scope == AddressScope::one) {
      rule_.only_family(family);
      rule_.address(family, Side::destination, slot(0));
      next = address_slots;
    } else {
      rule_.only_family_unlisted(family);
    }
    rule_.meta(NFT_META_L4PROTO, slot(next));
    rule_.port(Side::destination, slot(next + 1));
    rule_.lookup(action.map, slot(0));
    nftnl_expr* nat = rule_.add("nat");
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FAMILY, protocol_family(family));
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_ADDR_MIN, slot(0));
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_PROTO_MIN, slot(address_slots));
  }

  // jump MESOS-WEB
  void operator()(const Jump& action) { rule_.verdict(NFT_JUMP, action.chain.c_str()); }

  // fib daddr type local jump networks
  void operator()(const JumpIfLocal& action) {
    rule_.destination_type();
    rule_.compare(NFT_CMP_EQ, host_number(RTN_LOCAL));
    rule_.verdict(NFT_JUMP, action.chain.c_str());
  }

  // ct status dnat ip saddr . ip daddr @hairpin-ip masquerade
  void operator()(const MasqueradeHairpin& action) {
    const Family family = action.family;
    rule_.connection(NFT_CT_STATUS, slot(0));
    rule_.mask(host_number(IPS_DST_NAT));
    rule_.compare(NFT_CMP_NEQ, host_number(0));
    rule_.only_family(family);
    rule_.address(family, Side::source, slot(0));
    rule_.address(family, Side::destination,
                  slot(static_cast<std::uint32_t>(address_length(family) / 4)));
    rule_.lookup(hairpin_set(family));
    rule_.add("masq");
  }

  // iifname != "lo" ip daddr 127.0.0.0/8 drop
  void operator()(const DropRemoteLoopback&) {
    encode_match(rule_, {.field = MatchField::iifname,
                         .op = MatchOperator::not_equal,
                         .values = {MatchValue::interface_name("lo")}});
    encode_match(rule_, {.field = MatchField::ip_daddr,
                         .values = {MatchValue::prefix(IpPrefix::loopback())}});
    rule_.verdict(NF_DROP);
  }

 private:
  RuleBuilder& rule_;
};

}  // namespace

std::uint32_t encode_rule(Messages& messages, const std::string& chain, const Rule& rule,
                          std::uint32_t set_id) {
  RuleBuilder builder(messages, set_id);
  for (const Match& match : rule.conditions) encode_match(builder, match);
  std::visit(ActionEncoder(builder), rule.action);
  return builder.finish(chain, encode_rule_tag(fingerprint(rule)));
}

}  // namespace portmapper::nft

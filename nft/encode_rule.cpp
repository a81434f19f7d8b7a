// Rules as expressions. A register is 4 bytes here and a value starts at `slot` of them; where the
// kernel has a 16-byte register that starts there, its name is used, as nft does.

#include <cstdio>  // libnftnl/expr.h needs FILE
// clang-format off
#include <libnftnl/expr.h>
// clang-format on
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <array>
#include <cstring>

#include "nft/encode.hpp"
#include "nft/userdata.hpp"

namespace portmapper {
namespace {

constexpr std::array kInterfaceName = {FieldType::ifname};

std::uint32_t slot(std::uint32_t number) {
  return number % 4 == 0 ? NFT_REG_1 + number / 4 : NFT_REG32_00 + number;
}

std::array<char, IFNAMSIZ> interface_bytes(std::string_view name) {
  std::array<char, IFNAMSIZ> bytes{};
  name.copy(bytes.data(), bytes.size() - 1);
  return bytes;
}

class RuleBuilder {
 public:
  RuleBuilder(Messages& messages, std::uint32_t set_id)
      : messages_(messages), set_id_(set_id), rule_(nftnl_rule_alloc()) {}

  void finish(const std::string& chain, const Rule& rule) {
    const std::string tag = encode_rule_tag(fingerprint(rule));
    nftnl_rule_set_str(rule_.get(), NFTNL_RULE_TABLE, kTable);
    nftnl_rule_set_str(rule_.get(), NFTNL_RULE_CHAIN, chain.c_str());
    nftnl_rule_set_data(rule_.get(), NFTNL_RULE_USERDATA, tag.data(),
                        static_cast<std::uint32_t>(tag.size()));
    nlmsghdr* header = messages_.begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    nftnl_rule_nlmsg_build_payload(header, rule_.get());
    messages_.end();
  }

  // iifname { "mesos-cni0", "docker0" } return
  void operator()(const ReturnDevices& action) {
    meta(NFT_META_IIFNAME, slot(0));
    if (action.devices.size() == 1) {
      const auto name = interface_bytes(action.devices.front());
      compare(NFT_CMP_EQ, name.data(), name.size());
    } else {
      lookup(anonymous_set(action.devices), std::nullopt, set_id_);
    }
    verdict(NFT_RETURN);
  }

  // dnat ip to ip daddr . meta l4proto . th dport map @MESOS-WEB-hostip
  void operator()(const Translate& action) {
    const Family family = action.suffix.family;
    const auto address_slots = static_cast<std::uint32_t>(address_length(family) / 4);
    std::uint32_t next = 0;
    if (action.suffix.one_address) {
      only_family(family);
      address(family, true, slot(0));
      next = address_slots;
    } else {
      only_family_unlisted(family);
    }
    meta(NFT_META_L4PROTO, slot(next));
    payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, slot(next + 1));
    lookup(action.map, slot(0));
    nftnl_expr* nat = add("nat");
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FAMILY,
                       family == Family::ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_ADDR_MIN, slot(0));
    nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_PROTO_MIN, slot(address_slots));
  }

  // jump MESOS-WEB
  void operator()(const Jump& action) { verdict(NFT_JUMP, action.chain.c_str()); }

  // fib daddr type local jump networks
  void operator()(const JumpIfLocal& action) {
    nftnl_expr* fib = add("fib");
    nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
    nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_DREG, slot(0));
    const std::uint32_t local = RTN_LOCAL;
    compare(NFT_CMP_EQ, &local, sizeof local);
    verdict(NFT_JUMP, action.chain.c_str());
  }

  // ct status dnat ip saddr . ip daddr @hairpin-ip masquerade
  void operator()(const MasqueradeHairpin& action) {
    nftnl_expr* ct = add("ct");
    nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_KEY, NFT_CT_STATUS);
    nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_DREG, slot(0));
    const std::uint32_t dnat = IPS_DST_NAT;
    const std::uint32_t zero = 0;
    nftnl_expr* bits = add("bitwise");
    nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_SREG, slot(0));
    nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_DREG, slot(0));
    nftnl_expr_set_u32(bits, NFTNL_EXPR_BITWISE_LEN, sizeof dnat);
    nftnl_expr_set_data(bits, NFTNL_EXPR_BITWISE_MASK, &dnat, sizeof dnat);
    nftnl_expr_set_data(bits, NFTNL_EXPR_BITWISE_XOR, &zero, sizeof zero);
    compare(NFT_CMP_NEQ, &zero, sizeof zero);
    only_family(action.family);
    address(action.family, false, slot(0));
    address(action.family, true,
            slot(static_cast<std::uint32_t>(address_length(action.family) / 4)));
    lookup(hairpin_set(action.family), std::nullopt);
    add("masq");
  }

  // iifname != "lo" ip daddr 127.0.0.0/8 drop
  void operator()(const DropRemoteLoopback&) {
    meta(NFT_META_IIFNAME, slot(0));
    const auto lo = interface_bytes("lo");
    compare(NFT_CMP_NEQ, lo.data(), lo.size());
    only_family(Family::ipv4);
    payload(NFT_PAYLOAD_NETWORK_HEADER, 16, 1, slot(0));
    const std::uint8_t loopback = 127;
    compare(NFT_CMP_EQ, &loopback, sizeof loopback);
    verdict(NF_DROP);
  }

 private:
  nftnl_expr* add(const char* name) {
    nftnl_expr* expression = nftnl_expr_alloc(name);
    nftnl_rule_add_expr(rule_.get(), expression);  // the rule owns it from here
    return expression;
  }

  void meta(std::uint32_t key, std::uint32_t reg) {
    nftnl_expr* expression = add("meta");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_META_DREG, reg);
  }

  void payload(std::uint32_t base, std::uint32_t offset, std::uint32_t length, std::uint32_t reg) {
    nftnl_expr* expression = add("payload");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_BASE, base);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_LEN, length);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_PAYLOAD_DREG, reg);
  }

  // Compares what is at slot 0.
  void compare(std::uint32_t operation, const void* data, std::size_t length) {
    nftnl_expr* expression = add("cmp");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_SREG, slot(0));
    nftnl_expr_set_u32(expression, NFTNL_EXPR_CMP_OP, operation);
    nftnl_expr_set_data(expression, NFTNL_EXPR_CMP_DATA, data, static_cast<std::uint32_t>(length));
  }

  // meta nfproto ipv4: an inet table sees both families, and the headers differ
  void only_family(Family family) {
    meta(NFT_META_NFPROTO, slot(0));
    const std::uint8_t number = family == Family::ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
    compare(NFT_CMP_EQ, &number, sizeof number);
  }

  // The same where it would show: `meta nfproto ipv4 dnat ip to ...` is not what ruleset.nft says,
  // but without it an IPv6 packet is looked up, and counted, in the IPv4 map too before the dnat
  // passes it over. To load a conntrack address of one family ends the rule for the other, and nft
  // lists only what is used.
  void only_family_unlisted(Family family) {
    nftnl_expr* expression = add("ct");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_CT_KEY,
                       family == Family::ipv4 ? NFT_CT_SRC_IP : NFT_CT_SRC_IP6);
    nftnl_expr_set_u8(expression, NFTNL_EXPR_CT_DIR, IP_CT_DIR_ORIGINAL);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_CT_DREG, slot(0));
  }

  void address(Family family, bool destination, std::uint32_t reg) {
    const auto length = static_cast<std::uint32_t>(address_length(family));
    const std::uint32_t source_offset = family == Family::ipv4 ? 12 : 8;
    payload(NFT_PAYLOAD_NETWORK_HEADER, source_offset + (destination ? length : 0), length, reg);
  }

  void lookup(const std::string& set, std::optional<std::uint32_t> data_register,
              std::uint32_t set_id = 0) {
    nftnl_expr* expression = add("lookup");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_SREG, slot(0));
    if (data_register) nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_DREG, *data_register);
    nftnl_expr_set_str(expression, NFTNL_EXPR_LOOKUP_SET, set.c_str());
    if (set_id != 0) nftnl_expr_set_u32(expression, NFTNL_EXPR_LOOKUP_SET_ID, set_id);
  }

  void verdict(int code, const char* chain = nullptr) {
    nftnl_expr* expression = add("immediate");
    nftnl_expr_set_u32(expression, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(expression, NFTNL_EXPR_IMM_VERDICT, static_cast<std::uint32_t>(code));
    if (chain != nullptr) nftnl_expr_set_str(expression, NFTNL_EXPR_IMM_CHAIN, chain);
  }

  // The kernel names it, and removes it with the rule.
  std::string anonymous_set(const std::vector<std::string>& devices) {
    const SetSpec set{.name = "__set%d", .key = kInterfaceName};
    std::vector<Element> elements;
    for (const std::string& device : devices) {
      const auto name = interface_bytes(device);
      std::array<std::uint8_t, IFNAMSIZ> bytes{};
      std::memcpy(bytes.data(), name.data(), bytes.size());
      elements.emplace_back().key.add(bytes);
    }
    encode_set(messages_, set, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT, set_id_,
               static_cast<std::uint32_t>(elements.size()));
    std::span<const Element> rest(elements);
    while (!rest.empty())
      rest = rest.subspan(encode_elements(messages_, NFT_MSG_NEWSETELEM, NLM_F_CREATE, set.name,
                                          set_id_, rest, {}, false));
    return set.name;
  }

  Messages& messages_;
  std::uint32_t set_id_;
  Owned<nftnl_rule, nftnl_rule_free> rule_;
};

}  // namespace

void encode_rule(Messages& messages, const std::string& chain, const Rule& rule,
                 std::uint32_t set_id) {
  RuleBuilder builder(messages, set_id);
  std::visit(builder, rule.action);
  builder.finish(chain, rule);
}

}  // namespace portmapper

#include "nft/foreign/rule.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "lib/base/netlink.hpp"
#include "nft/foreign/operands.hpp"
#include "nft/foreign/xt.hpp"
#include "nft/key.hpp"

namespace portmapper::nft::foreign {
namespace {

constexpr std::size_t kSlots = 16;  // registers of 4 bytes

// Both ways to count registers: 1 to 4 have 16 bytes each, 8 and more have 4.
std::size_t slot_of(std::uint32_t reg) {
  if (reg >= NFT_REG32_00) return reg - NFT_REG32_00;
  return reg == NFT_REG_VERDICT ? kSlots : (std::size_t{reg} - 1) * 4;
}

class RuleParser {
 public:
  RuleParser(RuleReply& reply, const std::map<Name, Set>& sets)
      : reply_(reply), rule_(reply.rule), sets_(sets), family_(reply.chain.first.family) {}

  void expression(std::string_view name, const Attributes& data) {
    struct Known {
      std::string_view name;
      void (RuleParser::*parse)(const Attributes&);
    };
    static constexpr std::array kKnown = {Known{"meta", &RuleParser::meta},
                                          Known{"payload", &RuleParser::payload},
                                          Known{"ct", &RuleParser::ct},
                                          Known{"fib", &RuleParser::fib},
                                          Known{"cmp", &RuleParser::compare},
                                          Known{"range", &RuleParser::range},
                                          Known{"bitwise", &RuleParser::bitwise},
                                          Known{"lookup", &RuleParser::lookup},
                                          Known{"immediate", &RuleParser::immediate},
                                          Known{"nat", &RuleParser::nat},
                                          Known{"match", &RuleParser::match},
                                          Known{"target", &RuleParser::target},
                                          Known{"redir", &RuleParser::redirect},
                                          Known{"masq", &RuleParser::masquerade},
                                          Known{"reject", &RuleParser::reject},
                                          Known{"queue", &RuleParser::queue},
                                          Known{"synproxy", &RuleParser::queue},
                                          Known{"fwd", &RuleParser::divert},
                                          Known{"tproxy", &RuleParser::divert},
                                          Known{"notrack", &RuleParser::untrack},
                                          Known{"limit", &RuleParser::limit},
                                          Known{"exthdr", &RuleParser::option},
                                          Known{"connlimit", &RuleParser::limit_connections},
                                          Known{"counter", &RuleParser::nothing},
                                          Known{"log", &RuleParser::nothing},
                                          Known{"dup", &RuleParser::nothing},
                                          Known{"last", &RuleParser::nothing},
                                          Known{"flow_offload", &RuleParser::nothing},
                                          Known{"objref", &RuleParser::object}};
    for (const Known& known : kKnown)
      if (known.name == name) return (this->*known.parse)(data);
    forget(std::string(name));
  }

 private:
  void forget(const std::string& name) {
    const Operand unknown{PacketField::opaque, name, 4};
    slots_.fill(unknown);
    values_.fill({});
    rule_.conditions.push_back({.key = {unknown}});
  }
  static std::uint32_t number(const Attributes& data, std::uint16_t type,
                              std::uint32_t otherwise = 0) {
    const auto found = data.find(type);
    return found ? found->number32() : otherwise;
  }
  static Bytes value(const Attributes& data, std::uint16_t type) {
    const auto outer = data.find(type);
    return outer ? nested(*outer, NFTA_DATA_VALUE) : Bytes{};
  }
  void load(std::uint32_t reg, const Operand& operand) {
    const std::size_t slot = slot_of(reg);
    for (std::size_t i = slot; i < std::min(slot + padded(operand.length) / 4, kSlots); ++i) {
      slots_[i] = i == slot ? operand : Operand{PacketField::opaque, operand.text, 4};
      values_[i] = {};
    }
  }
  // What an immediate put there; empty: something of the packet.
  [[nodiscard]] Bytes value_at(std::uint32_t reg) const {
    const std::size_t slot = slot_of(reg);
    return slot < kSlots ? Bytes(values_[slot]) : Bytes{};
  }
  [[nodiscard]] Operand operand_at(std::uint32_t reg) const {
    const std::size_t slot = slot_of(reg);
    return slot < kSlots ? slots_[slot] : Operand{};
  }

  void nothing(const Attributes&) {}
  void meta(const Attributes& data) {
    if (const auto source = data.find(NFTA_META_SREG)) {
      if (number(data, NFTA_META_KEY) != NFT_META_MARK) return;
      Deed deed{.kind = Deed::Kind::mark};
      const Bytes value = value_at(source->number32());
      std::uint32_t mark = 0;
      if (value.size() == sizeof mark) {
        std::memcpy(&mark, value.data(), sizeof mark);
        deed.mark = mark;
      }
      rule_.deeds.push_back(std::move(deed));
      return;
    }
    load(number(data, NFTA_META_DREG), meta_operand(number(data, NFTA_META_KEY)));
  }
  void ct(const Attributes& data) {
    const auto direction = data.find(NFTA_CT_DIRECTION);
    if (const auto source = data.find(NFTA_CT_SREG)) {
      if (number(data, NFTA_CT_KEY) != NFT_CT_ZONE) return;
      Deed deed{.kind = Deed::Kind::zone};
      const Bytes value = value_at(source->number32());
      std::uint16_t zone = 0;
      if (!direction && value.size() >= sizeof zone) {
        std::memcpy(&zone, value.data(), sizeof zone);
        deed.zone = zone;
      }
      rule_.deeds.push_back(std::move(deed));
      return;
    }
    load(number(data, NFTA_CT_DREG),
         ct_operand(number(data, NFTA_CT_KEY),
                    direction ? std::optional<std::uint32_t>(direction->raw<std::uint8_t>())
                              : std::nullopt));
  }
  void payload(const Attributes& data) {
    Operand operand =
        payload_operand(number(data, NFTA_PAYLOAD_BASE), number(data, NFTA_PAYLOAD_OFFSET),
                        number(data, NFTA_PAYLOAD_LEN), family_);
    if (!data.find(NFTA_PAYLOAD_SREG)) return load(number(data, NFTA_PAYLOAD_DREG), operand);
    if (operand.field != PacketField::opaque)
      rule_.deeds.push_back({.kind = Deed::Kind::rewrite, .field = std::move(operand)});
  }
  void fib(const Attributes& data) {
    load(number(data, NFTA_FIB_DREG),
         fib_operand(number(data, NFTA_FIB_FLAGS), number(data, NFTA_FIB_RESULT)));
  }
  void bitwise(const Attributes& data) {
    Operand operand = operand_at(number(data, NFTA_BITWISE_SREG));
    const Bytes mask = value(data, NFTA_BITWISE_MASK);
    const Bytes flip = value(data, NFTA_BITWISE_XOR);
    const bool flips = std::any_of(flip.begin(), flip.end(), [](std::uint8_t b) { return b != 0; });
    if (number(data, NFTA_BITWISE_OP) != NFT_BITWISE_BOOL || flips || mask.empty() ||
        !operand.mask.empty())
      operand.field = PacketField::opaque;
    operand.mask = blob_of(mask);
    load(number(data, NFTA_BITWISE_DREG), operand);
  }

  void compare(const Attributes& data) {
    const Bytes bytes = value(data, NFTA_CMP_DATA);
    Operand operand = operand_at(number(data, NFTA_CMP_SREG));
    const std::uint32_t op = number(data, NFTA_CMP_OP);
    if (operand.field != PacketField::opaque && bytes.size() <= operand.length)
      operand.length = bytes.size();
    else
      operand.field = PacketField::opaque;
    learn_family(operand, op, bytes);
    const Blob exact = blob_of(bytes);
    const Blob lowest(exact.size(), 0x00);
    const Blob highest(exact.size(), 0xff);
    Condition condition{.key = {std::move(operand)}};
    if (op == NFT_CMP_EQ || op == NFT_CMP_NEQ) condition.values = {{exact, exact}};
    if (op == NFT_CMP_GTE || op == NFT_CMP_LT) condition.values = {{exact, highest}};
    if (op == NFT_CMP_LTE || op == NFT_CMP_GT) condition.values = {{lowest, exact}};
    condition.inverted = op == NFT_CMP_NEQ || op == NFT_CMP_LT || op == NFT_CMP_GT;
    rule_.conditions.push_back(std::move(condition));
  }
  // In an inet chain the network header is what the rule says before it looks into it.
  void learn_family(const Operand& operand, std::uint32_t op, Bytes bytes) {
    constexpr std::array<std::uint8_t, 2> kIpv4 = {0x08, 0x00};
    constexpr std::array<std::uint8_t, 2> kIpv6 = {0x86, 0xdd};
    if (op != NFT_CMP_EQ) return;
    if (operand.field == PacketField::nfproto && bytes.size() == 1) family_ = bytes[0];
    if (operand.field != PacketField::ether_type) return;
    if (std::equal(bytes.begin(), bytes.end(), kIpv4.begin(), kIpv4.end())) family_ = NFPROTO_IPV4;
    if (std::equal(bytes.begin(), bytes.end(), kIpv6.begin(), kIpv6.end())) family_ = NFPROTO_IPV6;
  }
  void range(const Attributes& data) {
    rule_.conditions.push_back({.key = {operand_at(number(data, NFTA_RANGE_SREG))},
                                .values = {{blob_of(value(data, NFTA_RANGE_FROM_DATA)),
                                            blob_of(value(data, NFTA_RANGE_TO_DATA))}},
                                .inverted = number(data, NFTA_RANGE_OP) == NFT_RANGE_NEQ});
  }
  // The operands that lie in the registers of a key, one behind the other.
  [[nodiscard]] std::vector<Operand> key_at(std::uint32_t reg, std::size_t length) const {
    std::vector<Operand> key;
    for (std::size_t slot = slot_of(reg), end = slot + padded(length) / 4; slot < end;) {
      if (slot >= kSlots || slots_[slot].length == 0) return {Operand{}};
      key.push_back(slots_[slot]);
      slot += padded(slots_[slot].length) / 4;
    }
    // One field alone may be a part of what was loaded.
    if (key.size() == 1) key.front().length = std::min(key.front().length, length);
    return key;
  }
  void lookup(const Attributes& data) {
    const auto name = data.find(NFTA_LOOKUP_SET);
    Condition condition{.key = {Operand{PacketField::opaque, "lookup", 4}},
                        .set = name ? std::string(name->text()) : "",
                        .inverted = (number(data, NFTA_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV) != 0};
    const auto set = sets_.find({reply_.chain.first, condition.set});
    if (set != sets_.end()) {
      condition.key = key_at(number(data, NFTA_LOOKUP_SREG), set->second.key_length);
      condition.values = set->second.elements;
    }
    const auto destination = data.find(NFTA_LOOKUP_DREG);
    if (destination && destination->number32() == NFT_REG_VERDICT) {
      rule_.verdict_map = std::move(condition);
      return;
    }
    if (destination)
      load(destination->number32(), {PacketField::opaque, "map @" + condition.set, 4});
    rule_.conditions.push_back(std::move(condition));
  }

  void immediate(const Attributes& data) {
    const std::uint32_t reg = number(data, NFTA_IMMEDIATE_DREG);
    if (reg != NFT_REG_VERDICT) return load_value(reg, value(data, NFTA_IMMEDIATE_DATA));
    const auto outer = data.find(NFTA_IMMEDIATE_DATA);
    const auto verdict = outer ? Attributes(outer->payload).find(NFTA_DATA_VERDICT) : std::nullopt;
    if (verdict) rule_.verdict = parse_verdict(verdict->payload);
  }
  void load_value(std::uint32_t reg, Bytes bytes) {
    load(reg, {PacketField::opaque, "a value", std::max<std::size_t>(bytes.size(), 4)});
    if (slot_of(reg) < kSlots) values_[slot_of(reg)] = blob_of(bytes);
  }
  void nat(const Attributes& data) {
    if (number(data, NFTA_NAT_TYPE) != NFT_NAT_DNAT) return masquerade(data);
    rule_.verdict.kind = Verdict::Kind::translate;
    const auto reg = data.find(NFTA_NAT_REG_ADDR_MIN);
    const Family family =
        number(data, NFTA_NAT_FAMILY) == NFPROTO_IPV6 ? Family::ipv6 : Family::ipv4;
    const Bytes address = reg ? value_at(reg->number32()) : Bytes{};
    if (address.size() == address_length(family))
      rule_.target = IpAddress::from_bytes(family, address.data());
    const auto port_reg = data.find(NFTA_NAT_REG_PROTO_MIN);
    const Bytes port = port_reg ? value_at(port_reg->number32()) : Bytes{};
    if (port.size() >= 2) rule_.target_port = Port::from(port[0] << 8 | port[1]);
  }
  void redirect(const Attributes&) { rule_.verdict.kind = Verdict::Kind::translate; }
  void masquerade(const Attributes&) { rule_.verdict.kind = Verdict::Kind::masquerade; }
  void divert(const Attributes&) { rule_.verdict.kind = Verdict::Kind::divert; }
  void untrack(const Attributes&) { rule_.deeds.push_back({.kind = Deed::Kind::untrack}); }
  void reject(const Attributes&) { rule_.verdict.kind = Verdict::Kind::reject; }
  void queue(const Attributes&) { rule_.verdict.kind = Verdict::Kind::queue; }
  void limit(const Attributes& data) {
    rule_.conditions.push_back({.key = {Operand{PacketField::opaque, limit_text(data), 4}}});
  }
  // Of TCP; a rule may also set an option, or take it away.
  void option(const Attributes& data) {
    const auto target = data.find(NFTA_EXTHDR_DREG);
    const auto type = data.find(NFTA_EXTHDR_TYPE);
    if (!target) return;
    if (number(data, NFTA_EXTHDR_OP) != NFT_EXTHDR_OP_TCPOPT) return forget("exthdr");
    load(target->number32(),
         option_operand(type ? type->raw<std::uint8_t>() : 0, number(data, NFTA_EXTHDR_OFFSET),
                        number(data, NFTA_EXTHDR_LEN),
                        (number(data, NFTA_EXTHDR_FLAGS) & NFT_EXTHDR_F_PRESENT) != 0));
  }
  // ct count over 20
  void limit_connections(const Attributes& data) {
    const bool is_over = (number(data, NFTA_CONNLIMIT_FLAGS) & NFT_CONNLIMIT_F_INV) != 0;
    const std::string count = std::to_string(number(data, NFTA_CONNLIMIT_COUNT));
    const Operand operand{PacketField::opaque, "ct count " + (is_over ? "over " + count : count),
                          4};
    rule_.conditions.push_back({.key = {operand}});
  }
  // counter name "web"; quotas and limits decide whether the rule goes on
  void object(const Attributes& data) {
    const std::uint32_t type = number(data, NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_UNSPEC);
    if (type != NFT_OBJECT_COUNTER && type != NFT_OBJECT_CT_HELPER) forget("a named object");
  }
  void match(const Attributes& data) {
    const auto name = data.find(NFTA_MATCH_NAME);
    const auto info = data.find(NFTA_MATCH_INFO);
    if (!name || !info) return forget("match");
    if (name->text() == "comment") rule_.comment = info->text();
    const auto conditions = xt_match(name->text(), number(data, NFTA_MATCH_REV), info->payload);
    if (!conditions) return forget("-m " + std::string(name->text()));
    rule_.conditions.insert(rule_.conditions.end(), conditions->begin(), conditions->end());
  }
  void target(const Attributes& data) {
    const auto name = data.find(NFTA_TARGET_NAME);
    const auto info = data.find(NFTA_TARGET_INFO);
    if (name)
      xt_target(name->text(), number(data, NFTA_TARGET_REV), info ? info->payload : Bytes{},
                family_ == NFPROTO_IPV6 ? Family::ipv6 : Family::ipv4, rule_);
  }

  RuleReply& reply_;
  Rule& rule_;
  const std::map<Name, Set>& sets_;
  std::uint8_t family_;
  std::array<Operand, kSlots> slots_{};
  std::array<Blob, kSlots> values_{};
};

}  // namespace

Verdict parse_verdict(Bytes attributes) {
  const auto code = Attributes(attributes).find(NFTA_VERDICT_CODE);
  const auto chain = Attributes(attributes).find(NFTA_VERDICT_CHAIN);
  Verdict verdict{Verdict::Kind::none, chain ? std::string(chain->text()) : ""};
  switch (code ? static_cast<std::int32_t>(code->number32()) : NFT_CONTINUE) {
    case NF_ACCEPT:
      verdict.kind = Verdict::Kind::accept;
      break;
    case NF_DROP:
      verdict.kind = Verdict::Kind::drop;
      break;
    case NFT_JUMP:
      verdict.kind = Verdict::Kind::jump;
      break;
    case NFT_GOTO:
      verdict.kind = Verdict::Kind::go;
      break;
    case NFT_RETURN:
      verdict.kind = Verdict::Kind::leave;
      break;
    case NF_QUEUE:
    case NF_STOLEN:
      verdict.kind = Verdict::Kind::queue;
      break;
    default:
      break;
  }
  return verdict;
}

// Type, length, text.
std::string comment_of(const Attributes& rule) {
  const auto data = rule.find(NFTA_RULE_USERDATA);
  if (!data || data->payload.size() < 2 || data->payload[0] != 0) return {};
  const std::size_t length = std::min<std::size_t>(data->payload[1], data->payload.size() - 2);
  const std::string_view all(reinterpret_cast<const char*>(data->payload.data()) + 2, length);
  return std::string(all.substr(0, all.find('\0')));
}

RuleReply parse_rule(const nlmsghdr& reply, const std::map<Name, Set>& sets) {
  RuleReply parsed;
  const Attributes attributes(message_attributes(reply, sizeof(nfgenmsg)));
  parsed.chain.first.family = family_of(reply);
  const auto table = attributes.find(NFTA_RULE_TABLE);
  const auto chain = attributes.find(NFTA_RULE_CHAIN);
  const auto handle = attributes.find(NFTA_RULE_HANDLE);
  const auto expressions = attributes.find(NFTA_RULE_EXPRESSIONS);
  if (table) parsed.chain.first.name = table->text();
  if (chain) parsed.chain.second = chain->text();
  if (handle) parsed.rule.handle = handle->number64();
  parsed.rule.comment = comment_of(attributes);
  RuleParser parser(parsed, sets);
  if (!expressions) return parsed;
  for (const Attribute& expression : Attributes(expressions->payload)) {
    const Attributes parts(expression.payload);
    const auto name = parts.find(NFTA_EXPR_NAME);
    const auto data = parts.find(NFTA_EXPR_DATA);
    parser.expression(name ? name->text() : "?", Attributes(data ? data->payload : Bytes{}));
  }
  return parsed;
}

}  // namespace portmapper::nft::foreign

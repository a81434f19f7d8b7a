#include "nft/foreign/rule_text.hpp"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "nft/foreign/rule.hpp"
#include "nft/key.hpp"

namespace portmapper::nft::foreign {
namespace {

struct NamedNumber {
  std::uint32_t number;
  std::string_view name;
};

constexpr std::array kStateNames = {NamedNumber{NF_CT_STATE_BIT(IP_CT_ESTABLISHED), "established"},
                                    NamedNumber{NF_CT_STATE_BIT(IP_CT_RELATED), "related"},
                                    NamedNumber{NF_CT_STATE_BIT(IP_CT_NEW), "new"},
                                    NamedNumber{NF_CT_STATE_INVALID_BIT, "invalid"},
                                    NamedNumber{NF_CT_STATE_UNTRACKED_BIT, "untracked"}};
constexpr std::array kStatusNames = {
    NamedNumber{IPS_EXPECTED, "expected"}, NamedNumber{IPS_SEEN_REPLY, "seen-reply"},
    NamedNumber{IPS_ASSURED, "assured"},   NamedNumber{IPS_CONFIRMED, "confirmed"},
    NamedNumber{IPS_SRC_NAT, "snat"},      NamedNumber{IPS_DST_NAT, "dnat"}};
constexpr std::array kAddressTypes = {
    NamedNumber{RTN_UNICAST, "unicast"}, NamedNumber{RTN_LOCAL, "local"},
    NamedNumber{RTN_BROADCAST, "broadcast"}, NamedNumber{RTN_MULTICAST, "multicast"}};

std::uint32_t host_number_of(const Blob& blob) {
  std::uint32_t number = 0;
  std::memcpy(&number, blob.data(), std::min(blob.size(), sizeof number));
  return number;
}

// "established,related": nothing where a bit has no name.
std::optional<std::string> bit_names(std::uint32_t bits, std::span<const NamedNumber> names) {
  std::string text;
  for (const NamedNumber& one : names) {
    if ((bits & one.number) == 0) continue;
    text += (text.empty() ? "" : ",") + std::string(one.name);
    bits &= ~one.number;
  }
  if (bits != 0 || text.empty()) return std::nullopt;
  return text;
}

std::span<const NamedNumber> bits_of(PacketField field) {
  if (field == PacketField::ct_state) return kStateNames;
  if (field == PacketField::ct_status) return kStatusNames;
  return {};
}

bool is_zero(const Blob& blob) {
  return std::all_of(blob.begin(), blob.end(), [](std::uint8_t byte) { return byte == 0; });
}

// A state, a status or a type of address, alone in its condition: nft compares bits with 0.
std::optional<std::string> named_value(const Condition& condition) {
  if (condition.key.size() != 1 || condition.values.size() != 1) return std::nullopt;
  const Operand& operand = condition.key.front();
  const Element& value = condition.values.front();
  if (value.first != value.last) return std::nullopt;
  if (operand.field == PacketField::daddr_type)
    for (const NamedNumber& type : kAddressTypes)
      if (type.number == host_number_of(value.first))
        return operand.text + (condition.inverted ? " != " : " ") + std::string(type.name);
  if (operand.mask.empty() || !is_zero(value.first)) return std::nullopt;
  const auto names = bit_names(host_number_of(operand.mask), bits_of(operand.field));
  if (!names) return std::nullopt;
  return operand.text + (condition.inverted ? " " : " ! ") + *names;
}

bool needs_th(const Operand& operand) {
  return operand.field == PacketField::sport || operand.field == PacketField::dport;
}

// "th dport": in the tables of this reader ports are without their protocol.
Condition with_th(Condition condition) {
  for (Operand& operand : condition.key)
    if (needs_th(operand)) operand.text = "th " + operand.text;
  return condition;
}

std::string condition_text(const Condition& condition) {
  if (const auto text = named_value(condition)) return *text;
  return to_string(with_th(condition));
}

// "ct state vmap { established : accept, ... }"
std::string map_text(const Condition& map) {
  std::string key;
  for (const Operand& operand : with_th(map).key) key += (key.empty() ? "" : " . ") + operand.text;
  if (!map.set.starts_with("__")) return key + " vmap @" + map.set;
  constexpr std::size_t kMost = 8;
  std::string list;
  for (const Element& element : map.values) {
    auto value = to_string(element, map.key);
    if (!value && map.key.size() == 1)
      value = bit_names(host_number_of(element.first), bits_of(map.key.front().field));
    if (!value || map.values.size() > kMost) return key + " vmap { ... }";
    list += (list.empty() ? "" : ", ") + *value + " : " + to_string(element.verdict);
  }
  return key + " vmap { " + list + " }";
}

// What an expression does, where the verdict alone does not tell it.
std::string action_of(std::string_view name, const Attributes& data) {
  if (name == "masq") return "masquerade";
  if (name == "redir") return "redirect";
  for (const std::string_view same :
       {"reject", "queue", "log", "notrack", "synproxy", "fwd", "tproxy"})
    if (name == same) return std::string(name);
  if (name == "nat") {
    const auto type = data.find(NFTA_NAT_TYPE);
    return type && type->number32() == NFT_NAT_DNAT ? "dnat" : "snat";
  }
  if (name != "target") return {};
  const auto target = data.find(NFTA_TARGET_NAME);
  return target ? "-j " + std::string(target->text()) : std::string();
}

std::string actions_of(const Attributes& attributes) {
  std::string text;
  const auto expressions = attributes.find(NFTA_RULE_EXPRESSIONS);
  if (!expressions) return text;
  for (const Attribute& expression : Attributes(expressions->payload)) {
    const Attributes parts(expression.payload);
    const auto name = parts.find(NFTA_EXPR_NAME);
    const auto data = parts.find(NFTA_EXPR_DATA);
    const std::string action =
        action_of(name ? name->text() : "", Attributes(data ? data->payload : Bytes{}));
    if (!action.empty()) text += (text.empty() ? "" : " ") + action;
  }
  return text;
}

// Whether the rule's actions are the verdict's own word, or that of a target.
bool is_said(const Verdict& verdict, const std::string& actions) {
  switch (verdict.kind) {
    case Verdict::Kind::none:
      return true;
    case Verdict::Kind::translate:
    case Verdict::Kind::masquerade:
    case Verdict::Kind::divert:
    case Verdict::Kind::reject:
    case Verdict::Kind::queue:
      return !actions.empty();
    default:
      return actions.find("-j ") != std::string::npos;
  }
}

// nft's comment: type, length, text.
std::string comment_of(const Attributes& attributes) {
  const auto data = attributes.find(NFTA_RULE_USERDATA);
  if (!data || data->payload.size() < 2 || data->payload[0] != 0) return {};
  const std::size_t length = std::min<std::size_t>(data->payload[1], data->payload.size() - 2);
  const std::string_view all(reinterpret_cast<const char*>(data->payload.data()) + 2, length);
  return "comment \"" + std::string(all.substr(0, all.find('\0'))) + '"';
}

}  // namespace

std::string to_string(const Verdict& verdict) {
  switch (verdict.kind) {
    case Verdict::Kind::none:
      return "continue";
    case Verdict::Kind::accept:
      return "accept";
    case Verdict::Kind::drop:
      return "drop";
    case Verdict::Kind::reject:
      return "reject";
    case Verdict::Kind::queue:
      return "queue";
    case Verdict::Kind::leave:
      return "return";
    case Verdict::Kind::jump:
      return "jump " + verdict.chain;
    case Verdict::Kind::go:
      return "goto " + verdict.chain;
    case Verdict::Kind::translate:
      return "dnat";
    case Verdict::Kind::masquerade:
      return "masquerade";
    case Verdict::Kind::divert:
      return "divert";
  }
  return {};
}

std::string rule_text(const nlmsghdr& reply, const std::map<Name, Set>& sets) {
  const Attributes attributes(message_attributes(reply, sizeof(nfgenmsg)));
  const Rule rule = parse_rule(reply, sets).rule;
  std::string text;
  const auto add = [&text](const std::string& part) {
    if (!part.empty()) text += (text.empty() ? "" : " ") + part;
  };
  for (const Condition& condition : rule.conditions) add(condition_text(condition));
  const std::string actions = actions_of(attributes);
  add(actions);
  if (rule.verdict_map) add(map_text(*rule.verdict_map));
  if (!is_said(rule.verdict, actions)) add(to_string(rule.verdict));
  add(comment_of(attributes));
  return text;
}

}  // namespace portmapper::nft::foreign

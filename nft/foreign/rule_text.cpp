#include "nft/foreign/rule_text.hpp"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "nft/foreign/rule.hpp"

namespace portmapper::nft::foreign {
namespace {

bool is_port(const Operand& operand) {
  return operand.field == PacketField::sport || operand.field == PacketField::dport;
}

bool has_field(const Condition& condition, PacketField field) {
  return std::any_of(condition.key.begin(), condition.key.end(),
                     [field](const Operand& operand) { return operand.field == field; });
}

// "tcp dport", where the rule has said the protocol; else "th dport".
Condition with_protocol(Condition condition, const std::string& protocol) {
  const bool is_known = !protocol.empty() && !has_field(condition, PacketField::l4proto);
  for (Operand& operand : condition.key)
    if (is_port(operand)) operand.text = (is_known ? protocol : "th") + " " + operand.text;
  return condition;
}

// What a condition on one field with one value says: "tcp" of the protocol.
std::string said_by(const Condition& condition, PacketField field) {
  if (condition.key.size() != 1 || condition.key.front().field != field || condition.inverted ||
      condition.values.size() != 1 || !condition.key.front().mask.empty())
    return {};
  return to_string(condition.values.front(), condition.key).value_or("");
}

std::string family_said_by(const Condition& condition) {
  const std::string family = said_by(condition, PacketField::nfproto);
  if (!family.empty()) return family == "ipv4" ? "ip " : "ip6 ";
  const std::string type = said_by(condition, PacketField::ether_type);
  return type.empty() ? "" : type + " ";
}

// Whether the second says itself what the first asks, so that nft leaves the first out.
bool needs_not(const Condition& first, const Condition& second) {
  const auto any = [&second](const auto& is_wanted) {
    return std::any_of(second.key.begin(), second.key.end(), is_wanted);
  };
  if (const std::string family = family_said_by(first); !family.empty())
    return any([&family](const Operand& operand) { return operand.text.starts_with(family); });
  if (first.key.size() != 1 || first.key.front().text != "meta l4proto") return false;
  const std::string protocol = said_by(first, PacketField::l4proto);
  const bool is_named = protocol == "tcp" || protocol == "udp" || protocol == "sctp";
  if (!is_named || has_field(second, PacketField::l4proto)) return false;
  return any([&protocol](const Operand& operand) {
    return is_port(operand) || operand.text.starts_with(protocol + " ");
  });
}

// nft needs some conditions only to be able to look at what comes behind them.
class ConditionTexts {
 public:
  explicit ConditionTexts(const Rule& rule) : conditions_(rule.conditions) {
    if (rule.verdict_map) conditions_.push_back(*rule.verdict_map);
    const std::size_t own = rule.conditions.size();
    for (std::size_t i = 0; i < own; ++i) {
      const std::string said = said_by(conditions_[i], PacketField::l4proto);
      if (!said.empty()) protocol_ = said;
      if (!is_left_out(i)) texts_.push_back(to_string(with_protocol(conditions_[i], protocol_)));
    }
  }
  [[nodiscard]] const std::vector<std::string>& texts() const { return texts_; }
  // That the rule is about, behind its conditions; empty: any.
  [[nodiscard]] const std::string& protocol() const { return protocol_; }

 private:
  [[nodiscard]] bool is_left_out(std::size_t i) const {
    for (std::size_t next = i + 1; next < conditions_.size(); ++next) {
      if (needs_not(conditions_[i], conditions_[next])) return true;
      if (!is_left_out(next)) return false;
    }
    return false;
  }

  std::vector<Condition> conditions_;
  std::vector<std::string> texts_{};
  std::string protocol_{};
};

// "ct state vmap { established : accept, ... }"
std::string map_text(const Condition& map, const std::string& protocol) {
  std::string key;
  for (const Operand& operand : with_protocol(map, protocol).key)
    key += (key.empty() ? "" : " . ") + operand.text;
  if (!map.set.starts_with("__")) return key + " vmap @" + map.set;
  constexpr std::size_t kMost = 8;
  std::string list;
  for (const Element& element : map.values) {
    const auto value = to_string(element, map.key);
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
  const ConditionTexts conditions(rule);
  for (const std::string& condition : conditions.texts()) add(condition);
  const std::string actions = actions_of(attributes);
  add(actions);
  if (rule.verdict_map) add(map_text(*rule.verdict_map, conditions.protocol()));
  if (!is_said(rule.verdict, actions)) add(to_string(rule.verdict));
  if (const std::string comment = comment_of(attributes); !comment.empty())
    add("comment \"" + comment + '"');
  return text;
}

}  // namespace portmapper::nft::foreign

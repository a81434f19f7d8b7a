#include "nft/rule_form.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <bit>
#include <set>

#include "nft/egress.hpp"
#include "nft/encode.hpp"
#include "nft/load_length.hpp"
#include "nft/registers.hpp"
#include "nft/set.hpp"

namespace portmapper::nft {
namespace {

constexpr std::string_view kAnonymousPrefix = "__set";

const char* header_name(std::uint32_t base) {
  switch (base) {
    case NFT_PAYLOAD_NETWORK_HEADER:
      return "nh";
    case NFT_PAYLOAD_TRANSPORT_HEADER:
      return "th";
    default:
      return nullptr;
  }
}

const char* comparison(std::uint32_t operation) {
  constexpr const char* kSigns[] = {" == ", " != ", " < ", " <= ", " > ", " >= "};
  return operation < std::size(kSigns) ? kSigns[operation] : nullptr;
}

std::size_t length_of(std::span<const FieldType> types) {
  std::size_t length = 0;
  for (const FieldType type : types) length += padded(field(type).length);
  return length;
}

// The sets of the skeleton and of any network.
std::optional<SetSpec> set_named(std::string_view name) {
  for (const SetSpec& set : skeleton_sets())
    if (set.name == name) return set;
  for (const Family family : kFamilies)
    if (SetSpec set = egress_sources_spec(family); set.name == name) return set;
  for (const Suffix suffix : kSuffixes) {
    const std::string end = target_map("", suffix);
    if (name.ends_with(end)) return target_spec(name.substr(0, name.size() - end.size()), suffix);
  }
  return std::nullopt;
}

// The attributes of one expression, each of which must be known.
class Fields {
 public:
  Fields(Bytes bytes, std::initializer_list<std::uint16_t> known) : all_(bytes) {
    for (const Attribute& attribute : all_)
      is_known_ = is_known_ && std::find(known.begin(), known.end(), attribute.type) != known.end();
  }
  [[nodiscard]] bool is_known() const { return is_known_; }
  [[nodiscard]] std::optional<Attribute> find(std::uint16_t type) const { return all_.find(type); }
  [[nodiscard]] std::uint32_t number(std::uint16_t type, std::uint32_t otherwise = 0) const {
    const auto found = all_.find(type);
    return found ? found->number32() : otherwise;
  }
  [[nodiscard]] Bytes value(std::uint16_t type) const {
    const auto found = all_.find(type);
    return found ? nested(*found, NFTA_DATA_VALUE) : Bytes{};
  }

 private:
  Attributes all_;
  bool is_known_ = true;
};

// Follows the expressions of one rule. Each function is false where it meets what it does not know.
class Interpreter {
 public:
  explicit Interpreter(const AnonymousSets& sets) : sets_(sets) {}

  RuleForm run(Bytes expressions) {
    for (const Attribute& expression : Attributes(expressions)) {
      const auto name = Attributes(expression.payload).find(NFTA_EXPR_NAME);
      if (!name || !follow(name->text(), nested(expression, NFTA_EXPR_DATA))) return {};
    }
    settle();
    return std::move(form_);
  }

 private:
  bool follow(std::string_view name, Bytes data) {
    struct Kind {
      std::string_view name;
      bool (Interpreter::*follow)(Bytes);
    };
    static constexpr Kind kKinds[] = {
        {"meta", &Interpreter::meta},         {"ct", &Interpreter::connection},
        {"payload", &Interpreter::payload},   {"fib", &Interpreter::fib},
        {"socket", &Interpreter::socket},     {"bitwise", &Interpreter::bitwise},
        {"byteorder", &Interpreter::order},   {"cmp", &Interpreter::compare},
        {"range", &Interpreter::range},       {"lookup", &Interpreter::lookup},
        {"immediate", &Interpreter::literal}, {"nat", &Interpreter::nat},
        {"masq", &Interpreter::masquerade},   {"counter", &Interpreter::counter},
    };
    for (const Kind& kind : kKinds)
      if (kind.name == name) return (this->*kind.follow)(data);
    return false;
  }

  // An order of comparisons that have no effect is no difference.
  void settle() {
    form_.insert(form_.end(), tests_.begin(), tests_.end());
    tests_.clear();
  }
  bool test(std::string text) {
    tests_.insert(std::move(text));
    return true;
  }
  bool effect(std::string text) {
    settle();
    form_.push_back(std::move(text));
    return true;
  }
  // nft can tell of an order of statements alone, and sets before it looks a translation's target up.
  bool store(std::string text) {
    settle();
    const bool is_behind_target = target_ != 0 && target_ == form_.size();
    form_.insert(form_.end() - (is_behind_target ? 1 : 0), std::move(text));
    return true;
  }

  // A load, or, of what can be set, a store.
  bool load_or_store(const Fields& fields, const std::string& source,
                     std::optional<std::size_t> length, std::uint16_t to, std::uint16_t from) {
    if (!fields.is_known() || !length) return false;
    if (fields.find(to)) return registers_.write(fields.number(to), loaded(source, 0, *length));
    const auto stored = registers_.read(fields.number(from), *length);
    return stored && store("set " + source + " " + to_string(*stored));
  }

  bool meta(Bytes data) {
    const Fields fields(data, {NFTA_META_KEY, NFTA_META_DREG, NFTA_META_SREG});
    const std::uint32_t key = fields.number(NFTA_META_KEY);
    return load_or_store(fields, "meta:" + std::to_string(key), meta_length(key), NFTA_META_DREG,
                         NFTA_META_SREG);
  }

  bool connection(Bytes data) {
    const Fields fields(data, {NFTA_CT_KEY, NFTA_CT_DREG, NFTA_CT_DIRECTION, NFTA_CT_SREG});
    const std::uint32_t key = fields.number(NFTA_CT_KEY);
    std::string source = "ct:" + std::to_string(key);
    if (const auto direction = fields.find(NFTA_CT_DIRECTION))
      source += ":" + std::to_string(direction->raw<std::uint8_t>());
    return load_or_store(fields, source, connection_length(key), NFTA_CT_DREG, NFTA_CT_SREG);
  }

  bool payload(Bytes data) {
    const Fields fields(
        data, {NFTA_PAYLOAD_DREG, NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_OFFSET, NFTA_PAYLOAD_LEN});
    const char* const header = header_name(fields.number(NFTA_PAYLOAD_BASE));
    const std::uint32_t length = fields.number(NFTA_PAYLOAD_LEN);
    return fields.is_known() && header != nullptr && length <= 16 &&
           registers_.write(fields.number(NFTA_PAYLOAD_DREG),
                            loaded(header, fields.number(NFTA_PAYLOAD_OFFSET), length));
  }

  bool fib(Bytes data) {
    const Fields fields(data, {NFTA_FIB_DREG, NFTA_FIB_RESULT, NFTA_FIB_FLAGS});
    if (!fields.is_known() || fields.number(NFTA_FIB_RESULT) != NFT_FIB_RESULT_ADDRTYPE)
      return false;
    const std::string source = "fib:" + std::to_string(fields.number(NFTA_FIB_FLAGS));
    return registers_.write(fields.number(NFTA_FIB_DREG), loaded(source, 0, 4));
  }

  bool socket(Bytes data) {
    const Fields fields(data, {NFTA_SOCKET_KEY, NFTA_SOCKET_DREG});
    const std::uint32_t key = fields.number(NFTA_SOCKET_KEY);
    const auto length = socket_length(key);
    return fields.is_known() && length &&
           registers_.write(fields.number(NFTA_SOCKET_DREG),
                            loaded("socket:" + std::to_string(key), 0, *length));
  }

  bool bitwise(Bytes data) {
    const Fields fields(data, {NFTA_BITWISE_SREG, NFTA_BITWISE_DREG, NFTA_BITWISE_LEN,
                               NFTA_BITWISE_MASK, NFTA_BITWISE_XOR, NFTA_BITWISE_OP});
    const std::uint32_t length = fields.number(NFTA_BITWISE_LEN);
    const Bytes mask = fields.value(NFTA_BITWISE_MASK);
    const Bytes bits = fields.value(NFTA_BITWISE_XOR);
    if (!fields.is_known() || fields.number(NFTA_BITWISE_OP) != NFT_BITWISE_BOOL ||
        mask.size() != length || bits.size() != length)
      return false;
    auto bytes = registers_.read(fields.number(NFTA_BITWISE_SREG), length);
    if (!bytes) return false;
    for (std::size_t i = 0; i < length; ++i) {
      SymbolicByte& byte = (*bytes)[i];
      byte.mask &= mask[i];
      byte.bits = static_cast<std::uint8_t>((byte.bits & mask[i]) ^ bits[i]);
    }
    return registers_.write(fields.number(NFTA_BITWISE_DREG), *bytes);
  }

  // To network order and back are the same: the bytes of each number are turned, or are not.
  bool order(Bytes data) {
    const Fields fields(data, {NFTA_BYTEORDER_SREG, NFTA_BYTEORDER_DREG, NFTA_BYTEORDER_OP,
                               NFTA_BYTEORDER_LEN, NFTA_BYTEORDER_SIZE});
    const std::uint32_t length = fields.number(NFTA_BYTEORDER_LEN);
    const std::uint32_t size = fields.number(NFTA_BYTEORDER_SIZE);
    auto bytes = registers_.read(fields.number(NFTA_BYTEORDER_SREG), length);
    if (!fields.is_known() || !bytes || size == 0 || length % size != 0) return false;
    if constexpr (std::endian::native == std::endian::little)
      for (std::size_t at = 0; at < length; at += size) {
        const auto first = bytes->begin() + static_cast<std::ptrdiff_t>(at);
        std::reverse(first, first + static_cast<std::ptrdiff_t>(size));
      }
    return registers_.write(fields.number(NFTA_BYTEORDER_DREG), *bytes);
  }

  bool compare(Bytes data) {
    const Fields fields(data, {NFTA_CMP_SREG, NFTA_CMP_OP, NFTA_CMP_DATA});
    return fields.is_known() &&
           compare_with(fields.number(NFTA_CMP_SREG), fields.number(NFTA_CMP_OP),
                        fields.value(NFTA_CMP_DATA));
  }

  bool range(Bytes data) {
    const Fields fields(data,
                        {NFTA_RANGE_SREG, NFTA_RANGE_OP, NFTA_RANGE_FROM_DATA, NFTA_RANGE_TO_DATA});
    const std::uint32_t from = fields.number(NFTA_RANGE_SREG);
    const Bytes first = fields.value(NFTA_RANGE_FROM_DATA);
    const Bytes last = fields.value(NFTA_RANGE_TO_DATA);
    const auto bytes = registers_.read(from, first.size());
    if (!fields.is_known() || !bytes) return false;
    if (fields.number(NFTA_RANGE_OP) == NFT_RANGE_NEQ)
      return test(to_string(*bytes) + " != " + hex(first) + "-" + hex(last));
    return compare_with(from, NFT_CMP_GTE, first) && compare_with(from, NFT_CMP_LTE, last);
  }

  bool compare_with(std::uint32_t number, std::uint32_t operation, Bytes value) {
    auto bytes = registers_.read(number, value.size());
    const char* const sign = comparison(operation);
    if (!bytes || value.empty() || sign == nullptr) return false;
    if (operation == NFT_CMP_EQ) {
      for (std::size_t i = 0; i < value.size(); ++i) equals((*bytes)[i], value[i]);
      return true;
    }
    std::vector<std::uint8_t> rest(value.begin(), value.end());
    if (operation == NFT_CMP_NEQ) leave_out_equal(*bytes, rest);
    return test(to_string(*bytes) + sign + hex(rest));
  }

  // Byte by byte, so that it makes no difference how many are compared at once.
  void equals(SymbolicByte byte, std::uint8_t value) {
    if (byte.is_constant()) {
      if (byte.bits != value) test("never");
      return;
    }
    const auto wanted = static_cast<std::uint8_t>(value ^ byte.bits);
    byte.bits = 0;
    test(to_string(byte) + " == " + hex({&wanted, 1}));
  }

  // Bytes that are the same anyway: those behind a prefix.
  static void leave_out_equal(SymbolicBytes& bytes, std::vector<std::uint8_t>& value) {
    for (std::size_t i = bytes.size(); i-- > 0;) {
      if (!bytes[i].is_constant() || bytes[i].bits != value[i]) continue;
      bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(i));
      value.erase(value.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  bool lookup(Bytes data) {
    const Fields fields(data, {NFTA_LOOKUP_SET, NFTA_LOOKUP_SREG, NFTA_LOOKUP_DREG,
                               NFTA_LOOKUP_SET_ID, NFTA_LOOKUP_FLAGS});
    const auto set = fields.find(NFTA_LOOKUP_SET);
    if (!fields.is_known() || !set) return false;
    const bool is_inverted = (fields.number(NFTA_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV) != 0;
    const std::string in = is_inverted ? "not in " : "in ";
    const auto to = fields.find(NFTA_LOOKUP_DREG);
    const std::uint32_t from = fields.number(NFTA_LOOKUP_SREG);
    if (set->text().starts_with(kAnonymousPrefix))
      return !to && in_braces(in, from, key_of(set->text(), fields.number(NFTA_LOOKUP_SET_ID)));
    const auto spec = set_named(set->text());
    const auto key = spec ? registers_.read(from, length_of(spec->key)) : std::nullopt;
    if (!key) return false;
    const std::string name = "@" + std::string(set->text());
    std::string text = in + name + " " + to_string(*key);
    if (spec->verdicts) return to && to->number32() == NFT_REG_VERDICT && effect("v" + text);
    if (spec->data.empty()) return !to && test(std::move(text));
    if (!to) return false;
    effect(std::move(text));
    target_ = form_.size();
    return registers_.write(to->number32(), loaded(name, 0, length_of(spec->data)));
  }

  // In a batch all anonymous sets have one name, and a number each.
  static std::string key_of(std::string_view name, std::uint32_t id) {
    return id == 0 ? std::string(name) : std::to_string(id);
  }

  bool in_braces(const std::string& in, std::uint32_t from, const std::string& set) {
    const auto found = sets_.find(set);
    if (found == sets_.end() || found->second.empty()) return false;
    const std::string& first = found->second.front();
    const auto key = registers_.read(from, (first.size() - (first.ends_with('!') ? 1 : 0)) / 2);
    if (!key) return false;
    std::string text = in + "{";
    for (const std::string& element : found->second) text += " " + element;
    return test(text + " } " + to_string(*key));
  }

  bool literal(Bytes data) {
    const Fields fields(data, {NFTA_IMMEDIATE_DREG, NFTA_IMMEDIATE_DATA});
    const auto value = fields.find(NFTA_IMMEDIATE_DATA);
    if (!fields.is_known() || !value) return false;
    const std::uint32_t to = fields.number(NFTA_IMMEDIATE_DREG);
    if (to != NFT_REG_VERDICT)
      return registers_.write(to, constant(nested(*value, NFTA_DATA_VALUE)));
    const auto verdict = Attributes(value->payload).find(NFTA_DATA_VERDICT);
    const auto code = verdict ? Attributes(verdict->payload).find(NFTA_VERDICT_CODE) : std::nullopt;
    if (!code) return false;
    const auto chain = Attributes(verdict->payload).find(NFTA_VERDICT_CHAIN);
    return conclude(static_cast<std::int32_t>(code->number32()), chain ? chain->text() : "");
  }

  bool conclude(std::int32_t code, std::string_view chain) {
    switch (code) {
      case NF_DROP:
        return effect("drop");
      case NF_ACCEPT:
        return effect("accept");
      case NFT_RETURN:
        return effect("return");
      case NFT_JUMP:
        return effect("jump " + std::string(chain));
      case NFT_GOTO:
        return effect("goto " + std::string(chain));
      default:
        return false;
    }
  }

  // " [...]", or " -" where there is no such register; false where it cannot be.
  bool operand(const Fields& fields, std::uint16_t type, std::size_t length, std::string& text) {
    const auto number = fields.find(type);
    const auto bytes = number ? registers_.read(number->number32(), length) : std::nullopt;
    text += bytes ? " " + to_string(*bytes) : " -";
    return bytes || !number;
  }

  // The kernel takes a missing end of a range for its beginning, and adds flags for what is given.
  bool nat(Bytes data) {
    const Fields fields(
        data, {NFTA_NAT_TYPE, NFTA_NAT_FAMILY, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_ADDR_MAX,
               NFTA_NAT_REG_PROTO_MIN, NFTA_NAT_REG_PROTO_MAX, NFTA_NAT_FLAGS});
    if (!fields.is_known()) return false;
    const bool has_address = fields.find(NFTA_NAT_REG_ADDR_MIN).has_value();
    const bool has_port = fields.find(NFTA_NAT_REG_PROTO_MIN).has_value();
    const bool is_ipv4 = fields.number(NFTA_NAT_FAMILY) == NFPROTO_IPV4;
    std::uint32_t flags = fields.number(NFTA_NAT_FLAGS);
    if (has_address) flags |= NF_NAT_RANGE_MAP_IPS;
    if (has_port) flags |= NF_NAT_RANGE_PROTO_SPECIFIED;
    std::string text = fields.number(NFTA_NAT_TYPE) == NFT_NAT_DNAT ? "dnat" : "snat";
    text += is_ipv4 ? " ip " : " ip6 ";
    text += std::to_string(flags);
    const auto end = [&fields](std::uint16_t last, std::uint16_t first) {
      return fields.find(last) ? last : first;
    };
    const std::size_t length = is_ipv4 ? 4 : 16;
    return operand(fields, NFTA_NAT_REG_ADDR_MIN, length, text) &&
           operand(fields, end(NFTA_NAT_REG_ADDR_MAX, NFTA_NAT_REG_ADDR_MIN), length, text) &&
           operand(fields, NFTA_NAT_REG_PROTO_MIN, 2, text) &&
           operand(fields, end(NFTA_NAT_REG_PROTO_MAX, NFTA_NAT_REG_PROTO_MIN), 2, text) &&
           effect(text);
  }

  bool masquerade(Bytes data) {
    const Fields fields(data, {NFTA_MASQ_FLAGS});
    return fields.is_known() &&
           effect("masquerade " + std::to_string(fields.number(NFTA_MASQ_FLAGS)));
  }

  bool counter(Bytes) { return effect("counter"); }

  const AnonymousSets& sets_;
  Registers registers_;
  std::set<std::string> tests_;
  RuleForm form_;
  std::size_t target_ = 0;  // behind the step that looked a map up
};

Bytes expressions_of(const nlmsghdr& message) {
  const auto found =
      Attributes(message_attributes(message, sizeof(nfgenmsg))).find(NFTA_RULE_EXPRESSIONS);
  return found ? found->payload : Bytes{};
}

// What stands before the first interval ends at 0, with whoever says so.
bool is_beginning(const std::string& element) {
  return element.ends_with('!') && element.find_first_not_of('0') == element.size() - 1;
}

}  // namespace

RuleForm rule_form(Bytes expressions, const AnonymousSets& sets) {
  return Interpreter(sets).run(expressions);
}

RuleForm rule_form(const Rule& rule) {
  Messages messages;
  (void)encode_rule(messages, "", rule, 1);
  AnonymousSets sets;
  Bytes expressions;
  for (Bytes rest = messages.bytes(); rest.size() >= sizeof(nlmsghdr);) {
    const auto& message = *reinterpret_cast<const nlmsghdr*>(rest.data());
    const Attributes attributes(message_attributes(message, sizeof(nfgenmsg)));
    const auto set = attributes.find(NFTA_SET_ELEM_LIST_SET_ID);
    if ((message.nlmsg_type & 0xff) == NFT_MSG_NEWSETELEM && set)
      add_elements(message, sets[std::to_string(set->number32())]);
    if ((message.nlmsg_type & 0xff) == NFT_MSG_NEWRULE) expressions = expressions_of(message);
    rest = rest.subspan(std::min(rest.size(), std::size_t{NLMSG_ALIGN(message.nlmsg_len)}));
  }
  return rule_form(expressions, sets);
}

std::vector<std::string> anonymous_sets(Bytes expressions) {
  std::vector<std::string> names;
  for (const Attribute& expression : Attributes(expressions)) {
    const auto name = Attributes(expression.payload).find(NFTA_EXPR_NAME);
    if (!name || name->text() != "lookup") continue;
    const auto data = Attributes(expression.payload).find(NFTA_EXPR_DATA);
    const auto set = data ? Attributes(data->payload).find(NFTA_LOOKUP_SET) : std::nullopt;
    if (set && set->text().starts_with(kAnonymousPrefix)) names.emplace_back(set->text());
  }
  return names;
}

void add_elements(const nlmsghdr& message, std::vector<std::string>& elements) {
  const auto list =
      Attributes(message_attributes(message, sizeof(nfgenmsg))).find(NFTA_SET_ELEM_LIST_ELEMENTS);
  if (!list) return;
  for (const Attribute& element : Attributes(list->payload)) {
    const Attributes attributes(element.payload);
    const auto key = attributes.find(NFTA_SET_ELEM_KEY);
    const auto flags = attributes.find(NFTA_SET_ELEM_FLAGS);
    if (!key) continue;
    std::string text = hex(nested(*key, NFTA_DATA_VALUE));
    if (flags && (flags->number32() & NFT_SET_ELEM_INTERVAL_END) != 0) text += '!';
    if (!is_beginning(text)) elements.push_back(std::move(text));
  }
  std::sort(elements.begin(), elements.end());
}

}  // namespace portmapper::nft

// The text of matches; what a set makes of its values is in match_set.cpp.

#include "lib/base/match.hpp"

#include <algorithm>
#include <cstdio>

#include "lib/base/bytes.hpp"

namespace portmapper {
namespace {

using Form = MatchValue::Form;

struct FieldInfo {
  const char* words;  // of sport and dport, without the protocol
  std::uint8_t length;
  bool host_order;
};
constexpr std::array<FieldInfo, 12> kFields = {{{"ip saddr", 4, false},
                                                {"ip daddr", 4, false},
                                                {"ip6 saddr", 16, false},
                                                {"ip6 daddr", 16, false},
                                                {"iifname", 16, true},
                                                {"oifname", 16, true},
                                                {"meta mark", 4, true},
                                                {"meta l4proto", 1, false},
                                                {"sport", 2, false},
                                                {"dport", 2, false},
                                                {"ct state", 4, true},
                                                {"fib daddr type", 4, true}}};

const FieldInfo& info(MatchField field) {
  return kFields[static_cast<std::size_t>(field)];
}

struct Flag {
  std::string_view name;
  std::uint32_t bit;
};
// In the order of the bits, which is that of nft's listing; NF_CT_STATE_BIT and its two neighbours.
constexpr std::array<Flag, 5> kStates = {
    {{"invalid", 1}, {"established", 2}, {"related", 4}, {"new", 8}, {"untracked", 64}}};

// RTN_UNSPEC, RTN_UNICAST, RTN_LOCAL, ...
constexpr std::array<std::string_view, 9> kAddressTypes = {"unspec",    "unicast",     "local",
                                                           "broadcast", "anycast",     "multicast",
                                                           "blackhole", "unreachable", "prohibit"};

constexpr std::array<const char*, 7> kOperators = {"", "== ", "!= ", "< ", "> ", "<= ", ">= "};

std::string states_text(std::uint32_t bits, const char* between) {
  std::string text;
  for (const Flag& state : kStates) {
    if ((bits & state.bit) == 0) continue;
    if (!text.empty()) text += between;
    text += state.name;
  }
  return text;
}

std::string interface_text(const MatchValue& value) {
  const std::string_view all(reinterpret_cast<const char*>(value.first.data()), 16);
  return '"' + std::string(all.substr(0, all.find('\0'))) +
         (value.form == Form::prefix ? "*\"" : "\"");
}

std::string address_text(MatchField field, const MatchValue::Octets& bytes) {
  const bool is_ipv4 = match_length(field) == 4;
  return IpAddress(is_ipv4 ? Family::ipv4 : Family::ipv6, bytes).to_string();
}

// One end of a value, as a range has it.
std::string end_text(const Match& match, const MatchValue::Octets& bytes) {
  const std::size_t length = match_length(match.field);
  const std::uint32_t number = to_number({Form::one, bytes, bytes}, length);
  switch (match.field) {
    case MatchField::ip_saddr:
    case MatchField::ip_daddr:
    case MatchField::ip6_saddr:
    case MatchField::ip6_daddr:
      return address_text(match.field, bytes);
    case MatchField::mark: {
      std::array<char, 11> text{};
      (void)std::snprintf(text.data(), text.size(), "0x%08x", number);
      return text.data();
    }
    case MatchField::l4proto: {
      const auto protocol = protocol_from_number(static_cast<std::uint8_t>(number));
      return protocol ? std::string(to_string(*protocol)) : std::to_string(number);
    }
    case MatchField::ct_state:
      // Only a flag test has commas; everything else is arithmetic to nft.
      return states_text(number, match.op == MatchOperator::equal ? "," : " | ");
    case MatchField::fib_daddr_type:
      return std::string(kAddressTypes[std::min<std::size_t>(number, kAddressTypes.size() - 1)]);
    case MatchField::iifname:
    case MatchField::oifname:
    case MatchField::sport:
    case MatchField::dport:
      break;
  }
  return std::to_string(number);
}

std::string value_text(const Match& match, const MatchValue& value) {
  if (is_interface(match.field)) return interface_text(value);
  std::string text = end_text(match, value.first);
  if (value.form == Form::prefix)
    text += "/" + std::to_string(prefix_bits(value, match_length(match.field)));
  if (value.form == Form::range) text += "-" + end_text(match, value.last);
  return text;
}

}  // namespace

MatchValue MatchValue::number(std::uint32_t number, std::size_t length) {
  MatchValue value;
  for (std::size_t i = 0; i < length; ++i)
    value.first[i] = static_cast<std::uint8_t>(number >> (8 * (length - 1 - i)) & 0xff);
  value.last = value.first;
  return value;
}

MatchValue MatchValue::address(const IpAddress& address) {
  return {Form::one, address.bytes(), address.bytes()};
}

MatchValue MatchValue::prefix(const IpPrefix& prefix) {
  return {Form::prefix, prefix.network().address.bytes(), prefix.last().bytes()};
}

MatchValue MatchValue::interface_name(std::string_view name) {
  MatchValue value;
  std::copy_n(name.begin(), std::min(name.size(), value.first.size() - 1), value.first.begin());
  value.last = value.first;
  return value;
}

MatchValue MatchValue::interface_prefix(std::string_view beginning) {
  MatchValue value = interface_name(beginning);
  value.form = Form::prefix;
  for (std::size_t i = beginning.size(); i < value.last.size(); ++i) value.last[i] = 0xff;
  return value;
}

MatchValue MatchValue::range(const MatchValue& first, const MatchValue& last) {
  return {Form::range, first.first, last.last};
}

std::size_t match_length(MatchField field) {
  return info(field).length;
}

bool is_host_order(MatchField field) {
  return info(field).host_order;
}

bool is_interface(MatchField field) {
  return field == MatchField::iifname || field == MatchField::oifname;
}

std::uint32_t to_number(const MatchValue& value, std::size_t length) {
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(length, 4); ++i)
    number = number << 8 | value.first[i];
  return number;
}

std::size_t prefix_bits(const MatchValue& value, std::size_t length) {
  return equal_bits({value.first.data(), length}, {value.last.data(), length});
}

std::optional<std::uint32_t> parse_ct_state(std::string_view name) {
  for (const Flag& state : kStates)
    if (state.name == name) return state.bit;
  return std::nullopt;
}

std::optional<std::uint32_t> parse_address_type(std::string_view name) {
  const auto* const found = std::find(kAddressTypes.begin(), kAddressTypes.end(), name);
  if (found == kAddressTypes.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found - kAddressTypes.begin());
}

bool demands_protocol_only(const Match& match) {
  return match.field == MatchField::l4proto && match.op == MatchOperator::equal && !match.is_set();
}

std::optional<Protocol> demanded_protocol(std::span<const Match> matches) {
  for (const Match& match : matches) {
    if (match.transport) return match.transport;
    if (demands_protocol_only(match)) return protocol_from_number(match.values.front().first[0]);
  }
  return std::nullopt;
}

std::string to_string(const Match& match) {
  std::string text;
  if (match.field == MatchField::sport || match.field == MatchField::dport)
    text = (match.transport ? std::string(to_string(*match.transport)) : "th") + " ";
  text += info(match.field).words;
  text += std::string(" ") + kOperators[static_cast<std::size_t>(match.op)];
  if (!match.is_set()) return text + value_text(match, match.values.front());
  const char* between = "{ ";
  for (const MatchValue& value : match.values) {
    text += between + value_text(match, value);
    between = ", ";
  }
  return text + " }";
}

}  // namespace portmapper

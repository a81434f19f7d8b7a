#include "lib/config/condition_value.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "lib/cni/request.hpp"

namespace portmapper::config {
namespace {

constexpr std::string_view kEndsBeforeItBegins = "is a range that ends before it begins";

std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t most) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.front() == '0') {
    return std::nullopt;
  }
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || number > most)
    return std::nullopt;
  return number;
}

std::optional<MatchValue> parse_address(std::string_view text, Family family) {
  const std::optional<IpAddress> address = IpAddress::parse(text);
  if (!address || address->family() != family) return std::nullopt;
  return MatchValue::address(*address);
}

std::optional<MatchValue> parse_prefix(std::string_view text, Family family) {
  const std::optional<IpPrefix> prefix = IpPrefix::parse(text);
  const std::string_view digits = text.substr(std::min(text.find('/') + 1, text.size()));
  if (!prefix || prefix->address.family() != family || (digits.size() > 1 && digits.front() == '0'))
    return std::nullopt;
  return MatchValue::prefix(*prefix);
}

std::optional<MatchValue> parse_end(MatchField field, std::string_view text) {
  if (match_length(field) == 16) return parse_address(text, Family::ipv6);
  if (field == MatchField::ip_saddr || field == MatchField::ip_daddr)
    return parse_address(text, Family::ipv4);
  const std::size_t length = match_length(field);
  const std::uint32_t most = std::numeric_limits<std::uint32_t>::max() >> (32 - 8 * length);
  const std::optional<std::uint32_t> number = parse_number(text, most);
  if (!number) return std::nullopt;
  return MatchValue::number(*number, length);
}

// An address, a port or a mark, or a range of them.
std::optional<MatchValue> parse_ordered(MatchField field, std::string_view text,
                                        std::string_view& why) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return parse_end(field, text);
  const std::optional<MatchValue> first = parse_end(field, text.substr(0, dash));
  const std::optional<MatchValue> last = parse_end(field, text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  if (last->first < first->first) {
    why = kEndsBeforeItBegins;
    return std::nullopt;
  }
  return MatchValue::range(*first, *last);
}

std::optional<MatchValue> parse_ip(MatchField field, std::string_view text, std::string_view& why) {
  const Family family = match_length(field) == 4 ? Family::ipv4 : Family::ipv6;
  if (text.find('/') != std::string_view::npos) return parse_prefix(text, family);
  return parse_ordered(field, text, why);
}

// nft reads other bare words as numbers, or as several words.
bool is_bare_name(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (std::all_of(text.begin(), text.end(), is_digit)) return text.size() == 1 || text[0] != '0';
  if (text.ends_with('*')) text.remove_suffix(1);
  const auto is_first = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
  };
  return !text.empty() && is_first(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_first(c) || is_digit(c) || c == '-'; });
}

std::optional<MatchValue> parse_interface(const ConditionWord& word, std::string_view& why) {
  std::string_view name = word.text;
  if (word.kind == ConditionWord::Kind::plain && !is_bare_name(name)) {
    why = kNeedsQuotes;
    return std::nullopt;
  }
  if (!cni::is_interface_name(name) || name == "*" ||
      name.find_first_of("\"\\\t") != std::string_view::npos)
    return std::nullopt;
  if (!name.ends_with('*')) return MatchValue::interface_name(name);
  name.remove_suffix(1);
  return MatchValue::interface_prefix(name);
}

std::optional<MatchValue> number_or_nothing(const std::optional<std::uint32_t>& number,
                                            MatchField field) {
  if (!number) return std::nullopt;
  return MatchValue::number(*number, match_length(field));
}

}  // namespace

std::optional<MatchValue> parse_condition_value(MatchField field, const ConditionWord& word,
                                                std::string_view& why) {
  switch (field) {
    case MatchField::ip_saddr:
    case MatchField::ip_daddr:
    case MatchField::ip6_saddr:
    case MatchField::ip6_daddr:
      return parse_ip(field, word.text, why);
    case MatchField::iifname:
    case MatchField::oifname:
      return parse_interface(word, why);
    case MatchField::mark:
    case MatchField::sport:
    case MatchField::dport:
      return parse_ordered(field, word.text, why);
    case MatchField::l4proto: {
      std::optional<Protocol> protocol = parse_protocol(word.text);
      const std::optional<std::uint32_t> number = parse_number(word.text, 255);
      if (number) protocol = protocol_from_number(static_cast<std::uint8_t>(*number));
      if (!protocol) return std::nullopt;
      return MatchValue::number(static_cast<std::uint8_t>(*protocol), 1);
    }
    case MatchField::ct_state:
      return number_or_nothing(parse_ct_state(word.text), field);
    case MatchField::fib_daddr_type:
      return number_or_nothing(parse_address_type(word.text), field);
  }
  return std::nullopt;
}

std::string_view expected_of(MatchField field) {
  switch (field) {
    case MatchField::ip_saddr:
    case MatchField::ip_daddr:
      return "an IPv4 address, a prefix such as 10.0.0.0/8 or a range such as 10.0.0.1-10.0.0.9";
    case MatchField::ip6_saddr:
    case MatchField::ip6_daddr:
      return "an IPv6 address, a prefix such as fd00::/8 or a range such as fd00::1-fd00::9";
    case MatchField::iifname:
    case MatchField::oifname:
      return "the name of an interface, or its beginning and \"*\"";
    case MatchField::mark:
      return "a mark (32 bits, decimal or 0x...) or a range of two";
    case MatchField::l4proto:
      return "tcp, udp or sctp, the protocols of published ports";
    case MatchField::sport:
    case MatchField::dport:
      return "a port (0-65535) or a range such as 1024-65535";
    case MatchField::ct_state:
      return "one of invalid, established, related, new, untracked";
    case MatchField::fib_daddr_type:
      return "one of unspec, unicast, local, broadcast, anycast, multicast, blackhole, "
             "unreachable, prohibit";
  }
  return {};
}

}  // namespace portmapper::config

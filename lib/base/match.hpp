// Match: one nft match expression as a value, and the words nft lists it with.
//
//   const Match match{.field = MatchField::dport, .values = {MatchValue::number(80, 2)},
//                     .transport = Protocol::tcp};
//   to_string(match);                             // "tcp dport 80"
//   as_set(MatchField::mark, {five, one, five});  // one and five, once each: { 0x1, 0x5 }
//
// A value is what the packet has, as bytes: `first` and `last` hold the field's length
// (match_length) in network order, the rest are 0; interface names are padded with NUL. One value
// has first == last; a prefix ("10.0.0.0/8", "eth*") and a range differ only in how nft writes
// them. Two or more values are a set. to_string is what `nft list` of nft 1.0.6 prints, so values
// must be as nft has them there: a set made by as_set, not "one value in braces". Errors: none.
// Does not promise: to_string of what no parser makes, a range of ct states for instance; that nft
// merges nothing (see lib/config/conditions). Source: nft(8); nftables 1.0.6, segtree.c (intervals
// as prefixes), mergesort.c (order of elements).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"

namespace portmapper {

enum class MatchField : std::uint8_t {
  ip_saddr,
  ip_daddr,
  ip6_saddr,
  ip6_daddr,
  iifname,
  oifname,
  mark,
  l4proto,
  sport,
  dport,
  ct_state,
  fib_daddr_type,
};

enum class MatchOperator : std::uint8_t {
  equal,    // not written; of ct state: one of the states
  exactly,  // "==", which means something else for ct state only
  not_equal,
  less,
  greater,
  at_most,
  at_least,
};

struct MatchValue {
  enum class Form : std::uint8_t { one, prefix, range };
  using Octets = std::array<std::uint8_t, 16>;

  Form form = Form::one;
  Octets first{};
  Octets last{};

  static MatchValue number(std::uint32_t number, std::size_t length);
  static MatchValue address(const IpAddress& address);
  static MatchValue prefix(const IpPrefix& prefix);  // its network
  static MatchValue interface_name(std::string_view name);
  static MatchValue interface_prefix(std::string_view beginning);  // "eth" for "eth*"
  static MatchValue range(const MatchValue& first, const MatchValue& last);

  bool operator==(const MatchValue&) const = default;
};

struct Match {
  MatchField field;
  MatchOperator op = MatchOperator::equal;
  std::vector<MatchValue> values;
  std::optional<Protocol> transport{};  // of sport and dport: "tcp dport"; nothing: "th dport"

  [[nodiscard]] bool is_set() const { return values.size() > 1; }
  bool operator==(const Match&) const = default;
};

std::size_t match_length(MatchField field);  // bytes
// Whether the kernel has the field in host byte order: a number, or an interface's name.
bool is_host_order(MatchField field);
bool is_interface(MatchField field);
std::uint32_t to_number(const MatchValue& value, std::size_t length);  // of `first`
// The length of "eth" in "eth*", of "10.0.0.0/8"; in bits.
std::size_t prefix_bits(const MatchValue& value, std::size_t length);
// "new" is 8; nothing for what is no state.
std::optional<std::uint32_t> parse_ct_state(std::string_view name);
std::optional<std::uint32_t> parse_address_type(std::string_view name);

// Values as a set has them: each once, in nft's order; where one is a prefix or a range, joined
// where they touch. May be one value, which is then not to be a set.
std::vector<MatchValue> as_set(MatchField field, std::vector<MatchValue> values);
// Whether the kernel must look for intervals, not for values.
bool has_intervals(std::span<const MatchValue> values);

// The protocol of every packet that passes all of `matches`, if they say it.
std::optional<Protocol> demanded_protocol(std::span<const Match> matches);
// "meta l4proto tcp", which nft does not list where the ports that come later are tcp ones.
bool demands_protocol_only(const Match& match);

std::string to_string(const Match& match);

}  // namespace portmapper

#include "nft/encode_match.hpp"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <bit>

#include "nft/key.hpp"

namespace portmapper::nft {
namespace {

using Octets = MatchValue::Octets;
using Form = MatchValue::Form;

// nft's types, by field.
constexpr std::array<FieldType, 12> kTypes = {
    FieldType::ipv4_addr,    FieldType::ipv4_addr,  FieldType::ipv6_addr,
    FieldType::ipv6_addr,    FieldType::ifname,     FieldType::ifname,
    FieldType::mark,         FieldType::inet_proto, FieldType::inet_service,
    FieldType::inet_service, FieldType::ct_state,   FieldType::fib_addrtype};

std::uint32_t operation_of(MatchOperator op) {
  switch (op) {
    case MatchOperator::equal:
    case MatchOperator::exactly:
      return NFT_CMP_EQ;
    case MatchOperator::not_equal:
      return NFT_CMP_NEQ;
    case MatchOperator::less:
      return NFT_CMP_LT;
    case MatchOperator::greater:
      return NFT_CMP_GT;
    case MatchOperator::at_most:
      return NFT_CMP_LTE;
    case MatchOperator::at_least:
      return NFT_CMP_GTE;
  }
  return NFT_CMP_EQ;
}

std::span<const std::uint8_t> beginning(const Octets& bytes, std::size_t length) {
  return {bytes.data(), length};
}

// A number of 4 bytes as the kernel has it in a register.
Octets in_host_order(Octets bytes) {
  if constexpr (std::endian::native == std::endian::little)
    std::reverse(bytes.begin(), bytes.begin() + 4);
  return bytes;
}

class MatchEncoder {
 public:
  MatchEncoder(RuleBuilder& rule, const Match& match)
      : rule_(rule),
        match_(match),
        length_(static_cast<std::uint32_t>(match_length(match.field))),
        is_host_number_(is_host_order(match.field) && !is_interface(match.field)) {}

  void encode() {
    if (match_.is_set()) return encode_set();
    const MatchValue& value = match_.values.front();
    const bool is_order = match_.op >= MatchOperator::less;
    if (value.form == Form::prefix) return encode_prefix(value);
    load(length_);
    if (match_.field == MatchField::ct_state && match_.op == MatchOperator::equal)
      return encode_flags(value);
    if (value.form != Form::range && !is_order)
      return compare(operation_of(match_.op),
                     is_host_number_ ? in_host_order(value.first) : value.first);
    if (is_host_number_) rule_.to_network_order();
    if (value.form != Form::range) return compare(operation_of(match_.op), value.first);
    encode_range(value);
  }

 private:
  void compare(std::uint32_t operation, const Octets& bytes) {
    rule_.compare(operation, beginning(bytes, length_));
  }

  // The first `length` bytes of the field to slot 0, once the packet is known to have it.
  void load(std::uint32_t length) {
    switch (match_.field) {
      case MatchField::ip_saddr:
      case MatchField::ip_daddr:
        rule_.only_family(Family::ipv4);
        return rule_.address(Family::ipv4, side(MatchField::ip_saddr), slot(0), length);
      case MatchField::ip6_saddr:
      case MatchField::ip6_daddr:
        rule_.only_family(Family::ipv6);
        return rule_.address(Family::ipv6, side(MatchField::ip6_saddr), slot(0), length);
      case MatchField::iifname:
        return rule_.meta(NFT_META_IIFNAME, slot(0));
      case MatchField::oifname:
        return rule_.meta(NFT_META_OIFNAME, slot(0));
      case MatchField::mark:
        return rule_.meta(NFT_META_MARK, slot(0));
      case MatchField::l4proto:
        return rule_.meta(NFT_META_L4PROTO, slot(0));
      case MatchField::sport:
      case MatchField::dport:
        if (match_.transport) rule_.only_protocol(*match_.transport);
        return rule_.port(side(MatchField::sport), slot(0));
      case MatchField::ct_state:
        return rule_.connection(NFT_CT_STATE, slot(0));
      case MatchField::fib_daddr_type:
        return rule_.destination_type();
    }
  }

  [[nodiscard]] Side side(MatchField source) const {
    return match_.field == source ? Side::source : Side::destination;
  }

  // Whole bytes are loaded alone, other prefixes masked; a name has more bytes than its beginning.
  void encode_prefix(const MatchValue& value) {
    const auto bits = static_cast<std::uint32_t>(prefix_bits(value, length_));
    const bool is_whole = bits != 0 && bits % 8 == 0;
    load(is_whole ? bits / 8 : length_);
    if (!is_whole) {
      Octets mask{};
      for (std::size_t i = 0; i < mask.size(); ++i)
        mask[i] = static_cast<std::uint8_t>(~(value.first[i] ^ value.last[i]));
      rule_.mask(beginning(mask, length_));
    }
    rule_.compare(operation_of(match_.op), beginning(value.first, is_whole ? bits / 8 : length_));
  }

  // Any of the states: the bits that are asked for are not all 0.
  void encode_flags(const MatchValue& value) {
    rule_.mask(beginning(in_host_order(value.first), length_));
    compare(NFT_CMP_NEQ, {});
  }

  void encode_range(const MatchValue& value) {
    if (match_.op == MatchOperator::not_equal)
      return rule_.not_between(beginning(value.first, length_), beginning(value.last, length_));
    compare(NFT_CMP_GTE, value.first);
    compare(NFT_CMP_LTE, value.last);
  }

  void encode_set() {
    const bool is_interval = has_intervals(match_.values);
    AnonymousSet set{.key_type = field(kTypes[static_cast<std::size_t>(match_.field)]).type_id,
                     .key_length = length_,
                     .is_host_order = is_host_order(match_.field) &&
                                      (is_interface(match_.field) || !is_interval),
                     .is_interval = is_interval,
                     .elements = {}};
    load(length_);
    if (is_interval) {
      if (is_host_number_) rule_.to_network_order();
      add_intervals(set);
    } else {
      for (const MatchValue& value : match_.values)
        set.elements.push_back({is_host_number_ ? in_host_order(value.first) : value.first});
    }
    rule_.lookup(set, match_.op == MatchOperator::not_equal);
  }

  void add_intervals(AnonymousSet& set) {
    // What lies before the first interval has an end too: the kernel's tree begins with it.
    if (match_.values.front().first != Octets{}) set.elements.push_back({{}, true, false});
    for (const MatchValue& value : match_.values) {
      Octets next = value.last;
      std::size_t at = length_;
      while (at > 0 && ++next[at - 1] == 0) --at;
      const bool is_open = at == 0;
      set.elements.push_back({value.first, false, is_open});
      if (!is_open) set.elements.push_back({next, true, false});
    }
  }

  RuleBuilder& rule_;
  const Match& match_;
  std::uint32_t length_;
  bool is_host_number_;
};

}  // namespace

void encode_match(RuleBuilder& rule, const Match& match) {
  MatchEncoder(rule, match).encode();
}

}  // namespace portmapper::nft

#include "nft/foreign/condition_text.hpp"

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"

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
constexpr std::array kTcpFlags = {NamedNumber{0x01, "fin"}, NamedNumber{0x02, "syn"},
                                  NamedNumber{0x04, "rst"}, NamedNumber{0x08, "psh"},
                                  NamedNumber{0x10, "ack"}, NamedNumber{0x20, "urg"},
                                  NamedNumber{0x40, "ecn"}, NamedNumber{0x80, "cwr"}};
constexpr std::array kAddressTypes = {
    NamedNumber{RTN_UNICAST, "unicast"}, NamedNumber{RTN_LOCAL, "local"},
    NamedNumber{RTN_BROADCAST, "broadcast"}, NamedNumber{RTN_MULTICAST, "multicast"}};
constexpr std::array kFamilies = {NamedNumber{NFPROTO_IPV4, "ipv4"},
                                  NamedNumber{NFPROTO_IPV6, "ipv6"}};
constexpr std::array kEtherTypes = {NamedNumber{ETH_P_IP, "ip"}, NamedNumber{ETH_P_IPV6, "ip6"},
                                    NamedNumber{ETH_P_ARP, "arp"},
                                    NamedNumber{ETH_P_8021Q, "vlan"}};
constexpr std::array kDirections = {NamedNumber{0, "original"}, NamedNumber{1, "reply"}};
constexpr std::array kPresence = {NamedNumber{0, "missing"}, NamedNumber{1, "exists"}};

std::optional<std::string> name_of(std::span<const NamedNumber> names, std::uint32_t number) {
  for (const NamedNumber& one : names)
    if (one.number == number) return std::string(one.name);
  return std::nullopt;
}

std::span<const NamedNumber> bits_of(PacketField field) {
  if (field == PacketField::ct_state) return kStateNames;
  if (field == PacketField::ct_status) return kStatusNames;
  if (field == PacketField::tcp_flags) return kTcpFlags;
  return {};
}

std::uint32_t big_number_of(Bytes bytes) {
  std::uint32_t number = 0;
  for (const std::uint8_t byte : bytes) number = number << 8 | byte;
  return number;
}

// Single bytes have no order.
std::uint32_t host_number_of(Bytes bytes) {
  if (bytes.size() == 1) return bytes[0];
  std::uint32_t number = 0;
  if (!bytes.empty()) std::memcpy(&number, bytes.data(), std::min(bytes.size(), sizeof number));
  return number;
}

// "0x00000009"
std::string hex(std::uint32_t number) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) text += kDigits[number >> shift & 0xf];
  return text;
}

// The beginning of an address is a prefix.
std::optional<std::string> address_text(Family family, const std::uint8_t* bytes,
                                        std::size_t length) {
  std::array<std::uint8_t, 16> whole{};
  if (length > address_length(family)) return std::nullopt;
  std::copy_n(bytes, length, whole.begin());
  const IpAddress address = IpAddress::from_bytes(family, whole.data());
  if (length == address_length(family)) return address.to_string();
  return IpPrefix{address, static_cast<std::uint8_t>(length * 8)}.to_string();
}

std::string interface_text(Bytes bytes) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const bool is_prefix =
      !all.empty() && all.size() < 16 && all.find('\0') == std::string_view::npos;
  return '"' + std::string(all.substr(0, all.find('\0'))) + (is_prefix ? "*\"" : "\"");
}

std::optional<std::string> field_text(PacketField field, Bytes bytes) {
  switch (field) {
    case PacketField::iifname:
    case PacketField::oifname:
    case PacketField::ibrname:
    case PacketField::obrname:
      return interface_text(bytes);
    case PacketField::ip_saddr:
    case PacketField::ip_daddr:
      return address_text(Family::ipv4, bytes.data(), bytes.size());
    case PacketField::ip6_saddr:
    case PacketField::ip6_daddr:
      return address_text(Family::ipv6, bytes.data(), bytes.size());
    case PacketField::sport:
    case PacketField::dport:
    case PacketField::ct_original_dport:
      if (bytes.size() != 2) return std::nullopt;
      return std::to_string(big_number_of(bytes));
    case PacketField::l4proto: {
      const auto protocol = protocol_from_number(bytes[0]);
      return protocol ? std::string(to_string(*protocol)) : std::to_string(bytes[0]);
    }
    case PacketField::nfproto:
      return name_of(kFamilies, bytes[0]);
    case PacketField::ether_type:
      return name_of(kEtherTypes, big_number_of(bytes));
    case PacketField::ct_direction:
      return name_of(kDirections, bytes[0]);
    case PacketField::daddr_type:
      return name_of(kAddressTypes, host_number_of(bytes));
    case PacketField::reverse_oif:
      return std::to_string(host_number_of(bytes));
    case PacketField::reverse_presence:
      return name_of(kPresence, host_number_of(bytes));
    default:
      return bit_names(field, blob_of(bytes));
  }
}

bool is_all(const Blob& blob, std::uint8_t value) {
  return std::all_of(blob.begin(), blob.end(), [value](std::uint8_t b) { return b == value; });
}

std::optional<std::string> text_of(const Operand& operand, const Blob& value) {
  return value_text(operand, value.data(), value.size());
}

// Behind a mask: bits that nft compares with 0, flags, and marks.
std::optional<std::string> masked_text(const Operand& operand, const Blob& value, bool inverted) {
  if (const auto names = bit_names(operand.field, operand.mask)) {
    if (is_all(value, 0)) return operand.text + (inverted ? " " : " ! ") + *names;
    const auto some = bit_names(operand.field, value);
    if (!some || operand.field != PacketField::tcp_flags) return std::nullopt;
    return operand.text + (inverted ? " != " : " ") + *some + " / " + *names;
  }
  if (operand.form != Operand::Form::mark) return std::nullopt;
  return operand.text + " & " + hex(host_number_of(operand.mask)) + (inverted ? " != " : " == ") +
         hex(host_number_of(value));
}

// One field, and one value or interval.
std::optional<std::string> single_text(const Condition& condition) {
  if (condition.key.size() != 1 || condition.values.size() != 1) return std::nullopt;
  const Operand& operand = condition.key.front();
  const auto& [first, last, verdict] = condition.values.front();
  if (!operand.mask.empty())
    return first == last ? masked_text(operand, first, condition.inverted) : std::nullopt;
  if (first == last) return std::nullopt;  // as lists are written
  const auto lowest = text_of(operand, first);
  const auto highest = text_of(operand, last);
  if (!lowest || !highest || first.size() != last.size()) return std::nullopt;
  const std::string equals = condition.inverted ? " != " : " ";
  if (is_all(last, 0xff)) return operand.text + (condition.inverted ? " < " : " >= ") + *lowest;
  if (is_all(first, 0x00)) return operand.text + (condition.inverted ? " > " : " <= ") + *highest;
  return operand.text + equals + *lowest + "-" + *highest;
}

// Of a list.
std::optional<std::string> item_text(const Element& value, const std::vector<Operand>& key) {
  if (value.first == value.last) return to_string(value, key);
  if (key.size() != 1 || !key.front().mask.empty()) return std::nullopt;
  const auto lowest = text_of(key.front(), value.first);
  const auto highest = text_of(key.front(), value.last);
  if (!lowest || !highest) return std::nullopt;
  return *lowest + "-" + *highest;
}

}  // namespace

std::optional<std::string> bit_names(PacketField field, const Blob& bits) {
  std::uint32_t left = host_number_of(bits);
  std::string text;
  for (const NamedNumber& one : bits_of(field)) {
    if ((left & one.number) == 0) continue;
    text += (text.empty() ? "" : ",") + std::string(one.name);
    left &= ~one.number;
  }
  if (left != 0 || text.empty()) return std::nullopt;
  return text;
}

std::optional<std::string> value_text(const Operand& operand, const std::uint8_t* bytes,
                                      std::size_t length) {
  if (length == 0) return std::nullopt;
  const Bytes value(bytes, length);
  switch (operand.form) {
    case Operand::Form::by_field:
      return field_text(operand.field, value);
    case Operand::Form::number:
      if (length > sizeof(std::uint32_t)) return std::nullopt;
      return std::to_string(big_number_of(value));
    case Operand::Form::host_number:
      return std::to_string(host_number_of(value));
    case Operand::Form::mark:
      return hex(host_number_of(value));
    case Operand::Form::presence:
      return name_of(kPresence, host_number_of(value));
  }
  return std::nullopt;
}

std::string to_string(const Condition& condition) {
  if (condition.set.empty() || condition.set.starts_with("__"))
    if (const auto text = single_text(condition)) return *text;
  std::string text;
  for (const Operand& operand : condition.key) text += (text.empty() ? "" : " . ") + operand.text;
  if (condition.inverted) text += " !=";
  if (!condition.set.empty() && !condition.set.starts_with("__"))
    return text + " @" + condition.set;
  std::string list;
  for (const Element& value : condition.values) {
    const auto one = item_text(value, condition.key);
    if (!one || condition.values.size() > 8) return text + " ...";
    list += (list.empty() ? "" : ", ") + *one;
  }
  if (list.empty()) return text;
  return text + (condition.values.size() > 1 ? " { " + list + " }" : " " + list);
}

}  // namespace portmapper::nft::foreign

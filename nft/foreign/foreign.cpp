#include "nft/foreign/foreign.hpp"

#include <linux/netfilter.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"
#include "nft/key.hpp"

namespace portmapper::nft::foreign {
namespace {

std::string family_name(std::uint8_t family) {
  switch (family) {
    case NFPROTO_INET:
      return "inet";
    case NFPROTO_IPV4:
      return "ip";
    case NFPROTO_IPV6:
      return "ip6";
    case NFPROTO_ARP:
      return "arp";
    case NFPROTO_BRIDGE:
      return "bridge";
    case NFPROTO_NETDEV:
      return "netdev";
    default:
      return "family " + std::to_string(family);
  }
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

bool is_address(PacketField field) {
  return field == PacketField::ip_saddr || field == PacketField::ip_daddr ||
         field == PacketField::ip6_saddr || field == PacketField::ip6_daddr;
}

// How many bits a mask keeps, if they are the first; nothing for others.
std::optional<std::uint8_t> prefix_length(const Blob& mask) {
  std::size_t bits = 0;
  while (bits < mask.size() * 8 && (mask[bits / 8] >> (7 - bits % 8) & 1) != 0) ++bits;
  for (std::size_t bit = bits; bit < mask.size() * 8; ++bit)
    if ((mask[bit / 8] >> (7 - bit % 8) & 1) != 0) return std::nullopt;
  return static_cast<std::uint8_t>(bits);
}

// One value in nft's form; nothing for fields whose values only nft's own tables name.
std::optional<std::string> value_text(PacketField field, const std::uint8_t* bytes,
                                      std::size_t length) {
  switch (field) {
    case PacketField::iifname:
    case PacketField::oifname:
    case PacketField::ibrname:
    case PacketField::obrname: {
      const std::string_view all(reinterpret_cast<const char*>(bytes), length);
      const bool is_prefix = length > 0 && length < 16 && all.find('\0') == std::string_view::npos;
      return '"' + std::string(all.substr(0, all.find('\0'))) + (is_prefix ? "*\"" : "\"");
    }
    case PacketField::ip_saddr:
    case PacketField::ip_daddr:
      return address_text(Family::ipv4, bytes, length);
    case PacketField::ip6_saddr:
    case PacketField::ip6_daddr:
      return address_text(Family::ipv6, bytes, length);
    case PacketField::sport:
    case PacketField::dport:
    case PacketField::ct_original_dport:
      if (length < 2) return std::nullopt;
      return std::to_string(bytes[0] << 8 | bytes[1]);
    case PacketField::l4proto: {
      if (length < 1) return std::nullopt;
      const auto protocol = protocol_from_number(bytes[0]);
      return protocol ? std::string(to_string(*protocol)) : std::to_string(bytes[0]);
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string to_string(const TableId& table) {
  return family_name(table.family) + " " + table.name +
         (table.is_legacy ? " of iptables-legacy" : "");
}

std::optional<std::string> to_string(const Element& element, const std::vector<Operand>& key) {
  if (element.first != element.last) return std::nullopt;
  std::string text;
  std::size_t at = 0;
  for (const Operand& operand : key) {
    if (at + operand.length > element.first.size()) return std::nullopt;
    const auto value = value_text(operand.field, element.first.data() + at, operand.length);
    if (!value) return std::nullopt;
    text += (text.empty() ? "" : " . ") + *value;
    if (!operand.mask.empty()) {
      const auto bits = prefix_length(operand.mask);
      if (!bits || !is_address(operand.field) || operand.mask.size() != operand.length)
        return std::nullopt;
      text += "/" + std::to_string(*bits);
    }
    at += padded(operand.length);
  }
  return text;
}

std::string to_string(const Condition& condition) {
  std::string text;
  for (const Operand& operand : condition.key) text += (text.empty() ? "" : " . ") + operand.text;
  if (condition.inverted) text += " !=";
  if (!condition.set.empty() && !condition.set.starts_with("__"))
    return text + " @" + condition.set;
  std::string list;
  for (const Element& value : condition.values) {
    const auto one = to_string(value, condition.key);
    if (!one || condition.values.size() > 8) return text + " ...";
    list += (list.empty() ? "" : ", ") + *one;
  }
  if (list.empty()) return text;
  return text + (condition.values.size() > 1 ? " { " + list + " }" : " " + list);
}

}  // namespace portmapper::nft::foreign

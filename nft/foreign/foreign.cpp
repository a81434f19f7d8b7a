#include "nft/foreign/foreign.hpp"

#include <linux/netfilter.h>

#include <algorithm>

#include "nft/foreign/condition_text.hpp"
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
    const auto value = value_text(operand, element.first.data() + at, operand.length);
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

}  // namespace portmapper::nft::foreign

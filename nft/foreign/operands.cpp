#include "nft/foreign/operands.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <span>

namespace portmapper::nft::foreign {
namespace {

using Form = Operand::Form;

struct Loadable {
  std::uint32_t key;
  Operand operand;
};

const Operand& find_in(std::span<const Loadable> table, std::uint32_t key, const Operand& other) {
  const auto found =
      std::find_if(table.begin(), table.end(), [key](const Loadable& l) { return l.key == key; });
  return found == table.end() ? other : found->operand;
}

// "fib saddr . iif oif"
std::string fib_text(std::uint32_t flags, std::uint32_t result) {
  struct Word {
    std::uint32_t flag;
    const char* text;
  };
  constexpr std::array kWords = {Word{NFTA_FIB_F_SADDR, "saddr"}, Word{NFTA_FIB_F_DADDR, "daddr"},
                                 Word{NFTA_FIB_F_MARK, "mark"}, Word{NFTA_FIB_F_IIF, "iif"},
                                 Word{NFTA_FIB_F_OIF, "oif"}};
  std::string text;
  for (const Word& word : kWords)
    if ((flags & word.flag) != 0) text += (text.empty() ? "fib " : " . ") + std::string(word.text);
  if (result == NFT_FIB_RESULT_ADDRTYPE) return text + " type";
  return text + (result == NFT_FIB_RESULT_OIFNAME ? " oifname" : " oif");
}

}  // namespace

Operand meta_operand(std::uint32_t key) {
  static const std::array table = {
      Loadable{NFT_META_NFPROTO, {PacketField::nfproto, "meta nfproto", 1}},
      Loadable{NFT_META_PROTOCOL, {PacketField::ether_type, "meta protocol", 2}},
      Loadable{NFT_META_L4PROTO, {PacketField::l4proto, "meta l4proto", 1}},
      Loadable{NFT_META_IIF, {PacketField::iif, "iif", 4}},
      Loadable{NFT_META_OIF, {PacketField::oif, "oif", 4}},
      Loadable{NFT_META_IIFNAME, {PacketField::iifname, "iifname", 16}},
      Loadable{NFT_META_OIFNAME, {PacketField::oifname, "oifname", 16}},
      Loadable{NFT_META_BRI_IIFNAME, {PacketField::ibrname, "meta ibrname", 16}},
      Loadable{NFT_META_BRI_OIFNAME, {PacketField::obrname, "meta obrname", 16}},
      Loadable{NFT_META_MARK, {PacketField::opaque, "meta mark", 4, {}, Form::mark}},
      Loadable{NFT_META_SKUID, {PacketField::opaque, "meta skuid", 4, {}, Form::host_number}},
      Loadable{NFT_META_PKTTYPE, {PacketField::opaque, "meta pkttype", 4}},
      Loadable{NFT_META_CGROUP, {PacketField::opaque, "meta cgroup", 4}},
  };
  return find_in(table, key, {PacketField::opaque, "meta", 4});
}

Operand payload_operand(std::uint32_t base, std::uint32_t offset, std::size_t length,
                        std::uint8_t family) {
  struct Header {
    std::uint8_t family;  // 0: any
    std::uint32_t base;
    std::uint32_t offset;
    std::size_t longest;  // nft loads less of an address to compare a prefix
    PacketField field;
    const char* text;
  };
  constexpr std::array kHeaders = {
      Header{0, NFT_PAYLOAD_LL_HEADER, 12, 2, PacketField::ether_type, "ether type"},
      Header{NFPROTO_IPV4, NFT_PAYLOAD_NETWORK_HEADER, 9, 1, PacketField::l4proto, "ip protocol"},
      Header{NFPROTO_IPV4, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, PacketField::ip_saddr, "ip saddr"},
      Header{NFPROTO_IPV4, NFT_PAYLOAD_NETWORK_HEADER, 16, 4, PacketField::ip_daddr, "ip daddr"},
      Header{NFPROTO_IPV6, NFT_PAYLOAD_NETWORK_HEADER, 6, 1, PacketField::l4proto, "ip6 nexthdr"},
      Header{NFPROTO_IPV6, NFT_PAYLOAD_NETWORK_HEADER, 8, 16, PacketField::ip6_saddr, "ip6 saddr"},
      Header{NFPROTO_IPV6, NFT_PAYLOAD_NETWORK_HEADER, 24, 16, PacketField::ip6_daddr, "ip6 daddr"},
      Header{0, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, PacketField::sport, "sport"},
      Header{0, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, PacketField::dport, "dport"},
      Header{0, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1, PacketField::tcp_flags, "tcp flags"},
  };
  for (const Header& header : kHeaders)
    if ((header.family == 0 || header.family == family) && header.base == base &&
        header.offset == offset && length <= header.longest)
      return {header.field, header.text, length};
  return {PacketField::opaque, "a part of the packet", length};
}

Operand ct_operand(std::uint32_t key, std::optional<std::uint32_t> direction) {
  constexpr std::uint32_t kOriginal = 0;
  if (key == NFT_CT_STATE) return {PacketField::ct_state, "ct state", 4};
  if (key == NFT_CT_STATUS) return {PacketField::ct_status, "ct status", 4};
  if (key == NFT_CT_DIRECTION) return {PacketField::ct_direction, "ct direction", 1};
  if (key == NFT_CT_PROTOCOL) return {PacketField::l4proto, "ct protocol", 1};
  if (key == NFT_CT_PROTO_DST && direction == kOriginal)
    return {PacketField::ct_original_dport, "ct original proto-dst", 2};
  if (key == NFT_CT_MARK) return {PacketField::opaque, "ct mark", 4, {}, Form::mark};
  if (key == NFT_CT_ZONE) return {PacketField::opaque, "ct zone", 2, {}, Form::host_number};
  if (key == NFT_CT_LABELS) return {PacketField::opaque, "ct label", 16};
  return {PacketField::opaque, "ct", 4};
}

Operand fib_operand(std::uint32_t flags, std::uint32_t result) {
  Operand operand{PacketField::opaque, fib_text(flags, result), 4};
  const bool is_present = (flags & NFTA_FIB_F_PRESENT) != 0;
  const std::uint32_t question = flags & ~std::uint32_t{NFTA_FIB_F_PRESENT | NFTA_FIB_F_MARK};
  if (result == NFT_FIB_RESULT_ADDRTYPE) {
    if (flags == NFTA_FIB_F_DADDR) operand.field = PacketField::daddr_type;
    return operand;
  }
  if (is_present) operand.form = Form::presence;
  if (question != (NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF)) return operand;
  if (is_present)
    operand.field = PacketField::reverse_presence;
  else if (result == NFT_FIB_RESULT_OIF)
    operand.field = PacketField::reverse_oif;
  return operand;
}

std::string limit_text(const Attributes& data) {
  struct Unit {
    std::uint64_t seconds;
    const char* name;
  };
  constexpr std::array kUnits = {Unit{1, "second"}, Unit{60, "minute"}, Unit{3600, "hour"},
                                 Unit{86400, "day"}, Unit{604800, "week"}};
  const auto wide = [&data](std::uint16_t type) {
    const auto found = data.find(type);
    return found && found->payload.size() == sizeof(std::uint64_t) ? found->number64() : 0;
  };
  const auto narrow = [&data](std::uint16_t type) {
    const auto found = data.find(type);
    return found ? found->number32() : 0;
  };
  const auto* const unit = std::find_if(
      kUnits.begin(), kUnits.end(),
      [seconds = wide(NFTA_LIMIT_UNIT)](const Unit& u) { return u.seconds == seconds; });
  if (unit == kUnits.end()) return "limit";
  const bool are_bytes = narrow(NFTA_LIMIT_TYPE) == NFT_LIMIT_PKT_BYTES;
  const bool is_over = (narrow(NFTA_LIMIT_FLAGS) & NFT_LIMIT_F_INV) != 0;
  return "limit rate " + std::string(is_over ? "over " : "") +
         std::to_string(wide(NFTA_LIMIT_RATE)) + (are_bytes ? " bytes/" : "/") + unit->name +
         " burst " + std::to_string(narrow(NFTA_LIMIT_BURST)) + (are_bytes ? " bytes" : " packets");
}

Operand option_operand(std::uint32_t type, std::uint32_t offset, std::size_t length,
                       bool is_presence) {
  struct Named {
    std::uint32_t type;
    const char* name;
  };
  constexpr std::array kOptions = {Named{2, "maxseg"}, Named{3, "window"}, Named{4, "sack-perm"},
                                   Named{5, "sack"}, Named{8, "timestamp"}};
  constexpr std::uint32_t kMaxseg = 2;
  const auto* const known = std::find_if(kOptions.begin(), kOptions.end(),
                                         [type](const Named& one) { return one.type == type; });
  Operand operand{
      PacketField::opaque,
      "tcp option " + (known == kOptions.end() ? std::to_string(type) : std::string(known->name)),
      length};
  if (is_presence) {
    operand.form = Form::presence;
  } else if (type == kMaxseg && offset == 2 && length == 2) {
    operand.text += " size";
    operand.form = Form::number;
  }
  return operand;
}

}  // namespace portmapper::nft::foreign

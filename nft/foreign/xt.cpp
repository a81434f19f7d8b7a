#include "nft/foreign/xt.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_rpfilter.h>
#include <linux/netfilter/xt_tcpudp.h>

#include <algorithm>
#include <cstring>

namespace portmapper::nft::foreign {
namespace {

// The info of a match is padded, so it is at least as long as the struct.
template <typename T>
std::optional<T> info_as(Bytes info) {
  if (info.size() < sizeof(T)) return std::nullopt;
  T value{};
  std::memcpy(&value, info.data(), sizeof value);
  return value;
}

Element ports(std::uint16_t first, std::uint16_t last) {
  return {blob_of(network_number(first)), blob_of(network_number(last))};
}

// "field & bits != 0"
Condition any_bit(PacketField field, const char* text, std::uint32_t bits, bool inverted) {
  const Blob none = blob_of(host_number(0));
  return {.key = {{field, text, 4, blob_of(host_number(bits))}},
          .values = {{none, none}},
          .inverted = !inverted};
}

std::optional<std::vector<Condition>> conntrack(const xt_conntrack_mtinfo3& info) {
  // linux/netfilter/xt_conntrack.h: ESTABLISHED, RELATED and NEW have the bits that nft has too.
  constexpr std::uint16_t kStates = 0x0f;
  constexpr std::uint16_t kDnatState = 1U << (IP_CT_NUMBER + 2);
  const bool inverted = (info.invert_flags & info.match_flags) != 0;
  if (info.match_flags == XT_CONNTRACK_STATUS)
    return {{any_bit(PacketField::ct_status, "ct status", info.status_mask, inverted)}};
  if (info.match_flags != XT_CONNTRACK_STATE) return std::nullopt;
  if (info.state_mask == kDnatState)
    return {{any_bit(PacketField::ct_status, "ct status", IPS_DST_NAT, inverted)}};
  if ((info.state_mask & ~kStates) != 0) return std::nullopt;
  return {{any_bit(PacketField::ct_state, "ct state", info.state_mask, inverted)}};
}

std::optional<std::vector<Condition>> destination_type(const xt_addrtype_info_v1& info) {
  if (info.source != 0 || info.dest == 0 ||
      (info.flags & ~std::uint32_t{XT_ADDRTYPE_INVERT_DEST}) != 0)
    return std::nullopt;
  Condition condition{.key = {{PacketField::daddr_type, "fib daddr type", 4}},
                      .inverted = (info.flags & XT_ADDRTYPE_INVERT_DEST) != 0};
  for (std::uint32_t type = 0; type < 16; ++type) {
    const Blob value = blob_of(host_number(type));
    if ((info.dest >> type & 1) != 0) condition.values.push_back({value, value});
  }
  return {{std::move(condition)}};
}

std::optional<std::vector<Condition>> multiport(const xt_multiport_v1& info) {
  if (info.flags != XT_MULTIPORT_DESTINATION || info.count > XT_MULTI_PORTS) return std::nullopt;
  Condition condition{.key = {{PacketField::dport, "dport", 2}}, .inverted = info.invert != 0};
  for (std::size_t i = 0; i < info.count; ++i) {
    const bool is_range = info.pflags[i] != 0 && i + 1 < info.count;
    condition.values.push_back(ports(info.ports[i], info.ports[is_range ? i + 1 : i]));
    if (is_range) ++i;
  }
  return {{std::move(condition)}};
}

// -m rpfilter: there is a route to the source by the interface that the packet came by
std::optional<std::vector<Condition>> reverse_path(const xt_rpfilter_info& info) {
  if ((info.flags & XT_RPFILTER_LOOSE) != 0) return std::nullopt;  // by any interface
  const Blob wanted = blob_of(host_number((info.flags & XT_RPFILTER_INVERT) != 0 ? 0 : 1));
  return {{{.key = {{PacketField::reverse_presence, "fib saddr . iif oif", 4}},
            .values = {{wanted, wanted}}}}};
}

// One of the two port ranges; nothing is added for one that takes all.
void add_ports(PacketField field, const char* text, const std::uint16_t (&range)[2], bool inverted,
               std::vector<Condition>& conditions) {
  if (range[0] == 0 && range[1] == 0xffff && !inverted) return;
  conditions.push_back(
      {.key = {{field, text, 2}}, .values = {ports(range[0], range[1])}, .inverted = inverted});
}

std::vector<Condition> transport(const std::uint16_t (&sports)[2], const std::uint16_t (&dports)[2],
                                 bool invert_sport, bool invert_dport) {
  std::vector<Condition> conditions;
  add_ports(PacketField::sport, "sport", sports, invert_sport, conditions);
  add_ports(PacketField::dport, "dport", dports, invert_dport, conditions);
  return conditions;
}

std::optional<std::vector<Condition>> tcp(const xt_tcp& info) {
  if (info.option != 0 || (info.invflags & XT_TCP_INV_OPTION) != 0) return std::nullopt;
  std::vector<Condition> conditions =
      transport(info.spts, info.dpts, (info.invflags & XT_TCP_INV_SRCPT) != 0,
                (info.invflags & XT_TCP_INV_DSTPT) != 0);
  if (info.flg_mask != 0)
    conditions.push_back({.key = {{PacketField::tcp_flags, "tcp flags", 1, {info.flg_mask}}},
                          .values = {{{info.flg_cmp}, {info.flg_cmp}}},
                          .inverted = (info.invflags & XT_TCP_INV_FLAGS) != 0});
  return conditions;
}

// struct xt_sctp_info, whose header is no C++. A map of 256 bits has 64 words there, of which eight are used.
struct SctpInfo {
  std::uint16_t dpts[2];
  std::uint16_t spts[2];
  std::uint32_t chunks[64];
  std::uint32_t chunk_match_type;
  std::uint8_t chunk_flags[4][3];
  int flag_count;
  std::uint32_t flags;
  std::uint32_t invflags;
};

std::optional<std::vector<Condition>> sctp(const SctpInfo& info) {
  constexpr std::uint32_t kSource = 1;  // XT_SCTP_SRC_PORTS
  constexpr std::uint32_t kDestination = 2;
  if ((info.flags & ~(kSource | kDestination)) != 0 || info.invflags != 0) return std::nullopt;
  std::vector<Condition> conditions;
  if ((info.flags & kSource) != 0)
    add_ports(PacketField::sport, "sport", info.spts, /*inverted=*/false, conditions);
  if ((info.flags & kDestination) != 0)
    add_ports(PacketField::dport, "dport", info.dpts, /*inverted=*/false, conditions);
  return conditions;
}

// How struct xt_ct_target_info begins, in all its revisions.
struct TrackInfo {
  std::uint16_t flags;
  std::uint16_t zone;
};

// -j CT
void track(Bytes info, Rule& rule) {
  const auto found = info_as<TrackInfo>(info);
  if (!found) return;
  constexpr std::uint16_t kOneDirection = XT_CT_ZONE_DIR_ORIG | XT_CT_ZONE_DIR_REPL;
  if ((found->flags & XT_CT_NOTRACK) != 0) {
    rule.deeds.push_back({.kind = Deed::Kind::untrack});
  } else if (found->zone != 0 || (found->flags & XT_CT_ZONE_MARK) != 0) {
    Deed deed{.kind = Deed::Kind::zone};
    if ((found->flags & (kOneDirection | XT_CT_ZONE_MARK)) == 0) deed.zone = found->zone;
    rule.deeds.push_back(std::move(deed));
  }
}

// -j MARK; the oldest revisions have no mask
void set_mark(std::uint32_t revision, Bytes info, Rule& rule) {
  Deed deed{.kind = Deed::Kind::mark};
  if (const auto found = info_as<xt_mark_tginfo2>(info); found && revision == 2) {
    deed.mark = found->mark;
    deed.kept = ~found->mask;
  }
  rule.deeds.push_back(std::move(deed));
}

// -j CONNMARK: of its modes, one gives the packet the connection's mark
void restore_mark(Bytes info, Rule& rule) {
  const auto found = info_as<xt_connmark_tginfo1>(info);
  if (!found || found->mode == XT_CONNMARK_RESTORE)
    rule.deeds.push_back({.kind = Deed::Kind::mark});
}

// -j DNAT: where it leads, as far as the rule says one place
void translate(std::uint32_t revision, Bytes info, Family family, Rule& rule) {
  if (revision == 0 && family == Family::ipv4) {
    const auto found = info_as<nf_nat_ipv4_multi_range_compat>(info);
    if (!found) return;
    const nf_nat_ipv4_range& range = found->range[0];
    if ((range.flags & NF_NAT_RANGE_MAP_IPS) != 0 &&
        (range.min_ip == range.max_ip || range.max_ip == 0))
      rule.target = IpAddress::from_bytes(family, &range.min_ip);
    if ((range.flags & NF_NAT_RANGE_PROTO_SPECIFIED) != 0 && range.min.all == range.max.all)
      rule.target_port = Port::from(ntohs(range.min.all));
    return;
  }
  const auto range = info_as<nf_nat_range>(info);
  if (!range) return;
  const auto first = IpAddress::from_bytes(family, &range->min_addr);
  const auto last = IpAddress::from_bytes(family, &range->max_addr);
  if ((range->flags & NF_NAT_RANGE_MAP_IPS) != 0 && (first == last || last.is_any()))
    rule.target = first;
  if ((range->flags & NF_NAT_RANGE_PROTO_SPECIFIED) != 0 &&
      range->min_proto.all == range->max_proto.all)
    rule.target_port = Port::from(ntohs(range->min_proto.all));
}

}  // namespace

std::optional<std::vector<Condition>> xt_match(std::string_view name, std::uint32_t revision,
                                               Bytes info) {
  if (name == "comment") return std::vector<Condition>();
  if (name == "conntrack" && revision == 3) {
    if (const auto found = info_as<xt_conntrack_mtinfo3>(info)) return conntrack(*found);
  } else if (name == "addrtype" && revision == 1) {
    if (const auto found = info_as<xt_addrtype_info_v1>(info)) return destination_type(*found);
  } else if (name == "rpfilter" && revision == 0) {
    if (const auto found = info_as<xt_rpfilter_info>(info)) return reverse_path(*found);
  } else if (name == "multiport" && revision == 1) {
    if (const auto found = info_as<xt_multiport_v1>(info)) return multiport(*found);
  } else if (name == "tcp" && revision == 0) {
    if (const auto found = info_as<xt_tcp>(info)) return tcp(*found);
  } else if (name == "sctp" && revision == 0) {
    if (const auto found = info_as<SctpInfo>(info)) return sctp(*found);
  } else if (name == "udp" && revision == 0) {
    if (const auto found = info_as<xt_udp>(info))
      return transport(found->spts, found->dpts, (found->invflags & XT_UDP_INV_SRCPT) != 0,
                       (found->invflags & XT_UDP_INV_DSTPT) != 0);
  }
  return std::nullopt;
}

void xt_target(std::string_view name, std::uint32_t revision, Bytes info, Family family,
               Rule& rule) {
  if (name == "DNAT" || name == "REDIRECT" || name == "NETMAP") {
    rule.verdict.kind = Verdict::Kind::translate;
    if (name == "DNAT") translate(revision, info, family, rule);
  } else if (name == "REJECT") {
    rule.verdict.kind = Verdict::Kind::reject;
  } else if (name == "SNAT" || name == "MASQUERADE") {
    rule.verdict.kind = Verdict::Kind::masquerade;
  } else if (name == "NFQUEUE" || name == "SYNPROXY") {
    rule.verdict.kind = Verdict::Kind::queue;
  } else if (name == "TPROXY") {
    rule.verdict.kind = Verdict::Kind::divert;
  } else if (name == "NOTRACK") {
    rule.deeds.push_back({.kind = Deed::Kind::untrack});
  } else if (name == "MARK") {
    set_mark(revision, info, rule);
  } else if (name == "CONNMARK") {
    restore_mark(info, rule);
  } else if (name == "CT") {
    track(info, rule);
  }
}

}  // namespace portmapper::nft::foreign

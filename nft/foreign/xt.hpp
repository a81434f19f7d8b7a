// The matches and targets of iptables: iptables-nft keeps them in nf_tables as its own binary
// structs, iptables-legacy in tables of its own.
//
//   const std::optional<std::vector<Condition>> conditions = xt_match("multiport", 1, info);
//   Rule rule;
//   xt_target("DNAT", 2, info, Family::ipv4, rule);  // its verdict, and what else it does
//
// Understood: conntrack by state or status, addrtype of the destination, tcp, udp and sctp by ports and
// flags, multiport by destination port, rpfilter, comment. Structs are in host byte order. Errors: nothing for
// what is not understood; a target that is not goes on to the next rule. Source: kernel
// include/uapi/linux/netfilter/xt_*.h, nf_nat.h, net/netfilter/nft_compat.c.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "lib/base/attributes.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

std::optional<std::vector<Condition>> xt_match(std::string_view name, std::uint32_t revision,
                                               Bytes info);
void xt_target(std::string_view name, std::uint32_t revision, Bytes info, Family family,
               Rule& rule);

}  // namespace portmapper::nft::foreign

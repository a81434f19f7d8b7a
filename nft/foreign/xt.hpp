// The matches and targets of iptables-nft, which it keeps in nf_tables as its own binary structs.
//
//   const std::optional<std::vector<Condition>> conditions = xt_match("multiport", 1, info);
//   const Verdict::Kind kind = xt_target("DNAT");
//
// Understood: conntrack by state or status, addrtype of the destination, tcp, udp and multiport by
// destination port, comment. Structs are in host byte order. Errors: nothing for what is not
// understood. Source: kernel include/uapi/linux/netfilter/xt_*.h, net/netfilter/nft_compat.c.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "lib/base/attributes.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

std::optional<std::vector<Condition>> xt_match(std::string_view name, std::uint32_t revision,
                                               Bytes info);
Verdict::Kind xt_target(std::string_view name);

}  // namespace portmapper::nft::foreign

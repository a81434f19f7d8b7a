// Whether table nat of iptables-legacy has a chain.
//
//   if (look_for_legacy_chain(Family::ipv4, "CNI-DN-079b088a6514b81574c10") == LegacyChain::there)
//     use(text);
//
// Such tables are outside of nf_tables. One that is not there is not asked for, since the question makes it.
// Errors: unknown, where the table is there and cannot be read (CAP_NET_RAW, CAP_NET_ADMIN). Does not promise: to
// see it where the list of tables cannot be read, which root alone may. Source: kernel
// net/ipv4/netfilter/ip_tables.c, IPT_SO_GET_ENTRIES; linux/netfilter/x_tables.h, struct xt_error_target.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/ip_address.hpp"

namespace portmapper::host {

enum class LegacyChain : std::uint8_t { none, there, unknown };

LegacyChain look_for_legacy_chain(Family family, const std::string& chain);

}  // namespace portmapper::host

// others_translate: whether another table of this network namespace may translate destinations.
//
//   const Result<bool> others = others_translate(transport, Family::ipv4);
//   if (others && !*others) use("whatever is translated, we translated");
//
// Destinations are translated in chains of type nat at the hooks prerouting and output, and by
// iptables-legacy's table nat; whatever the rules there say, one of them is another who may. Its rules
// alone are none: a table that only masquerades has no such chain. Reads until it has found one.
// Errors: mapping_failed with the errno of the dump; EINTR when somebody changed the ruleset meanwhile;
// of lib/base/legacy_tables, since what is not seen there may be. Does not promise: to see what
// translates without netfilter's hooks (Open vSwitch, tc, BPF), nor that nobody did before. Source:
// kernel nf_tables_api.c, nft_chain_nat.c.
#pragma once

#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::nft {

Result<bool> others_translate(Transport& transport, Family family);

}  // namespace portmapper::nft

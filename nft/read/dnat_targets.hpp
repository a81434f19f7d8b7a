// read_dnat_targets: where the rules of others lead, and read_portmap_targets: where portmap's do.
//
//   const Result<DnatTargets> targets = read_dnat_targets(transport, Family::ipv4);
//   if (targets && targets->are_all && !targets->addresses.contains(address)) use("nobody leads there");
//
// A dump of all rules, so it is for what is rarely asked. What iptables-legacy's table nat does is not read, nor
// what a rule takes from a map or leads to the host itself: then these are not all. portmap's are asked for by the
// names of its chains, in one exchange where it has none. Of all tables but ours. Errors: mapping_failed with
// object and errno; EINTR when somebody changed the ruleset meanwhile: read it again. Does not promise: that a
// packet reaches the rule; of portmap, to see iptables-legacy. Source: kernel nft_nat.c, xt_nat.c, nf_nat.h;
// nft/portmap.
#pragma once

#include <set>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::nft {

struct DnatTargets {
  std::set<IpAddress> addresses{};
  bool are_all = true;
};

Result<DnatTargets> read_dnat_targets(Transport& transport, Family family);
Result<DnatTargets> read_portmap_targets(Transport& transport, Family family);

}  // namespace portmapper::nft

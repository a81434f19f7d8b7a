// is_published: whether what the kernel has for an attachment is what its plan, from a record, wants.
//
//   use(is_published(plan, installed, addresses));  // true: nothing is to be restored
//
// Each translation has its claim and leads where the plan says, or stands by for a sibling's and would lead
// there. To another address only if that is the container's as well: a plugin behind ours may have changed
// the order in which the record has them. `installed` may be less than the plan where it is all that its ADD
// published; where its entries do not say how many that was, since a listing was loaded, it may not. A pure
// function. Errors: none. Does not promise: anything of chains, hairpins and loopback, which are others'
// to judge. Source: packaging/doc/monitoring.md, "How it decides".
#pragma once

#include <span>

#include "lib/base/ip_address.hpp"
#include "nft/installed_ports.hpp"
#include "nft/plan.hpp"

namespace portmapper::nft {

// `inside`: the addresses of the container's namespace.
bool is_published(const Plan& plan, const InstalledPorts& installed,
                  std::span<const IpAddress> inside);

}  // namespace portmapper::nft

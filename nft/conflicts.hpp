// resolve_conflicts: what stands in the way of a plan, and whether it may be removed.
//
//   const Result<Transaction> removals = resolve_conflicts(plan, occupancy);
//
// May be removed: what the same attachment had before, all that a dead owner has, elements that no
// owner entry stands for. A pure function. Errors: port_taken naming every port that a living
// owner has, the owner's container and network. Source: packaging/doc/design.md, "The commands".
#pragma once

#include <span>

#include "lib/base/error.hpp"
#include "nft/snapshot.hpp"
#include "nft/transaction.hpp"

namespace portmapper::nft {

// Every port whose claim `plan` makes or asserts absent, in order.
std::vector<PublishedPort> overlapping_ports(const Plan& plan,
                                             std::span<const IpAddress> local_addresses);

// Takes out of `plan` what another attachment of the same container publishes already.
Result<Transaction> resolve_conflicts(Plan& plan, const Occupancy& occupancy);

}  // namespace portmapper::nft

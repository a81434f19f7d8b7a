// resolve_conflicts: what stands in the way of a plan, and whether it may be removed.
//
//   const Result<Transaction> removals = resolve_conflicts(plan, occupancy);
//
// May be removed: what the same attachment had before, all that a dead owner has, elements that no
// owner entry stands for. A pure function. Errors: port_taken naming every port of an owner that is
// not proven dead, the owner's container and network, and where nobody can tell, that. Source:
// packaging/doc/design.md, "The commands".
#pragma once

#include <span>

#include "lib/base/error.hpp"
#include "nft/snapshot.hpp"
#include "nft/transaction.hpp"

namespace portmapper::nft {

// Any address and one address overlap, as with bind(2), whichever address it is. Of `claims`, those
// that overlap with a port of the plans without being the same; in order.
std::vector<PublishedPort> overlaps_of(std::span<const Plan* const> plans,
                                       std::span<const PublishedPort> claims);
// The other half of it: on any address, the plans' ports on one address.
std::vector<PublishedPort> on_any_address(std::span<const Plan* const> plans);
// Whether a port of one plan is the same as, or overlaps with, another's.
bool overlap_each_other(std::span<const Plan* const> plans);

// Every port that may stand in the way of `plan`: its own, on any address those that it wants on
// one, and `overlaps`, which were found. In order.
std::vector<PublishedPort> overlapping_ports(const Plan& plan,
                                             std::span<const PublishedPort> overlaps);

// The end of the record of the devices of ports that go, where nobody else needs them; nor
// `successor`, a plan of the same batch.
Transaction devices_closed(const InstalledPorts& installed, const DeviceUse& use,
                           const Plan* successor = nullptr);

// Whose ports all go for the plan: those of its own attachment before, and of the dead.
std::vector<const InstalledPorts*> giving_way(const Plan& plan, const Occupancy& occupancy);

// Makes standby in `plan` what a sibling publishes already. Hairpin pairs stay: what of them goes is
// decided with those that the plan wants.
Result<Transaction> resolve_conflicts(Plan& plan, const Occupancy& occupancy);

}  // namespace portmapper::nft

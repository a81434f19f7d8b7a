// check_ports: what of one attachment is not as its ADD would build it now.
//
//   const std::vector<std::string> findings = check_ports(plan, snapshot);  // empty: all is well
//
// A pure function. The snapshot has the sections ruleset, set_damage, claims, installed and
// hairpins; and occupancy, where stands_by_unclaimed says so. For what a sibling publishes its
// standby element has to be there, as ADD makes it. Source: CNI SPEC.md, "CHECK";
// packaging/doc/design.md, "The commands".
#pragma once

#include <string>
#include <vector>

#include "nft/snapshot.hpp"

namespace portmapper::nft {

// Whether a port that it stands by for has no claim: then one that overlaps must be there.
bool stands_by_unclaimed(const Plan& plan, const Snapshot& snapshot);

std::vector<std::string> check_ports(const Plan& plan, const Snapshot& snapshot);

}  // namespace portmapper::nft

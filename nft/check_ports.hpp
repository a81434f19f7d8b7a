// check_ports: what of one attachment is not as its ADD would build it now.
//
//   const std::vector<std::string> findings = check_ports(plan, snapshot);  // empty: all is well
//
// A pure function. The snapshot has the sections ruleset, set_damage, claims, installed and
// hairpins. What another attachment of the same container publishes is left to it, as ADD does.
// Source: CNI SPEC.md, "CHECK"; packaging/doc/design.md, "The commands".
#pragma once

#include <string>
#include <vector>

#include "nft/snapshot.hpp"

namespace portmapper::nft {

std::vector<std::string> check_ports(Plan plan, const Snapshot& snapshot);

}  // namespace portmapper::nft

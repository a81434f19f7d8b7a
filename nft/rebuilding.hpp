// Rebuilding: which network chains are built anew, and for which configuration.
//
//   const std::map<std::string, ChainDamage> damage;   // of the network chains that exist
//   const Rebuilding wanted = rebuilding({}, damage);  // of plans that live, oldest first
//   use(wanted.chains, wanted.replaced);               // for build_tables
//
// Several networks may share a chain, and the records of one network may disagree, since it was
// configured anew between two ADDs. The chain's own record decides then: it names the restrictions of
// the last ADD. Where no plan has those, the chain becomes as the last plan wants it, as if that one's ADD
// came again; but a chain that records another network is left to that one. Pure functions. Errors: none.
// Source: packaging/doc/design.md, "Whose a network chain is".
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "nft/plan.hpp"
#include "nft/snapshot.hpp"

namespace portmapper::nft {

struct Rebuilding {
  std::vector<NetworkChain> chains{};
  std::vector<std::string> replaced{};  // of those, the ones whose record changes: they go first
};

// `damage`: of the network chains that exist.
Rebuilding rebuilding(std::span<const Plan* const> plans,
                      const std::map<std::string, ChainDamage>& damage);

}  // namespace portmapper::nft

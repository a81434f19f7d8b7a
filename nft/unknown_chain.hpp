// Unknown chain: a network chain of which nobody says what configuration it was built for.
//
//   const ChainView* const chain = view.find("NET-WEB");
//   if (chain != nullptr && !is_as_built(*chain))
//     use(diff_unknown_rules("NET-WEB", *chain));  // "chain NET-WEB lacks rule 1 of 5, which ..."
//
// Each rule that we build into a network chain tells its place in it, beside its fingerprint. So order
// and completeness show without the configuration. Rules of an older version, and those that nft saved
// and loaded again, tell no place: of them the parts are looked at that every such chain has in the same
// order, and whether its record says that it restricts something. Pure functions; forms have to be read,
// unless it is as built. Errors: none. Does not promise: to miss one of several exclusions where rules
// tell no places. Source: nft/ruleset, network_chain; packaging/doc/design.md, "Rules are recognised by
// their fingerprint".
#pragma once

#include <string>
#include <vector>

#include "nft/ruleset_diff.hpp"

namespace portmapper::nft {

bool is_as_built(const ChainView& chain);
std::vector<Damage> diff_unknown_rules(const std::string& name, const ChainView& chain);

}  // namespace portmapper::nft

// Matches as expressions, as nft 1.0.6 makes them of the same words.
//
//   encode_match(rule, match);  // tcp dport 80: meta l4proto, cmp, payload, cmp
//
// Where nft would load two ports at once, here are two loads; nft lists both alike. Errors: none.
// Does not promise: expressions for values that are not of the match's field.
// Source: nft --debug=netlink; nftables 1.0.6, netlink_linearize.c.
#pragma once

#include "lib/base/match.hpp"
#include "nft/rule_builder.hpp"

namespace portmapper::nft {

void encode_match(RuleBuilder& rule, const Match& match);

}  // namespace portmapper::nft

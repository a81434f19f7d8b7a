// The form in which nft lists a list of conditions, and which does not change when nft loads that
// listing.
//
//   contradiction(matches);  // tcp dport 80 udp dport 53: the second one contradicts the first
//   normal_form(matches);    // tcp dport 80 meta l4proto tcp th sport 1: tcp sport 1 tcp dport 80
//
// nft 1.0.6 does three things with a rule that it loads or lists:
// - a protocol once demanded is said once, by the ports if there are any, and "th" means it;
// - "tcp sport 1" and "tcp dport 2" (both ==, or both !=) become one comparison of four bytes,
//   wherever they stand, and are listed in that order where the first of them was;
// - a set of protocols beside a demanded one is refused, or listed so that it does not load.
// Ours stay two comparisons: nft's join of two != also passes what only one of them passes. One
// form is not kept: "th sport 1 th dport 2" lists so, but after nft loads the listing it lists
// "@th,0,32 0x10002". Errors: none. Source: nftables 1.0.6, rule.c (stmt_reduce), payload.c.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "lib/base/match.hpp"

namespace portmapper::config {

// The indices of a match and of an earlier one that cannot stand in one rule.
std::optional<std::pair<std::size_t, std::size_t>> contradiction(std::span<const Match> matches);
std::vector<Match> normal_form(std::vector<Match> matches);

}  // namespace portmapper::config

// Conditions: the keys conditionsV4 and conditionsV6, words of nft match expressions, as matches.
//
//   parse_conditions({"ip", "saddr", "192.0.2.0/24", "tcp dport {80,443}"}, Family::ipv4,
//                    "conditionsV4");  // ip saddr 192.0.2.0/24, tcp dport { 80, 443 }
//
// portmap joins the elements with blanks, so an element is a word, several, or a whole condition.
//   ip|ip6 saddr|daddr   iifname|oifname (also after meta)   meta mark|l4proto
//   tcp|udp|sctp|th sport|dport   ct state (also "new,related")   fib daddr type
// with == (the default), !=, <, >, <=, >=, prefixes, ranges and sets. The matches come in the form
// that `nft list` of nft 1.0.6 prints and loads again to the same: what it would join, order or
// leave out is so here already, see condition_form. Errors: invalid_input for the first word that
// is wrong, with key, position, the word, and what would be right. Does not promise: that packets
// can match; "oifname" never does for connections from outside, as with portmap.
// Source: nft(8) 1.0.6; portmap's README.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/match.hpp"

namespace portmapper::config {

// What fits into one rule of the kernel (NFT_RULE_MAXEXPRS, 128 expressions) in any case.
constexpr std::size_t kMaxConditions = 24;

Result<std::vector<Match>> parse_conditions(const std::vector<std::string>& words, Family family,
                                            std::string_view key);

}  // namespace portmapper::config

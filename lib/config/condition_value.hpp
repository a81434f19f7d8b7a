// Values of conditions: one word of a match as what the field holds.
//
//   std::string_view why;
//   parse_condition_value(MatchField::ip_saddr, word, why);  // "10.0.0.1/8": its network
//   expected_of(MatchField::dport);                          // "a port (0-65535) or ..."
//
// What nft 1.0.6 takes, but for what depends on the host (names of hosts and services) and for
// numbers that begin with 0, which are octal to it. Sets, and lists of ct states, are the caller's.
// Errors: nothing for a word that is no value, nor for a range that ends before it begins; `why`
// then says more where "is not <expected>" would mislead.
#pragma once

#include <optional>
#include <string_view>

#include "lib/base/match.hpp"
#include "lib/config/condition_words.hpp"

namespace portmapper::config {

std::optional<MatchValue> parse_condition_value(MatchField field, const ConditionWord& word,
                                                std::string_view& why);
inline constexpr std::string_view kNeedsQuotes =
    "has to be in quotes to be the name of an interface";
// Completes a sentence that ends in "is not".
std::string_view expected_of(MatchField field);

}  // namespace portmapper::config

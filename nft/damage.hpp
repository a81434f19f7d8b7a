// Damage: one way in which the table is not as we build it.
//
//   Damage damage{Damage::Kind::missing_chain, "networks"};
//   to_string(damage);                                       // "chain networks is missing"
//
// Pure data, which the readers find and the decisions look at; to_string is for people. Errors:
// none. Source: packaging/doc/design.md, "The ruleset".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace portmapper::nft {

struct Damage {
  enum class Kind : std::uint8_t {
    dormant_table,
    missing_chain,
    other_hook,  // `expected`: type, hook and priority
    other_policy,
    missing_rule,  // `expected`: the rule
    missing_rules,
    lost_rule,      // of a network chain; `expected`: which, as far as the others tell
    other_rules,    // more rules than ours, or another order
    foreign_rules,  // `expected`: which they are, where that is known
    no_owner,       // a network chain without its network's name
    missing_set,
    other_type,  // of a set; `expected`: its type; `found`: what limits it, where that is it
  };
  Kind kind;
  std::string object{};  // the chain or the set; of a table that is not nft-port-mapper, its name
  std::string expected{};
  std::string found{};

  bool operator==(const Damage&) const = default;
};

std::string to_string(const Damage& damage);

}  // namespace portmapper::nft

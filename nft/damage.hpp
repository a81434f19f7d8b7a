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
    other_rules,  // more rules than ours, or another order
    foreign_rules,
    no_owner,  // a network chain without its network's name
    missing_set,
    other_type,  // of a set; `expected`: its type
  };
  Kind kind;
  std::string object{};  // the chain or the set
  std::string expected{};

  bool operator==(const Damage&) const = default;
};

std::string to_string(const Damage& damage);

}  // namespace portmapper::nft

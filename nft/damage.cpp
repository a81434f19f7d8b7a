#include "nft/damage.hpp"

#include "nft/names.hpp"

namespace portmapper::nft {

std::string to_string(const Damage& damage) {
  const std::string chain = "chain " + damage.object;
  const std::string set = "set " + damage.object;
  switch (damage.kind) {
    case Damage::Kind::dormant_table:
      return "table " + (damage.object.empty() ? kTable : damage.object) + " is dormant";
    case Damage::Kind::missing_chain:
      return chain + " is missing";
    case Damage::Kind::other_hook:
      return chain + " has another hook or priority than { " + damage.expected + " }";
    case Damage::Kind::other_policy:
      return chain + " has another policy than accept";
    case Damage::Kind::missing_rule:
      return chain + " lacks rule: " + damage.expected;
    case Damage::Kind::missing_rules:
      return chain + " lacks rules";
    case Damage::Kind::lost_rule:
      return chain + " lacks " + damage.expected;
    case Damage::Kind::other_rules:
      return chain + " has other rules than ours, or in another order";
    case Damage::Kind::foreign_rules:
      return chain + " has rules that are not ours" +
             (damage.expected.empty() ? "" : ": " + damage.expected);
    case Damage::Kind::no_owner:
      return chain + " does not say whose network's it is";
    case Damage::Kind::missing_set:
      return set + " is missing";
    case Damage::Kind::other_type:
      if (!damage.found.empty())
        return set + " has " + damage.found + ", which { " + damage.expected + "; } has not";
      return set + " has another type than { " + damage.expected + "; }";
  }
  return {};
}

}  // namespace portmapper::nft

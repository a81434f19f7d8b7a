#include "nft/unknown_chain.hpp"

#include <algorithm>
#include <array>

namespace portmapper::nft {
namespace {

using Parts = std::vector<std::optional<ChainPart>>;  // of each rule

constexpr std::array<Suffix, 4> kInOrder = {{{Family::ipv4, AddressScope::one},
                                             {Family::ipv4, AddressScope::any},
                                             {Family::ipv6, AddressScope::one},
                                             {Family::ipv6, AddressScope::any}}};

std::string of_map(const std::string& name, Suffix suffix) {
  return "translates by map " + target_map(name, suffix);
}

bool contains(const Parts& parts, ChainPart part) {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

std::vector<Suffix> without_translation(const Parts& parts) {
  std::vector<Suffix> without;
  for (const Suffix suffix : kInOrder)
    if (!contains(parts, part_of(suffix))) without.push_back(suffix);
  return without;
}

// "number 1, 3 of 6"
void add_foreign(const std::string& name, const ChainView& chain,
                 const std::vector<std::size_t>& numbers, std::vector<Damage>& damage) {
  if (numbers.empty()) return;
  std::string text = "number ";
  for (const std::size_t number : numbers)
    text += (number == numbers.front() ? "" : ", ") + std::to_string(number);
  text += " of " + std::to_string(chain.rules.size());
  damage.push_back({Damage::Kind::foreign_rules, name, text});
}

// Where some rules tell their places.
class Places {
 public:
  Places(const std::string& name, const ChainView& chain) : name_(name), chain_(chain) {
    for (const RuleView& rule : chain.rules) {
      if (rule.place.number == 0) {
        foreign_.push_back(static_cast<std::size_t>(&rule - chain.rules.data()) + 1);
        continue;
      }
      if (count_ == 0) count_ = rule.place.count;
      is_in_order_ = is_in_order_ && rule.place.count == count_ && rule.place.number > last_;
      last_ = rule.place.number;
      placed_.push_back(&rule);
      parts_.push_back(part_of_network_chain(rule.form, name));
    }
  }

  [[nodiscard]] std::vector<Damage> damage() const {
    const std::vector<std::uint32_t> gone = missing();
    std::vector<Damage> damage;
    for (std::size_t i = 0; i < gone.size(); ++i)
      damage.push_back(
          {Damage::Kind::lost_rule, name_,
           "rule " + std::to_string(gone[i]) + " of " + std::to_string(count_) + role_of(gone, i)});
    if (!is_in_order_) damage.push_back({Damage::Kind::other_rules, name_});
    add_foreign(name_, chain_, foreign_, damage);
    return damage;
  }

 private:
  [[nodiscard]] std::vector<std::uint32_t> missing() const {
    std::vector<bool> is_there(count_ + 1);
    for (const RuleView* rule : placed_)
      if (rule->place.number <= count_) is_there[rule->place.number] = true;
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t number = 1; number <= count_; ++number)
      if (!is_there[number]) numbers.push_back(number);
    return numbers;
  }

  // What the rule was that is missing, where those that are there leave no choice.
  [[nodiscard]] std::string role_of(const std::vector<std::uint32_t>& gone, std::size_t i) const {
    if (contains_unknown()) return {};
    const std::vector<Suffix> without = without_translation(parts_);
    if (without.size() == gone.size()) return ", which " + of_map(name_, without[i]);
    if (!without.empty()) return {};
    const auto first = std::find(parts_.begin(), parts_.end(), ChainPart::one4);
    const RuleView* const translation = placed_[static_cast<std::size_t>(first - parts_.begin())];
    return gone[i] < translation->place.number ? ", which excludes devices"
                                               : ", which excludes addresses";
  }
  [[nodiscard]] bool contains_unknown() const {
    return std::find(parts_.begin(), parts_.end(), std::nullopt) != parts_.end();
  }

  const std::string& name_;
  const ChainView& chain_;
  std::uint32_t count_ = 0;
  std::uint32_t last_ = 0;
  bool is_in_order_ = true;
  std::vector<std::size_t> foreign_{};
  std::vector<const RuleView*> placed_{};
  Parts parts_{};
};

bool are_in_order(const Parts& parts) {
  return std::is_sorted(parts.begin(), parts.end()) &&
         std::adjacent_find(parts.begin(), parts.end(), [](auto one, auto next) {
           return one == next && one != ChainPart::devices;
         }) == parts.end();
}

// Nothing: the chain has no record of it.
std::optional<bool> restricts(const std::string& name, const ChainOwner& owner) {
  if (owner.restrictions) return *owner.restrictions != restrictions(NetworkChain{.name = name});
  if (name == kSharedChain) return false;
  return std::nullopt;
}

bool has_conditions(const std::string& name, const ChainView& chain) {
  std::vector<RuleForm> plain;
  for (const Rule& rule : network_chain({.name = name}).rules) plain.push_back(rule_form(rule));
  return std::any_of(chain.rules.begin(), chain.rules.end(), [&plain](const RuleView& rule) {
    return rule.form.back() != "return" &&
           std::find(plain.begin(), plain.end(), rule.form) == plain.end();
  });
}

// Rules that are all of them some part of a network chain.
void diff_parts(const std::string& name, const ChainView& chain, const Parts& parts,
                std::vector<Damage>& damage) {
  for (const Suffix suffix : without_translation(parts))
    damage.push_back({Damage::Kind::lost_rule, name, "the rule that " + of_map(name, suffix)});
  const bool excludes = std::any_of(parts.begin(), parts.end(), [](auto part) {
    return part == ChainPart::devices || part == ChainPart::addresses4 ||
           part == ChainPart::addresses6;
  });
  const std::optional<bool> restrains = restricts(name, chain.owner);
  if (!are_in_order(parts) || (restrains == false && excludes))
    damage.push_back({Damage::Kind::other_rules, name});
  if (damage.empty() && restrains == true && !excludes && !has_conditions(name, chain))
    damage.push_back({Damage::Kind::lost_rule, name,
                      "what excludeDevices, excludeAddresses or conditions made of it"});
}

std::vector<Damage> diff_by_parts(const std::string& name, const ChainView& chain) {
  std::vector<Damage> damage;
  std::vector<std::size_t> foreign;
  Parts parts;
  bool is_of_another_version = false;
  for (std::size_t i = 0; i < chain.rules.size(); ++i) {
    const RuleView& rule = chain.rules[i];
    const std::optional<ChainPart> part = part_of_network_chain(rule.form, name);
    if (part)
      parts.push_back(part);
    else if (rule.fingerprint == 0)
      foreign.push_back(i + 1);
    else
      is_of_another_version = true;  // ours, and nobody knows what it does
  }
  if (is_of_another_version || chain.rules.empty()) {
    if (chain.rules.size() < kInOrder.size()) damage.push_back({Damage::Kind::missing_rules, name});
  } else if (foreign.empty()) {
    diff_parts(name, chain, parts, damage);
  } else {
    for (const Suffix suffix : without_translation(parts))
      damage.push_back({Damage::Kind::lost_rule, name, "the rule that " + of_map(name, suffix)});
  }
  add_foreign(name, chain, foreign, damage);
  return damage;
}

}  // namespace

bool is_as_built(const ChainView& chain) {
  std::uint32_t number = 0;
  for (const RuleView& rule : chain.rules)
    if (rule.place != RulePlace{++number, static_cast<std::uint32_t>(chain.rules.size())})
      return false;
  return number != 0;
}

std::vector<Damage> diff_unknown_rules(const std::string& name, const ChainView& chain) {
  const bool tells_places =
      std::any_of(chain.rules.begin(), chain.rules.end(),
                  [](const RuleView& rule) { return rule.place.number != 0; });
  return tells_places ? Places(name, chain).damage() : diff_by_parts(name, chain);
}

}  // namespace portmapper::nft

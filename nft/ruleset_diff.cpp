#include "nft/ruleset_diff.hpp"

#include <linux/netfilter.h>

#include <algorithm>

#include "nft/unknown_chain.hpp"

namespace portmapper::nft {
namespace {

using Rules = std::vector<RuleView>;

// A rule that we build, and what it does: asked only where a fingerprint does not tell.
class Expected {
 public:
  explicit Expected(const Rule& rule) : rule_(rule), fingerprint_(fingerprint(rule)) {}
  [[nodiscard]] const Rule& rule() const { return rule_; }
  [[nodiscard]] bool is(const RuleView& found) {
    if (found.fingerprint == fingerprint_) return true;
    if (found.form.empty()) return false;
    if (!form_) form_ = rule_form(rule_);
    return found.form == *form_;
  }

 private:
  const Rule& rule_;
  std::uint64_t fingerprint_;
  std::optional<RuleForm> form_{};
};

bool same_hook(const ChainView& chain, const Hook& hook) {
  return chain.hook && chain.hook->type == hook.type && chain.hook->number == hook.number &&
         chain.hook->priority == hook.priority;
}

void diff_hook(const ChainSpec& spec, const ChainView& chain, RulesetDiff& diff) {
  if (!spec.hook) return;
  if (!same_hook(chain, *spec.hook)) {
    diff.wrong_hooks.push_back(spec.name);
    diff.damage.push_back({Damage::Kind::other_hook, spec.name, to_string(*spec.hook)});
  } else if (chain.hook->policy != NF_ACCEPT) {
    diff.damage.push_back({Damage::Kind::other_policy, spec.name});
  }
}

void diff_rules(const ChainSpec& spec, const Rules& found, std::vector<Damage>& damage) {
  std::vector<Expected> expected(spec.rules.begin(), spec.rules.end());
  const bool same =
      std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
                 [](const RuleView& rule, Expected& wanted) { return wanted.is(rule); });
  if (same) return;
  for (Expected& wanted : expected)
    if (std::none_of(found.begin(), found.end(),
                     [&wanted](const RuleView& rule) { return wanted.is(rule); }))
      damage.push_back({Damage::Kind::missing_rule, spec.name, to_string(wanted.rule())});
  if (found.size() >= spec.rules.size()) damage.push_back({Damage::Kind::other_rules, spec.name});
}

// Rules that carry no fingerprint, of any version, and do not do what ours do either.
template <typename DoesAsOurs>
bool has_foreign_rules(const Rules& found, DoesAsOurs does_as_ours) {
  return std::any_of(found.begin(), found.end(), [&does_as_ours](const RuleView& rule) {
    return rule.fingerprint == 0 && !does_as_ours(rule.form);
  });
}

bool jumps_once(const Rules& found, const std::string& chain) {
  const Rule jump{.action = Jump{chain}};
  Expected expected(jump);
  return std::count_if(found.begin(), found.end(),
                       [&expected](const RuleView& rule) { return expected.is(rule); }) == 1;
}

void diff_networks(const RulesetView& view, const NetworkChain* network,
                   std::vector<Damage>& damage) {
  const ChainView* const networks = view.find(kNetworks);
  if (networks == nullptr) return;  // that it is missing was said
  if (network != nullptr && view.find(network->name) != nullptr &&
      !jumps_once(networks->rules, network->name))
    damage.push_back(
        {Damage::Kind::missing_rule, kNetworks, to_string(Rule{.action = Jump{network->name}})});
  if (has_foreign_rules(networks->rules, is_plain_jump))
    damage.push_back({Damage::Kind::foreign_rules, kNetworks});
}

// Whose the network chain is, and whether it does what the network wants.
void diff_network(const RulesetView& view, const NetworkChain& network, RulesetDiff& diff) {
  const ChainView* const chain = view.find(network.name);
  if (chain == nullptr) return;
  diff.chain_owner = chain->owner;
  std::vector<Damage> damage;
  diff_rules(network_chain(network), chain->rules, damage);
  diff.chain_has_other_rules = !damage.empty();
  if (!network.network.empty() && chain->owner.comment.empty())
    diff.damage.push_back({Damage::Kind::no_owner, network.name});
}

// Whether a chain is as none of those wants it that its record is of.
bool is_otherwise(const ChainView& chain, std::span<const NetworkChain* const> wanted) {
  bool is_asked = false;
  for (const NetworkChain* one : wanted) {
    if (chain.owner.restrictions && *chain.owner.restrictions != restrictions(*one)) continue;
    std::vector<Damage> damage;
    diff_rules(network_chain(*one), chain.rules, damage);
    if (damage.empty()) return false;
    is_asked = true;
  }
  return is_asked;
}

}  // namespace

const ChainView* RulesetView::find(std::string_view name) const {
  const auto found = std::find_if(chains.begin(), chains.end(),
                                  [name](const ChainView& chain) { return chain.name == name; });
  return found == chains.end() ? nullptr : &*found;
}

std::vector<ChainSpec> expected_chains(const NetworkChain* network) {
  std::vector<ChainSpec> chains = skeleton_chains();
  chains.push_back({.name = kNetworks});  // its rules are every network's
  if (network != nullptr) chains.push_back(network_chain(*network));
  return chains;
}

RulesetDiff diff_chains(const RulesetView& view, const std::vector<ChainSpec>& chains) {
  RulesetDiff diff;
  for (const ChainSpec& spec : chains)
    if (const ChainView* chain = view.find(spec.name)) diff_hook(spec, *chain, diff);
  if (view.is_dormant) diff.damage.push_back({Damage::Kind::dormant_table});
  for (const ChainSpec& spec : chains)
    if (view.find(spec.name) == nullptr)
      diff.damage.push_back({Damage::Kind::missing_chain, spec.name});
  for (const ChainSpec& spec : chains) {
    const ChainView* const chain = view.find(spec.name);
    // Of a missing chain each rule is missing too: a person who reads it wants to know which.
    if (!spec.rules.empty())
      diff_rules(spec, chain == nullptr ? Rules() : chain->rules, diff.damage);
  }
  return diff;
}

RulesetDiff diff_ruleset(const RulesetView& view, const std::vector<ChainSpec>& expected,
                         const NetworkChain* network) {
  RulesetDiff diff = diff_chains(view, expected);
  diff_networks(view, network, diff.damage);
  if (network != nullptr) diff_network(view, *network, diff);
  return diff;
}

bool may_be_encoded_otherwise(const RulesetView& view, const std::vector<Damage>& damage) {
  return std::any_of(damage.begin(), damage.end(), [&view](const Damage& one) {
    const ChainView* const chain = view.find(one.object);
    return chain != nullptr && !chain->rules.empty();
  });
}

std::vector<ChainSpec> guard_chains() {
  std::vector<ChainSpec> chains = skeleton_chains();
  std::erase_if(chains, [](const ChainSpec& chain) {
    return chain.name != kLocalnetGuard && chain.name != kLocalnetGuardInput;
  });
  return chains;
}

RulesetDiff diff_guard(const RulesetView& view) {
  return diff_chains(view, guard_chains());
}

ChainDamage diff_network_chain(const RulesetView& view, const std::string& name,
                               std::span<const NetworkChain* const> wanted) {
  const ChainView* const found = view.find(name);
  const ChainView* const networks = view.find(kNetworks);
  const ChainView chain = found == nullptr ? ChainView() : *found;
  ChainDamage damage{.owner = chain.owner, .damage = {}};
  if (!is_as_built(chain)) {
    damage.damage = diff_unknown_rules(name, chain);
    if (damage.damage.empty() && is_otherwise(chain, wanted))
      damage.damage.push_back({Damage::Kind::other_rules, name});
  }
  damage.lacks_jump = networks == nullptr || !jumps_once(networks->rules, name);
  return damage;
}

}  // namespace portmapper::nft

#include "nft/ruleset_diff.hpp"

#include <linux/netfilter.h>

#include <algorithm>

namespace portmapper::nft {
namespace {

using Fingerprints = std::vector<std::uint64_t>;

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

void diff_rules(const ChainSpec& spec, const Fingerprints& found, std::vector<Damage>& damage) {
  const bool same =
      std::equal(found.begin(), found.end(), spec.rules.begin(), spec.rules.end(),
                 [](std::uint64_t tag, const Rule& rule) { return tag == fingerprint(rule); });
  if (same) return;
  for (const Rule& rule : spec.rules)
    if (std::find(found.begin(), found.end(), fingerprint(rule)) == found.end())
      damage.push_back({Damage::Kind::missing_rule, spec.name, to_string(rule)});
  if (found.size() >= spec.rules.size()) damage.push_back({Damage::Kind::other_rules, spec.name});
}

bool has_foreign_rules(const Fingerprints& found) {
  return std::find(found.begin(), found.end(), 0) != found.end();
}

bool jumps_once(const Fingerprints& found, const std::string& chain) {
  return std::count(found.begin(), found.end(), fingerprint({.action = Jump{chain}})) == 1;
}

void diff_networks(const RulesetView& view, const NetworkChain* network,
                   std::vector<Damage>& damage) {
  const ChainView* const networks = view.find(kNetworks);
  if (networks == nullptr) return;  // that it is missing was said
  const Rule label{SetLabel{}};
  // Before every jump; an operator's rules may stand before it.
  const auto first = std::find_if(networks->rules.begin(), networks->rules.end(),
                                  [](std::uint64_t tag) { return tag != 0; });
  if (first == networks->rules.end() || *first != fingerprint(label))
    damage.push_back({Damage::Kind::missing_rule, kNetworks, to_string(label)});
  if (network != nullptr && view.find(network->name) != nullptr &&
      !jumps_once(networks->rules, network->name))
    damage.push_back(
        {Damage::Kind::missing_rule, kNetworks, to_string(Rule{.action = Jump{network->name}})});
  if (has_foreign_rules(networks->rules))
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
      diff_rules(spec, chain == nullptr ? Fingerprints() : chain->rules, diff.damage);
  }
  return diff;
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

RulesetDiff diff_ruleset(const RulesetView& view, const std::vector<ChainSpec>& expected,
                         const NetworkChain* network) {
  RulesetDiff diff = diff_chains(view, expected);
  diff_networks(view, network, diff.damage);
  if (network != nullptr) diff_network(view, *network, diff);
  return diff;
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

ChainDamage diff_network_chain(const RulesetView& view, const std::string& name) {
  constexpr std::size_t kFewest = 4;  // the translations; excluded devices come before them
  const ChainView* const chain = view.find(name);
  const ChainView* const networks = view.find(kNetworks);
  const Fingerprints rules = chain == nullptr ? Fingerprints() : chain->rules;
  ChainDamage damage;
  if (rules.size() < kFewest) damage.damage.push_back({Damage::Kind::missing_rules, name});
  if (has_foreign_rules(rules)) damage.damage.push_back({Damage::Kind::foreign_rules, name});
  damage.lacks_jump = networks == nullptr || !jumps_once(networks->rules, name);
  return damage;
}

}  // namespace portmapper::nft

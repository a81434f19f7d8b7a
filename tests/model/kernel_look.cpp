// What a look of a command finds in the model's kernel, section by section.
#include <linux/netfilter.h>

#include <algorithm>

#include "nft/ruleset_diff.hpp"
#include "tests/model/kernel_model.hpp"

namespace portmapper::model {
namespace {

using nft::Snapshot;

nft::RulesetView view_of(const std::map<std::string, KernelModel::Chain>& chains) {
  nft::RulesetView view;
  for (const auto& [name, chain] : chains) {
    nft::ChainView& seen = view.chains.emplace_back(nft::ChainView{.name = name});
    for (const std::uint64_t rule : chain.rules) seen.rules.push_back({.fingerprint = rule});
    seen.owner = chain.owner;
    if (chain.hook)
      seen.hook = nft::ChainView::BaseHook{chain.hook->type, chain.hook->number,
                                           chain.hook->priority, NF_ACCEPT};
  }
  return view;
}

}  // namespace

// Of the few states that chains are ever in, each is compared once.
const nft::RulesetDiff& KernelModel::diff(const nft::NetworkChain* network) const {
  static std::map<std::string, nft::RulesetDiff> known;
  std::string key = network == nullptr ? "" : network->name;
  for (const auto& [name, chain] : chains_) {
    key += "/" + name + chain.owner.comment;
    for (const std::uint64_t rule : chain.rules) key += "," + std::to_string(rule);
  }
  const auto found = known.find(key);
  if (found != known.end()) return found->second;
  return known
      .emplace(key, nft::diff_ruleset(view_of(chains_), nft::expected_chains(network), network))
      .first->second;
}

void KernelModel::look(const Question& question, nft::Section section, Snapshot& snapshot) const {
  switch (section) {
    case nft::Section::ruleset:
      snapshot.generation = generation_;
      snapshot.ruleset = diff(question.network);
      snapshot.has_egress = false;
      break;
    case nft::Section::network_chains:
      snapshot.network_chains = network_chains();
      break;
    case nft::Section::overlaps:
      snapshot.overlaps = overlaps(*question.plan);
      break;
    case nft::Section::occupancy:
      snapshot.occupancy = occupancy(question);
      break;
    case nft::Section::hairpins:
      snapshot.hairpins = hairpins();
      break;
    case nft::Section::installed:
      snapshot.generation = generation_;
      snapshot.installed = installed(question.owner, question.chain);
      break;
    case nft::Section::others_publish: {
      const Set* const set = find_set(nft::kOwners);
      snapshot.others_publish =
          set != nullptr && set->elements.size() != snapshot.installed->ports.size();
      break;
    }
    case nft::Section::chain_is_empty:
      snapshot.generation = generation_;
      snapshot.chain_is_empty = std::all_of(
          nft::kSuffixes.begin(), nft::kSuffixes.end(),
          [&](nft::Suffix suffix) { return is_empty(nft::target_map(question.chain, suffix)); });
      break;
    case nft::Section::chain_damage:
      snapshot.chain_damage.emplace();
      for (const nft::Plan* plan : question.plans)
        if (chains_.contains(plan->chain.name))
          snapshot.chain_damage->emplace(
              plan->chain.name, nft::diff_network_chain(view_of(chains_), plan->chain.name));
      break;
    case nft::Section::shared:
      snapshot.shared.emplace();
      for (const nft::Hairpin& hairpin : hairpins())
        for (const IpPrefix& subnet : question.plan->subnets)
          if (hairpin.destination == subnet &&
              (hairpin.source.contains(subnet) ||
               hairpin.source.contains(IpPrefix::loopback(subnet.address.family()))))
            snapshot.shared->hairpins.push_back(hairpin);
      break;
    case nft::Section::other_networks: {
      std::set<nft::OwnerHash> others;
      for (const nft::OwnerEntry& entry : owners())
        if (!nft::is_of_network(entry, question.plan->attachment.network))
          others.insert(entry.owner);
      snapshot.other_networks.emplace();
      for (const nft::OwnerHash& other : others)
        snapshot.other_networks->push_back(installed(other, question.plan->chain.name));
      break;
    }
    case nft::Section::same_network: {
      std::set<nft::OwnerHash> others;
      for (const nft::OwnerEntry& entry : owners())
        if (nft::is_of_network(entry, question.plan->attachment.network) &&
            entry.owner != nft::owner_hash(question.plan->attachment))
          others.insert(entry.owner);
      snapshot.same_network.emplace();
      for (const nft::OwnerHash& other : others)
        snapshot.same_network->push_back(installed(other, question.plan->chain.name));
      break;
    }
    case nft::Section::unlisted_loopback:  // no version of this model is older
      snapshot.unlisted_loopback.emplace();
      break;
    case nft::Section::device_use:
      snapshot.device_use.emplace();
      break;
    case nft::Section::siblings:
      snapshot.siblings = siblings(
          snapshot.installed
              ? *snapshot.installed
              : snapshot.occupancy->owners.at(nft::owner_hash(question.plan->attachment)).installed,
          question);
      break;
    case nft::Section::set_damage:
    case nft::Section::claims:
    case nft::Section::wanted_hairpins:
      break;  // CHECK's, which decides nothing
  }
}

}  // namespace portmapper::model

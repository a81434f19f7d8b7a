#include "nft/rebuilding.hpp"

#include "nft/ruleset.hpp"

namespace portmapper::nft {
namespace {

bool records(const ChainOwner& owner, const NetworkChain& chain) {
  if (chain.network.empty()) return true;  // it is nobody's, and restricts nothing
  return !owner.comment.empty() && owner.restrictions && *owner.restrictions == restrictions(chain);
}

bool is_anothers(const ChainOwner& owner, const NetworkChain& chain) {
  return !records(owner, chain) && !owner.comment.empty() && !is_owned_by(owner, chain.network);
}

}  // namespace

Rebuilding rebuilding(std::span<const Plan* const> plans,
                      const std::map<std::string, ChainDamage>& damage) {
  std::map<std::string, const NetworkChain*> wanted;
  for (const Plan* plan : plans) {
    const NetworkChain& chain = plan->chain;
    const auto known = damage.find(chain.name);
    if (known != damage.end() &&
        (known->second.damage.empty() || is_anothers(known->second.owner, chain)))
      continue;
    const NetworkChain*& one = wanted[chain.name];
    if (one == nullptr || known == damage.end() || !records(known->second.owner, *one))
      one = &chain;
  }
  Rebuilding result;
  for (const auto& [name, chain] : wanted) {
    result.chains.push_back(*chain);
    const auto known = damage.find(name);
    if (known != damage.end() && !records(known->second.owner, *chain))
      result.replaced.push_back(name);
  }
  return result;
}

}  // namespace portmapper::nft

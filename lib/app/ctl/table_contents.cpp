#include "lib/app/ctl/table_contents.hpp"

#include "lib/app/look.hpp"
#include "lib/host/route_localnet.hpp"

namespace portmapper::ctl {
namespace {

Status read_chains(Transport& transport, TableContents& contents) {
  Result<nft::Ruleset> skeleton = nft::read_skeleton(transport);
  if (!skeleton) return skeleton.error();
  contents.generation = skeleton->generation;
  contents.skeleton = std::move(skeleton->diff);
  Result<std::vector<std::string>> chains = nft::read_network_chains(transport);
  if (!chains) return chains.error();
  contents.chains = std::move(*chains);
  for (const std::string& chain : contents.chains) {
    Result<nft::ChainDamage> damage = nft::read_chain_damage(transport, chain);
    if (!damage) return damage.error();
    contents.chain_damage.emplace(chain, std::move(*damage));
  }
  return {};
}

Status read_elements(Transport& transport, TableContents& contents) {
  Result<std::vector<nft::OwnerEntry>> owners = nft::read_owners(transport);
  if (!owners) return owners.error();
  contents.owners = std::move(*owners);
  contents.owner_states = app::owner_states(contents.owners);
  for (const nft::Suffix suffix : nft::kSuffixes) {
    Result<std::vector<nft::ClaimEntry>> claims = nft::read_claim_set(transport, suffix);
    if (!claims) return claims.error();
    for (nft::ClaimEntry& claim : *claims)
      contents.claims.emplace(claim.published, std::move(claim));
    for (const std::string& chain : contents.chains) {
      Result<std::vector<nft::TargetEntry>> targets =
          nft::read_target_map(transport, chain, suffix);
      if (!targets) return targets.error();
      for (nft::TargetEntry& target : *targets)
        contents.targets.emplace(std::pair(chain, target.published), std::move(target));
    }
  }
  return {};
}

// Without our table, route_localnet was set by somebody else.
Status read_exposure(Transport& transport, TableContents& contents) {
  const Result<bool> guarded = nft::has_guard(transport);
  if (!guarded) return guarded.error();
  if (!*guarded) contents.exposed_devices = host::devices_with_route_localnet();
  return {};
}

}  // namespace

Result<TableContents> read_table(Transport& transport) {
  TableContents contents;
  const Result<bool> exists = nft::has_table(transport);
  if (!exists) return exists.error();
  contents.exists = *exists;
  if (!contents.exists) return contents;
  for (const auto read : {read_chains, read_elements, read_exposure})
    if (const Status status = read(transport, contents); !status) return status.error();
  return contents;
}

}  // namespace portmapper::ctl

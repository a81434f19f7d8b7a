#include "lib/app/ctl/table_contents.hpp"

#include <net/if.h>

#include <set>

#include "lib/app/exposure.hpp"
#include "lib/app/look.hpp"
#include "lib/app/loopback_again.hpp"
#include "lib/host/local_addresses.hpp"
#include "lib/host/route_localnet.hpp"

namespace portmapper::ctl {
namespace {

Status read_chains(Transport& transport, TableContents& contents) {
  Result<nft::Ruleset> skeleton = nft::read_skeleton(transport);
  if (!skeleton) return skeleton.error();
  contents.skeleton = std::move(skeleton->diff);
  Result<std::vector<nft::Damage>> sets = nft::read_set_damage(transport, "");
  if (!sets) return sets.error();
  for (nft::Damage& damage : *sets)
    if (damage.kind == nft::Damage::Kind::other_type)
      contents.other_types.push_back(std::move(damage));
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

// By the targets that were read before.
void see_who_lives(TableContents& contents) {
  app::OwnerAddresses addresses;
  for (const nft::OwnerEntry& owner : contents.owners) {
    if (owner.standby) addresses[owner.owner].push_back(owner.standby->address);
    for (const std::string& chain : contents.chains) {
      if (!owner.chain.empty() && owner.chain != chain) continue;
      const auto target = contents.targets.find({chain, owner.published});
      if (target != contents.targets.end())
        addresses[owner.owner].push_back(target->second.endpoint.address);
    }
  }
  contents.life = app::owners_life(contents.owners, addresses);
}

Status read_elements(Transport& transport, TableContents& contents) {
  Result<nft::Owners> owners = nft::read_owners_and_standby(transport);
  if (!owners) return owners.error();
  contents.owners = std::move(owners->entries);
  contents.strays = std::move(owners->strays);
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

Status read_exposure(Transport& transport, TableContents& contents) {
  Result<std::vector<std::string>> exposed = app::exposed_devices(transport);
  if (!exposed) return exposed.error();
  contents.exposed_devices = std::move(*exposed);
  if (contents.exists && !contents.exposed_devices.empty()) {
    Result<std::vector<std::string>> by_us = app::open_devices(transport);
    if (!by_us) return by_us.error();
    contents.exposed_by_us = std::move(*by_us);
  }
  Result<std::vector<std::string>> routes = app::left_routes(transport);
  if (!routes) return routes.error();
  contents.left_routes = std::move(*routes);
  return {};
}

// By which device 127.0.0.0/8 reaches those of whom the sets say that it does, and not by which.
void find_lost_users(TableContents& contents) {
  for (const nft::OwnerEntry& owner : contents.owners) {
    if (owner.standby || owner.published.address != IpAddress::any(Family::ipv4) ||
        !contents.loopback.contains(owner.published) ||
        contents.localnet_users.contains(owner.owner))
      continue;
    std::string& device = contents.lost_users[owner.owner];
    const auto target = contents.targets.find({owner.chain, owner.published});
    if (!device.empty() || target == contents.targets.end()) continue;
    const Result<host::Way> way = host::way_to(target->second.endpoint.address);
    if (way && way->is_attached) device = way->device;
  }
}

Status read_localnet(Transport& transport, TableContents& contents) {
  Result<std::vector<std::string>> devices = nft::read_opened_devices(transport, Family::ipv4);
  if (!devices) return devices.error();
  Result<std::map<nft::OwnerHash, std::string>> users =
      nft::read_device_users(transport, Family::ipv4);
  if (!users) return users.error();
  Result<std::vector<nft::ClaimEntry>> unlisted = nft::read_unlisted_loopback(transport);
  if (!unlisted) return unlisted.error();
  Result<std::vector<nft::ClaimEntry>> loopback = nft::read_loopback_set(transport, Family::ipv4);
  if (!loopback) return loopback.error();
  contents.localnet_devices = std::move(*devices);
  contents.localnet_users = std::move(*users);
  Result<std::vector<nft::LocalnetUser>> unlisted_users =
      app::localnet_users_of(transport, *unlisted);
  if (!unlisted_users) return unlisted_users.error();
  contents.unlisted_users = std::move(*unlisted_users);
  contents.unlisted_loopback = std::move(*unlisted);
  for (nft::ClaimEntry& entry : *loopback)
    contents.loopback.emplace(entry.published, std::move(entry.comment));
  find_lost_users(contents);
  std::set<std::string> needed;
  for (const auto& [owner, device] : contents.localnet_users) needed.insert(device);
  for (const std::string& device : needed)
    if (if_nametoindex(device.c_str()) == 0)
      contents.gone_devices.insert(device);
    else if (!host::has_route_localnet(device))
      contents.closed_devices.push_back(device);
  return {};
}

// Of no account for the table, so what cannot be asked is not said.
Status read_absence(Transport&, TableContents& contents) {
  std::vector<IpAddress> addresses;
  for (const nft::OwnerEntry& owner : contents.owners) addresses.push_back(owner.published.address);
  Result<std::vector<IpAddress>> absent = host::absent_addresses(std::move(addresses));
  if (absent) contents.absent_addresses = std::move(*absent);
  return {};
}

Status read_loopback6(Transport& transport, TableContents& contents) {
  nft::EndpointsByPort endpoints;
  for (const auto& [key, target] : contents.targets)
    endpoints.emplace(target.published, target.endpoint.address);
  Result<nft::LoopbackView> view = app::read_loopback_view(
      transport, nft::loopback_ports(contents.owners, contents.claims, endpoints));
  if (!view) return view.error();
  contents.loopback6 = std::move(*view);
  contents.loopback.insert(contents.loopback6.listed.begin(), contents.loopback6.listed.end());
  return {};
}

}  // namespace

Result<TableContents> read_table(Transport& transport, Life life) {
  TableContents contents;
  const Result<std::uint32_t> generation = nft::read_generation(transport);
  if (!generation) return generation.error();
  contents.generation = *generation;
  const Result<bool> exists = nft::has_table(transport);
  if (!exists) return exists.error();
  contents.exists = *exists;
  if (!contents.exists) {
    if (const Status status = read_exposure(transport, contents); !status) return status.error();
  } else {
    for (const auto read :
         {read_chains, read_elements, read_exposure, read_localnet, read_loopback6, read_absence})
      if (const Status status = read(transport, contents); !status) return status.error();
  }
  const Result<std::uint32_t> now = nft::read_generation(transport);
  if (!now) return now.error();
  contents.is_steady = *now == contents.generation;
  if (life == Life::asked)
    see_who_lives(contents);
  else
    for (const nft::OwnerEntry& owner : contents.owners) contents.life.try_emplace(owner.owner);
  return contents;
}

}  // namespace portmapper::ctl

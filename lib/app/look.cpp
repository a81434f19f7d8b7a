#include "lib/app/look.hpp"

#include <algorithm>
#include <set>

#include "lib/app/exposure.hpp"
#include "lib/host/life_signs.hpp"
#include "lib/host/netns.hpp"
#include "lib/host/netns_addresses.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/conflicts.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::app {
namespace {

using nft::Snapshot;

// Puts what was read where it belongs.
template <typename T>
Status put(Result<T> read, std::optional<T>& section) {
  if (!read) return read.error();
  section = std::move(*read);
  return {};
}

Status look_at_ruleset(Transport& transport, const nft::NetworkChain* network, Snapshot& snapshot) {
  Result<nft::Ruleset> read =
      network != nullptr ? nft::read_ruleset(transport, *network) : nft::read_skeleton(transport);
  if (!read) return read.error();
  snapshot.generation = read->generation;
  snapshot.ruleset = std::move(read->diff);
  snapshot.has_egress = read->has_egress;
  return {};
}

Status look_at_installed(Transport& transport, const Subject& subject, Snapshot& snapshot) {
  Result<nft::InstalledPortsAt> read =
      nft::read_installed_ports(transport, subject.owner, subject.chain, subject.lost_ports);
  if (!read) return read.error();
  snapshot.generation = read->generation;
  snapshot.installed = std::move(read->installed);
  snapshot.others_publish = read->others_publish;
  return {};
}

Status look_at_emptiness(Transport& transport, const Subject& subject, Snapshot& snapshot) {
  const Result<nft::Emptiness> read = nft::read_emptiness(transport, subject.chain);
  if (!read) return read.error();
  snapshot.generation = read->generation;
  snapshot.chain_is_empty = read->empty;
  return {};
}

std::vector<nft::PublishedPort> published_ports(const nft::Plan& plan) {
  std::vector<nft::PublishedPort> ports;
  for (const nft::Translation& translation : plan.translations)
    ports.push_back(translation.published);
  return ports;
}

using Plans = std::span<const nft::Plan* const>;

// Whether a port is wanted on any address of this family.
bool wants_any(Plans plans, Family family) {
  return std::any_of(plans.begin(), plans.end(), [family](const nft::Plan* plan) {
    return std::any_of(plan->translations.begin(), plan->translations.end(),
                       [family](const nft::Translation& t) {
                         return t.published.address == IpAddress::any(family);
                       });
  });
}

// Claims on one address are read as a whole, since nothing tells which of them a port on any address
// would meet; those on any address one by one.
Result<std::vector<nft::PublishedPort>> read_overlaps(Transport& transport, Plans plans) {
  std::vector<nft::PublishedPort> claimed;
  for (const Family family : kFamilies) {
    if (!wants_any(plans, family)) continue;
    const auto claims = nft::read_claim_set(transport, {family, nft::AddressScope::one});
    if (!claims) return claims.error();
    for (const nft::ClaimEntry& claim : *claims) claimed.push_back(claim.published);
  }
  const std::vector<nft::PublishedPort> ports = nft::on_any_address(plans);
  const Result<std::vector<nft::Claim>> claims = nft::read_claims(transport, ports);
  if (!claims) return claims.error();
  for (std::size_t i = 0; i < ports.size(); ++i)
    if ((*claims)[i].exists) claimed.push_back(ports[i]);
  return nft::overlaps_of(plans, claimed);
}

Status look_at_overlaps(Transport& transport, const Subject& subject, Snapshot& snapshot) {
  if (subject.plan != nullptr)
    return put(read_overlaps(transport, {&subject.plan, 1}), snapshot.overlaps);
  const Result<std::uint32_t> generation = nft::read_generation(transport);
  if (!generation) return generation.error();
  snapshot.generation = *generation;
  return put(read_overlaps(transport, subject.plans), snapshot.overlaps);
}

using OwnerByPort = std::map<nft::PublishedPort, nft::OwnerHash>;

Result<OwnerByPort> read_owners_by_port(Transport& transport) {
  const Result<std::vector<nft::OwnerEntry>> entries = nft::read_owners(transport);
  if (!entries) return entries.error();
  OwnerByPort owners;
  // Where two attachments have one port, since claims were flushed, the kernel's order is no reason.
  for (const nft::OwnerEntry& entry : *entries) {
    if (entry.standby) continue;  // it has neither claim nor target
    const auto [known, is_new] = owners.emplace(entry.published, entry.owner);
    if (!is_new) known->second = std::min(known->second, entry.owner);
  }
  return owners;
}

// The claims of the plan's ports, each with its owner: where a claim does not name it, since it was
// saved and loaded again with nft, the owner entry does.
Result<std::vector<nft::Claim>> read_claims_of(Transport& transport, const nft::Plan& plan) {
  const std::vector<nft::PublishedPort> ports = published_ports(plan);
  Result<std::vector<nft::Claim>> claims = nft::read_claims(transport, ports);
  if (!claims) return claims;
  const auto is_unnamed = [](const nft::Claim& claim) { return claim.exists && !claim.owner; };
  if (std::none_of(claims->begin(), claims->end(), is_unnamed)) return claims;
  const Result<OwnerByPort> owners = read_owners_by_port(transport);
  if (!owners) return owners.error();
  for (std::size_t i = 0; i < ports.size(); ++i)
    if (const auto owner = owners->find(ports[i]);
        is_unnamed((*claims)[i]) && owner != owners->end())
      (*claims)[i].owner = owner->second;
  return claims;
}

// A claim that was saved and loaded again with nft does not name its owner; where an operator
// flushed the claims, only the target in our way is left of the port. The owner entries are looked
// through once, since the port is what those lead to.
Status find_owners_of_unnamed(Transport& transport, std::vector<nft::OccupiedPort>& ports) {
  const auto is_unnamed = [](const nft::OccupiedPort& port) {
    return !port.owner && (port.claimed || port.target);
  };
  if (std::none_of(ports.begin(), ports.end(), is_unnamed)) return {};
  const Result<OwnerByPort> owners = read_owners_by_port(transport);
  if (!owners) return owners.error();
  for (nft::OccupiedPort& port : ports)
    if (const auto owner = owners->find(port.port); is_unnamed(port) && owner != owners->end())
      port.owner = owner->second;
  return {};
}

Result<std::vector<nft::OccupiedPort>> read_occupied_ports(
    Transport& transport, const nft::Plan& plan, const std::vector<nft::PublishedPort>& wanted) {
  const Result<std::vector<nft::Claim>> claims = nft::read_claims(transport, wanted);
  if (!claims) return claims.error();
  const auto targets = nft::read_targets(transport, plan.chain.name, wanted);
  if (!targets) return targets.error();
  std::vector<nft::OccupiedPort> ports;
  ports.reserve(wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i)
    ports.push_back({wanted[i], (*claims)[i].exists, (*claims)[i].owner, (*targets)[i]});
  if (const Status status = find_owners_of_unnamed(transport, ports); !status)
    return status.error();
  return ports;
}

// Of all owners but the plan's own attachment, which knows that it lives.
void see_who_lives(const nft::Plan& plan, nft::Occupancy& occupancy) {
  std::vector<nft::OwnerState*> others;
  std::vector<host::LifeTrace> traces;
  for (auto& [hash, owner] : occupancy.owners) {
    if (hash == nft::owner_hash(plan.attachment) || owner.installed.empty()) continue;
    others.push_back(&owner);
    host::LifeTrace& trace = traces.emplace_back(host::LifeTrace{owner.installed.netns, {}});
    for (const nft::InstalledPort& port : owner.installed.ports)
      if (port.endpoint) trace.addresses.push_back(port.endpoint->address);
  }
  if (traces.empty()) return;
  const std::vector<LifeSigns> signs = host::find_life(traces, plan.netns);
  for (std::size_t i = 0; i < others.size(); ++i) others[i]->life = signs[i];
}

Result<nft::Occupancy> read_occupancy(Transport& transport, const nft::Plan& plan,
                                      std::span<const nft::PublishedPort> overlaps) {
  Result<std::vector<nft::OccupiedPort>> ports =
      read_occupied_ports(transport, plan, nft::overlapping_ports(plan, overlaps));
  if (!ports) return ports.error();
  nft::Occupancy occupancy{.ports = std::move(*ports), .owners = {}};
  const nft::OwnerHash self = nft::owner_hash(plan.attachment);
  // Its own old entries go even where none of its old ports is wanted again.
  std::set<nft::OwnerHash> owners = {self};
  for (const nft::OccupiedPort& port : occupancy.ports)
    if (port.owner) owners.insert(*port.owner);
  for (const nft::OwnerHash& owner : owners) {
    Result<nft::InstalledPortsAt> held =
        nft::read_installed_ports(transport, owner, plan.chain.name);
    if (!held) return held.error();
    nft::OwnerState& state = occupancy.owners[owner];
    state.installed = std::move(held->installed);
    if (state.installed.localnet_device.empty() && state.installed.loopback6_device.empty())
      continue;
    const Result<nft::DeviceUse> use = nft::read_device_use(transport, state.installed);
    if (!use) return use.error();
    state.device_use = *use;
  }
  see_who_lives(plan, occupancy);
  return occupancy;
}

Status look_at_shared(Transport& transport, const nft::Plan& plan, Snapshot& snapshot) {
  if (const Status read = put(nft::read_shared(transport, plan), snapshot.shared); !read)
    return read;
  if (!plan.localnet_device.empty())
    snapshot.shared->device_is_open = host::has_route_localnet(plan.localnet_device);
  return {};
}

// Only where rules are built anew.
Status look_at_unlisted(Transport& transport, Snapshot& snapshot) {
  if (const Status read = put(nft::read_unlisted_loopback(transport), snapshot.unlisted_loopback);
      !read)
    return read;
  Result<std::vector<std::string>> open = open_devices(transport);
  if (!open) return open.error();
  snapshot.open_devices = std::move(*open);
  Result<std::vector<nft::LocalnetUser>> users =
      localnet_users_of(transport, *snapshot.unlisted_loopback);
  if (!users) return users.error();
  snapshot.unlisted_users = std::move(*users);
  return {};
}

// All that the attachments have that `belongs` says. Only where attachments disagree about what they
// share.
template <typename Belongs>
Result<std::vector<nft::InstalledPorts>> read_attachments(Transport& transport,
                                                          const nft::Plan& plan, Belongs belongs) {
  const Result<std::vector<nft::OwnerEntry>> entries = nft::read_owners(transport);
  if (!entries) return entries.error();
  std::map<nft::OwnerHash, const nft::OwnerEntry*> owners;
  for (const nft::OwnerEntry& entry : *entries)
    if (belongs(entry)) owners.emplace(entry.owner, &entry);
  std::vector<nft::InstalledPorts> all;
  for (const auto& [hash, entry] : owners) {
    Result<nft::InstalledPortsAt> held = nft::read_installed_ports(
        transport, hash, entry->chain.empty() ? plan.chain.name : entry->chain);
    if (!held) return held.error();
    all.push_back(std::move(held->installed));
  }
  return all;
}

Result<std::vector<nft::InstalledPorts>> read_other_networks(Transport& transport,
                                                             const nft::Plan& plan) {
  return read_attachments(transport, plan, [&plan](const nft::OwnerEntry& entry) {
    return !nft::is_of_network(entry, plan.attachment.network);
  });
}

Result<std::vector<nft::InstalledPorts>> read_same_network(Transport& transport,
                                                           const nft::Plan& plan) {
  const nft::OwnerHash self = nft::owner_hash(plan.attachment);
  return read_attachments(transport, plan, [&](const nft::OwnerEntry& entry) {
    return entry.owner != self && nft::is_of_network(entry, plan.attachment.network);
  });
}

// What stands where `sibling` stands by.
Result<std::vector<nft::OccupiedPort>> read_around(Transport& transport,
                                                   const nft::InstalledPorts& sibling) {
  nft::Plan plan;
  plan.chain.name = sibling.chain;
  for (const nft::InstalledPort& port : sibling.ports)
    if (port.standby) plan.translations.push_back({port.published, *port.standby});
  const nft::Plan* const plans[] = {&plan};
  const Result<std::vector<nft::PublishedPort>> overlaps = read_overlaps(transport, plans);
  if (!overlaps) return overlaps.error();
  return read_occupied_ports(transport, plan, nft::overlapping_ports(plan, *overlaps));
}

NamespaceState state_at_path(const NetworkNamespace& recorded) {
  const std::string& path = recorded.path;
  const NetworkNamespace now = recorded.cookie == 0
                                   ? host::identify_netns(path)
                                   : host::read_netns_addresses({path}).at(path).netns;
  if (host::is_number_of_another(recorded, now)) return NamespaceState::gone;
  return host::same_netns(recorded, now) ? NamespaceState::exists : NamespaceState::unknown;
}

Result<std::map<nft::OwnerHash, nft::Sibling>> read_siblings(Transport& transport,
                                                             const nft::InstalledPorts& own) {
  std::map<nft::OwnerHash, nft::Sibling> siblings;
  for (const nft::OwnerHash& hash : own.standing_by) {
    Result<nft::InstalledPortsAt> held = nft::read_installed_ports(transport, hash, own.chain);
    if (!held) return held.error();
    nft::Sibling& sibling = siblings[hash];
    sibling.state.installed = std::move(held->installed);
    if (sibling.state.installed.empty()) continue;
    // No look at the host: a port that goes to a sibling that just died goes with its DEL, or is
    // taken over as any dead owner's.
    sibling.state.life.netns = state_at_path(sibling.state.installed.netns);
    auto around = read_around(transport, sibling.state.installed);
    if (!around) return around.error();
    sibling.around = std::move(*around);
  }
  return siblings;
}

// The attachment whose ports go: that of a DEL, or what an ADD replaces.
const nft::InstalledPorts& leaving(const Subject& subject, const Snapshot& snapshot) {
  if (snapshot.installed) return *snapshot.installed;
  return snapshot.occupancy->owners.at(nft::owner_hash(subject.plan->attachment)).installed;
}

// Of the plans' chains, those that exist.
Result<std::map<std::string, nft::ChainDamage>> read_chain_damages(
    Transport& transport, std::span<const nft::Plan* const> plans,
    const std::vector<std::string>& existing) {
  std::map<std::string, nft::ChainDamage> all;
  for (const nft::Plan* plan : plans) {
    const std::string& name = plan->chain.name;
    if (all.contains(name) || std::find(existing.begin(), existing.end(), name) == existing.end())
      continue;
    std::vector<const nft::NetworkChain*> wanted;
    for (const nft::Plan* other : plans)
      if (other->chain.name == name) wanted.push_back(&other->chain);
    Result<nft::ChainDamage> damage = nft::read_chain_damage(transport, name, wanted);
    if (!damage) return damage.error();
    const Result<std::vector<nft::Damage>> sets = nft::read_set_damage(transport, name);
    if (!sets) return sets.error();
    damage->damage.insert(damage->damage.end(), sets->begin(), sets->end());
    all.emplace(name, std::move(*damage));
  }
  return all;
}

}  // namespace

Status look(Transport& transport, const Subject& subject, nft::Section section,
            Snapshot& snapshot) {
  switch (section) {
    case nft::Section::ruleset:
      return look_at_ruleset(transport, subject.network, snapshot);
    case nft::Section::network_chains:
      return put(nft::read_network_chains(transport), snapshot.network_chains);
    case nft::Section::overlaps:
      return look_at_overlaps(transport, subject, snapshot);
    case nft::Section::occupancy:
      return put(read_occupancy(transport, *subject.plan, *snapshot.overlaps), snapshot.occupancy);
    case nft::Section::hairpins:
      return put(nft::read_hairpins(transport), snapshot.hairpins);
    case nft::Section::installed:
      return look_at_installed(transport, subject, snapshot);
    case nft::Section::others_publish:
      return put(nft::others_publish(transport, *snapshot.installed), snapshot.others_publish);
    case nft::Section::chain_is_empty:
      return look_at_emptiness(transport, subject, snapshot);
    case nft::Section::chain_damage:
      return put(read_chain_damages(transport, subject.plans, *snapshot.network_chains),
                 snapshot.chain_damage);
    case nft::Section::set_damage:
      return put(nft::read_set_damage(transport, subject.network->name), snapshot.set_damage);
    case nft::Section::claims:
      return put(read_claims_of(transport, *subject.plan), snapshot.claims);
    case nft::Section::shared:
      return look_at_shared(transport, *subject.plan, snapshot);
    case nft::Section::other_networks:
      return put(read_other_networks(transport, *subject.plan), snapshot.other_networks);
    case nft::Section::same_network:
      return put(read_same_network(transport, *subject.plan), snapshot.same_network);
    case nft::Section::unlisted_loopback:
      return look_at_unlisted(transport, snapshot);
    case nft::Section::device_use:
      return put(nft::read_device_use(transport, *snapshot.installed), snapshot.device_use);
    case nft::Section::wanted_hairpins:
      return put(nft::read_hairpins(transport, subject.plan->hairpins), snapshot.hairpins);
    case nft::Section::siblings:
      return put(read_siblings(transport, leaving(subject, snapshot)), snapshot.siblings);
  }
  return {};
}

std::map<nft::OwnerHash, LifeSigns> owners_life(const std::vector<nft::OwnerEntry>& entries,
                                                const OwnerAddresses& addresses) {
  std::map<nft::OwnerHash, LifeSigns> life;
  std::vector<LifeSigns*> places;
  std::vector<host::LifeTrace> traces;
  for (const nft::OwnerEntry& entry : entries) {
    const auto [place, is_new] = life.try_emplace(entry.owner);
    if (!is_new) continue;
    places.push_back(&place->second);
    const auto known = addresses.find(entry.owner);
    traces.push_back(
        {entry.netns, known == addresses.end() ? std::vector<IpAddress>() : known->second});
  }
  if (traces.empty()) return life;
  const std::vector<LifeSigns> signs = host::find_life(traces);
  for (std::size_t i = 0; i < places.size(); ++i) *places[i] = signs[i];
  return life;
}

}  // namespace portmapper::app

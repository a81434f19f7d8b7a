#include "nft/decide.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include "nft/conflicts.hpp"
#include "nft/hairpin_fit.hpp"
#include "nft/hairpin_tag.hpp"
#include "nft/rebuilding.hpp"
#include "nft/siblings.hpp"

namespace portmapper::nft {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool guard_is_whole(const RulesetDiff& diff) {
  return std::none_of(diff.damage.begin(), diff.damage.end(), [](const Damage& damage) {
    return damage.kind == Damage::Kind::dormant_table || damage.object == kLocalnetGuard ||
           damage.object == kLocalnetGuardInput;
  });
}

// Skeleton and network chains, with a jump to every network chain there is. `replaced`: network
// chains that tell another owner, or none.
Decision rebuild(std::span<const NetworkChain> networks, const Snapshot& snapshot,
                 std::span<const std::string> replaced = {}) {
  if (!snapshot.network_chains) return ReadMore{Section::network_chains};
  if (!snapshot.unlisted_loopback) return ReadMore{Section::unlisted_loopback};
  std::vector<std::string> jumps = *snapshot.network_chains;
  for (const NetworkChain& network : networks)
    if (!contains(jumps, network.name)) jumps.push_back(network.name);
  std::vector<std::string> first = snapshot.ruleset->wrong_hooks;
  first.insert(first.end(), replaced.begin(), replaced.end());
  Transaction transaction = build_tables(networks, jumps, first);
  transaction.append(loopback_addition(*snapshot.unlisted_loopback));
  transaction.append(device_users_added(Family::ipv4, snapshot.unlisted_users));
  // Who brings the guard back answers for what is open: each is recorded, to be closed one day.
  if (!guard_is_whole(*snapshot.ruleset))
    for (const std::string& device : snapshot.open_devices)
      transaction.append(opened_device_added(Family::ipv4, device));
  transaction.generation = snapshot.generation;
  return transaction;
}

// An attachment of another network that has ports in the chain.
const InstalledPorts* other_user(const std::string& chain,
                                 const std::vector<InstalledPorts>& others) {
  const auto found = std::find_if(others.begin(), others.end(), [&chain](const InstalledPorts& o) {
    return o.chain == chain && !o.empty();
  });
  return found == others.end() ? nullptr : &*found;
}

Error chain_is_taken(const NetworkChain& chain, const InstalledPorts& user) {
  Attachment other;
  const std::string network =
      parse_attachment_comment(user.comment, other) ? other.network : user.comment;
  return invalid_input("chain " + chain.name + " of network " + chain.network +
                       " is used by network " + network +
                       " with other excludeDevices, excludeAddresses or conditions; give each of"
                       " the two a chain of its own");
}

// The skeleton and the plan's chain. A chain that other networks use with other restrictions is
// theirs; one that nobody uses becomes the plan's.
Decision build_for(const NetworkChain& chain, const Snapshot& snapshot) {
  const std::optional<ChainOwner>& owner = snapshot.ruleset->chain_owner;
  if (!owner || chain.network.empty()) return rebuild({&chain, 1}, snapshot);
  const bool is_owned = !owner->comment.empty();
  const bool has_same_restrictions = owner->restrictions
                                         ? *owner->restrictions == restrictions(chain)
                                         : !snapshot.ruleset->chain_has_other_rules;
  if (is_owned && has_same_restrictions) return rebuild({&chain, 1}, snapshot);
  if (is_owned) {
    if (!snapshot.other_networks) return ReadMore{Section::other_networks};
    if (const InstalledPorts* const user = other_user(chain.name, *snapshot.other_networks))
      return chain_is_taken(chain, *user);
  }
  return rebuild({&chain, 1}, snapshot, {&chain.name, 1});
}

bool wants(const Plan& plan, const Hairpin& hairpin) {
  return std::find(plan.hairpins.begin(), plan.hairpins.end(), hairpin) != plan.hairpins.end();
}

// Pairs that lead to the plan's subnets and that its network does not want (any more). Those of
// 127.0.0.0/8 and ::1 are wanted by those containers of the network that have ports there, and go with snat
// only.
std::vector<Hairpin> unwanted_hairpins(const Plan& plan, const Shared& shared) {
  std::vector<Hairpin> unwanted;
  for (const Hairpin& hairpin : shared.hairpins) {
    const IpPrefix& subnet = hairpin.destination;
    const bool is_its =
        std::find(plan.subnets.begin(), plan.subnets.end(), subnet) != plan.subnets.end();
    const bool is_anothers = hairpin.source == IpPrefix::loopback(subnet.address.family()) &&
                             wants(plan, {subnet, subnet});
    if (is_its && !is_anothers && !wants(plan, hairpin)) unwanted.push_back(hairpin);
  }
  return unwanted;
}

bool overlaps_any(const Hairpin& hairpin, const std::set<Hairpin>& others) {
  return std::any_of(others.begin(), others.end(),
                     [&hairpin](const Hairpin& other) { return overlap(hairpin, other); });
}

// What an attachment wants where pairs go, or may want: one that does not tell, all that leads to it.
void add_wishes(const InstalledPorts& installed, const std::set<Hairpin>& going,
                std::set<Hairpin>& wishes) {
  for (const InstalledPort& port : installed.ports) {
    const std::optional<Endpoint>& endpoint = port.endpoint ? port.endpoint : port.standby;
    if (!endpoint) continue;
    if (installed.wish) {
      for (const Hairpin& wish : hairpins_of(*installed.wish, endpoint->address))
        if (overlaps_any(wish, going)) wishes.insert(wish);
      continue;
    }
    for (const Hairpin& hairpin : going)
      if (hairpin.destination.contains(IpPrefix::host(endpoint->address))) wishes.insert(hairpin);
  }
}

// A container that 127.0.0.1 or ::1 reaches goes on being reached, whatever its network says today.
void add_loopback_wishes(const InstalledPorts& installed, const std::set<Hairpin>& going,
                         std::set<Hairpin>& wishes) {
  std::set<Hairpin> all;
  if (installed.wish) add_wishes(installed, going, all);
  for (const Hairpin& wish : all) {
    const Family family = wish.destination.address.family();
    const bool is_reachable = std::any_of(installed.ports.begin(), installed.ports.end(),
                                          [family](const InstalledPort& port) {
                                            return port.published.address.family() == family &&
                                                   is_reachable_by_loopback(port.published);
                                          });
    if (is_reachable && wish.source.contains(IpPrefix::loopback(family)))
      wishes.insert({IpPrefix::loopback(family), wish.destination});
  }
}

// The pairs of a plan beside those of others. A pair that goes may have been the wide one that covers
// what others want: theirs are put back.
struct HairpinChange {
  std::set<Hairpin> going;   // wanted by the plan's network no longer
  std::set<Hairpin> needed;  // by others, where these go
};

std::variant<HairpinChange, ReadMore> hairpin_change(const Plan& plan, const Snapshot& snapshot) {
  const std::vector<Hairpin> unwanted = unwanted_hairpins(plan, *snapshot.shared);
  HairpinChange change{{unwanted.begin(), unwanted.end()}, {}};
  if (change.going.empty()) return change;
  if (!snapshot.other_networks) return ReadMore{Section::other_networks};
  if (!snapshot.same_network) return ReadMore{Section::same_network};
  if (!snapshot.hairpins) return ReadMore{Section::hairpins};
  for (const InstalledPorts& other : *snapshot.other_networks)
    add_wishes(other, change.going, change.needed);
  for (const InstalledPorts& other : *snapshot.same_network)
    add_loopback_wishes(other, change.going, change.needed);
  for (const Hairpin& hairpin : change.needed) change.going.erase(hairpin);
  return change;
}

Transaction fitted_hairpins(const Plan& plan, const HairpinChange& change,
                            std::vector<Hairpin> existing) {
  for (const Hairpin& hairpin : change.going) std::erase(existing, hairpin);
  std::set<Hairpin> wanted = change.needed;
  wanted.insert(plan.hairpins.begin(), plan.hairpins.end());
  const HairpinFit fit = fit_all_hairpins(std::vector(wanted.begin(), wanted.end()), existing);
  Transaction transaction = removal(std::vector(change.going.begin(), change.going.end()));
  transaction.append(removal(fit.remove));
  transaction.append(addition(fit.add));
  return transaction;
}

// Own pairs of those who give way to the plan, as far as they are there: where another's wider pair
// covered them there are none, whatever the tag says.
void add_pairs_giving_way(const Plan& plan, const Occupancy& occupancy,
                          const std::vector<Hairpin>& existing, HairpinChange& change) {
  for (const InstalledPorts* left : giving_way(plan, occupancy))
    for (const Hairpin& hairpin : left->hairpins)
      if (!wants(plan, hairpin) && !change.needed.contains(hairpin) &&
          std::find(existing.begin(), existing.end(), hairpin) != existing.end())
        change.going.insert(hairpin);
}

// Whether the plan's device is one that we open: it is closed, or recorded. What is open while our guard is not
// whole, as after nft flush ruleset, `rebuild` records. One that is open beside our guard, without a record, is
// somebody else's.
bool is_ours(const Plan& plan, const Snapshot& snapshot) {
  return !plan.localnet_device.empty() &&
         (!snapshot.shared->device_is_open || snapshot.shared->device_is_recorded);
}

// Whether the attachment's own ADD has published ports: it knows better than any record.
bool was_added(const Attachment& attachment, const Occupancy& occupancy) {
  const auto own = occupancy.owners.find(owner_hash(attachment));
  return own != occupancy.owners.end() && is_whole(own->second.installed) &&
         !own->second.installed.restored;
}

bool lacks_jumps(const std::map<std::string, ChainDamage>& chains) {
  return std::any_of(chains.begin(), chains.end(),
                     [](const auto& chain) { return chain.second.lacks_jump; });
}

std::vector<Hairpin> hairpins_of(std::span<const Plan* const> plans) {
  std::set<Hairpin> wanted;
  for (const Plan* plan : plans) wanted.insert(plan->hairpins.begin(), plan->hairpins.end());
  return {wanted.begin(), wanted.end()};
}

std::vector<Withdrawal> values_of(const std::map<OwnerHash, Withdrawal>& all) {
  std::vector<Withdrawal> values;
  values.reserve(all.size());
  for (const auto& [owner, withdrawal] : all) values.push_back(withdrawal);
  return values;
}

}  // namespace

Liveness liveness_of(const LifeSigns& signs) {
  switch (signs.netns) {
    case NamespaceState::exists:
      return Liveness::alive;
    case NamespaceState::gone:
      return Liveness::dead;
    case NamespaceState::empty:
    case NamespaceState::unrecorded:
      if (signs.addresses == AddressState::nowhere) return Liveness::dead;
      if (signs.addresses == AddressState::inside) return Liveness::alive;
      // Somebody who has no record may be wherever its address is; somebody who has one is not.
      return signs.netns == NamespaceState::unrecorded && signs.addresses == AddressState::elsewhere
                 ? Liveness::alive
                 : Liveness::unknown;
    case NamespaceState::unknown:
      break;
  }
  return Liveness::unknown;
}

Decision decide_add(const Plan& plan, const Snapshot& snapshot) {
  if (!snapshot.ruleset) return ReadMore{Section::ruleset};
  if (!snapshot.shared) return ReadMore{Section::shared};
  Transaction transaction;
  if (!snapshot.ruleset->intact() || snapshot.refused.missing) {
    Decision built = build_for(plan.chain, snapshot);
    if (!std::holds_alternative<Transaction>(built)) return built;
    transaction = std::get<Transaction>(std::move(built));
  }
  auto change = hairpin_change(plan, snapshot);
  if (const auto* const more = std::get_if<ReadMore>(&change)) return *more;
  auto& hairpins = std::get<HairpinChange>(change);
  if (is_ours(plan, snapshot))
    transaction.append(opened_device_added(Family::ipv4, plan.localnet_device));
  if (!plan.loopback6_device.empty())  // the route tells by itself that it is ours
    transaction.append(opened_device_added(Family::ipv6, plan.loopback6_device));
  // The kernel refuses a claim that exists. It does not know that any address and one overlap:
  // that is read, and guarded by the generation.
  if (!snapshot.overlaps) return ReadMore{Section::overlaps};
  if (!snapshot.refused.exists && snapshot.overlaps->empty()) {
    if (hairpins.going.empty() && hairpins.needed.empty()) {
      transaction.append(insertion(plan));
    } else {
      transaction.append(insertion_of_ports(plan));
      transaction.append(fitted_hairpins(plan, hairpins, *snapshot.hairpins));
    }
    transaction.generation = snapshot.generation;
    return transaction;
  }
  if (!snapshot.occupancy) return ReadMore{Section::occupancy};
  if (!snapshot.hairpins) return ReadMore{Section::hairpins};
  if (plan.is_restored && !plan.is_seen_changed && was_added(plan.attachment, *snapshot.occupancy))
    return Transaction{.operations = {}, .generation = snapshot.generation};
  Plan wanted = plan;
  const Occupancy& occupancy = *snapshot.occupancy;
  Result<Transaction> way = resolve_conflicts(wanted, occupancy);
  if (!way) return way.error();
  const auto own = occupancy.owners.find(owner_hash(plan.attachment));
  if (own != occupancy.owners.end() && has_successors(own->second.installed)) {
    if (!snapshot.siblings) return ReadMore{Section::siblings};
    way->append(
        promotion(successors(own->second.installed, wanted.translations, *snapshot.siblings),
                  snapshot.refused.missing));
  }
  transaction.append(std::move(*way));
  transaction.append(insertion_of_ports(wanted));
  add_pairs_giving_way(wanted, occupancy, *snapshot.hairpins, hairpins);
  transaction.append(fitted_hairpins(wanted, hairpins, *snapshot.hairpins));
  transaction.generation = snapshot.generation;
  return transaction;
}

Decision decide_insertion(std::span<const Plan* const> plans, const Snapshot& snapshot) {
  if (!snapshot.overlaps) return ReadMore{Section::overlaps};
  if (!snapshot.overlaps->empty() || overlap_each_other(plans))
    return mapping_failed("cannot publish at once", "ports that others have", EEXIST);
  Transaction transaction;
  for (const Plan* plan : plans) transaction.append(insertion_of_ports(*plan));
  transaction.generation = snapshot.generation;
  return transaction;
}

Decision decide_withdrawal(const Withdrawal& withdrawal, const Snapshot& snapshot) {
  if (!snapshot.installed) return ReadMore{Section::installed};
  const InstalledPorts& installed = *snapshot.installed;
  if (installed.empty() && installed.strays.empty()) return Transaction();
  if (withdrawal.only && !same_record(installed.netns, *withdrawal.only)) return Transaction();
  if (withdrawal.only_restored && !installed.restored) return Transaction();
  // The elements were read under the same generation, so only hairpins can be refused: their set is
  // missing, or one that we shared was replaced by a larger one.
  // Who has lost all entries may not be the only one that has: nobody tells then who publishes.
  const bool has_entries =
      std::any_of(installed.ports.begin(), installed.ports.end(),
                  [](const InstalledPort& port) { return port.index.has_value(); });
  const bool with_hairpins =
      !snapshot.refused.exists && !snapshot.refused.missing && (has_entries || installed.empty());
  if (with_hairpins && !snapshot.others_publish) return ReadMore{Section::others_publish};
  const bool has_device = !installed.localnet_device.empty() || !installed.loopback6_device.empty();
  if (has_device && !snapshot.device_use) return ReadMore{Section::device_use};
  if (has_successors(installed) && !snapshot.siblings) return ReadMore{Section::siblings};
  Transaction transaction = removal(installed, with_hairpins);
  if (has_device) transaction.append(devices_closed(installed, *snapshot.device_use));
  if (with_hairpins && !*snapshot.others_publish) transaction.append(hairpins_removal());
  // A DEL must succeed: after a refusal that nothing read explains, without a promotion.
  if (!snapshot.refused.exists && has_successors(installed))
    transaction.append(
        promotion(successors(installed, {}, *snapshot.siblings), snapshot.refused.missing));
  transaction.generation = snapshot.generation;
  return transaction;
}

std::vector<Withdrawal> decide_prune(const std::vector<OwnerEntry>& entries,
                                     const std::map<OwnerHash, LifeSigns>& signs) {
  std::map<OwnerHash, Withdrawal> dead;
  for (const OwnerEntry& entry : entries)
    if (liveness_of(signs.at(entry.owner)) == Liveness::dead)
      dead.try_emplace(entry.owner, Withdrawal{entry.owner, entry.chain, entry.netns});
  return values_of(dead);
}

std::vector<Withdrawal> decide_left_over(const std::vector<OwnerEntry>& entries,
                                         const std::map<OwnerHash, LifeSigns>& signs,
                                         const std::set<OwnerHash>& ended) {
  std::map<OwnerHash, Withdrawal> left;
  for (const OwnerEntry& entry : entries) {
    const LifeSigns& life = signs.at(entry.owner);
    if (life.netns != NamespaceState::unrecorded) continue;
    if (liveness_of(life) == Liveness::dead || ended.contains(entry.owner))
      left.try_emplace(entry.owner, Withdrawal{entry.owner, entry.chain, entry.netns});
  }
  return values_of(left);
}

std::vector<Withdrawal> decide_gc(const std::vector<OwnerEntry>& entries,
                                  const std::string& network, const std::set<OwnerHash>& valid,
                                  const std::string& chain) {
  std::map<OwnerHash, Withdrawal> unknown;
  for (const OwnerEntry& entry : entries) {
    if (!is_of_network(entry, network) || valid.contains(entry.owner)) continue;
    unknown.try_emplace(
        entry.owner,
        Withdrawal{entry.owner, entry.chain.empty() ? chain : entry.chain, entry.netns});
  }
  return values_of(unknown);
}

Decision decide_network_removal(const std::string& chain, const Snapshot& snapshot) {
  if (!snapshot.chain_is_empty) return ReadMore{Section::chain_is_empty};
  if (!*snapshot.chain_is_empty) return Transaction();
  if (!snapshot.network_chains) return ReadMore{Section::network_chains};
  std::vector<std::string> others = *snapshot.network_chains;
  if (std::erase(others, chain) == 0) return Transaction();
  Transaction transaction = delete_network(chain, others);
  transaction.generation = snapshot.generation;
  return transaction;
}

Decision decide_mending(std::span<const Plan* const> plans, const Snapshot& snapshot) {
  if (plans.empty()) return Transaction();
  if (!snapshot.ruleset) return ReadMore{Section::ruleset};
  if (!snapshot.network_chains) return ReadMore{Section::network_chains};
  if (!snapshot.chain_damage) return ReadMore{Section::chain_damage};
  if (!snapshot.hairpins) return ReadMore{Section::hairpins};
  const Rebuilding broken = rebuilding(plans, *snapshot.chain_damage);
  Transaction transaction;
  if (!snapshot.ruleset->intact() || !broken.chains.empty() ||
      lacks_jumps(*snapshot.chain_damage)) {
    Decision built = rebuild(broken.chains, snapshot, broken.replaced);
    if (!std::holds_alternative<Transaction>(built)) return built;
    transaction = std::get<Transaction>(std::move(built));
  }
  if (!guard_is_whole(*snapshot.ruleset))  // as is_ours() says
    for (const std::string& device : loopback_devices_of(plans, Family::ipv4))
      transaction.append(opened_device_added(Family::ipv4, device));
  const HairpinFit fit = fit_all_hairpins(hairpins_of(plans), *snapshot.hairpins);
  transaction.append(removal(fit.remove));
  transaction.append(addition(fit.add));
  transaction.generation = snapshot.generation;
  return transaction;
}

std::vector<bool> without_chain(std::span<const Plan* const> plans) {
  std::map<std::string, const NetworkChain*> owners;
  std::vector<bool> without;
  for (const Plan* plan : plans) {
    const NetworkChain*& owner = owners[plan->chain.name];
    if (owner == nullptr || owner->network == plan->chain.network) owner = &plan->chain;
    without.push_back(restrictions(*owner) != restrictions(plan->chain));
  }
  return without;
}

Decision decide_skeleton(const Snapshot& snapshot) {
  if (!snapshot.ruleset) return ReadMore{Section::ruleset};
  if (snapshot.ruleset->intact()) return Transaction();
  return rebuild({}, snapshot);
}

Decision decide_build(const NetworkChain& network, const Snapshot& snapshot) {
  if (!snapshot.ruleset) return ReadMore{Section::ruleset};
  return rebuild({&network, 1}, snapshot);
}

bool learn(Snapshot::Refused& refused, const Refusal& refusal) {
  bool* const lesson = refusal.error_number == EEXIST   ? &refused.exists
                       : refusal.error_number == ENOENT ? &refused.missing
                                                        : nullptr;
  if (lesson == nullptr || *lesson) return false;
  *lesson = true;
  return true;
}

}  // namespace portmapper::nft

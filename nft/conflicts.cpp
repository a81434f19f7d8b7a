#include "nft/conflicts.hpp"

#include <algorithm>
#include <set>

#include "nft/decide.hpp"
#include "nft/siblings.hpp"

namespace portmapper::nft {
namespace {

constexpr std::size_t kConflictsNamed = 8;

bool is_dead(const OwnerState& owner, const Plan& plan) {
  if (owner.life.netns == NamespaceState::gone) return true;
  // A sibling's address is in our own namespace, which was left out when addresses were looked for.
  return !is_sibling(owner.installed, plan) && liveness_of(owner.life) == Liveness::dead;
}

bool gives_way(const OwnerHash& hash, const OwnerState& owner, const Plan& plan) {
  return !owner.installed.empty() && (hash == owner_hash(plan.attachment) || is_dead(owner, plan));
}

std::string describe(const InstalledPorts& installed, const Plan& plan) {
  Attachment owner;
  if (!parse_attachment_comment(installed.comment, owner)) return "attachment " + installed.comment;
  const bool same_id = owner.container_id == plan.attachment.container_id;
  return "container " + owner.container_id + " of network " + owner.network + " (" + owner.ifname +
         ")" + (same_id ? " in another network namespace" : "");
}

class Conflicts {
 public:
  explicit Conflicts(const Plan& plan) : plan_(plan) {}
  void add(const PublishedPort& port, const OwnerState& owner) {
    if (count_++ >= kConflictsNamed) return;
    text_ += (text_.empty() ? "" : "; ") + to_string(port) + " is published by " +
             describe(owner.installed, plan_);
    if (liveness_of(owner.life) == Liveness::unknown)
      text_ += ", and nobody can tell from here whether it lives";
  }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] Error error() const {
    std::string text = text_;
    if (count_ > kConflictsNamed)
      text += "; and " + std::to_string(count_ - kConflictsNamed) + " more";
    return {ErrorKind::port_taken,
            "cannot publish ports of container " + plan_.attachment.container_id,
            text + "; stop that container or choose another host port"};
  }

 private:
  const Plan& plan_;
  std::string text_;
  std::size_t count_ = 0;
};

// Claims that no owner entry stands for and targets without a claim, as if one attachment had them.
// `removable`: whose entries go. A claim of theirs goes with them even where its entry is missing.
InstalledPorts leftovers(const Plan& plan, const Occupancy& occupancy,
                         const std::set<PublishedPort>& removed,
                         const std::set<OwnerHash>& removable) {
  std::set<PublishedPort> wanted;
  for (const Translation& translation : plan.translations)
    if (!translation.standby && !removed.contains(translation.published))
      wanted.insert(translation.published);
  std::set<std::pair<OwnerHash, PublishedPort>> entries;
  for (const OwnerHash& owner : removable)
    for (const InstalledPort& port : occupancy.owners.at(owner).installed.ports)
      entries.emplace(owner, port.published);
  const auto is_owned = [&](const OccupiedPort& port) {
    const auto owner = port.owner ? occupancy.owners.find(*port.owner) : occupancy.owners.end();
    if (owner == occupancy.owners.end() || owner->second.installed.empty()) return false;
    return !removable.contains(owner->first) || entries.contains({owner->first, port.port});
  };
  InstalledPorts rest;
  rest.chain = plan.chain.name;
  for (const OccupiedPort& port : occupancy.ports) {
    const bool claimed = port.claimed && !is_owned(port);
    if (claimed || (wanted.contains(port.port) && port.target))
      rest.ports.push_back({std::nullopt, port.port, claimed, port.target});
  }
  return rest;
}

// Which of the occupied ports each owner has.
std::map<OwnerHash, std::vector<PublishedPort>> ports_by_owner(const Occupancy& occupancy) {
  std::map<OwnerHash, std::vector<PublishedPort>> ports;
  for (const OccupiedPort& port : occupancy.ports)
    if (port.owner) ports[*port.owner].push_back(port.port);
  return ports;
}

}  // namespace

std::vector<PublishedPort> on_any_address(std::span<const Plan* const> plans) {
  std::set<PublishedPort> ports;
  for (const Plan* plan : plans)
    for (const Translation& translation : plan->translations)
      if (!translation.published.address.is_any()) ports.insert(on_any(translation.published));
  return {ports.begin(), ports.end()};
}

std::vector<PublishedPort> overlaps_of(std::span<const Plan* const> plans,
                                       std::span<const PublishedPort> claims) {
  if (claims.empty()) return {};
  std::set<PublishedPort> on_all;
  for (const Plan* plan : plans)
    for (const Translation& translation : plan->translations)
      if (translation.published.address.is_any()) on_all.insert(translation.published);
  const std::vector<PublishedPort> on_one = on_any_address(plans);
  std::set<PublishedPort> found;
  for (const PublishedPort& claim : claims)
    if (claim.address.is_any() ? std::binary_search(on_one.begin(), on_one.end(), claim)
                               : on_all.contains(on_any(claim)))
      found.insert(claim);
  return {found.begin(), found.end()};
}

bool overlap_each_other(std::span<const Plan* const> plans) {
  // Who has a port on any address, and who one of those on an address.
  std::map<PublishedPort, const Plan*> ports;
  std::map<PublishedPort, std::set<const Plan*>> anywhere;
  for (const Plan* plan : plans)
    for (const Translation& translation : plan->translations) {
      const PublishedPort& port = translation.published;
      if (ports.emplace(port, plan).first->second != plan) return true;
      if (!port.address.is_any()) anywhere[on_any(port)].insert(plan);
    }
  return std::any_of(anywhere.begin(), anywhere.end(), [&ports](const auto& on_one) {
    const auto any = ports.find(on_one.first);
    return any != ports.end() && (on_one.second.size() > 1 || !on_one.second.contains(any->second));
  });
}

std::vector<PublishedPort> overlapping_ports(const Plan& plan,
                                             std::span<const PublishedPort> overlaps) {
  const Plan* const plans[] = {&plan};
  std::set<PublishedPort> ports(overlaps.begin(), overlaps.end());
  for (const PublishedPort& port : on_any_address(plans)) ports.insert(port);
  for (const Translation& translation : plan.translations) ports.insert(translation.published);
  return {ports.begin(), ports.end()};
}

Transaction devices_closed(const InstalledPorts& installed, const DeviceUse& use,
                           const Plan* successor) {
  Transaction transaction;
  for (const Family family : kFamilies) {
    const std::string& device = loopback_device(installed, family);
    const bool is_over = family == Family::ipv4 ? use.ends_localnet : use.ends_route;
    const bool is_wanted = successor != nullptr && loopback_device(*successor, family) == device;
    if (is_over && !is_wanted && !device.empty())
      transaction.append(opened_device_removed(family, device));
  }
  return transaction;
}

std::vector<const InstalledPorts*> giving_way(const Plan& plan, const Occupancy& occupancy) {
  std::vector<const InstalledPorts*> all;
  for (const auto& [hash, owner] : occupancy.owners)
    if (gives_way(hash, owner, plan)) all.push_back(&owner.installed);
  return all;
}

Result<Transaction> resolve_conflicts(Plan& plan, const Occupancy& occupancy) {
  const OwnerHash self = owner_hash(plan.attachment);
  auto ports_of = ports_by_owner(occupancy);
  Transaction transaction;
  std::set<PublishedPort> removed;
  std::set<OwnerHash> removable;
  Conflicts conflicts(plan);
  stand_by(plan, occupancy);
  for (const auto& [hash, owner] : occupancy.owners) {
    if (owner.installed.empty()) {  // its claims remained alone, and what else it had
      if (hash == self) transaction.append(removal(owner.installed));
      continue;
    }
    if (gives_way(hash, owner, plan)) {
      removable.insert(hash);
      for (const InstalledPort& port : owner.installed.ports)
        if (port.claimed || !port.standby) removed.insert(port.published);
      transaction.append(removal(owner.installed, /*with_hairpins=*/false));
      transaction.append(devices_closed(owner.installed, owner.device_use, &plan));
    } else if (!is_sibling(owner.installed, plan)) {
      for (const PublishedPort& port : ports_of[hash]) conflicts.add(port, owner);
    }
  }
  if (!conflicts.empty()) return conflicts.error();
  transaction.append(removal(leftovers(plan, occupancy, removed, removable)));
  return transaction;
}

}  // namespace portmapper::nft

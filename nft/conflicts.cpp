#include "nft/conflicts.hpp"

#include <algorithm>
#include <set>

#include "nft/decide.hpp"

namespace portmapper::nft {
namespace {

constexpr std::size_t kConflictsNamed = 8;

// Runtimes hand a container's ports to each of its networks. The network that came first publishes
// them, as with portmap; what the others add would lead to the same container.
bool is_of_same_container(const InstalledPorts& installed, const Plan& plan) {
  Attachment owner;
  return parse_attachment_comment(installed.comment, owner) &&
         owner.container_id == plan.attachment.container_id;
}

bool is_dead(const OwnerState& owner, const Plan& plan) {
  if (liveness_of(owner.netns) == Liveness::dead) return true;
  // Networks may overlap: a container can have the same address on two of them.
  if (is_of_same_container(owner.installed, plan)) return false;
  // An address belongs to one container at a time: a container that had ours before is gone.
  const std::vector<InstalledPort>& ports = owner.installed.ports;
  return std::any_of(ports.begin(), ports.end(), [&plan](const InstalledPort& port) {
    return port.endpoint && std::any_of(plan.translations.begin(), plan.translations.end(),
                                        [&port](const Translation& t) {
                                          return t.endpoint.address == port.endpoint->address;
                                        });
  });
}

std::string describe(const InstalledPorts& installed) {
  Attachment owner;
  if (!parse_attachment_comment(installed.comment, owner)) return "attachment " + installed.comment;
  return "container " + owner.container_id + " of network " + owner.network + " (" + owner.ifname +
         ")";
}

// A pair that the plan wants again is not removed: it would be missing when the plan finds it
// there.
InstalledPorts without_wanted_hairpins(InstalledPorts installed, const Plan& plan) {
  std::erase_if(installed.hairpins, [&plan](const Hairpin& hairpin) {
    return std::find(plan.hairpins.begin(), plan.hairpins.end(), hairpin) != plan.hairpins.end();
  });
  return installed;
}

class Conflicts {
 public:
  void add(const PublishedPort& port, const InstalledPorts& installed) {
    if (count_++ < kConflictsNamed)
      text_ +=
          (text_.empty() ? "" : "; ") + to_string(port) + " is published by " + describe(installed);
  }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] Error error(const Plan& plan) const {
    std::string text = text_;
    if (count_ > kConflictsNamed)
      text += "; and " + std::to_string(count_ - kConflictsNamed) + " more";
    return {ErrorKind::port_taken,
            "cannot publish ports of container " + plan.attachment.container_id,
            text + "; stop that container or choose another host port"};
  }

 private:
  std::string text_;
  std::size_t count_ = 0;
};

bool overlap(const PublishedPort& a, const PublishedPort& b) {
  return a.protocol == b.protocol && a.port == b.port && a.address.family() == b.address.family() &&
         (a.address == b.address || a.address.is_any() || b.address.is_any());
}

void leave_out(Plan& plan, const std::vector<PublishedPort>& taken) {
  std::erase_if(plan.translations, [&taken](const Translation& translation) {
    return std::any_of(taken.begin(), taken.end(), [&translation](const PublishedPort& port) {
      return overlap(port, translation.published);
    });
  });
}

bool has_port(const InstalledPorts& installed, const PublishedPort& port) {
  return std::any_of(installed.ports.begin(), installed.ports.end(),
                     [&port](const InstalledPort& one) { return one.published == port; });
}

// Claims that no owner entry stands for and targets without a claim, as if one attachment had them.
// `removable`: whose entries go. A claim of theirs goes with them even where its entry is missing.
InstalledPorts leftovers(const Plan& plan, const Occupancy& occupancy,
                         const std::set<PublishedPort>& removed,
                         const std::set<OwnerHash>& removable) {
  std::set<PublishedPort> wanted;
  for (const Translation& translation : plan.translations)
    if (!removed.contains(translation.published)) wanted.insert(translation.published);
  const auto is_owned = [&](const OccupiedPort& port) {
    const auto owner = port.owner ? occupancy.owners.find(*port.owner) : occupancy.owners.end();
    if (owner == occupancy.owners.end() || owner->second.installed.empty()) return false;
    return !removable.contains(owner->first) || has_port(owner->second.installed, port.port);
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

std::vector<PublishedPort> overlapping_ports(const Plan& plan,
                                             std::span<const IpAddress> local_addresses) {
  std::set<PublishedPort> ports;
  for (const Translation& translation : plan.translations) {
    const PublishedPort& port = translation.published;
    ports.insert(port);
    if (!port.address.is_any()) {
      ports.insert({IpAddress::any(port.address.family()), port.protocol, port.port});
      continue;
    }
    for (const IpAddress& address : local_addresses)
      if (address.family() == port.address.family())
        ports.insert({address, port.protocol, port.port});
  }
  return {ports.begin(), ports.end()};
}

Result<Transaction> resolve_conflicts(Plan& plan, const Occupancy& occupancy) {
  const OwnerHash self = owner_hash(plan.attachment);
  auto ports_of = ports_by_owner(occupancy);
  Transaction transaction;
  std::set<PublishedPort> removed;
  std::set<OwnerHash> removable;
  Conflicts conflicts;
  for (const auto& [hash, owner] : occupancy.owners) {
    // Its claims remained alone; its own device may be recorded still.
    if (owner.installed.empty() && !(hash == self && !owner.installed.localnet_device.empty()))
      continue;
    if (hash == self || is_dead(owner, plan)) {
      removable.insert(hash);
      for (const InstalledPort& port : owner.installed.ports) removed.insert(port.published);
      transaction.append(removal(without_wanted_hairpins(owner.installed, plan)));
    } else if (is_of_same_container(owner.installed, plan)) {
      leave_out(plan, ports_of[hash]);
    } else {
      for (const PublishedPort& port : ports_of[hash]) conflicts.add(port, owner.installed);
    }
  }
  if (!conflicts.empty()) return conflicts.error(plan);
  transaction.append(removal(leftovers(plan, occupancy, removed, removable)));
  return transaction;
}

}  // namespace portmapper::nft

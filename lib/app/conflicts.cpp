#include "lib/app/conflicts.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "lib/host/netns.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::app {
namespace {

constexpr std::size_t kConflictsNamed = 8;

// Every claim that `plan` makes or asserts absent.
std::vector<nft::PublishedPort> claims_wanted(const nft::Plan& plan,
                                              std::span<const IpAddress> local_addresses) {
  std::set<nft::PublishedPort> ports;
  for (const nft::Translation& translation : plan.translations) {
    nft::PublishedPort port = translation.published;
    ports.insert(port);
    if (port.address.is_any()) {
      for (const IpAddress& address : local_addresses) {
        if (address.family() != port.address.family()) continue;
        ports.insert({address, port.protocol, port.port});
      }
    } else {
      ports.insert({IpAddress::any(port.address.family()), port.protocol, port.port});
    }
  }
  return {ports.begin(), ports.end()};
}

// Who has which of the wanted ports.
struct Found {
  std::map<nft::OwnerHash, std::vector<nft::PublishedPort>> by_owner;
  std::vector<nft::PublishedPort> ownerless;  // claims that no owner entry stands for
};

// A port that somebody has, without a claim that names the owner.
struct Unnamed {
  nft::PublishedPort port;
  bool claimed;
};

// Their owner entries are looked through once, since the port is what those lead to.
Status find_owners_of_unnamed(Transport& transport, const std::vector<Unnamed>& unnamed,
                              Found& found) {
  if (unnamed.empty()) return {};
  const Result<std::vector<nft::OwnerEntry>> entries = nft::read_owners(transport);
  if (!entries) return entries.error();
  std::map<nft::PublishedPort, nft::OwnerHash> owners;
  for (const nft::OwnerEntry& entry : *entries) owners.emplace(entry.published, entry.owner);
  for (const auto& [port, claimed] : unnamed) {
    const auto owner = owners.find(port);
    if (owner != owners.end())
      found.by_owner[owner->second].push_back(port);
    else if (claimed)
      found.ownerless.push_back(port);
  }
  return {};
}

// A claim that was saved and loaded again with nft does not name its owner; where an operator
// flushed the claims, the target in our way is left of the port.
Result<Found> find_claims(Transport& transport, const nft::Plan& plan,
                          const std::vector<nft::PublishedPort>& ports) {
  const Result<std::vector<nft::Claim>> claims = nft::read_claims(transport, ports);
  if (!claims) return claims.error();
  const auto targets = nft::read_targets(transport, plan.chain.name, ports);
  if (!targets) return targets.error();
  Found found;
  std::vector<Unnamed> unnamed;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const nft::Claim& claim = (*claims)[i];
    if (claim.exists && claim.owner)
      found.by_owner[*claim.owner].push_back(ports[i]);
    else if (claim.exists || (*targets)[i])
      unnamed.push_back({ports[i], claim.exists});
  }
  if (const Status status = find_owners_of_unnamed(transport, unnamed, found); !status)
    return status.error();
  return found;
}

// Runtimes hand a container's ports to each of its networks. The network that came first publishes
// them, as with portmap; what the others add would lead to the same container.
bool is_of_same_container(const nft::InstalledPorts& installed, const nft::Plan& plan) {
  Attachment owner;
  return nft::parse_attachment_comment(installed.comment, owner) &&
         owner.container_id == plan.attachment.container_id;
}

bool is_dead(const nft::InstalledPorts& installed, const nft::Plan& plan) {
  if (!host::netns_exists(installed.netns, plan.netns)) return true;
  // Networks may overlap: a container can have the same address on two of them.
  if (is_of_same_container(installed, plan)) return false;
  // An address is given to one container at a time: whoever had ours is gone.
  return std::any_of(
      installed.ports.begin(), installed.ports.end(), [&plan](const nft::InstalledPort& port) {
        return port.endpoint && std::any_of(plan.translations.begin(), plan.translations.end(),
                                            [&port](const nft::Translation& t) {
                                              return t.endpoint.address == port.endpoint->address;
                                            });
      });
}

std::string describe(const nft::InstalledPorts& installed) {
  Attachment owner;
  if (!nft::parse_attachment_comment(installed.comment, owner))
    return "attachment " + installed.comment;
  return "container " + owner.container_id + " of network " + owner.network + " (" + owner.ifname +
         ")";
}

// A pair that the plan wants again is not removed: it would be missing when the plan finds it
// there.
nft::InstalledPorts without_wanted_hairpins(nft::InstalledPorts installed, const nft::Plan& plan) {
  std::erase_if(installed.hairpins, [&plan](const nft::Hairpin& hairpin) {
    return std::find(plan.hairpins.begin(), plan.hairpins.end(), hairpin) != plan.hairpins.end();
  });
  return installed;
}

class Conflicts {
 public:
  void add(const nft::PublishedPort& port, const nft::InstalledPorts& installed) {
    if (count_++ < kConflictsNamed)
      text_ +=
          (text_.empty() ? "" : "; ") + to_string(port) + " is published by " + describe(installed);
  }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] Error error(const nft::Plan& plan) const {
    std::string text = text_;
    if (count_ > kConflictsNamed)
      text += "; and " + std::to_string(count_ - kConflictsNamed) + " more";
    return {ErrorKind::mapping_failed,
            "cannot publish ports of container " + plan.attachment.container_id,
            text + "; stop that container or choose another host port",
            0,
            {}};
  }

 private:
  std::string text_;
  std::size_t count_ = 0;
};

void leave_out(nft::Plan& plan, const std::vector<nft::PublishedPort>& taken) {
  std::erase_if(plan.translations, [&taken](const nft::Translation& translation) {
    return std::any_of(taken.begin(), taken.end(), [&translation](const nft::PublishedPort& port) {
      const nft::PublishedPort& wanted = translation.published;
      return port.protocol == wanted.protocol && port.port == wanted.port &&
             port.address.family() == wanted.address.family() &&
             (port.address == wanted.address || port.address.is_any() || wanted.address.is_any());
    });
  });
}

// Claims without an owner and targets without a claim, as if one attachment had them.
Result<nft::InstalledPorts> leftovers(Transport& transport, const nft::Plan& plan,
                                      const std::vector<nft::PublishedPort>& ownerless,
                                      const std::set<nft::PublishedPort>& removed) {
  nft::InstalledPorts installed;
  installed.chain = plan.chain.name;
  std::set<nft::PublishedPort> claimed(ownerless.begin(), ownerless.end());
  std::set<nft::PublishedPort> candidates = claimed;
  for (const nft::Translation& translation : plan.translations)
    if (!removed.contains(translation.published)) candidates.insert(translation.published);
  const std::vector<nft::PublishedPort> ports(candidates.begin(), candidates.end());
  const auto targets = nft::read_targets(transport, plan.chain.name, ports);
  if (!targets) return targets.error();
  for (std::size_t i = 0; i < ports.size(); ++i)
    if (claimed.contains(ports[i]) || (*targets)[i])
      installed.ports.push_back(
          {std::nullopt, ports[i], claimed.contains(ports[i]), (*targets)[i]});
  return installed;
}

}  // namespace

Result<nft::Transaction> resolve_conflicts(Transport& transport, nft::Plan& plan,
                                           std::span<const IpAddress> local_addresses) {
  const nft::OwnerHash self = nft::owner_hash(plan.attachment);
  Result<Found> found = find_claims(transport, plan, claims_wanted(plan, local_addresses));
  if (!found) return found.error();
  found->by_owner[self];  // its old entries go even where none of its old ports is wanted again

  nft::Transaction transaction;
  std::set<nft::PublishedPort> removed;
  Conflicts conflicts;
  for (const auto& [owner, ports] : found->by_owner) {
    const Result<nft::InstalledPortsAt> held =
        nft::read_installed_ports(transport, owner, plan.chain.name);
    if (!held) return held.error();
    if (!transaction.generation) transaction.generation = held->generation;
    if (held->installed.empty()) {  // its claims remained alone
      found->ownerless.insert(found->ownerless.end(), ports.begin(), ports.end());
    } else if (owner == self || is_dead(held->installed, plan)) {
      for (const nft::InstalledPort& port : held->installed.ports) removed.insert(port.published);
      transaction.append(nft::removal(without_wanted_hairpins(held->installed, plan)));
    } else if (is_of_same_container(held->installed, plan)) {
      leave_out(plan, ports);
    } else {
      for (const nft::PublishedPort& port : ports) conflicts.add(port, held->installed);
    }
  }
  if (!conflicts.empty()) return conflicts.error(plan);
  const Result<nft::InstalledPorts> rest = leftovers(transport, plan, found->ownerless, removed);
  if (!rest) return rest.error();
  transaction.append(nft::removal(*rest));
  return transaction;
}

}  // namespace portmapper::app

#include "nft/siblings.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "nft/decide.hpp"

namespace portmapper::nft {
namespace {

// Ports, to be asked for overlaps with one another; a question costs the same with many.
class Ports {
 public:
  void add(const PublishedPort& port) { addresses_[key(port)].insert(port.address); }
  [[nodiscard]] bool overlap_with(const PublishedPort& port) const {
    const auto found = addresses_.find(key(port));
    if (found == addresses_.end()) return false;
    return port.address.is_any() || found->second.contains(port.address) ||
           found->second.contains(IpAddress::any(port.address.family()));
  }

 private:
  using Service = std::tuple<Family, Protocol, Port>;
  static Service key(const PublishedPort& port) {
    return {port.address.family(), port.protocol, port.port};
  }
  std::map<Service, std::set<IpAddress>> addresses_;
};

// An older version recorded no cookie, and who may not enter has none.
bool may_be_same(const NetworkNamespace& a, NetworkNamespace b) {
  if (!a.is_known() || !b.is_known()) return true;
  if (a.cookie == 0 || b.cookie == 0) b.cookie = a.cookie;
  return same_record(a, b);
}

bool are_siblings(const InstalledPorts& a, const InstalledPorts& b) {
  const std::optional<OwnerHash> container = container_of(a);
  return container && container == container_of(b) && may_be_same(a.netns, b.netns);
}

// Whether nobody keeps a claim that overlaps with the port; a sibling's own claims do not hinder it.
bool is_free(const PublishedPort& port, const OwnerHash& sibling,
             const std::vector<OccupiedPort>& around, const std::set<PublishedPort>& left) {
  return std::none_of(around.begin(), around.end(), [&](const OccupiedPort& other) {
    return other.claimed && other.owner != sibling && !left.contains(other.port) &&
           overlap(other.port, port);
  });
}

// A target without a claim, which nobody removes otherwise.
std::optional<Endpoint> leftover_target(const PublishedPort& port, const Sibling& sibling,
                                        const InstalledPorts& leaving) {
  const auto at = std::find_if(sibling.around.begin(), sibling.around.end(),
                               [&port](const OccupiedPort& other) { return other.port == port; });
  if (at == sibling.around.end() || !at->target) return std::nullopt;
  const std::string& chain = sibling.state.installed.chain;
  const bool is_removed =
      leaving.chain == chain &&
      std::any_of(leaving.ports.begin(), leaving.ports.end(), [&port](const InstalledPort& one) {
        return one.published == port && one.endpoint;
      });
  return is_removed ? std::nullopt : at->target;
}

}  // namespace

bool overlap(const PublishedPort& a, const PublishedPort& b) {
  return a.protocol == b.protocol && a.port == b.port && a.address.family() == b.address.family() &&
         (a.address == b.address || a.address.is_any() || b.address.is_any());
}

bool same_record(const NetworkNamespace& a, const NetworkNamespace& b) {
  return a.device == b.device && a.inode == b.inode && a.id == b.id &&
         a.cookie == b.cookie;  // whatever of its path was kept
}

std::optional<OwnerHash> container_of(const InstalledPorts& installed) {
  if (installed.container) return installed.container;
  Attachment attachment;
  if (!parse_attachment_comment(installed.comment, attachment)) return std::nullopt;
  return container_hash(attachment.container_id);
}

bool is_sibling(const InstalledPorts& installed, const Plan& plan) {
  return container_of(installed) == container_hash(plan.attachment.container_id) &&
         may_be_same(installed.netns, plan.netns);
}

void stand_by(Plan& plan, const Occupancy& occupancy) {
  const OwnerHash self = owner_hash(plan.attachment);
  std::set<OwnerHash> siblings;
  for (const auto& [hash, owner] : occupancy.owners)
    if (hash != self && !owner.installed.empty() && owner.life.netns != NamespaceState::gone &&
        is_sibling(owner.installed, plan))
      siblings.insert(hash);
  Ports taken;
  for (const OccupiedPort& port : occupancy.ports)
    if (port.owner && siblings.contains(*port.owner)) taken.add(port.port);
  for (Translation& translation : plan.translations)
    translation.standby = taken.overlap_with(translation.published);
}

bool has_successors(const InstalledPorts& leaving) {
  return !leaving.standing_by.empty() &&
         std::any_of(leaving.ports.begin(), leaving.ports.end(),
                     [](const InstalledPort& port) { return port.claimed; });
}

std::vector<InstalledPorts> successors(const InstalledPorts& leaving,
                                       std::span<const Translation> kept,
                                       const std::map<OwnerHash, Sibling>& siblings) {
  std::set<PublishedPort> left;
  for (const InstalledPort& port : leaving.ports)
    if (port.claimed) left.insert(port.published);
  Ports taken;
  for (const Translation& translation : kept)
    if (!translation.standby) taken.add(translation.published);
  std::vector<InstalledPorts> all;
  for (const auto& [hash, sibling] : siblings) {  // the lowest hash first
    const InstalledPorts& installed = sibling.state.installed;
    if (sibling.state.life.netns == NamespaceState::gone || !are_siblings(leaving, installed))
      continue;
    InstalledPorts next = installed;
    next.ports.clear();
    for (const InstalledPort& port : installed.ports) {
      const PublishedPort& published = port.published;
      if (!port.standby || port.claimed || taken.overlap_with(published) ||
          !is_free(published, hash, sibling.around, left))
        continue;
      next.ports.push_back(port);
      next.ports.back().endpoint = leftover_target(published, sibling, leaving);
    }
    for (const InstalledPort& port : next.ports) taken.add(port.published);
    if (!next.empty()) all.push_back(std::move(next));
  }
  return all;
}

}  // namespace portmapper::nft

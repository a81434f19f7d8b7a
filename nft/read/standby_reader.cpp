#include "nft/read/standby_reader.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "nft/key.hpp"
#include "nft/siblings.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {

void add_standby(std::vector<StandbyElement>& standby, const ElementView& element) {
  const auto key = parse_owner_key(element.key);
  const auto endpoint = parse_standby_data(element.data);
  if (!key || !endpoint) return;
  StandbyElement& one =
      standby.emplace_back(StandbyElement{key->owner, key->index, *endpoint, {}, {}});
  ElementData data = parse_element_data(element.userdata);
  const auto id = parse_container_comment(data.comment);
  one.container = data.container || !id ? data.container : container_hash(*id);
  one.comment = std::move(data.comment);
}

void take_standby(InstalledPorts& installed, std::span<const StandbyElement> standby) {
  const std::optional<OwnerHash> container = container_of(installed);
  std::set<OwnerHash> others;
  for (const StandbyElement& element : standby) {
    if (element.owner != installed.owner) {
      if (container && element.container == container) others.insert(element.owner);
      continue;
    }
    const auto port = std::lower_bound(
        installed.ports.begin(), installed.ports.end(), element.index,
        [](const InstalledPort& one, std::uint32_t index) { return one.index < index; });
    if (port == installed.ports.end() || port->index != element.index) {
      installed.strays.push_back(element.index);
      continue;
    }
    port->standby = element.endpoint;
    if (installed.standby_comment.empty()) installed.standby_comment = element.comment;
  }
  std::sort(installed.strays.begin(), installed.strays.end());
  installed.standing_by.assign(others.begin(), others.end());
}

void give_standby(Owners& owners, const std::vector<StandbyElement>& standby) {
  std::map<std::pair<OwnerHash, std::uint32_t>, Endpoint> rest;
  for (const StandbyElement& one : standby)
    rest.emplace(std::pair(one.owner, one.index), one.endpoint);
  if (rest.empty()) return;
  for (OwnerEntry& entry : owners.entries) {
    const auto found = rest.find({entry.owner, entry.index});
    if (found == rest.end()) continue;
    entry.standby = found->second;
    rest.erase(found);
  }
  for (const auto& [key, endpoint] : rest)
    owners.strays.push_back({key.first, key.second, endpoint});
}

}  // namespace portmapper::nft

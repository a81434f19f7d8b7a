#include "lib/app/exposure.hpp"

#include <algorithm>
#include <set>

#include "lib/app/portmap_devices.hpp"
#include "lib/host/loopback_route.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::app {
namespace {

// Whether an ADD may have set it there.
bool may_be_ours(const std::string& device) {
  return device != "all" && device != "default" && device != "lo";
}

}  // namespace

bool is_reachable_by_localnet(const nft::PublishedPort& port) {
  return port.address.family() == Family::ipv4 && nft::is_reachable_by_loopback(port);
}

Result<std::vector<std::string>> exposed_devices(Transport& transport) {
  const Result<bool> guarded = nft::has_guard(transport);
  if (!guarded) return guarded.error();
  if (*guarded) return std::vector<std::string>();
  const Result<bool> table = nft::has_table(transport);
  if (!table) return table.error();
  if (!*table) return open_devices(transport);
  return host::devices_with_route_localnet();
}

Result<std::vector<std::string>> left_routes(Transport& transport) {
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return route.error();
  Result<std::vector<std::string>> devices = host::devices_with_loopback_route(*route);
  if (!devices || devices->empty()) return devices;
  const Result<std::vector<std::string>> recorded =
      nft::read_opened_devices(transport, Family::ipv6);
  if (!recorded) return recorded.error();
  std::erase_if(*devices, [&recorded](const std::string& device) {
    return std::find(recorded->begin(), recorded->end(), device) != recorded->end();
  });
  return devices;
}

Result<std::vector<std::string>> open_devices(Transport& transport) {
  std::vector<std::string> devices = host::devices_with_route_localnet();
  std::erase_if(devices, [](const std::string& device) { return !may_be_ours(device); });
  const Result<std::set<std::string>> needed = portmap_devices(transport, devices);
  if (!needed) return needed.error();
  std::erase_if(devices, [&needed](const std::string& device) { return needed->contains(device); });
  return devices;
}

Result<std::vector<nft::LocalnetUser>> localnet_users_of(
    Transport& transport, const std::vector<nft::ClaimEntry>& claims) {
  std::set<nft::OwnerHash> owners;
  for (const nft::ClaimEntry& claim : claims)
    if (claim.owner && is_reachable_by_localnet(claim.published)) owners.insert(*claim.owner);
  std::vector<nft::LocalnetUser> users;
  for (const nft::OwnerHash& owner : owners) {
    const auto held = nft::read_installed_ports(transport, owner, nft::kSharedChain);
    if (!held) return held.error();
    for (const nft::InstalledPort& port : held->installed.ports) {
      if (!port.endpoint || !is_reachable_by_localnet(port.published)) continue;
      const Result<host::Way> way = host::way_to(port.endpoint->address);
      if (!way || !way->is_attached) continue;
      users.push_back({owner, held->installed.comment, way->device});
      break;
    }
  }
  return users;
}

std::string exposure_of(const std::string& device) {
  return "device " + device +
         " has route_localnet without the guard: its neighbours reach the host's 127.0.0.1";
}

std::string left_route_of(const std::string& device) {
  return "device " + device + " has a route of ::1 that no port needs";
}

}  // namespace portmapper::app

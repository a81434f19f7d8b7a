#include "lib/app/portmap_devices.hpp"

#include <algorithm>

#include "lib/app/retry.hpp"
#include "lib/host/legacy_nat.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/portmap.hpp"
#include "nft/read/dnat_targets.hpp"

namespace portmapper::app {

Result<std::set<std::string>> portmap_devices(Transport& transport,
                                              std::span<const std::string> devices) {
  std::set<std::string> needed;
  if (devices.empty()) return needed;
  if (host::look_for_legacy_chain(Family::ipv4, nft::portmap::kEntryChain) !=
      host::LegacyChain::none)
    return std::set<std::string>(devices.begin(), devices.end());
  const Result<nft::DnatTargets> targets =
      retried([&] { return nft::read_portmap_targets(transport, Family::ipv4); });
  if (!targets) return targets.error();
  if (targets->addresses.empty()) return needed;
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return route.error();
  for (const IpAddress& address : targets->addresses) {
    const Result<host::Way> way = host::way_to(*route, address);
    if (way && way->is_attached &&
        std::find(devices.begin(), devices.end(), way->device) != devices.end())
      needed.insert(way->device);
  }
  return needed;
}

}  // namespace portmapper::app

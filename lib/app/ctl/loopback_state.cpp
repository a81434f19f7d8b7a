#include "lib/app/ctl/loopback_state.hpp"

#include "lib/host/route_localnet.hpp"

namespace portmapper::ctl {

std::set<std::string> loopback_devices(const TableContents& contents) {
  std::set<std::string> devices(contents.localnet_devices.begin(), contents.localnet_devices.end());
  for (const auto& [owner, device] : contents.localnet_users) devices.insert(device);
  const nft::LoopbackView& view = contents.loopback6;
  for (const auto& [owner, device] : view.users) devices.insert(device);
  for (const auto& [owner, link] : view.links) devices.insert(link.device);
  devices.insert(view.recorded.begin(), view.recorded.end());
  return devices;
}

LoopbackState read_loopback_state(Transport& route, const std::set<std::string>& devices) {
  LoopbackState states;
  for (const std::string& device : devices) {
    DeviceState& state = states[device];
    state.has_route_localnet = host::has_route_localnet(device);
    if (const auto has_route = host::has_loopback_route(route, device))
      state.has_route = *has_route;
    if (const auto obstacle = host::loopback_obstacle(route, device)) state.obstacle = *obstacle;
  }
  return states;
}

}  // namespace portmapper::ctl

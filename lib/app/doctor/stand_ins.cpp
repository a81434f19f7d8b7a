#include <algorithm>
#include <array>

#include "lib/app/doctor/way.hpp"

namespace portmapper::doctor {
namespace {

constexpr std::size_t kMostDevices = 8;

// A documentation address has the default route, where nobody routes it otherwise.
IpAddress far_away(Family family) {
  return *IpAddress::parse(family == Family::ipv4 ? "198.51.100.77" : "2001:db8:77::77");
}

bool is_ordinary(const IpPrefix& prefix) {
  return !prefix.is_host() && !prefix.address.is_loopback() &&
         !IpPrefix::link_local().contains(IpPrefix::host(prefix.address));
}

// The lowest address of the subnet that is not the host's.
std::optional<IpAddress> neighbour_of(const IpPrefix& prefix,
                                      const std::vector<host::InterfaceAddress>& addresses) {
  IpAddress::Octets bytes = prefix.network().address.bytes();
  const std::size_t last = prefix.address.length() - 1;
  for (int i = 1; i < 8; ++i) {
    ++bytes[last];  // of a subnet of two or more, the low bits are 0
    const IpAddress address(prefix.address.family(), bytes);
    if (!prefix.contains(address) || address == prefix.last()) break;
    const bool is_own =
        std::any_of(addresses.begin(), addresses.end(),
                    [&address](const auto& one) { return one.prefix.address == address; });
    if (!is_own) return address;
  }
  return std::nullopt;
}

}  // namespace

std::vector<ClientPlace> stand_ins(const std::vector<host::Interface>& interfaces,
                                   const std::vector<host::InterfaceAddress>& addresses,
                                   const std::vector<host::DefaultRoute>& defaults,
                                   const std::vector<std::uint32_t>& containers) {
  const auto leads_outside = [&](std::uint32_t index) {
    const host::Interface* const device = find_interface(interfaces, index);
    return device != nullptr && device->is_up && device->has_carrier && !device->is_loopback &&
           std::find(containers.begin(), containers.end(), index) == containers.end();
  };
  std::vector<ClientPlace> places;
  std::array<std::vector<std::uint32_t>, 2> seen;  // by family
  for (const host::DefaultRoute& route : defaults) {
    auto& devices = seen.at(static_cast<std::size_t>(route.family));
    // One: with several, which of them a far client comes by is not known.
    if (!route.is_main || !devices.empty() || !leads_outside(route.device)) continue;
    devices.push_back(route.device);
    places.push_back({far_away(route.family), route.device});
  }
  std::array<std::vector<std::uint32_t>, 2> near;
  for (const host::InterfaceAddress& one : addresses) {
    auto& devices = near.at(static_cast<std::size_t>(one.prefix.address.family()));
    if (devices.size() >= kMostDevices || !leads_outside(one.index) || !is_ordinary(one.prefix) ||
        std::find(devices.begin(), devices.end(), one.index) != devices.end())
      continue;
    const std::optional<IpAddress> neighbour = neighbour_of(one.prefix, addresses);
    if (!neighbour) continue;
    devices.push_back(one.index);
    places.push_back({*neighbour, one.index});
  }
  return places;
}

}  // namespace portmapper::doctor

// read_interfaces: the interfaces of a network namespace, with what decides whether packets pass them.
//
//   Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
//   Result<std::vector<Interface>> interfaces = read_interfaces(*route);
//   for (const Interface& interface : *interfaces) use(interface.name, interface.is_up, interface.mtu);
//
// A veth pair is two interfaces that name each other as `peer`, each in the numbers of the other's
// namespace. Indexes are in host byte order; 0: none. Units: bytes. Errors: mapping_failed with the
// errno of the dump. Does not promise: that an index means the same a moment later.
// Source: rtnetlink(7), RTM_GETLINK; kernel if_link.h, if_bridge.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::host {

// What a bridge thinks of one of its ports.
struct BridgePort {
  bool forwards = true;  // its state is "forwarding", not "disabled", "blocking" or on the way
  bool hairpin = false;  // sends a frame back to where it came from
};

// As rules and routes know an interface.
struct Device {
  std::string name;
  std::uint32_t index = 0;
};

struct Interface {
  std::string name;
  std::uint32_t index = 0;
  std::string kind{};  // "bridge", "veth", "vrf", ...; empty: a device that is no such thing
  bool is_loopback = false;
  bool is_up = false;
  bool has_carrier = false;
  std::uint32_t mtu = 0;
  std::uint32_t master = 0;
  std::uint32_t peer = 0;  // IFLA_LINK: the other end, or what it stands on
  std::optional<BridgePort> port{};
};

struct InterfaceAddress {
  std::uint32_t index = 0;  // of the interface
  IpPrefix prefix;
};

Result<std::vector<Interface>> read_interfaces(Transport& route);
// By a socket that is there, where the C library would open one of its own. Empty: there is none.
std::string interface_name(const Netlink& socket, std::uint32_t index);
Result<std::vector<InterfaceAddress>> read_interface_addresses(Transport& route);
// One message of such a dump; nothing: it is about something else.
std::optional<InterfaceAddress> interface_address(const nlmsghdr& reply);

// Those on which packets from outside arrive. Not lo, and not the ports of bridges and bonds: their
// packets arrive on the master.
std::vector<Device> outer_devices(std::span<const Interface> interfaces);

// Null: there is none.
const Interface* find_interface(std::span<const Interface> interfaces, std::uint32_t index);
// The VRF that the interface of that name is in; null: it is in none.
const Interface* vrf_of(std::span<const Interface> interfaces, std::string_view name);

}  // namespace portmapper::host

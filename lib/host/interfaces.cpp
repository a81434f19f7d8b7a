#include "lib/host/interfaces.hpp"

#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/base/attributes.hpp"
#include "lib/host/route_dump.hpp"

namespace portmapper::host {
namespace {

BridgePort bridge_port_of(Bytes attributes) {
  BridgePort port;
  for (const Attribute& part : Attributes(attributes)) {
    if (part.type == IFLA_BRPORT_STATE)
      port.forwards = part.raw<std::uint8_t>() == BR_STATE_FORWARDING;
    if (part.type == IFLA_BRPORT_MODE) port.hairpin = part.raw<std::uint8_t>() != 0;
  }
  return port;
}

void add_kind(const Attribute& info, Interface& interface) {
  const Attributes parts(info.payload);
  if (const auto kind = parts.find(IFLA_INFO_KIND)) interface.kind = kind->text();
  const auto slave = parts.find(IFLA_INFO_SLAVE_KIND);
  const auto data = parts.find(IFLA_INFO_SLAVE_DATA);
  if (slave && data && slave->text() == "bridge") interface.port = bridge_port_of(data->payload);
}

void add_interface(const nlmsghdr& reply, std::vector<Interface>& interfaces) {
  if (reply.nlmsg_type != RTM_NEWLINK || reply.nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg))) return;
  ifinfomsg body{};
  std::memcpy(&body, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof body);
  Interface interface;
  interface.index = static_cast<std::uint32_t>(body.ifi_index);
  interface.is_loopback = (body.ifi_flags & IFF_LOOPBACK) != 0;
  interface.is_up = (body.ifi_flags & IFF_UP) != 0;
  interface.has_carrier = (body.ifi_flags & IFF_RUNNING) != 0;
  for (const Attribute& part : Attributes(message_attributes(reply, sizeof body))) {
    if (part.type == IFLA_IFNAME) interface.name = part.text();
    if (part.type == IFLA_MTU) interface.mtu = part.raw<std::uint32_t>();
    if (part.type == IFLA_MASTER) interface.master = part.raw<std::uint32_t>();
    if (part.type == IFLA_LINK) interface.peer = part.raw<std::uint32_t>();
    if (part.type == IFLA_LINKINFO) add_kind(part, interface);
  }
  interfaces.push_back(std::move(interface));
}

}  // namespace

std::optional<InterfaceAddress> interface_address(const nlmsghdr& reply) {
  if (reply.nlmsg_type != RTM_NEWADDR || reply.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg)))
    return std::nullopt;
  ifaddrmsg body{};
  std::memcpy(&body, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof body);
  if (body.ifa_family != AF_INET && body.ifa_family != AF_INET6) return std::nullopt;
  const Family family = body.ifa_family == AF_INET ? Family::ipv4 : Family::ipv6;
  const Attributes attributes(message_attributes(reply, sizeof body));
  auto address = attributes.find(IFA_LOCAL);  // IFA_ADDRESS of a point-to-point link is the peer's
  if (!address) address = attributes.find(IFA_ADDRESS);
  if (!address || address->payload.size() != address_length(family)) return std::nullopt;
  return InterfaceAddress{
      body.ifa_index, {IpAddress::from_bytes(family, address->payload.data()), body.ifa_prefixlen}};
}

std::string interface_name(const Netlink& socket, std::uint32_t index) {
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index);
  if (ioctl(socket.descriptor(), SIOCGIFNAME, &request) != 0) return {};
  return request.ifr_name;
}

Result<std::vector<Interface>> read_interfaces(Transport& route) {
  return dump_all<Interface>(route, RTM_GETLINK, "the interfaces", add_interface);
}

Result<std::vector<InterfaceAddress>> read_interface_addresses(Transport& route) {
  return dump_all<InterfaceAddress>(
      route, RTM_GETADDR, "the addresses of the interfaces",
      [](const nlmsghdr& reply, std::vector<InterfaceAddress>& addresses) {
        if (const auto one = interface_address(reply)) addresses.push_back(*one);
      });
}

std::vector<Device> outer_devices(std::span<const Interface> interfaces) {
  std::vector<Device> devices;
  for (const Interface& interface : interfaces)
    if (interface.master == 0 && !interface.is_loopback)
      devices.push_back({interface.name, interface.index});
  return devices;
}

const Interface* find_interface(std::span<const Interface> interfaces, std::uint32_t index) {
  const auto found =
      std::find_if(interfaces.begin(), interfaces.end(),
                   [index](const Interface& interface) { return interface.index == index; });
  return index == 0 || found == interfaces.end() ? nullptr : &*found;
}

const Interface* vrf_of(std::span<const Interface> interfaces, std::string_view name) {
  const auto found =
      std::find_if(interfaces.begin(), interfaces.end(),
                   [name](const Interface& interface) { return interface.name == name; });
  if (found == interfaces.end()) return nullptr;
  const Interface* const master = find_interface(interfaces, found->master);
  return master != nullptr && master->kind == "vrf" ? master : nullptr;
}

}  // namespace portmapper::host

// The route of ::1: lets the host's own ::1 reach a container through a published port.
//
//   Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
//   const Result<LoopbackWay> way = loopback_way_to(*route, address);  // "cni0", by two look-ups
//   if (way && way->is_attached && !way->drops_replies)
//     use(add_loopback_route(*route, way->device));  // false: it was there
//
// A reply to ::1 arrives on the interface that leads to the container, and the kernel looks a loopback
// destination up strictly: it needs a local route on that interface. Behind a bridge with
// bridge-nf-call-ip6tables the kernel drops the reply before it looks, since it has a loopback address
// by then. What sends to ::1 from outside is refused before any hook, so the route opens nothing. It
// carries a protocol number of ours: a route of another protocol is never removed. Its metric is 1024
// and the interface's index, or a higher one, since each metric can be there once. Errors:
// mapping_failed naming device or address, with errno. Does not promise: to see a bridge under
// anything but a VLAN; that the route outlives `ip link set down`. Source: rtnetlink(7); kernel
// net/ipv6/ip6_input.c, ip6_rcv_core; net/bridge/br_netfilter_hooks.c, br_nf_pre_routing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::host {

struct LoopbackWay {
  std::string device;
  bool is_attached = false;    // as host::Way has it
  bool drops_replies = false;  // a bridge that hands its packets to br_netfilter
};
Result<LoopbackWay> loopback_way_to(Transport& route, const IpAddress& address);
// Whether replies to ::1 are dropped on the device.
Result<bool> drops_loopback_replies(Transport& route, const std::string& device);

inline constexpr std::uint8_t kLoopbackRouteProtocol = 127;  // rtm_protocol: who made the route
Result<bool> has_loopback_route(Transport& route, const std::string& device);    // whosever
Result<std::vector<std::string>> devices_with_loopback_route(Transport& route);  // with ours
Result<bool> add_loopback_route(Transport& route, const std::string& device);
Status remove_loopback_route(Transport& route, const std::string& device);  // ours; may be gone
// The same, each with a socket of its own.
Result<bool> add_loopback_route(const std::string& device);
Status remove_loopback_route(const std::string& device);

}  // namespace portmapper::host

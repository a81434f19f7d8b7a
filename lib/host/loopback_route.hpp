// The route of ::1: lets the host's own ::1 reach a container through a published port.
//
//   Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
//   const Result<LoopbackWay> way = loopback_way_to(*route, address);  // "cni0", by two look-ups
//   if (way && way->is_attached && way->obstacle == LoopbackObstacle::none)
//     use(add_loopback_route(*route, way->device));  // false: it was there
//
// A reply to ::1 arrives on the interface that leads to the container, and the kernel looks a loopback
// destination up strictly: it needs a local route on that interface. Behind a bridge with
// bridge-nf-call-ip6tables the kernel drops the reply before it looks, since it has a loopback address
// by then. Where lo itself has no ::1, the route would take every connection to ::1. What sends to ::1
// from outside is refused before any hook; what a segment routing header sends on to ::1 is refused by
// the strict look-up alone, behind all hooks, so the route is not for an interface that takes such
// headers. It carries a protocol number of ours: a route of another protocol is never removed. Its metric is 1024
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

// Why ::1 does not reach what is attached to an interface.
enum class LoopbackObstacle : std::uint8_t {
  none,
  br_netfilter,  // takes the packets of the bridge
  down,          // the interface
  no_ipv6,       // on the interface
  no_loopback,   // lo has no ::1
  segments,      // seg6_enabled, or rpl_seg_enabled, on the interface
};
// Whether the route must not be there, whoever may need it: what it would open is not ours.
bool forbids_route(LoopbackObstacle obstacle);
// "br_netfilter drops the replies behind bridge cni0"; empty: none
std::string to_string(LoopbackObstacle obstacle, const std::string& device);
// "net.bridge.bridge-nf-call-ip6tables=0", what takes it away
std::string cure_of(LoopbackObstacle obstacle, const std::string& device);

struct LoopbackWay {
  std::string device;
  bool is_attached = false;  // as host::Way has it
  LoopbackObstacle obstacle = LoopbackObstacle::none;
};
Result<LoopbackWay> loopback_way_to(Transport& route, const IpAddress& address);
Result<LoopbackObstacle> loopback_obstacle(Transport& route, const std::string& device);

inline constexpr std::uint8_t kLoopbackRouteProtocol = 127;  // rtm_protocol: who made the route
Result<bool> has_loopback_route(Transport& route, const std::string& device);    // whosever
Result<std::vector<std::string>> devices_with_loopback_route(Transport& route);  // with ours
Result<bool> add_loopback_route(Transport& route, const std::string& device);
Status remove_loopback_route(Transport& route, const std::string& device);  // ours; may be gone
// The same, each with a socket of its own.
Result<bool> add_loopback_route(const std::string& device);
Status remove_loopback_route(const std::string& device);

}  // namespace portmapper::host

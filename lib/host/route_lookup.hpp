// look_up: where the kernel would send one packet, or why it would not.
//
//   Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
//   const Result<RouteAnswer> answer = look_up(*route, {.to = address, .iif = 2});
//   if (answer && answer->refusal == EXDEV) use("rp_filter of interface 2 drops it");
//
// With `iif` it is the lookup that the kernel makes for a packet that arrives there, with policy
// rules, rp_filter and forwarding of the interface; without, the one for a packet of its own.
// Refusals are the kernel's errno:
//
//   EXDEV         IPv4: rp_filter (newer kernels say EINVAL, which is told apart here)
//   EHOSTUNREACH  unreachable, or IPv4: the interface does not forward
//   EACCES        prohibit
//   EINVAL        blackhole, or a source that is no host's
//   ENETUNREACH   no route
//
// Indexes and ports are in host byte order, units are bytes. Errors: mapping_failed where the kernel
// cannot be asked. Does not promise: what netfilter makes of the packet. Source: rtnetlink(7),
// RTM_GETROUTE, RTM_GETRULE; kernel fib_rules.h, net/ipv4/route.c inet_rtm_getroute, net/ipv6/route.c
// inet6_rtm_getroute.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"
#include "lib/base/port.hpp"

namespace portmapper::host {

struct RouteQuestion {
  IpAddress to;
  std::optional<IpAddress> from{};
  std::uint32_t iif = 0;
  std::optional<Protocol> protocol{};  // SCTP's is not asked about
  std::uint16_t sport = 0;
  std::uint16_t dport = 0;
  std::uint32_t mark = 0;  // that netfilter gave it
};

struct RouteAnswer {
  int refusal = 0;           // errno; 0: it goes on
  std::uint8_t type = 0;     // RTN_UNICAST, RTN_LOCAL
  std::uint32_t device = 0;  // index
};

Result<RouteAnswer> look_up(Transport& route, const RouteQuestion& question);

// The interfaces of the default routes of every table, and who made the route.
struct DefaultRoute {
  Family family = Family::ipv4;
  std::uint32_t device = 0;
  bool by_advertisement = false;  // RTPROT_RA: the kernel, or a daemon, heard a router
  bool is_main = true;            // of the main table
};
Result<std::vector<DefaultRoute>> default_routes(Transport& route);

// The families of which some policy rule looks at the packets' marks.
Result<std::set<Family>> families_by_mark(Transport& route);

}  // namespace portmapper::host

// end_flows: ends the flows that lead from ports to their endpoints, by a filter of the kernel's.
//
//   const HeldPort left{.protocol = Protocol::tcp, .address = *IpAddress::parse("0.0.0.0"),
//                       .port = 8080, .endpoint = *IpAddress::parse("10.22.0.2"),
//                       .endpoint_port = 80};
//   const HeldPort* const ports[] = {&left};
//   if (can_end_flows(ports)) use(end_flows(transport, ports));  // true: the kernel did it
//
// The kernel goes through its table without handing out a flow, thirty times as fast as a dump of it
// (0.4 ms for 262,144 buckets), once for each port. It ends every flow whose destination is
// translated, that came to the port and whose replies come from the endpoint, whoever translated it:
// only for those who know that nobody else does. Errors: none; false is a kernel before 6.10, which
// takes the request for one flow's name that is not whole, or any other refusal: then nothing may be
// taken for ended. Real limits: IPv4 alone, since by an IPv6 address the kernel takes all flows but
// those that have it; TCP and UDP, since it does not look at the ports of SCTP; kMostEnded ports,
// behind which a dump is as fast. Source: kernel nf_conntrack_netlink.c, ctnetlink_del_conntrack(),
// ctnetlink_filter_match().
#pragma once

#include <cstddef>
#include <span>

#include "lib/base/netlink.hpp"
#include "lib/host/conntrack.hpp"

namespace portmapper::host {

constexpr std::size_t kMostEnded = 16;

bool can_end_flows(std::span<const HeldPort* const> ports);
bool end_flows(Transport& transport, std::span<const HeldPort* const> ports);

}  // namespace portmapper::host

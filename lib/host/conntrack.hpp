// Stale flows: conntrack entries of UDP ports that lead to a former endpoint.
//
//   const UdpPort port{.address = *IpAddress::parse("0.0.0.0"), .port = 5353,
//                      .endpoint = *IpAddress::parse("10.22.0.2"), .endpoint_port = 53};
//   delete_stale_flows(transport, {&port, 1}, addresses, Stale::leads_there);  // after DEL
//
// A UDP client that keeps its source port keeps its flow, and the flow keeps the translation that
// it began with. After an ADD, the flows to a published port that lead elsewhere are deleted
// (`leads_elsewhere`); after a DEL, those that lead to the endpoint (`leads_there`). Only flows
// whose original destination is the host's address and port count: other flows are not changed, and
// neither are those of TCP, whose clients notice. However many ports there are, the kernel's table
// is gone through once for each of their families, and hands out flows of UDP alone. Ports are in
// host byte order. Errors: mapping_failed with the errno of ctnetlink (EINVAL, EOPNOTSUPP: no
// conntrack here). Does not promise: flows that begin while it runs; new flows use the new elements.
// Source: kernel nf_conntrack_netlink.c, nfnetlink_conntrack.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::host {

struct UdpPort {
  IpAddress address;  // 0.0.0.0 or ::, any of `local_addresses`
  std::uint16_t port;
  IpAddress endpoint;
  std::uint16_t endpoint_port;
};

enum class Stale {
  leads_elsewhere,  // after ADD
  leads_there,      // after DEL
};

// `transport` talks NETLINK_NETFILTER. Where one port is on one address and on any, the address
// wins. The same port may be given with several endpoints: flows lead there if to one of them.
Result<std::size_t> delete_stale_flows(Transport& transport, std::span<const UdpPort> ports,
                                       std::span<const IpAddress> local_addresses, Stale stale);

}  // namespace portmapper::host

// Stale flows: conntrack entries that lead to an endpoint that does not hold their port any more.
//
//   const HeldPort port{.protocol = Protocol::tcp, .address = *IpAddress::parse("0.0.0.0"),
//                       .port = 8080, .endpoint = *IpAddress::parse("10.22.0.2"),
//                       .endpoint_port = 80};
//   delete_stale_flows(transport, {.left = {port}}, addresses);  // after DEL
//   delete_stale_flows(transport, {.held = {port}}, addresses);  // after ADD: of UDP
//
// A flow keeps the translation that it began with, and each packet of its client keeps the flow. One
// is stale if it leads from a port that was left to the endpoint that held it, unless that endpoint
// holds it still; and, of UDP, if its port is held and it leads elsewhere. A new port of TCP or SCTP
// has no stale flows, and costs nothing. Of TCP and SCTP only those are deleted that the label says we
// translated: one without may be a process's of the host, or another table's. Of UDP those are too
// that began before there were labels, if they lead to where we led them; and those that nobody
// translated, since their client talks to nobody, but for places that are `kept`: a process of the
// host that has one address for itself goes on there. The kernel's table is gone through
// once for each family of `left`, and once for each of UDP ports in `held`, however many they are; the
// kernel hands out a part of it, or none, where nothing is held and only we translate: then it ends
// what leads to the endpoints itself. Ports are in host byte order. Errors: mapping_failed with the errno of
// ctnetlink (EINVAL, EOPNOTSUPP: no conntrack here). Does not promise: flows that begin while it runs,
// which the new elements translate. Source: kernel nf_conntrack_netlink.c, nfnetlink_conntrack.h.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"
#include "lib/base/port.hpp"

namespace portmapper::host {

struct HeldPort {
  Protocol protocol;
  IpAddress address;  // 0.0.0.0 or ::, any local address
  std::uint16_t port;
  IpAddress endpoint;
  std::uint16_t endpoint_port;

  auto operator<=>(const HeldPort&) const = default;
};

struct PortChange {
  std::vector<HeldPort> left{};  // the same port may be given with several endpoints
  std::vector<HeldPort> held{};  // where one port is on one address and on any, the address wins
  // Whether a local address keeps a UDP port that is held on any address; asked only where a flow
  // would be deleted. Empty: all do.
  std::function<bool(const IpAddress&, std::uint16_t)> kept{};
  // Whether a rule of others leads to that address; asked only where such a flow of UDP would be deleted, which
  // began by a rule that is gone. Empty: one does.
  std::function<bool(const IpAddress&)> others_lead_to{};
  // Whether nobody but us translates destinations of this family; asked only where flows could end at
  // once then (lib/host/flow_end). Empty: somebody may.
  std::function<bool(Family)> only_we_translate{};
};

// How many it looked at and deleted. `transport` talks NETLINK_NETFILTER. `local_addresses` are for ports of UDP on any address: what
// we translated came for a local one.
Result<std::size_t> delete_stale_flows(Transport& transport, const PortChange& change,
                                       std::span<const IpAddress> local_addresses);

// Those of UDP that an address began, but for those whose destination somebody translated. What leaves a
// container with a fixed port would keep the source that it was given once, or not given, for ever.
Result<std::size_t> delete_udp_flows_from(Transport& transport,
                                          const std::set<IpAddress>& addresses);

// All that the label says we translated: nobody holds a port any more.
Result<std::size_t> delete_all_flows(Transport& transport);

}  // namespace portmapper::host

#include "lib/host/local_addresses.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "lib/base/attributes.hpp"
#include "lib/host/route_dump.hpp"

namespace portmapper::host {
namespace {

std::optional<IpAddress> address_of(const nlmsghdr& reply) {
  if (reply.nlmsg_type != RTM_NEWADDR || reply.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg)))
    return std::nullopt;
  ifaddrmsg body{};
  std::memcpy(&body, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof body);
  if (body.ifa_family != AF_INET && body.ifa_family != AF_INET6) return std::nullopt;
  const Family family = body.ifa_family == AF_INET ? Family::ipv4 : Family::ipv6;
  const Attributes attributes(message_attributes(reply, sizeof body));
  // On a point-to-point link IFA_ADDRESS is the other end.
  auto address = attributes.find(IFA_LOCAL);
  if (!address) address = attributes.find(IFA_ADDRESS);
  if (!address || address->payload.size() != address_length(family)) return std::nullopt;
  return IpAddress::from_bytes(family, address->payload.data());
}

}  // namespace

Result<std::vector<IpAddress>> local_addresses() {
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return route.error();
  return local_addresses(*route);
}

Result<std::vector<IpAddress>> local_addresses(Transport& route) {
  std::vector<IpAddress> addresses;
  const Status status =
      dump_routing(route, RTM_GETADDR, "the host's addresses", [&](const nlmsghdr& reply) {
        if (const auto address = address_of(reply)) addresses.push_back(*address);
      });
  if (!status) return status.error();
  // Several interfaces may have one address: each of CNI's ptp links has the gateway's.
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

}  // namespace portmapper::host

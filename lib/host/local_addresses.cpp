#include "lib/host/local_addresses.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "lib/base/attributes.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper {
namespace {

struct Request {
  nlmsghdr header;
  ifaddrmsg body;
};

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
  Result<Netlink> netlink = Netlink::open(NETLINK_ROUTE);
  if (!netlink) return netlink.error();
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  std::vector<IpAddress> addresses;
  int error_number = 0;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&request);
  const Status status = netlink->exchange({bytes, sizeof request}, [&](const nlmsghdr& reply) {
    if ((reply.nlmsg_flags & NLM_F_DUMP_INTR) != 0) error_number = EINTR;
    const Acknowledgement ack = acknowledgement(reply);
    if (ack.present && ack.error_number != 0) error_number = ack.error_number;
    if (const auto address = address_of(reply)) addresses.push_back(*address);
  });
  if (!status) return status.error();
  if (error_number != 0)
    return Error{
        ErrorKind::mapping_failed, "cannot list", "the host's addresses", error_number, {}};
  // Several interfaces may have one address: each of CNI's ptp links has the gateway's.
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

}  // namespace portmapper

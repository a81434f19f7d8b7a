#include "lib/host/devices.hpp"

#include <linux/if.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>

#include "lib/base/attributes.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper {
namespace {

struct Request {
  nlmsghdr header;
  ifinfomsg body;
};

void add_device(const nlmsghdr& reply, std::vector<Device>& devices) {
  if (reply.nlmsg_type != RTM_NEWLINK || reply.nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg))) return;
  ifinfomsg body{};
  std::memcpy(&body, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof body);
  const Attributes attributes(message_attributes(reply, sizeof body));
  const auto name = attributes.find(IFLA_IFNAME);
  if (!name || attributes.find(IFLA_MASTER) || (body.ifi_flags & IFF_LOOPBACK) != 0) return;
  devices.push_back({std::string(name->text()), static_cast<std::uint32_t>(body.ifi_index)});
}

}  // namespace

Result<std::vector<Device>> outer_devices() {
  Result<Netlink> netlink = Netlink::open(NETLINK_ROUTE);
  if (!netlink) return netlink.error();
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  std::vector<Device> devices;
  int error_number = 0;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&request);
  const Status status = netlink->exchange({bytes, sizeof request}, [&](const nlmsghdr& reply) {
    if ((reply.nlmsg_flags & NLM_F_DUMP_INTR) != 0) error_number = EINTR;
    const Acknowledgement ack = acknowledgement(reply);
    if (ack.present && ack.error_number != 0) error_number = ack.error_number;
    add_device(reply, devices);
  });
  if (!status) return status.error();
  if (error_number != 0)
    return Error{ErrorKind::mapping_failed, "cannot list", "the host's devices", error_number, {}};
  return devices;
}

}  // namespace portmapper

#include "lib/host/devices.hpp"

#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstring>

#include "lib/base/attributes.hpp"
#include "lib/host/route_dump.hpp"

namespace portmapper::host {
namespace {

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
  std::vector<Device> devices;
  const Status status = dump_routing(RTM_GETLINK, "the host's devices",
                                     [&](const nlmsghdr& reply) { add_device(reply, devices); });
  if (!status) return status.error();
  return devices;
}

}  // namespace portmapper::host

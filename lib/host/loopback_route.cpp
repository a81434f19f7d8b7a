#include "lib/host/loopback_route.hpp"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "lib/base/attributes.hpp"
#include "lib/host/route_localnet.hpp"
#include "lib/host/route_request.hpp"
#include "lib/host/sysctl.hpp"

namespace portmapper::host {
namespace {

constexpr std::uint32_t kFirstMetric = 1024;
constexpr std::uint32_t kNextMetric = 1U << 16U;  // where somebody else has the metric
constexpr int kMetrics = 8;
constexpr unsigned kLoopbackIndex = 1;  // lo's, in every network namespace
constexpr int kDeepest = 4;             // a VLAN of a port of a bridge

IpAddress loopback_address() {
  return IpPrefix::loopback(Family::ipv6).address;
}

// local ::1/128 dev DEVICE table local proto 127
RouteRequest route_request(std::uint16_t type, unsigned flags, unsigned index) {
  RouteRequest request(type, flags);
  auto* route = request.body<rtmsg>();
  route->rtm_family = AF_INET6;
  route->rtm_dst_len = 128;
  route->rtm_table = RT_TABLE_LOCAL;
  route->rtm_protocol = kLoopbackRouteProtocol;
  route->rtm_scope = RT_SCOPE_UNIVERSE;
  route->rtm_type = RTN_LOCAL;
  request.put(RTA_DST, loopback_address());
  request.put(RTA_OIF, index);
  return request;
}

std::string route_of(const std::string& device) {
  return "the route of ::1 on " + device;
}

// What of an interface tells whether ::1 can reach somebody by it.
struct Link {
  std::string name;
  bool is_up = false;
  bool has_ipv6 = true;
  bool takes_segments = false;  // a routing header sends packets on
  bool is_bridge = false;
  bool calls_ip6tables = false;  // the bridge's own nf_call_ip6tables
  unsigned below = 0;            // the bridge whose port it is, or what a VLAN stands on
};

// One of the interface's settings, net.ipv6.conf.DEVICE.*; 0 where it is not told.
std::int32_t setting(Bytes settings, std::size_t number) {
  std::int32_t value = 0;
  const std::size_t at = number * sizeof value;
  if (settings.size() >= at + sizeof value) std::memcpy(&value, settings.data() + at, sizeof value);
  return value;
}

// IFLA_AF_SPEC holds the settings of each family that the interface has.
void read_ipv6(const Attribute& families, Link& link) {
  const auto ipv6 = Attributes(families.payload).find(AF_INET6);
  link.has_ipv6 = ipv6.has_value();
  const auto found = ipv6 ? Attributes(ipv6->payload).find(IFLA_INET6_CONF) : std::nullopt;
  if (!found) return;
  const Bytes settings = found->payload;
  link.has_ipv6 = setting(settings, DEVCONF_DISABLE_IPV6) == 0;
  link.takes_segments =
      setting(settings, DEVCONF_SEG6_ENABLED) > 0 || setting(settings, DEVCONF_RPL_SEG_ENABLED) > 0;
}

Link link_of(const nlmsghdr& reply) {
  Link link;
  link.is_up =
      (static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&reply))->ifi_flags & IFF_UP) != 0;
  const Attributes attributes(message_attributes(reply, sizeof(ifinfomsg)));
  if (const auto name = attributes.find(IFLA_IFNAME)) link.name = name->text();
  if (const auto families = attributes.find(IFLA_AF_SPEC)) read_ipv6(*families, link);
  const auto info = attributes.find(IFLA_LINKINFO);
  if (!info) return link;
  const Attributes parts(info->payload);
  const auto kind = parts.find(IFLA_INFO_KIND);
  const auto slave = parts.find(IFLA_INFO_SLAVE_KIND);
  if (const auto data = parts.find(IFLA_INFO_DATA); data && kind && kind->text() == "bridge") {
    link.is_bridge = true;
    const auto calls = Attributes(data->payload).find(IFLA_BR_NF_CALL_IP6TABLES);
    link.calls_ip6tables = calls && calls->raw<std::uint8_t>() != 0;
  } else if (slave && slave->text() == "bridge") {
    if (const auto master = attributes.find(IFLA_MASTER)) link.below = master->raw<std::uint32_t>();
  } else if (kind && kind->text() == "vlan" && !attributes.find(IFLA_LINK_NETNSID)) {
    if (const auto lower = attributes.find(IFLA_LINK)) link.below = lower->raw<std::uint32_t>();
  }
  return link;
}

Result<Link> read_link(Transport& route, unsigned index) {
  RouteRequest request(RTM_GETLINK, 0);
  auto* const body = request.body<ifinfomsg>();
  body->ifi_family = AF_UNSPEC;
  body->ifi_index = static_cast<int>(index);
  request.put(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  Link link;
  const Result<int> refused = request.send(route, "an interface", [&link](const nlmsghdr& reply) {
    if (reply.nlmsg_type == RTM_NEWLINK) link = link_of(reply);
  });
  if (!refused) return refused.error();
  if (*refused != 0)
    return mapping_failed("cannot read", "interface " + std::to_string(index), *refused);
  return link;
}

Result<bool> drops_replies(Transport& route, Link link) {
  for (int depth = 0; !link.is_bridge; ++depth) {
    if (link.below == 0 || depth == kDeepest) return false;
    Result<Link> below = read_link(route, link.below);
    if (!below) return below.error();
    link = std::move(*below);
  }
  return link.calls_ip6tables ||
         read_sysctl("net/bridge/bridge-nf-call-ip6tables").value_or(0) != 0;
}

// The protocol of the local route of ::1 by an interface; nothing: there is none.
Result<std::optional<std::uint8_t>> protocol_of_route(Transport& route, const std::string& device,
                                                      unsigned index) {
  RouteRequest request = route_request_for(loopback_address(), RTM_F_FIB_MATCH);
  request.put(RTA_OIF, index);
  std::optional<std::uint8_t> protocol;
  const Result<int> refused = request.send(route, route_of(device), [&](const nlmsghdr& reply) {
    if (reply.nlmsg_type != RTM_NEWROUTE) return;
    const auto* const found = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&reply));
    const auto oif = Attributes(message_attributes(reply, sizeof(rtmsg))).find(RTA_OIF);
    if (found->rtm_type == RTN_LOCAL && found->rtm_dst_len == 128 && oif &&
        oif->raw<std::uint32_t>() == index)
      protocol = found->rtm_protocol;
  });
  if (!refused) return refused.error();
  return protocol;
}

Result<LoopbackObstacle> obstacle_by(Transport& route, const Link& link) {
  if (!link.is_up) return LoopbackObstacle::down;
  if (!link.has_ipv6) return LoopbackObstacle::no_ipv6;
  if (link.takes_segments) return LoopbackObstacle::segments;
  const auto own = protocol_of_route(route, "lo", kLoopbackIndex);
  if (!own) return own.error();
  if (!*own) return LoopbackObstacle::no_loopback;
  const Result<bool> drops = drops_replies(route, link);
  if (!drops) return drops.error();
  return *drops ? LoopbackObstacle::br_netfilter : LoopbackObstacle::none;
}

}  // namespace

std::string to_string(LoopbackObstacle obstacle, const std::string& device) {
  switch (obstacle) {
    case LoopbackObstacle::br_netfilter:
      return "br_netfilter drops the replies behind bridge " + device;
    case LoopbackObstacle::down:
      return device + " is down";
    case LoopbackObstacle::no_ipv6:
      return "IPv6 is off on " + device;
    case LoopbackObstacle::no_loopback:
      return "lo has no ::1";
    case LoopbackObstacle::segments:
      return device + " takes segment routing headers, which would reach all of ::1";
    case LoopbackObstacle::none:
      break;
  }
  return {};
}

bool forbids_route(LoopbackObstacle obstacle) {
  return obstacle == LoopbackObstacle::no_loopback || obstacle == LoopbackObstacle::segments;
}

std::string cure_of(LoopbackObstacle obstacle, const std::string& device) {
  switch (obstacle) {
    case LoopbackObstacle::br_netfilter:
      return "net.bridge.bridge-nf-call-ip6tables=0";
    case LoopbackObstacle::down:
      return "ip link set " + device + " up";
    case LoopbackObstacle::no_ipv6:
      return "net.ipv6.conf." + device + ".disable_ipv6=0";
    case LoopbackObstacle::no_loopback:
      return "net.ipv6.conf.lo.disable_ipv6=0";
    case LoopbackObstacle::segments:
      return "net.ipv6.conf." + device + ".seg6_enabled=0 (and rpl_seg_enabled=0)";
    case LoopbackObstacle::none:
      break;
  }
  return {};
}

Result<LoopbackWay> loopback_way_to(Transport& route, const IpAddress& address) {
  const Result<WayByIndex> way = way_by_index(route, address);
  if (!way) return way.error();
  const Result<Link> link = read_link(route, way->index);
  if (!link) return link.error();
  const Result<LoopbackObstacle> obstacle = obstacle_by(route, *link);
  if (!obstacle) return obstacle.error();
  return LoopbackWay{link->name, way->is_attached, *obstacle};
}

Result<LoopbackObstacle> loopback_obstacle(Transport& route, const std::string& device) {
  const unsigned index = if_nametoindex(device.c_str());
  if (index == 0) return mapping_failed("cannot read", "interface " + device, ENODEV);
  const Result<Link> link = read_link(route, index);
  if (!link) return link.error();
  return obstacle_by(route, *link);
}

Result<bool> has_loopback_route(Transport& route, const std::string& device) {
  const unsigned index = if_nametoindex(device.c_str());
  if (index == 0) return false;
  const auto protocol = protocol_of_route(route, device, index);
  if (!protocol) return protocol.error();
  return protocol->has_value();
}

Result<std::vector<std::string>> devices_with_loopback_route(Transport& route) {
  std::vector<std::string> devices;
  const std::unique_ptr<struct if_nameindex, decltype(&if_freenameindex)> all(if_nameindex(),
                                                                              if_freenameindex);
  if (!all) return mapping_failed("cannot list", "the interfaces", errno);
  for (const struct if_nameindex* one = all.get(); one->if_index != 0; ++one) {
    const auto protocol = protocol_of_route(route, one->if_name, one->if_index);
    if (!protocol) return protocol.error();
    if (*protocol == kLoopbackRouteProtocol) devices.emplace_back(one->if_name);
  }
  return devices;
}

Result<bool> add_loopback_route(Transport& route, const std::string& device) {
  const unsigned index = if_nametoindex(device.c_str());
  if (index == 0) return mapping_failed("cannot add", route_of(device), ENODEV);
  for (int i = 0; i < kMetrics; ++i) {
    RouteRequest request =
        route_request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, index);
    request.put(RTA_PRIORITY, kFirstMetric + index + static_cast<std::uint32_t>(i) * kNextMetric);
    const Result<int> refused = request.send(route, route_of(device), [](const nlmsghdr&) {});
    if (!refused) return refused.error();
    if (*refused == 0) return true;
    if (*refused != EEXIST) return mapping_failed("cannot add", route_of(device), *refused);
    const Result<bool> is_there = has_loopback_route(route, device);
    if (!is_there) return is_there.error();
    if (*is_there) return false;
  }
  return mapping_failed("cannot add", route_of(device), EEXIST);
}

Status remove_loopback_route(Transport& route, const std::string& device) {
  const unsigned index = if_nametoindex(device.c_str());
  if (index == 0) return {};
  for (int i = 0; i < kMetrics; ++i) {
    const Result<int> refused = route_request(RTM_DELROUTE, NLM_F_ACK, index)
                                    .send(route, route_of(device), [](const nlmsghdr&) {});
    if (!refused) return refused.error();
    if (*refused == ESRCH || *refused == ENODEV || *refused == ENOENT) return {};
    if (*refused != 0) return mapping_failed("cannot remove", route_of(device), *refused);
  }
  return {};
}

Result<bool> add_loopback_route(const std::string& device) {
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return route.error();
  return add_loopback_route(*route, device);
}

Status remove_loopback_route(const std::string& device) {
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return route.error();
  return remove_loopback_route(*route, device);
}

}  // namespace portmapper::host

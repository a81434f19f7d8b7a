#include "lib/host/uplinks.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "lib/base/attributes.hpp"
#include "lib/host/route_dump.hpp"

namespace portmapper::host {
namespace {

struct NamedLink {
  std::string name;
  std::uint32_t master = 0;
};
using Links = std::map<std::uint32_t, NamedLink>;  // by index

template <typename Body>
bool read_body(const nlmsghdr& reply, std::uint16_t type, Body& body) {
  if (reply.nlmsg_type != type || reply.nlmsg_len < NLMSG_LENGTH(sizeof body)) return false;
  std::memcpy(&body, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof body);
  return true;
}

void add_link(const nlmsghdr& reply, Links& links) {
  ifinfomsg body{};
  if (!read_body(reply, RTM_NEWLINK, body)) return;
  const Attributes attributes(message_attributes(reply, sizeof body));
  const auto name = attributes.find(IFLA_IFNAME);
  const auto master = attributes.find(IFLA_MASTER);
  if (!name) return;
  links[static_cast<std::uint32_t>(body.ifi_index)] = {std::string(name->text()),
                                                       master ? master->raw<std::uint32_t>() : 0};
}

void add_default_route(const nlmsghdr& reply, std::set<std::uint32_t>& devices,
                       std::set<std::uint32_t>& devices6) {
  rtmsg body{};
  if (!read_body(reply, RTM_NEWROUTE, body) || body.rtm_dst_len != 0 ||
      body.rtm_type != RTN_UNICAST)
    return;
  std::set<std::uint32_t>& found = body.rtm_family == AF_INET ? devices : devices6;
  for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof body))) {
    if (attribute.type == RTA_OIF) found.insert(attribute.raw<std::uint32_t>());
    if (attribute.type != RTA_MULTIPATH) continue;
    for (Bytes rest = attribute.payload; rest.size() >= sizeof(rtnexthop);) {
      rtnexthop hop{};
      std::memcpy(&hop, rest.data(), sizeof hop);
      found.insert(static_cast<std::uint32_t>(hop.rtnh_ifindex));
      const std::size_t length = RTNH_ALIGN(std::size_t{hop.rtnh_len});
      if (length < sizeof hop) break;
      rest = rest.subspan(std::min(rest.size(), length));
    }
  }
}

std::vector<std::string> names_of(const std::set<std::uint32_t>& indexes, const Links& links) {
  std::vector<std::string> names;
  for (const std::uint32_t index : indexes)
    if (const auto link = links.find(index); link != links.end())
      names.push_back(link->second.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Result<Uplinks> read_uplinks() {
  Links links;
  std::set<std::uint32_t> devices;
  std::set<std::uint32_t> devices6;
  Status status = dump_routing(RTM_GETLINK, "the host's devices",
                               [&](const nlmsghdr& reply) { add_link(reply, links); });
  if (!status) return status.error();
  status = dump_routing(RTM_GETROUTE, "the host's routes", [&](const nlmsghdr& reply) {
    add_default_route(reply, devices, devices6);
  });
  if (!status) return status.error();
  Uplinks uplinks{names_of(devices, links), names_of(devices6, links)};
  for (const auto& [index, link] : links)
    if (const auto master = links.find(link.master); master != links.end())
      uplinks.ports_of[master->second.name].push_back(link.name);
  for (auto& [device, ports] : uplinks.ports_of) std::sort(ports.begin(), ports.end());
  return uplinks;
}

}  // namespace portmapper::host

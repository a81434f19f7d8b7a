#include "lib/host/route_lookup.hpp"

#include <endian.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "lib/base/attributes.hpp"
#include "lib/host/route_dump.hpp"
#include "lib/host/route_request.hpp"
#include "lib/host/sysctl.hpp"

namespace portmapper::host {
namespace {

void put_ports(RouteRequest& request, const RouteQuestion& question) {
  if (!question.protocol || *question.protocol == Protocol::sctp) return;
  mnl_attr_put_u8(request.header(), RTA_IP_PROTO, static_cast<std::uint8_t>(*question.protocol));
  const auto put = [&request](std::uint16_t type, std::uint16_t port) {
    if (port != 0) mnl_attr_put_u16(request.header(), type, htobe16(port));
  };
  put(RTA_SPORT, question.sport);
  put(RTA_DPORT, question.dport);
}

Result<RouteAnswer> look_up_once(Transport& route, const RouteQuestion& question) {
  RouteRequest request = route_request_for(question.to);
  if (question.from) {
    auto* const body = static_cast<rtmsg*>(mnl_nlmsg_get_payload(request.header()));
    body->rtm_src_len = body->rtm_dst_len;
    request.put(RTA_SRC, *question.from);
  }
  if (question.iif != 0) request.put(RTA_IIF, question.iif);
  if (question.mark != 0) request.put(RTA_MARK, question.mark);
  put_ports(request, question);
  RouteAnswer answer;
  const Result<int> refused = request.send(
      route, "the route to " + question.to.to_string(), [&answer](const nlmsghdr& reply) {
        if (reply.nlmsg_type != RTM_NEWROUTE) return;
        answer.type = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&reply))->rtm_type;
        const Attributes attributes(message_attributes(reply, sizeof(rtmsg)));
        if (const auto device = attributes.find(RTA_OIF))
          answer.device = device->raw<std::uint32_t>();
      });
  if (!refused) return refused.error();
  answer.refusal = *refused;
  return answer;
}

// Newer kernels (6.18 does) say EINVAL for a packet that rp_filter drops, where older ones say EXDEV.
// So the reverse path is looked at as the kernel does: whether the route back leads by the interface.
bool is_filtered(Transport& route, const RouteQuestion& question) {
  constexpr std::int64_t kStrict = 1;
  std::array<char, IF_NAMESIZE> name{};
  if (question.to.family() != Family::ipv4 || !question.from || question.iif == 0 ||
      if_indextoname(question.iif, name.data()) == nullptr)
    return false;
  const auto value = [](const std::string& device) {
    return read_sysctl("net/ipv4/conf/" + device + "/rp_filter").value_or(0);
  };
  const std::int64_t filter = std::max(value("all"), value(name.data()));
  if (filter == 0) return false;
  const Result<RouteAnswer> back = look_up_once(route, {.to = *question.from});
  if (!back) return false;
  return back->refusal != 0 || (filter == kStrict && back->device != question.iif);
}

}  // namespace

Result<RouteAnswer> look_up(Transport& route, const RouteQuestion& question) {
  Result<RouteAnswer> answer = look_up_once(route, question);
  if (answer && answer->refusal == EINVAL && is_filtered(route, question)) answer->refusal = EXDEV;
  return answer;
}

namespace {

void add_default(const nlmsghdr& reply, std::vector<DefaultRoute>& routes) {
  if (reply.nlmsg_type != RTM_NEWROUTE || reply.nlmsg_len < NLMSG_LENGTH(sizeof(rtmsg))) return;
  rtmsg body{};
  std::memcpy(&body, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof body);
  if (body.rtm_dst_len != 0 || body.rtm_type != RTN_UNICAST) return;
  if (body.rtm_family != AF_INET && body.rtm_family != AF_INET6) return;
  const Attributes attributes(message_attributes(reply, sizeof body));
  DefaultRoute found{.family = body.rtm_family == AF_INET ? Family::ipv4 : Family::ipv6,
                     .by_advertisement = body.rtm_protocol == RTPROT_RA,
                     .is_main = body.rtm_table == RT_TABLE_MAIN};
  if (const auto device = attributes.find(RTA_OIF)) {
    found.device = device->raw<std::uint32_t>();
    routes.push_back(found);
    return;
  }
  const auto paths = attributes.find(RTA_MULTIPATH);
  Bytes rest = paths ? paths->payload : Bytes{};
  while (rest.size() >= sizeof(rtnexthop)) {
    rtnexthop hop{};
    std::memcpy(&hop, rest.data(), sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > rest.size()) return;
    found.device = static_cast<std::uint32_t>(hop.rtnh_ifindex);
    routes.push_back(found);
    rest = rest.subspan(std::min(rest.size(), static_cast<std::size_t>(RTNH_ALIGN(hop.rtnh_len))));
  }
}

}  // namespace

Result<std::vector<DefaultRoute>> default_routes(Transport& route) {
  return dump_all<DefaultRoute>(route, RTM_GETROUTE, "the routes", add_default);
}

Result<std::set<Family>> families_by_mark(Transport& route) {
  const auto add = [](const nlmsghdr& reply, std::vector<Family>& families) {
    if (reply.nlmsg_type != RTM_NEWRULE || reply.nlmsg_len < NLMSG_LENGTH(sizeof(fib_rule_hdr)))
      return;
    fib_rule_hdr body{};
    std::memcpy(&body, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof body);
    if (body.family != AF_INET && body.family != AF_INET6) return;
    const Attributes attributes(message_attributes(reply, sizeof body));
    if (attributes.find(FRA_FWMARK) || attributes.find(FRA_FWMASK))
      families.push_back(body.family == AF_INET ? Family::ipv4 : Family::ipv6);
  };
  Result<std::vector<Family>> families =
      dump_all<Family>(route, RTM_GETRULE, "the policy rules", add);
  if (!families) return families.error();
  return std::set<Family>(families->begin(), families->end());
}

}  // namespace portmapper::host

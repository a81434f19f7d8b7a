#include "lib/host/local_addresses.hpp"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "lib/host/interfaces.hpp"
#include "lib/host/route_dump.hpp"
#include "lib/host/route_request.hpp"

namespace portmapper::host {
namespace {

constexpr std::size_t kQuestions = 64;  // at once: what their answers take fits the socket

void put_question(const IpAddress& address, std::uint32_t number,
                  std::vector<std::uint8_t>& questions) {
  RouteRequest request = route_request_for(address);
  request.header()->nlmsg_seq = number;
  questions.insert(questions.end(), request.bytes().begin(), request.bytes().end());
}

// Leaves those that no route calls local.
Status leave_routed(Transport& route, std::vector<IpAddress>& addresses) {
  std::vector<IpAddress> left;
  for (std::size_t first = 0; first < addresses.size(); first += kQuestions) {
    const auto some =
        std::span(addresses).subspan(first, std::min(kQuestions, addresses.size() - first));
    std::vector<std::uint8_t> questions;
    for (std::size_t i = 0; i < some.size(); ++i)
      put_question(some[i], static_cast<std::uint32_t>(i), questions);
    std::vector<bool> is_local(some.size());
    const Status asked = route.exchange(questions, [&](const nlmsghdr& reply) {
      if (reply.nlmsg_type != RTM_NEWROUTE || reply.nlmsg_seq >= some.size()) return;
      const auto* const found = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&reply));
      is_local[reply.nlmsg_seq] = found->rtm_type == RTN_LOCAL;
    });
    if (!asked) return asked;
    for (std::size_t i = 0; i < some.size(); ++i)
      if (!is_local[i]) left.push_back(some[i]);
  }
  addresses = std::move(left);
  return {};
}

bool is_always_here(const IpAddress& address) {
  return address.is_any() || (address.family() == Family::ipv4 && address.is_loopback());
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
        if (const auto one = interface_address(reply)) addresses.push_back(one->prefix.address);
      });
  if (!status) return status.error();
  // Several interfaces may have one address: each of CNI's ptp links has the gateway's.
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

Result<std::vector<IpAddress>> addresses_of(const std::string& device) {
  const unsigned index = if_nametoindex(device.c_str());
  std::vector<IpAddress> addresses;
  if (index == 0) return addresses;
  const Status status =
      dump_routing(RTM_GETADDR, "the host's addresses", [&](const nlmsghdr& reply) {
        const auto one = interface_address(reply);
        if (one && one->index == index) addresses.push_back(one->prefix.address);
      });
  if (!status) return status.error();
  return addresses;
}

Result<std::vector<IpAddress>> absent_addresses(std::vector<IpAddress> addresses) {
  std::erase_if(addresses, is_always_here);
  if (addresses.empty()) return addresses;
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return route.error();
  if (const Status asked = leave_routed(*route, addresses); !asked) return asked.error();
  if (addresses.empty()) return addresses;
  const Result<std::vector<IpAddress>> local = local_addresses(*route);
  if (!local) return local.error();
  std::vector<IpAddress> absent;
  std::set_difference(addresses.begin(), addresses.end(), local->begin(), local->end(),
                      std::back_inserter(absent));
  return absent;
}

}  // namespace portmapper::host

#include "lib/host/test_client.hpp"

#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <thread>

#include "lib/base/write_all.hpp"
#include "lib/host/route_localnet.hpp"
#include "lib/host/route_request.hpp"
#include "lib/host/sysctl.hpp"

namespace portmapper::host {
namespace {

constexpr char kClientDevice[] = "eth0";
constexpr char kObject[] = "the test client's interface";

struct Ends {
  const char* host;
  const char* client;
  std::uint8_t length;
};
// The second where somebody uses the first; two processes at once would be such.
constexpr std::array kEnds = {Ends{"198.18.113.253", "198.18.113.254", 30},
                              Ends{"198.19.241.13", "198.19.241.14", 30},
                              Ends{"2001:2:0:6e70::1", "2001:2:0:6e70::2", 126},
                              Ends{"2001:2:0:6e71::1", "2001:2:0:6e71::2", 126}};

Status send(Transport& route, RouteRequest request) {
  const Result<int> refused = request.send(route, kObject, [](const nlmsghdr&) {});
  if (!refused) return refused.error();
  if (*refused != 0) return mapping_failed("cannot set up", kObject, *refused);
  return {};
}

Status add_pair(Transport& route, const std::string& device, const UniqueFd& netns) {
  RouteRequest request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  request.body<ifinfomsg>();
  request.put(IFLA_IFNAME, device);
  nlmsghdr* const header = request.header();
  nlattr* const info = mnl_attr_nest_start(header, IFLA_LINKINFO);
  request.put(IFLA_INFO_KIND, std::string("veth"));
  nlattr* const data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
  nlattr* const peer = mnl_attr_nest_start(header, VETH_INFO_PEER);
  request.body<ifinfomsg>();
  request.put(IFLA_IFNAME, std::string(kClientDevice));
  request.put(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns.get()));
  mnl_attr_nest_end(header, peer);
  mnl_attr_nest_end(header, data);
  mnl_attr_nest_end(header, info);
  return send(route, request);
}

// `vrf`: the index of the VRF that it is in; 0: none.
Status set_up(Transport& route, unsigned index, std::uint32_t vrf = 0) {
  RouteRequest request(RTM_NEWLINK, NLM_F_ACK);
  auto* const body = request.body<ifinfomsg>();
  body->ifi_index = static_cast<int>(index);
  body->ifi_flags = IFF_UP;
  body->ifi_change = IFF_UP;
  if (vrf != 0) request.put(IFLA_MASTER, vrf);
  return send(route, request);
}

// 0: none is known.
std::uint32_t index_of_vrf(Transport& route, const std::string& name) {
  const Result<std::vector<Interface>> interfaces = read_interfaces(route);
  const Interface* const vrf = interfaces ? vrf_of(*interfaces, name) : nullptr;
  return vrf != nullptr ? vrf->index : 0;
}

Status add_address(Transport& route, unsigned index, const char* text, std::uint8_t length) {
  const IpAddress address = *IpAddress::parse(text);
  RouteRequest request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  auto* const body = request.body<ifaddrmsg>();
  body->ifa_family = socket_family(address.family());
  body->ifa_prefixlen = length;
  body->ifa_flags = IFA_F_NODAD;
  body->ifa_index = index;
  request.put(IFA_LOCAL, address);
  request.put(IFA_ADDRESS, address);
  return send(route, request);
}

Status add_default_route(Transport& route, unsigned index, const char* gateway) {
  const IpAddress address = *IpAddress::parse(gateway);
  RouteRequest request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE);
  auto* const body = request.body<rtmsg>();
  body->rtm_family = socket_family(address.family());
  body->rtm_table = RT_TABLE_MAIN;
  body->rtm_protocol = RTPROT_BOOT;
  body->rtm_scope = RT_SCOPE_UNIVERSE;
  body->rtm_type = RTN_UNICAST;
  request.put(RTA_GATEWAY, address);
  request.put(RTA_OIF, index);
  return send(route, request);
}

// Nothing: both prefixes are in use here.
std::optional<Ends> free_ends(Transport& route, Family family) {
  for (const Ends& ends : kEnds) {
    const IpAddress client = *IpAddress::parse(ends.client);
    if (client.family() != family) continue;
    const Result<WayByIndex> way = way_by_index(route, client);
    if (!way || !way->is_attached) return ends;
  }
  return std::nullopt;
}

// A client by that interface is forwarded or not by what is set there.
void forward_like(const std::string& like, const std::string& device) {
  const auto value = read_sysctl("net/ipv4/conf/" + like + "/forwarding");
  if (like.empty() || !value) return;
  const std::string path = "/proc/sys/net/ipv4/conf/" + device + "/forwarding";
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file) (void)write_all(file.get(), std::to_string(*value));
}

// A namespace of its own, and a socket in it.
struct Elsewhere {
  UniqueFd netns;
  std::unique_ptr<Netlink> route;
  unsigned index = 0;  // of the client's end
};

Result<Elsewhere> new_namespace() {
  Elsewhere place;
  int error_number = 0;
  std::thread maker([&] {
    if (unshare(CLONE_NEWNET) != 0) {
      error_number = errno;
      return;
    }
    place.netns = UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    Result<Netlink> socket = Netlink::open(NETLINK_ROUTE);
    if (socket) place.route = std::make_unique<Netlink>(std::move(*socket));
    if (!place.netns || !socket) error_number = EIO;
  });
  maker.join();
  if (error_number != 0)
    return mapping_failed("cannot make", "a network namespace for a test client", error_number);
  return place;
}

Status give_addresses(Transport& here, unsigned index, const Elsewhere& place, const Ends& ends) {
  for (const Status& status : {add_address(here, index, ends.host, ends.length),
                               add_address(*place.route, place.index, ends.client, ends.length),
                               add_default_route(*place.route, place.index, ends.host)})
    if (!status) return status;
  return {};
}

}  // namespace

Result<TestClient> TestClient::make(const std::string& like) {
  Result<Netlink> here = Netlink::open(NETLINK_ROUTE);
  if (!here) return here.error();
  Result<Elsewhere> place = new_namespace();
  if (!place) return place.error();
  Device device{"npmprobe" + std::to_string(getpid() % 10000000)};
  if (const Status added = add_pair(*here, device.name, place->netns); !added) return added.error();
  device.index = if_nametoindex(device.name.c_str());
  TestClient client(std::move(place->netns), device);
  client.run([&place] { place->index = if_nametoindex(kClientDevice); });
  forward_like(like, device.name);
  for (const Status& status : {set_up(*here, device.index, index_of_vrf(*here, like)),
                               set_up(*place->route, place->index)})
    if (!status) return status.error();
  for (const Family family : kFamilies) {
    const std::optional<Ends> ends = free_ends(*here, family);
    if (ends && give_addresses(*here, device.index, *place, *ends))
      client.addresses_.emplace(family, *IpAddress::parse(ends->client));
  }
  return client;
}

TestClient::TestClient(TestClient&& other) noexcept
    : netns_(std::move(other.netns_)),
      device_(std::exchange(other.device_, {})),
      addresses_(std::move(other.addresses_)) {}

// At once, while the kernel takes its time to end a namespace.
TestClient::~TestClient() {  // NOLINT(bugprone-exception-escape): without memory all ends
  if (device_.index == 0) return;
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return;
  RouteRequest request(RTM_DELLINK, NLM_F_ACK);
  request.body<ifinfomsg>()->ifi_index = static_cast<int>(device_.index);
  (void)send(*route, request);
}

void TestClient::run(const std::function<void()>& work) const {
  std::thread visitor([&] {
    if (setns(netns_.get(), CLONE_NEWNET) == 0) work();
  });
  visitor.join();
}

}  // namespace portmapper::host

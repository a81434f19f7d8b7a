// lib/host/flow_end: what the kernel is asked to end, and who may ask it.
#include "lib/host/flow_end.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <cerrno>

#include "tests/support/join.hpp"
#include "tests/support/replies.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
using namespace portmapper::host;
using namespace portmapper::test;

namespace {

HeldPort held(Protocol protocol, const char* address, std::uint16_t port, const char* endpoint,
              std::uint16_t endpoint_port) {
  return {protocol, *IpAddress::parse(address), port, *IpAddress::parse(endpoint), endpoint_port};
}

struct Ports {
  HeldPort web = held(Protocol::tcp, "0.0.0.0", 8080, "10.22.0.2", 80);
  HeldPort dns = held(Protocol::udp, "192.0.2.1", 5353, "10.22.0.2", 53);
  HeldPort web6 = held(Protocol::tcp, "::", 8080, "fd00::2", 80);
  HeldPort sctp = held(Protocol::sctp, "0.0.0.0", 9000, "10.22.0.2", 90);
};

std::string address_in(const Attribute& tuple, std::uint16_t type) {
  const auto found = Attributes(nested(tuple, CTA_TUPLE_IP)).find(type);
  return found ? IpAddress::from_bytes(Family::ipv4, found->payload.data()).to_string() : "any";
}

std::string port_in(const Attribute& tuple, std::uint16_t type) {
  const Attributes part(nested(tuple, CTA_TUPLE_PROTO));
  return std::to_string(part.find(CTA_PROTO_NUM)->raw<std::uint8_t>()) + " " +
         std::to_string(ntohs(part.find(type)->raw<std::uint16_t>()));
}

// "to any 6 8080 from 10.22.0.2 6 80 (40, 25)"
std::string text_of(const nlmsghdr& request) {
  CHECK(request.nlmsg_type == (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE));
  CHECK(request.nlmsg_flags == (NLM_F_REQUEST | NLM_F_ACK));
  const Attributes all(message_attributes(request, sizeof(nfgenmsg)));
  CHECK(all.find(CTA_STATUS)->number32() == IPS_DST_NAT);
  CHECK(all.find(CTA_STATUS_MASK)->number32() == IPS_DST_NAT);
  const auto original = all.find(CTA_TUPLE_ORIG);
  const auto reply = all.find(CTA_TUPLE_REPLY);
  const Attributes flags(all.find(CTA_FILTER)->payload);
  return "to " + address_in(*original, CTA_IP_V4_DST) + " " +
         port_in(*original, CTA_PROTO_DST_PORT) + " from " + address_in(*reply, CTA_IP_V4_SRC) +
         " " + port_in(*reply, CTA_PROTO_SRC_PORT) + " (" +
         std::to_string(flags.find(CTA_FILTER_ORIG_FLAGS)->raw<std::uint32_t>()) + ", " +
         std::to_string(flags.find(CTA_FILTER_REPLY_FLAGS)->raw<std::uint32_t>()) + ")";
}

bool end(std::vector<const HeldPort*> ports, const Replies& answer, std::string* asked = nullptr) {
  FakeTransport kernel;
  kernel.answers.push_back(answer);
  const bool ended = end_flows(kernel, ports);
  REQUIRE(kernel.requests.size() == 1);
  std::vector<std::string> texts;
  for (const Request& request : requests_in(kernel.requests[0]))
    texts.push_back(text_of(*request.header));
  if (asked != nullptr) *asked = join(texts);
  return ended;
}

}  // namespace

TEST_CASE_FIXTURE(Ports,
                  "flow end: one request a port: what came to it and is answered by its endpoint") {
  std::string asked;
  CHECK(end({&web, &dns}, Replies().error(1, 0).error(2, 0), &asked));
  CHECK(asked ==
        "to any 6 8080 from 10.22.0.2 6 80 (40, 25), "
        "to 192.0.2.1 17 5353 from 10.22.0.2 17 53 (42, 25)");
}

TEST_CASE_FIXTURE(Ports,
                  "flow end: nothing is taken for ended where the kernel refused one of them") {
  CHECK_FALSE(end({&web}, Replies().error(1, ENOENT)));
  CHECK_FALSE(end({&web}, Replies().error(1, EINVAL)));
  CHECK_FALSE(end({&web, &dns}, Replies().error(1, 0).error(2, EOPNOTSUPP)));
  CHECK_FALSE(end({&web, &dns}, Replies().error(1, 0)));
  CHECK_FALSE(end({&web}, Replies()));
}

TEST_CASE_FIXTURE(
    Ports,
    "flow end: not by an IPv6 address, not of SCTP, not for many ports: kernels get it wrong") {
  CHECK(can_end_flows(std::vector{&web, &dns}));
  CHECK_FALSE(can_end_flows(std::vector{&web, &web6}));
  CHECK_FALSE(can_end_flows(std::vector{&web, &sctp}));
  CHECK(can_end_flows(std::vector<const HeldPort*>(kMostEnded, &web)));
  CHECK_FALSE(can_end_flows(std::vector<const HeldPort*>(kMostEnded + 1, &web)));
}

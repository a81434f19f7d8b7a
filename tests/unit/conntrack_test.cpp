// lib/host/conntrack: which flows are deleted, and which the kernel is asked for.
#include "lib/host/conntrack.hpp"

#include <doctest/doctest.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <map>

#include "lib/base/connection_label.hpp"
#include "tests/support/join.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::host;
using namespace portmapper::test;

namespace {

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

constexpr std::uint16_t kClient = 5000;
const IpAddress kHost = ip("192.0.2.1");

enum class Mark { untranslated, ours, anothers, without_label };

struct FakeFlow {
  Protocol protocol;
  const char* destination;  // as the client sees it
  std::uint16_t port;
  const char* endpoint;
  std::uint16_t endpoint_port;
  Mark mark = Mark::ours;
};

Buffer big_endian(std::uint16_t value) {
  return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value & 0xff)};
}

Attrs tuple(Protocol protocol, const IpAddress& source, std::uint16_t source_port,
            const IpAddress& destination, std::uint16_t port) {
  const bool is_v4 = source.family() == Family::ipv4;
  const auto bytes = [](const IpAddress& address) {
    return Buffer(address.bytes().begin(),
                  address.bytes().begin() + static_cast<std::ptrdiff_t>(address.length()));
  };
  return Attrs()
      .nest(CTA_TUPLE_IP, Attrs()
                              .put(is_v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, bytes(source))
                              .put(is_v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, bytes(destination)))
      .nest(CTA_TUPLE_PROTO, Attrs()
                                 .put(CTA_PROTO_NUM, Buffer{static_cast<std::uint8_t>(protocol)})
                                 .put(CTA_PROTO_SRC_PORT, big_endian(source_port))
                                 .put(CTA_PROTO_DST_PORT, big_endian(port)));
}

Buffer message_of(const FakeFlow& flow) {
  const IpAddress destination = ip(flow.destination);
  const IpAddress client =
      ip(destination.family() == Family::ipv4 ? "198.51.100.7" : "2001:db8:7::7");
  Attrs all;
  all.nest(CTA_TUPLE_ORIG, tuple(flow.protocol, client, kClient, destination, flow.port));
  all.nest(CTA_TUPLE_REPLY,
           tuple(flow.protocol, ip(flow.endpoint), flow.endpoint_port, client, kClient));
  const bool is_translated = flow.mark != Mark::untranslated;
  all.number(CTA_STATUS, IPS_CONFIRMED | IPS_SEEN_REPLY | (is_translated ? IPS_DST_NAT : 0));
  constexpr auto kOurs = label_bit();
  if (flow.mark == Mark::ours) all.put(CTA_LABELS, kOurs);
  if (flow.mark == Mark::anothers || flow.mark == Mark::untranslated)
    all.put(CTA_LABELS, Buffer(16));
  all.number(CTA_ID, flow.port);
  Buffer body = {socket_family(destination.family()), 0, 0, 0};
  body.insert(body.end(), all.bytes().begin(), all.bytes().end());
  return body;
}

constexpr std::uint16_t ct(unsigned type) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
}

// A kernel that knows no filter but the family, and tells what it was asked to delete.
struct Conntrack {
  FakeTransport kernel;
  std::vector<FakeFlow> flows;
  std::map<Buffer, const FakeFlow*> by_original;
  std::vector<std::string> deleted;  // by the client's destination

  explicit Conntrack(std::vector<FakeFlow> all) : flows(std::move(all)) {
    for (const FakeFlow& flow : flows) {
      const Buffer body = message_of(flow);
      const Bytes original =
          Attributes(Bytes(body).subspan(sizeof(nfgenmsg))).find(CTA_TUPLE_ORIG)->payload;
      by_original.emplace(Buffer(original.begin(), original.end()), &flow);
    }
    kernel.respond = [this](Bytes requests) {
      Replies replies;
      for (std::size_t at = 0; at < requests.size();) {
        const auto* request = reinterpret_cast<const nlmsghdr*>(requests.data() + at);
        if (request->nlmsg_type == ct(IPCTNL_MSG_CT_DELETE)) {
          replies.error(request->nlmsg_seq, remove(*request) ? 0 : ENOENT);
        } else {
          const std::uint8_t family = *(requests.data() + at + NLMSG_HDRLEN);
          for (const FakeFlow& flow : flows)
            if (family == AF_UNSPEC || family == socket_family(ip(flow.destination).family()))
              replies.message(ct(IPCTNL_MSG_CT_NEW), NLM_F_MULTI, 0, message_of(flow));
          replies.done(request->nlmsg_seq);
        }
        at += NLMSG_ALIGN(request->nlmsg_len);
      }
      return replies;
    };
  }
  bool remove(const nlmsghdr& request) {
    const Attributes all(message_attributes(request, sizeof(nfgenmsg)));
    const auto original = all.find(CTA_TUPLE_ORIG);
    REQUIRE(original);
    const auto named = by_original.find(Buffer(original->payload.begin(), original->payload.end()));
    if (named == by_original.end()) return false;
    const FakeFlow& flow = *named->second;
    REQUIRE(all.find(CTA_ID)->number32() == flow.port);
    deleted.push_back(std::string(to_string(flow.protocol)) + " " + flow.destination + " " +
                      std::to_string(flow.port));
    return true;
  }
  std::string delete_stale(const PortChange& change) {
    const IpAddress local[] = {kHost, ip("2001:db8::1")};
    const Result<std::size_t> count = delete_stale_flows(kernel, change, local);
    REQUIRE(count);
    CHECK(*count == deleted.size());
    return join(deleted);
  }
};

HeldPort held(Protocol protocol, const char* address, std::uint16_t port, const char* endpoint,
              std::uint16_t endpoint_port) {
  return {protocol, ip(address), port, ip(endpoint), endpoint_port};
}

const HeldPort kWeb = held(Protocol::tcp, "0.0.0.0", 8080, "10.22.0.2", 80);
const HeldPort kDns = held(Protocol::udp, "0.0.0.0", 5353, "10.22.0.2", 53);

// What the request asks the kernel for.
std::string filter_of(const Buffer& request) {
  const auto* header = reinterpret_cast<const nlmsghdr*>(request.data());
  std::string text = request[NLMSG_HDRLEN] == AF_INET    ? "ipv4"
                     : request[NLMSG_HDRLEN] == AF_INET6 ? "ipv6"
                                                         : "both";
  const Attributes all(message_attributes(*header, sizeof(nfgenmsg)));
  if (all.find(CTA_STATUS)) text += " translated";
  if (const auto original = all.find(CTA_TUPLE_ORIG)) {
    const Attributes part(nested(*original, CTA_TUPLE_PROTO));
    text += " protocol " + std::to_string(part.find(CTA_PROTO_NUM)->raw<std::uint8_t>());
    if (const auto port = part.find(CTA_PROTO_DST_PORT))
      text += " port " + std::to_string(ntohs(port->raw<std::uint16_t>()));
  }
  if (const auto reply = all.find(CTA_TUPLE_REPLY)) {
    const Bytes address = Attributes(nested(*reply, CTA_TUPLE_IP)).find(CTA_IP_V4_SRC)->payload;
    text += " from " + IpAddress::from_bytes(Family::ipv4, address.data()).to_string();
  }
  if (const auto filter = all.find(CTA_FILTER)) {
    const Attributes flags(filter->payload);
    text += " (" + std::to_string(flags.find(CTA_FILTER_ORIG_FLAGS)->raw<std::uint32_t>()) + ", " +
            std::to_string(flags.find(CTA_FILTER_REPLY_FLAGS)->raw<std::uint32_t>()) + ")";
  }
  return text;
}

std::string filters_of(const PortChange& change) {
  Conntrack conntrack({});
  (void)conntrack.delete_stale(change);
  std::vector<std::string> filters;
  for (const Buffer& request : conntrack.kernel.requests) filters.push_back(filter_of(request));
  return join(filters);
}

}  // namespace

TEST_CASE("flows: of TCP and SCTP only what we translated to an endpoint that left its port goes") {
  for (const Protocol protocol : {Protocol::tcp, Protocol::sctp}) {
    const std::string name(to_string(protocol));
    CAPTURE(name);
    Conntrack conntrack({{protocol, "192.0.2.1", 8080, "10.22.0.2", 80},
                         {protocol, "203.0.113.9", 8080, "10.22.0.2", 80},  // local then
                         {protocol, "192.0.2.1", 8081, "10.22.0.2", 80},
                         {protocol, "192.0.2.1", 8080, "10.22.0.2", 81},
                         {protocol, "192.0.2.1", 8080, "10.22.0.3", 80},
                         {Protocol::udp, "192.0.2.1", 8080, "10.22.0.2", 80},
                         {protocol, "127.0.0.2", 8080, "10.22.0.2", 80, Mark::anothers},
                         {protocol, "127.0.0.3", 8080, "10.22.0.2", 80, Mark::without_label},
                         {protocol, "10.22.0.2", 80, "10.22.0.2", 80, Mark::untranslated},
                         {protocol, "192.0.2.4", 8080, "192.0.2.4", 8080, Mark::untranslated}});
    CHECK(conntrack.delete_stale({.left = {held(protocol, "0.0.0.0", 8080, "10.22.0.2", 80)}}) ==
          name + " 192.0.2.1 8080, " + name + " 203.0.113.9 8080");
  }
}

TEST_CASE(
    "flows: an endpoint that holds the port still, on any address or on this one, keeps its own") {
  const std::vector<FakeFlow> flows = {{Protocol::tcp, "192.0.2.1", 8080, "10.22.0.2", 80},
                                       {Protocol::tcp, "192.0.2.11", 8080, "10.22.0.2", 80}};
  const HeldPort on_one = held(Protocol::tcp, "192.0.2.1", 8080, "10.22.0.2", 80);
  CHECK(Conntrack(flows).delete_stale({.left = {kWeb}, .held = {on_one}}) == "tcp 192.0.2.11 8080");
  CHECK(Conntrack(flows).delete_stale({.left = {on_one}, .held = {kWeb}}) == "");
  CHECK(Conntrack(flows).delete_stale(
            {.left = {kWeb}, .held = {held(Protocol::tcp, "0.0.0.0", 8080, "10.22.0.9", 80)}}) ==
        "tcp 192.0.2.1 8080, tcp 192.0.2.11 8080");
}

TEST_CASE(
    "flows: of UDP those on a held port that lead elsewhere go too, if we or nobody led them") {
  Conntrack conntrack(
      {{Protocol::udp, "192.0.2.1", 5353, "10.22.0.2", 53},
       {Protocol::udp, "127.0.0.1", 5353, "10.22.0.9", 53},
       {Protocol::udp, "127.0.0.2", 5353, "127.0.0.2", 5353, Mark::untranslated},
       {Protocol::udp, "127.0.0.3", 5353, "10.22.0.9", 53, Mark::without_label},
       {Protocol::udp, "127.0.0.4", 5353, "10.22.0.9", 53, Mark::anothers},
       {Protocol::udp, "203.0.113.9", 5353, "203.0.113.9", 5353, Mark::untranslated},
       {Protocol::udp, "127.0.0.5", 5354, "10.22.0.9", 53},
       {Protocol::tcp, "127.0.0.6", 5353, "10.22.0.9", 53}});
  const auto keeps_none = [](const IpAddress&, std::uint16_t) { return false; };
  CHECK(conntrack.delete_stale({.held = {kDns}, .kept = keeps_none}) ==
        "udp 127.0.0.1 5353, udp 127.0.0.2 5353");
}

TEST_CASE(
    "flows: of UDP that nobody translated, those to what keeps its port on any address stay") {
  const std::vector<FakeFlow> flows = {
      {Protocol::udp, "127.0.0.53", 5353, "127.0.0.53", 5353, Mark::untranslated},
      {Protocol::udp, "192.0.2.1", 5353, "192.0.2.1", 5353, Mark::untranslated}};
  const auto keeps_stub = [](const IpAddress& address, std::uint16_t number) {
    CHECK(number == 5353);
    return address == ip("127.0.0.53");
  };
  CHECK(Conntrack(flows).delete_stale({.held = {kDns}, .kept = keeps_stub}) ==
        "udp 192.0.2.1 5353");
  CHECK(Conntrack(flows).delete_stale({.held = {kDns}}) == "");
  const HeldPort on_one = held(Protocol::udp, "127.0.0.53", 5353, "10.22.0.2", 53);
  CHECK(Conntrack(flows).delete_stale({.held = {on_one, kDns}}) == "udp 127.0.0.53 5353");
}

TEST_CASE("flows: one address that takes a port over from any address ends its old flows there") {
  CHECK(Conntrack({{Protocol::tcp, "192.0.2.1", 8080, "10.22.0.2", 80},
                   {Protocol::tcp, "192.0.2.11", 8080, "10.22.0.2", 80}})
            .delete_stale({.left = {kWeb},
                           .held = {held(Protocol::tcp, "192.0.2.1", 8080, "10.22.0.9", 80),
                                    kWeb}}) == "tcp 192.0.2.1 8080");
}

TEST_CASE("flows: of UDP that began before there were labels, those to an endpoint that left go") {
  CHECK(Conntrack({{Protocol::udp, "192.0.2.1", 5353, "10.22.0.2", 53, Mark::without_label},
                   {Protocol::udp, "127.0.0.1", 5353, "10.22.0.2", 53, Mark::anothers},
                   {Protocol::udp, "203.0.113.9", 5353, "10.22.0.2", 53, Mark::without_label}})
            .delete_stale({.left = {kDns}}) == "udp 192.0.2.1 5353");
}

TEST_CASE("flows: the kernel is asked for as few as it can tell, and for none where none can be") {
  const HeldPort web6 = held(Protocol::tcp, "::", 8080, "fd00::2", 80);
  const HeldPort second = held(Protocol::tcp, "0.0.0.0", 9090, "10.22.0.2", 80);
  const HeldPort other = held(Protocol::tcp, "0.0.0.0", 9090, "10.22.0.3", 80);
  const HeldPort second6 = held(Protocol::sctp, "::", 9090, "fd00::2", 80);
  CHECK(filters_of({}) == "");
  CHECK(filters_of({.held = {kWeb, web6}}) == "");
  CHECK(filters_of({.left = {kWeb}, .held = {kWeb}}) == "");
  CHECK(filters_of({.left = {kWeb, web6}}) ==
        "ipv4 translated protocol 6 port 8080 (40, 0), "
        "ipv6 translated protocol 6 port 8080 (40, 0)");
  CHECK(filters_of({.left = {kWeb, second}}) == "ipv4 translated from 10.22.0.2 (0, 1)");
  CHECK(filters_of({.left = {kWeb, kDns}}) == "ipv4 translated from 10.22.0.2 (0, 1)");
  CHECK(filters_of({.left = {kWeb, other}}) == "ipv4 translated protocol 6 (8, 0)");
  CHECK(filters_of({.left = {web6, second6}}) == "ipv6 translated");
  CHECK(filters_of({.held = {kWeb, kDns}}) == "ipv4 protocol 17 port 5353 (40, 0)");
  CHECK(filters_of({.left = {second}, .held = {kDns}}) ==
        "ipv4 translated protocol 6 port 9090 (40, 0), ipv4 protocol 17 port 5353 (40, 0)");
}

TEST_CASE(
    "flows: where only we translate and nothing is held, the kernel ends them, or they are looked "
    "at") {
  const HeldPort web6 = held(Protocol::tcp, "::", 8080, "fd00::2", 80);
  const auto asked = [](const PortChange& change, int error_number) {
    FakeTransport kernel;
    kernel.respond = [&](Bytes requests) {
      const auto* request = reinterpret_cast<const nlmsghdr*>(requests.data());
      return request->nlmsg_type == ct(IPCTNL_MSG_CT_DELETE)
                 ? Replies().error(request->nlmsg_seq, error_number)
                 : Replies().done(request->nlmsg_seq);
    };
    REQUIRE(delete_stale_flows(kernel, change, {}));
    std::vector<std::string> requests;
    for (const Buffer& request : kernel.requests)
      requests.push_back(reinterpret_cast<const nlmsghdr*>(request.data())->nlmsg_type ==
                                 ct(IPCTNL_MSG_CT_DELETE)
                             ? "end"
                             : filter_of(request));
    return join(requests);
  };
  const auto yes = [](Family) { return true; };
  const auto no = [](Family) { return false; };
  const std::string look = "ipv4 translated protocol 6 port 8080 (40, 0)";
  const std::string look6 = "ipv6 translated protocol 6 port 8080 (40, 0)";
  CHECK(asked({.left = {kWeb}, .only_we_translate = yes}, 0) == "end");
  CHECK(asked({.left = {kWeb}, .only_we_translate = yes}, ENOENT) == "end, " + look);
  CHECK(asked({.left = {kWeb}, .only_we_translate = no}, 0) == look);
  CHECK(asked({.left = {kWeb}}, 0) == look);
  CHECK(asked({.left = {kWeb, web6}, .only_we_translate = yes}, 0) == "end, " + look6);
  const HeldPort other = held(Protocol::tcp, "0.0.0.0", 9090, "10.22.0.9", 80);
  CHECK(asked({.left = {kWeb}, .held = {other}, .only_we_translate = yes}, 0) == look);
}

TEST_CASE(
    "flows: thousands are deleted, many with one request; those gone meanwhile do not count") {
  std::vector<FakeFlow> flows;
  for (std::uint16_t i = 0; i < 1000; ++i)
    flows.push_back(
        {Protocol::tcp, "192.0.2.1", static_cast<std::uint16_t>(10000 + i), "10.22.0.2", 80});
  PortChange change;
  for (const FakeFlow& flow : flows)
    change.left.push_back(held(Protocol::tcp, "0.0.0.0", flow.port, "10.22.0.2", 80));
  Conntrack conntrack(flows);
  (void)conntrack.delete_stale(change);
  CHECK(conntrack.deleted.size() == 1000);
  CHECK(conntrack.kernel.requests.size() == 1 + 16);

  FakeTransport kernel;
  kernel.answers.push_back(Replies()
                               .message(ct(IPCTNL_MSG_CT_NEW), NLM_F_MULTI, 0, message_of(flows[0]))
                               .message(ct(IPCTNL_MSG_CT_NEW), NLM_F_MULTI, 0, message_of(flows[1]))
                               .done(0));
  kernel.answers.push_back(Replies().error(1, ENOENT).error(2, 0));
  const Result<std::size_t> count = delete_stale_flows(kernel, change, {});
  REQUIRE(count);
  CHECK(*count == 1);
}

TEST_CASE("flows: a refusal names what was tried and the errno") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(0, EINVAL));
  CHECK(delete_stale_flows(kernel, {.left = {kWeb}}, {}).error().message() ==
        "cannot list: conntrack flows: Invalid argument");
  const Buffer flow = message_of({Protocol::tcp, "192.0.2.1", 8080, "10.22.0.2", 80});
  kernel.answers.push_back(Replies().message(ct(IPCTNL_MSG_CT_NEW), NLM_F_MULTI, 0, flow).done(0));
  kernel.answers.push_back(Replies().error(1, EPERM));
  CHECK(delete_stale_flows(kernel, {.left = {kWeb}}, {}).error().message() ==
        "cannot delete: conntrack flows: Operation not permitted");
}

TEST_CASE("flows: of the whole table, what the label says we translated") {
  Conntrack conntrack({{Protocol::tcp, "192.0.2.1", 8080, "10.22.0.2", 80},
                       {Protocol::udp, "2001:db8::1", 5353, "fd00::2", 53},
                       {Protocol::tcp, "192.0.2.2", 8080, "10.22.0.2", 80, Mark::anothers},
                       {Protocol::udp, "192.0.2.3", 53, "10.22.0.2", 53, Mark::without_label},
                       {Protocol::tcp, "192.0.2.4", 22, "192.0.2.4", 22, Mark::untranslated}});
  const Result<std::size_t> count = delete_all_flows(conntrack.kernel);
  REQUIRE(count);
  CHECK(*count == 2);
  CHECK(join(conntrack.deleted) == "tcp 192.0.2.1 8080, udp 2001:db8::1 5353");
  CHECK(filter_of(conntrack.kernel.requests.front()) == "both translated");
}

#include "lib/host/conntrack.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "lib/base/attributes.hpp"

namespace portmapper::host {
namespace {

// CTA_FILTER_FLAG(...) of the kernel's nf_internals.h, which has no uapi name.
constexpr std::uint32_t kFilterProtocol = 1U << 3;
constexpr std::uint32_t kFilterDestinationPort = 1U << 5;

struct Tuple {
  IpAddress source;
  IpAddress destination;
  std::uint8_t protocol = 0;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
};

struct Flow {
  Tuple original;
  Tuple reply;
  std::vector<std::uint8_t>
      original_attributes;  // CTA_TUPLE_ORIG and CTA_ID as they came: its name
  std::vector<std::uint8_t> id;
  std::vector<std::uint8_t> zone;
};

std::optional<IpAddress> address_of(const Attribute& attribute) {
  if (attribute.payload.size() == 4)
    return IpAddress::from_bytes(Family::ipv4, attribute.payload.data());
  if (attribute.payload.size() == 16)
    return IpAddress::from_bytes(Family::ipv6, attribute.payload.data());
  return std::nullopt;
}

Tuple tuple_of(Bytes bytes) {
  Tuple tuple;
  for (const Attribute& part : Attributes(bytes)) {
    for (const Attribute& value : Attributes(part.payload)) {
      if (part.type == CTA_TUPLE_IP) {
        const bool source = value.type == CTA_IP_V4_SRC || value.type == CTA_IP_V6_SRC;
        if (const auto address = address_of(value))
          (source ? tuple.source : tuple.destination) = *address;
      } else if (part.type == CTA_TUPLE_PROTO) {
        if (value.type == CTA_PROTO_NUM) tuple.protocol = value.raw<std::uint8_t>();
        if (value.type == CTA_PROTO_SRC_PORT) tuple.source_port = ntohs(value.raw<std::uint16_t>());
        if (value.type == CTA_PROTO_DST_PORT)
          tuple.destination_port = ntohs(value.raw<std::uint16_t>());
      }
    }
  }
  return tuple;
}

std::vector<std::uint8_t> copy(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

std::optional<Flow> flow_of(const nlmsghdr& reply) {
  if (reply.nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW)) return std::nullopt;
  Flow flow;
  for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg)))) {
    if (attribute.type == CTA_TUPLE_ORIG) {
      flow.original = tuple_of(attribute.payload);
      flow.original_attributes = copy(attribute.payload);
    }
    if (attribute.type == CTA_TUPLE_REPLY) flow.reply = tuple_of(attribute.payload);
    if (attribute.type == CTA_ID) flow.id = copy(attribute.payload);
    if (attribute.type == CTA_ZONE) flow.zone = copy(attribute.payload);
  }
  return flow.original_attributes.empty() ? std::nullopt : std::optional(std::move(flow));
}

class Ports {
 public:
  Ports(std::span<const UdpPort> ports, std::span<const IpAddress> local, Stale stale)
      : local_(local.begin(), local.end()), stale_(stale) {
    for (const UdpPort& port : ports) by_port_.emplace(std::pair(port.address, port.port), &port);
  }

  [[nodiscard]] bool is_stale(const Flow& flow) const {
    const Tuple& original = flow.original;
    if (original.protocol != IPPROTO_UDP) return false;
    const auto [first, last] = find(original.destination, original.destination_port);
    if (first == last) return false;
    // A reply comes from where the flow leads.
    const bool there = std::any_of(first, last, [&flow](const auto& port) {
      return flow.reply.source == port.second->endpoint &&
             flow.reply.source_port == port.second->endpoint_port;
    });
    return there == (stale_ == Stale::leads_there);
  }

 private:
  using ByPort = std::multimap<std::pair<IpAddress, std::uint16_t>, const UdpPort*>;

  [[nodiscard]] std::pair<ByPort::const_iterator, ByPort::const_iterator> find(
      const IpAddress& destination, std::uint16_t number) const {
    const auto one = by_port_.equal_range({destination, number});
    if (one.first != one.second) return one;
    if (!destination.is_loopback() && !local_.contains(destination)) return one;
    return by_port_.equal_range({IpAddress::any(destination.family()), number});
  }

  ByPort by_port_;
  std::set<IpAddress> local_;
  Stale stale_;
};

class Request {
 public:
  Request(std::uint16_t message, std::uint16_t flags, Family family) {
    header_ = mnl_nlmsg_put_header(buffer_.data());
    header_->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    auto* body = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg)));
    body->nfgen_family = socket_family(family);
    body->version = NFNETLINK_V0;
  }
  void put(std::uint16_t type, Bytes bytes) {
    if (!bytes.empty()) mnl_attr_put(header_, type, bytes.size(), bytes.data());
  }
  [[nodiscard]] nlmsghdr* header() { return header_; }
  [[nodiscard]] Bytes bytes() const { return {buffer_.data(), header_->nlmsg_len}; }

 private:
  alignas(nlmsghdr) std::array<std::uint8_t, 1024> buffer_{};
  nlmsghdr* header_;
};

// Lets the kernel hand out UDP flows only, and only to this port where there is but one. Kernels
// before 5.8 do not know the filter and hand out more; is_stale decides all the same.
void put_filter(Request& request, std::optional<std::uint16_t> port) {
  nlmsghdr* header = request.header();
  nlattr* tuple = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
  nlattr* protocol = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(header, CTA_PROTO_NUM, IPPROTO_UDP);
  if (port) mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(*port));
  mnl_attr_nest_end(header, protocol);
  mnl_attr_nest_end(header, tuple);
  nlattr* filter = mnl_attr_nest_start(header, CTA_FILTER);
  mnl_attr_put_u32(header, CTA_FILTER_ORIG_FLAGS,
                   kFilterProtocol | (port ? kFilterDestinationPort : 0));
  mnl_attr_put_u32(header, CTA_FILTER_REPLY_FLAGS, 0);
  mnl_attr_nest_end(header, filter);
}

Error refused(const char* what, int error_number) {
  return mapping_failed(what, "conntrack flows of UDP ports", error_number);
}

// The errno of a refusal among the replies, 0 without one.
Result<int> ask(Transport& transport, const Request& request, const OnReply& on_reply) {
  int error_number = 0;
  const Status status = transport.exchange(request.bytes(), [&](const nlmsghdr& reply) {
    const Acknowledgement ack = acknowledgement(reply);
    if (ack.present && ack.error_number != 0) error_number = ack.error_number;
    on_reply(reply);
  });
  if (!status) return status.error();
  return error_number;
}

// The kernel filters within one family: it refuses a filter for both at once (EOPNOTSUPP).
Result<std::vector<Flow>> stale_flows(Transport& transport, const Ports& ports, Family family,
                                      std::optional<std::uint16_t> only_port) {
  Request request(IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
  put_filter(request, only_port);
  std::vector<Flow> flows;
  const Result<int> error_number = ask(transport, request, [&](const nlmsghdr& reply) {
    std::optional<Flow> flow = flow_of(reply);
    if (flow && ports.is_stale(*flow)) flows.push_back(std::move(*flow));
  });
  if (!error_number) return error_number.error();
  if (*error_number != 0) return refused("cannot list", *error_number);
  return flows;
}

Result<bool> delete_flow(Transport& transport, const Flow& flow) {
  Request request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, flow.original.destination.family());
  request.put(CTA_TUPLE_ORIG | NLA_F_NESTED, flow.original_attributes);
  request.put(CTA_ZONE, flow.zone);
  request.put(CTA_ID, flow.id);  // a flow that took its place meanwhile has another
  const Result<int> error_number = ask(transport, request, [](const nlmsghdr&) {});
  if (!error_number) return error_number.error();
  if (*error_number != 0 && *error_number != ENOENT) return refused("cannot delete", *error_number);
  return *error_number == 0;
}

}  // namespace

Result<std::size_t> delete_stale_flows(Transport& transport, std::span<const UdpPort> ports,
                                       std::span<const IpAddress> local_addresses, Stale stale) {
  const Ports wanted(ports, local_addresses, stale);
  std::size_t deleted = 0;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    std::set<std::uint16_t> numbers;
    for (const UdpPort& port : ports)
      if (port.address.family() == family) numbers.insert(port.port);
    if (numbers.empty()) continue;
    const auto flows =
        stale_flows(transport, wanted, family,
                    numbers.size() == 1 ? std::optional(*numbers.begin()) : std::nullopt);
    if (!flows) return flows.error();
    for (const Flow& flow : *flows) {
      const Result<bool> gone = delete_flow(transport, flow);
      if (!gone) return gone.error();
      deleted += *gone ? 1 : 0;
    }
  }
  return deleted;
}

}  // namespace portmapper::host

#include "lib/host/conntrack.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "lib/base/attributes.hpp"
#include "lib/base/connection_label.hpp"
#include "lib/host/flow_end.hpp"
#include "lib/host/flow_request.hpp"

namespace portmapper::host {
namespace {

// Who translated a flow. Connections that began before there was a rule with a label have none.
enum class Translator { nobody, us, another, unknown };

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
  Translator translator = Translator::nobody;
  // As they came; the first and CTA_ID are its name.
  Bytes original_attributes{};
  Bytes id{};
  Bytes zone{};
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

bool has_our_label(Bytes bits) {
  constexpr std::array<std::uint8_t, 16> kOurs = label_bit();
  if (bits.size() != kOurs.size()) return false;
  for (std::size_t i = 0; i < kOurs.size(); ++i)
    if ((bits[i] & kOurs[i]) != kOurs[i]) return false;
  return true;
}

std::optional<Flow> flow_of(const nlmsghdr& reply) {
  if (reply.nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW)) return std::nullopt;
  Flow flow;
  bool is_translated = false;
  std::optional<Bytes> labels;
  for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg)))) {
    if (attribute.type == CTA_TUPLE_ORIG) {
      flow.original = tuple_of(attribute.payload);
      flow.original_attributes = attribute.payload;
    }
    if (attribute.type == CTA_TUPLE_REPLY) flow.reply = tuple_of(attribute.payload);
    if (attribute.type == CTA_STATUS) is_translated = (attribute.number32() & IPS_DST_NAT) != 0;
    if (attribute.type == CTA_LABELS) labels = attribute.payload;
    if (attribute.type == CTA_ID) flow.id = attribute.payload;
    if (attribute.type == CTA_ZONE) flow.zone = attribute.payload;
  }
  if (is_translated)
    flow.translator = !labels                  ? Translator::unknown
                      : has_our_label(*labels) ? Translator::us
                                               : Translator::another;
  return flow.original_attributes.empty() ? std::nullopt : std::optional(flow);
}

// Ports by what a client connects to.
class Ports {
 public:
  Ports(const std::vector<HeldPort>& ports, std::span<const IpAddress> local)
      : local_(local.begin(), local.end()) {
    for (const HeldPort& port : ports)
      by_service_.emplace(Service{port.address, number_of(port.protocol), port.port}, &port);
  }

  // Whether one of them leads the flow to where it goes.
  [[nodiscard]] bool lead(const Flow& flow) const { return leads(those_for(flow), flow); }
  // The same where those on one address and on any may not have been held at once.
  [[nodiscard]] bool led(const Flow& flow) const {
    return leads(on_one(flow), flow) || leads(on_any(flow), flow);
  }
  // Whether one of them would lead it, and none to where it goes.
  [[nodiscard]] bool lead_elsewhere(const Flow& flow) const {
    const Range ports = those_for(flow);
    return ports.first != ports.second && !leads(ports, flow);
  }
  [[nodiscard]] bool has_on_one(const Flow& flow) const {
    const Range ports = on_one(flow);
    return ports.first != ports.second;
  }

 private:
  using Service = std::tuple<IpAddress, std::uint8_t, std::uint16_t>;
  using ByService = std::multimap<Service, const HeldPort*>;
  using Range = std::pair<ByService::const_iterator, ByService::const_iterator>;

  static std::uint8_t number_of(Protocol protocol) { return static_cast<std::uint8_t>(protocol); }
  // One address before any.
  [[nodiscard]] Range those_for(const Flow& flow) const {
    const Range ports = on_one(flow);
    return ports.first != ports.second ? ports : on_any(flow);
  }
  [[nodiscard]] Range on_one(const Flow& flow) const {
    const Tuple& original = flow.original;
    return by_service_.equal_range(
        {original.destination, original.protocol, original.destination_port});
  }
  [[nodiscard]] Range on_any(const Flow& flow) const {
    const Tuple& original = flow.original;
    const IpAddress& address = original.destination;
    // What we translated came for a local address, whether or not it still is.
    if (flow.translator != Translator::us && !address.is_loopback() && !local_.contains(address))
      return {by_service_.end(), by_service_.end()};
    return by_service_.equal_range(
        {IpAddress::any(address.family()), original.protocol, original.destination_port});
  }
  // A reply comes from where the flow leads.
  static bool leads(const Range& ports, const Flow& flow) {
    return std::any_of(ports.first, ports.second, [&flow](const auto& port) {
      return flow.reply.source == port.second->endpoint &&
             flow.reply.source_port == port.second->endpoint_port;
    });
  }

  ByService by_service_;
  std::set<IpAddress> local_;
};

bool is_udp(const Flow& flow) {
  return flow.original.protocol == IPPROTO_UDP;
}

// Of a flow to an endpoint that we led it to: without a label none but UDP's, whose client finds its
// way again at once.
bool may_be_deleted(const Flow& flow) {
  if (flow.translator == Translator::us) return true;
  return is_udp(flow) && flow.translator != Translator::another;
}

// Of UDP, of a flow that leads anywhere else: who else translates it, or serves it, goes on.
bool may_be_led_elsewhere(const Flow& flow, const Ports& held, const PortChange& change) {
  if (!is_udp(flow)) return false;
  if (flow.translator == Translator::us) return true;
  if (flow.translator != Translator::nobody)
    return change.others_lead_to && !change.others_lead_to(flow.reply.source);
  const Tuple& to = flow.original;
  return held.has_on_one(flow) ||
         (change.kept && !change.kept(to.destination, to.destination_port));
}

// Which flows the kernel hands out. It may not know a filter, and hand out more: what is deleted is
// decided here.
struct Filter {
  bool translated_only = false;            // before Linux 5.15 it hands out all
  std::optional<std::uint8_t> protocol{};  // before 5.8 all
  std::optional<std::uint16_t> port{};     // of that protocol, to which the client sent
  std::optional<IpAddress> endpoint{};     // from which the replies come
  std::optional<IpAddress> source{};       // with a protocol: who began it; IPv4 as the endpoint
};

void put_filter(FlowRequest& request, const Filter& filter) {
  nlmsghdr* header = request.header();
  if (filter.translated_only) request.put_translated();
  if (filter.endpoint) {
    nlattr* tuple = mnl_attr_nest_start(header, CTA_TUPLE_REPLY);
    nlattr* addresses = mnl_attr_nest_start(header, CTA_TUPLE_IP);
    mnl_attr_put(header, CTA_IP_V4_SRC, 4, filter.endpoint->bytes().data());
    mnl_attr_nest_end(header, addresses);
    mnl_attr_nest_end(header, tuple);
    request.put_filter_flags(0, kFilterSource);
  } else if (filter.protocol) {
    nlattr* tuple = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
    if (filter.source) {
      nlattr* addresses = mnl_attr_nest_start(header, CTA_TUPLE_IP);
      mnl_attr_put(header, CTA_IP_V4_SRC, 4, filter.source->bytes().data());
      mnl_attr_nest_end(header, addresses);
    }
    nlattr* protocol = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
    mnl_attr_put_u8(header, CTA_PROTO_NUM, *filter.protocol);
    if (filter.port) mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(*filter.port));
    mnl_attr_nest_end(header, protocol);
    mnl_attr_nest_end(header, tuple);
    request.put_filter_flags(kFilterProtocol | (filter.port ? kFilterDestinationPort : 0) |
                                 (filter.source ? kFilterSource : 0),
                             0);
  }
}

// Kernels from 5.8 on take a filter by what the replies have, and until 5.16 (and 5.10.83, 5.15.6)
// hand out nothing then.
bool filters_by_reply() {
  utsname kernel{};
  if (uname(&kernel) != 0) return false;
  char* rest = nullptr;
  const long major = std::strtol(kernel.release, &rest, 10);
  const long minor = *rest == '.' ? std::strtol(rest + 1, nullptr, 10) : 0;
  return major > 5 || (major == 5 && minor >= 16);
}

// Of flows to all these ports, which are of one family.
Filter filter_for(std::span<const HeldPort* const> ports) {
  std::set<std::uint8_t> protocols;
  std::set<std::uint16_t> numbers;
  for (const HeldPort* port : ports) {
    protocols.insert(static_cast<std::uint8_t>(port->protocol));
    numbers.insert(port->port);
  }
  Filter filter;
  if (protocols.size() != 1) return filter;
  filter.protocol = *protocols.begin();
  if (numbers.size() == 1) filter.port = *numbers.begin();
  return filter;
}

// Of those that lead to their endpoints.
Filter filter_for_translated(std::span<const HeldPort* const> ports) {
  Filter filter = filter_for(ports);
  filter.translated_only = true;
  const IpAddress& endpoint = ports.front()->endpoint;
  const bool is_one = std::all_of(ports.begin(), ports.end(), [&endpoint](const HeldPort* port) {
    return port->endpoint == endpoint;
  });
  // By an IPv6 address the kernel hands out all but those that have it.
  if (!filter.port && is_one && endpoint.family() == Family::ipv4 && filters_by_reply())
    filter.endpoint = endpoint;
  return filter;
}

Error refused(const char* what, int error_number) {
  return mapping_failed(what, "conntrack flows", error_number);
}

// The errno of the first refusal among the replies, but for flows that are gone already; 0 without one.
Result<int> ask(Transport& transport, Bytes requests, const OnReply& on_reply) {
  int error_number = 0;
  const Status status = transport.exchange(requests, [&](const nlmsghdr& reply) {
    const Acknowledgement ack = acknowledgement(reply);
    if (ack.present && error_number == 0 && ack.error_number != ENOENT)
      error_number = ack.error_number;
    on_reply(reply);
  });
  if (!status) return status.error();
  return error_number;
}

// Deletes flows many at a time: their number is that of clients.
class Deletion {
 public:
  void add(const Flow& flow) {
    if (count_++ % kAtOnce == 0) requests_.emplace_back();
    FlowRequest request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK,
                        socket_family(flow.original.destination.family()), count_);
    request.put(CTA_TUPLE_ORIG | NLA_F_NESTED, flow.original_attributes);
    request.put(CTA_ZONE, flow.zone);
    request.put(CTA_ID, flow.id);  // a flow that took its place meanwhile has another
    const Bytes bytes = request.bytes();
    requests_.back().insert(requests_.back().end(), bytes.begin(), bytes.end());
  }
  // How many were there still.
  Result<std::size_t> carry_out(Transport& transport) const {
    std::size_t deleted = 0;
    for (const std::vector<std::uint8_t>& requests : requests_) {
      const Result<int> error_number = ask(transport, requests, [&deleted](const nlmsghdr& reply) {
        const Acknowledgement ack = acknowledgement(reply);
        deleted += ack.present && ack.error_number == 0 ? 1 : 0;
      });
      if (!error_number) return error_number.error();
      if (*error_number != 0) return refused("cannot delete", *error_number);
    }
    return deleted;
  }

 private:
  static constexpr std::uint32_t kAtOnce = 64;  // whose answers fit a socket's buffer
  std::vector<std::vector<std::uint8_t>> requests_;
  std::uint32_t count_ = 0;
};

Result<std::size_t> delete_flows(Transport& transport, std::uint8_t family, const Filter& filter,
                                 const std::function<bool(const Flow&)>& is_stale) {
  FlowRequest request(IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
  put_filter(request, filter);
  Deletion deletion;
  const Result<int> error_number = ask(transport, request.bytes(), [&](const nlmsghdr& reply) {
    const std::optional<Flow> flow = flow_of(reply);
    if (flow && is_stale(*flow)) deletion.add(*flow);
  });
  if (!error_number) return error_number.error();
  if (*error_number != 0) return refused("cannot list", *error_number);
  return deletion.carry_out(transport);
}

std::vector<const HeldPort*> ports_of(const std::vector<HeldPort>& ports, Family family,
                                      bool udp_only) {
  std::vector<const HeldPort*> found;
  for (const HeldPort& port : ports)
    if (port.address.family() == family && (!udp_only || port.protocol == Protocol::udp))
      found.push_back(&port);
  return found;
}

// What an ADD again leaves and holds as before needs no look, unless one address is another's now.
std::vector<HeldPort> no_longer_held(const PortChange& change) {
  std::vector<HeldPort> gone = change.left;
  if (gone.empty()) return gone;
  const std::set<HeldPort> stay(change.held.begin(), change.held.end());
  using Service = std::tuple<Family, Protocol, std::uint16_t>;
  std::set<Service> on_one;
  for (const HeldPort& port : change.held)
    if (!port.address.is_any()) on_one.emplace(port.address.family(), port.protocol, port.port);
  std::erase_if(gone, [&](const HeldPort& port) {
    const Service service{port.address.family(), port.protocol, port.port};
    return stay.contains(port) && !(port.address.is_any() && on_one.contains(service));
  });
  return gone;
}

// Whether the kernel did it, without handing out a flow.
bool end_at_once(Transport& transport, std::span<const HeldPort* const> left,
                 const PortChange& change) {
  return change.held.empty() && change.only_we_translate && can_end_flows(left) &&
         change.only_we_translate(left.front()->address.family()) && end_flows(transport, left);
}

}  // namespace

// The kernel filters within one family: it refuses a filter for both at once (EOPNOTSUPP).
Result<std::size_t> delete_stale_flows(Transport& transport, const PortChange& change,
                                       std::span<const IpAddress> local_addresses) {
  const std::vector<HeldPort> gone_ports = no_longer_held(change);
  const Ports left(gone_ports, local_addresses);
  const Ports held(change.held, local_addresses);
  std::size_t deleted = 0;
  for (const Family family : kFamilies) {
    const auto left_here = ports_of(gone_ports, family, /*udp_only=*/false);
    if (!left_here.empty() && !end_at_once(transport, left_here, change)) {
      const Result<std::size_t> gone =
          delete_flows(transport, socket_family(family), filter_for_translated(left_here),
                       [&](const Flow& flow) {
                         return may_be_deleted(flow) && left.led(flow) && !held.lead(flow);
                       });
      if (!gone) return gone.error();
      deleted += *gone;
    }
    const auto held_here = ports_of(change.held, family, /*udp_only=*/true);
    if (held_here.empty()) continue;
    const Result<std::size_t> gone = delete_flows(
        transport, socket_family(family), filter_for(held_here), [&](const Flow& flow) {
          return held.lead_elsewhere(flow) && may_be_led_elsewhere(flow, held, change);
        });
    if (!gone) return gone.error();
    deleted += *gone;
  }
  return deleted;
}

Result<std::size_t> delete_udp_flows_from(Transport& transport,
                                          const std::set<IpAddress>& addresses) {
  std::size_t deleted = 0;
  for (const Family family : kFamilies) {
    std::vector<IpAddress> own;
    for (const IpAddress& address : addresses)
      if (address.family() == family) own.push_back(address);
    if (own.empty()) continue;
    Filter filter{.protocol = static_cast<std::uint8_t>(Protocol::udp)};
    if (own.size() == 1 && family == Family::ipv4) filter.source = own.front();
    const Result<std::size_t> gone =
        delete_flows(transport, socket_family(family), filter, [&](const Flow& flow) {
          return is_udp(flow) && flow.translator == Translator::nobody &&
                 addresses.contains(flow.original.source);
        });
    if (!gone) return gone.error();
    deleted += *gone;
  }
  return deleted;
}

Result<std::size_t> delete_all_flows(Transport& transport) {
  return delete_flows(transport, AF_UNSPEC, {.translated_only = true},
                      [](const Flow& flow) { return flow.translator == Translator::us; });
}

}  // namespace portmapper::host

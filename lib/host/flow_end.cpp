#include "lib/host/flow_end.hpp"

#include <algorithm>
#include <vector>

#include "lib/host/flow_request.hpp"

namespace portmapper::host {
namespace {

void put_address(nlmsghdr* header, std::uint16_t type, const IpAddress& address) {
  nlattr* addresses = mnl_attr_nest_start(header, CTA_TUPLE_IP);
  mnl_attr_put(header, type, address.length(), address.bytes().data());
  mnl_attr_nest_end(header, addresses);
}

void put_port(nlmsghdr* header, Protocol protocol, std::uint16_t type, std::uint16_t port) {
  nlattr* part = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(header, CTA_PROTO_NUM, static_cast<std::uint8_t>(protocol));
  mnl_attr_put_u16(header, type, htons(port));
  mnl_attr_nest_end(header, part);
}

// Without both addresses of a tuple, no kernel finds one flow by it.
void add_request(const HeldPort& port, std::uint32_t sequence,
                 std::vector<std::uint8_t>& requests) {
  FlowRequest request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, socket_family(port.address.family()),
                      sequence);
  request.put_translated();
  nlmsghdr* header = request.header();
  nlattr* original = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
  if (!port.address.is_any()) put_address(header, CTA_IP_V4_DST, port.address);
  put_port(header, port.protocol, CTA_PROTO_DST_PORT, port.port);
  mnl_attr_nest_end(header, original);
  nlattr* reply = mnl_attr_nest_start(header, CTA_TUPLE_REPLY);
  put_address(header, CTA_IP_V4_SRC, port.endpoint);
  put_port(header, port.protocol, CTA_PROTO_SRC_PORT, port.endpoint_port);
  mnl_attr_nest_end(header, reply);
  request.put_filter_flags(
      kFilterProtocol | kFilterDestinationPort | (port.address.is_any() ? 0 : kFilterDestination),
      kFilterProtocol | kFilterSource | kFilterSourcePort);
  requests.insert(requests.end(), request.bytes().begin(), request.bytes().end());
}

}  // namespace

bool can_end_flows(std::span<const HeldPort* const> ports) {
  return ports.size() <= kMostEnded &&
         std::all_of(ports.begin(), ports.end(), [](const HeldPort* port) {
           return port->address.family() == Family::ipv4 && port->protocol != Protocol::sctp;
         });
}

bool end_flows(Transport& transport, std::span<const HeldPort* const> ports) {
  std::vector<std::uint8_t> requests;
  std::uint32_t sequence = 0;
  for (const HeldPort* port : ports) add_request(*port, ++sequence, requests);
  std::size_t ended = 0;
  const Status status = transport.exchange(requests, [&ended](const nlmsghdr& reply) {
    const Acknowledgement ack = acknowledgement(reply);
    ended += ack.present && ack.error_number == 0 ? 1 : 0;
  });
  return status && ended == ports.size();
}

}  // namespace portmapper::host

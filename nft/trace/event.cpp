#include "nft/trace/event.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "lib/base/port.hpp"
#include "nft/foreign/rule.hpp"
#include "nft/read/query.hpp"

namespace portmapper::nft::trace {
namespace {

constexpr auto kTcp = static_cast<std::uint8_t>(Protocol::tcp);
constexpr auto kUdp = static_cast<std::uint8_t>(Protocol::udp);
constexpr auto kSctp = static_cast<std::uint8_t>(Protocol::sctp);

std::uint16_t port_at(Bytes bytes, std::size_t at) {
  if (bytes.size() < at + 2) return 0;
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

bool read_network(Bytes bytes, Header& header) {
  constexpr std::size_t kIpv4 = 20;
  constexpr std::size_t kIpv6 = 40;
  const int version = bytes.empty() ? 0 : bytes[0] >> 4;
  if (version == 4 && bytes.size() >= kIpv4) {
    header.protocol = bytes[9];
    header.source = IpAddress::from_bytes(Family::ipv4, bytes.data() + 12);
    header.destination = IpAddress::from_bytes(Family::ipv4, bytes.data() + 16);
    return true;
  }
  if (version != 6 || bytes.size() < kIpv6) return false;
  header.protocol = bytes[6];
  header.source = IpAddress::from_bytes(Family::ipv6, bytes.data() + 8);
  header.destination = IpAddress::from_bytes(Family::ipv6, bytes.data() + 24);
  return true;
}

void read_transport(Bytes bytes, Header& header) {
  constexpr std::size_t kFlags = 13;
  switch (header.protocol) {
    case kTcp:
      if (bytes.size() > kFlags) header.tcp_flags = bytes[kFlags];
      [[fallthrough]];
    case kUdp:
    case kSctp:
      header.source_port = port_at(bytes, 0);
      header.destination_port = port_at(bytes, 2);
      return;
    case kIcmp:
    case kIcmpv6:
      if (bytes.size() < 2) return;
      header.icmp_type = bytes[0];
      header.icmp_code = bytes[1];
      return;
    default:
      return;
  }
}

std::optional<Header> parse_header(const Attributes& attributes) {
  const auto network = attributes.find(NFTA_TRACE_NETWORK_HEADER);
  const auto transport = attributes.find(NFTA_TRACE_TRANSPORT_HEADER);
  Header header;
  if (!network || !read_network(network->payload, header)) return std::nullopt;
  if (transport) read_transport(transport->payload, header);
  if (const auto input = attributes.find(NFTA_TRACE_IIF)) header.input = input->number32();
  if (const auto output = attributes.find(NFTA_TRACE_OIF)) header.output = output->number32();
  return header;
}

// A verdict of the network stack has its argument (the queue, an errno) in the upper half.
foreign::Verdict verdict_of(Bytes attributes) {
  foreign::Verdict verdict = foreign::parse_verdict(attributes);
  const auto code = Attributes(attributes).find(NFTA_VERDICT_CODE);
  if (!code || verdict.kind != foreign::Verdict::Kind::none) return verdict;
  const auto number = static_cast<std::int32_t>(code->number32());
  if (number < 0) return verdict;
  if ((number & NF_VERDICT_MASK) == NF_QUEUE) verdict.kind = foreign::Verdict::Kind::queue;
  if ((number & NF_VERDICT_MASK) == NF_DROP) verdict.kind = foreign::Verdict::Kind::drop;
  return verdict;
}

std::optional<Event::Kind> kind_of(std::uint32_t type) {
  switch (type) {
    case NFT_TRACETYPE_RULE:
      return Event::Kind::rule;
    case NFT_TRACETYPE_RETURN:
      return Event::Kind::leave;
    case NFT_TRACETYPE_POLICY:
      return Event::Kind::policy;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<Event> parse_event(const nlmsghdr& message) {
  if (!is_reply(message, NFT_MSG_TRACE)) return std::nullopt;
  const Attributes attributes(message_attributes(message, sizeof(nfgenmsg)));
  const auto type = attributes.find(NFTA_TRACE_TYPE);
  const auto kind = kind_of(type ? type->number32() : 0);
  if (!kind) return std::nullopt;
  Event event{.kind = *kind};
  event.chain.first.family = family_of(message);
  for (const Attribute& attribute : attributes) {
    if (attribute.type == NFTA_TRACE_ID) event.packet = attribute.number32();
    if (attribute.type == NFTA_TRACE_TABLE) event.chain.first.name = attribute.text();
    if (attribute.type == NFTA_TRACE_CHAIN) event.chain.second = attribute.text();
    if (attribute.type == NFTA_TRACE_RULE_HANDLE) event.handle = attribute.number64();
    if (attribute.type == NFTA_TRACE_VERDICT) event.verdict = verdict_of(attribute.payload);
    if (attribute.type == NFTA_TRACE_POLICY)
      event.verdict.kind = attribute.number32() == NF_DROP ? foreign::Verdict::Kind::drop
                                                           : foreign::Verdict::Kind::accept;
  }
  // The end of a base chain that no rule of it decided.
  if (event.kind == Event::Kind::rule && event.handle == 0) event.kind = Event::Kind::leave;
  event.header = parse_header(attributes);
  return event;
}

}  // namespace portmapper::nft::trace

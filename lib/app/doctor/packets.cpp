#include "lib/app/doctor/packets.hpp"

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>

#include "nft/netlink_message.hpp"

namespace portmapper::doctor {
namespace {

using nft::foreign::Blob;
using nft::foreign::Packet;
using nft::foreign::PacketField;

constexpr std::uint8_t kOriginal = 0;
constexpr std::uint8_t kReply = 1;
constexpr std::uint32_t kNew = NF_CT_STATE_BIT(IP_CT_NEW);
constexpr std::uint32_t kEstablished = NF_CT_STATE_BIT(IP_CT_ESTABLISHED_REPLY);

Blob number32(std::uint32_t number) {
  return nft::foreign::blob_of(host_number(number));
}

Blob number16(std::uint16_t number) {
  return nft::foreign::blob_of(network_number(number));
}

Blob bytes_of(const IpAddress& address) {
  return nft::foreign::blob_of({address.bytes().data(), address.length()});
}

Blob device_name(const std::string& name) {
  Blob blob(name.begin(), name.end());
  blob.resize(16);
  return blob;
}

PacketField source_of(Family family) {
  return family == Family::ipv4 ? PacketField::ip_saddr : PacketField::ip6_saddr;
}

PacketField destination_of(Family family) {
  return family == Family::ipv4 ? PacketField::ip_daddr : PacketField::ip6_daddr;
}

// What all packets of a connection to the port have, in this direction.
Packet packet_of(const nft::PublishedPort& port, bool is_answer) {
  const bool is_ipv4 = port.address.family() == Family::ipv4;
  // With and without what ECN adds.
  constexpr std::uint8_t kSyn = 0x02;
  constexpr std::uint8_t kSynEcn = 0xc2;
  constexpr std::uint8_t kSynAck = 0x12;
  constexpr std::uint8_t kSynAckEcn = 0x52;
  // Ports of clients, from the ranges that operating systems and address translators take them of.
  constexpr std::array<std::uint16_t, 4> kClientPorts = {1024, 32768, 49152, 65535};
  std::vector<Blob> ports;
  ports.reserve(kClientPorts.size());
  for (const std::uint16_t number : kClientPorts) ports.push_back(number16(number));
  Packet packet;
  packet.set(is_answer ? PacketField::dport : PacketField::sport, std::move(ports));
  packet.set(PacketField::nfproto, {{nft::protocol_family(port.address.family())}});
  packet.set(PacketField::ether_type, {number16(is_ipv4 ? ETH_P_IP : ETH_P_IPV6)});
  packet.set(PacketField::l4proto, {{static_cast<std::uint8_t>(port.protocol)}});
  if (port.protocol == Protocol::tcp)
    packet.set(PacketField::tcp_flags, is_answer ? std::vector<Blob>{{kSynAck}, {kSynAckEcn}}
                                                 : std::vector<Blob>{{kSyn}, {kSynEcn}});
  return packet;
}

void set_tracking(Packet& packet, const nft::PublishedPort& port, const Point& point) {
  switch (point.tracking) {
    case Point::Tracking::unknown:
      return;
    case Point::Tracking::none:
      packet.set(PacketField::ct_state, {number32(NF_CT_STATE_INVALID_BIT)});
      packet.set_absent(PacketField::ct_status);
      packet.set_absent(PacketField::ct_direction);
      packet.set_absent(PacketField::ct_original_dport);
      return;
    case Point::Tracking::done:
      break;
  }
  std::uint32_t status = 0;
  if (point.is_answer)
    status = IPS_DST_NAT | IPS_DST_NAT_DONE | IPS_SEEN_REPLY | IPS_CONFIRMED | IPS_SRC_NAT_DONE;
  else if (point.is_translated)
    status = IPS_DST_NAT | IPS_DST_NAT_DONE;
  packet.set(PacketField::ct_state, {number32(point.is_answer ? kEstablished : kNew)});
  packet.set(PacketField::ct_status, {number32(status)});
  packet.set(PacketField::ct_direction, {{point.is_answer ? kReply : kOriginal}});
  packet.set(PacketField::ct_original_dport, {number16(port.port.value())});
}

// The addresses at which clients reach the port; the loopback's only where it is published there.
std::vector<Blob> published_addresses(const std::vector<IpAddress>& own,
                                      const nft::PublishedPort& port, bool with_loopback) {
  if (!port.address.is_any()) return {bytes_of(port.address)};
  std::vector<Blob> addresses;
  for (const IpAddress& address : own)
    if (address.family() == port.address.family() && (with_loopback || !address.is_loopback()))
      addresses.push_back(bytes_of(address));
  return addresses;
}

void set_near(Packet& packet, const RoutedPort& port, bool is_answer) {
  const Family family = port.endpoint.address.family();
  packet.set(is_answer ? source_of(family) : destination_of(family),
             {bytes_of(port.endpoint.address)});
  packet.set(is_answer ? PacketField::sport : PacketField::dport,
             {number16(port.endpoint.port.value())});
}

void set_published(Packet& packet, const nft::PublishedPort& port, bool is_answer,
                   std::vector<Blob> addresses) {
  const Family family = port.address.family();
  if (!addresses.empty())
    packet.set(is_answer ? source_of(family) : destination_of(family), std::move(addresses));
  packet.set(is_answer ? PacketField::sport : PacketField::dport, {number16(port.port.value())});
}

void set_client(Packet& packet, const Host& host, Family family, bool is_answer) {
  const PacketField field = is_answer ? destination_of(family) : source_of(family);
  if (host.client && host.client->address.family() == family) {
    packet.set(field, {bytes_of(host.client->address)});
    return;
  }
  const auto between = [](const char* first, const char* last) {
    return nft::foreign::Interval{bytes_of(*IpAddress::parse(first)),
                                  bytes_of(*IpAddress::parse(last))};
  };
  static const std::array nobodies = {
      std::vector{between("0.0.0.0", "0.255.255.255"), between("127.0.0.0", "127.255.255.255"),
                  between("224.0.0.0", "239.255.255.255"),
                  between("255.255.255.255", "255.255.255.255")},
      std::vector{between("::", "::1"),
                  between("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
                  between("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}};
  packet.exclude(field, nobodies.at(static_cast<std::size_t>(family)));
}

void set_devices(Packet& packet, bool is_input, const std::vector<host::Device>& devices) {
  std::vector<Blob> names;
  std::vector<Blob> indexes;
  for (const host::Device& device : devices) {
    if (device.name.empty()) return;
    names.push_back(device_name(device.name));
    indexes.push_back(number32(device.index));
  }
  if (names.empty()) return;
  packet.set(is_input ? PacketField::iifname : PacketField::oifname, std::move(names));
  packet.set(is_input ? PacketField::iif : PacketField::oif, std::move(indexes));
}

bool is_among(const std::vector<host::Device>& devices, const std::string& name) {
  return std::any_of(devices.begin(), devices.end(),
                     [&name](const host::Device& device) { return device.name == name; });
}

// Whether the packets' source is routed by the interface that they come by, for all that is known of
// their ways. The test client is a neighbour.
bool is_routed_back(const Host& host, const RoutedPort& port, bool is_answer,
                    const std::vector<host::Device>& clients) {
  bool is_known = !is_answer && host.probe && clients.size() == 1 && is_among(clients, *host.probe);
  for (const Way& way : port.ways) {
    const Crossing& request = way.request;
    if (!way.answer || (!is_answer && !is_among(clients, request.in))) continue;
    const Crossing& there = is_answer ? request : *way.answer;
    const Crossing& back = is_answer ? *way.answer : request;
    if (there.refusal != 0 || there.is_local || there.out != back.in) return false;
    is_known = true;
  }
  return is_known;
}

void set_reverse(Packet& packet, const std::vector<host::Device>& devices) {
  std::vector<Blob> indexes;
  for (const host::Device& device : devices)
    if (device.index != 0) indexes.push_back(number32(device.index));
  packet.set(PacketField::reverse_presence, {number32(1)});
  if (!indexes.empty()) packet.set(PacketField::reverse_oif, std::move(indexes));
}

void set_no_device(Packet& packet, bool is_input) {
  packet.set(is_input ? PacketField::iifname : PacketField::oifname, {device_name({})});
  packet.set(is_input ? PacketField::iif : PacketField::oif, {number32(0)});
}

}  // namespace

Packet packet_at(const Host& host, const RoutedPort& port, const Point& point,
                 const std::vector<host::Device>& clients) {
  const Family family = port.published.address.family();
  Packet packet = packet_of(port.published, point.is_answer);
  set_tracking(packet, port.published, point);
  // Of the four ends, the client's is open.
  if (point.is_answer != point.is_translated)
    set_near(packet, port, point.is_answer);
  else
    set_published(packet, port.published, point.is_answer,
                  published_addresses(host.addresses, port.published, /*with_loopback=*/false));
  set_client(packet, host, family, point.is_answer);
  const bool is_local = !point.is_answer && !point.is_translated;
  packet.set(PacketField::daddr_type, {number32(is_local ? RTN_LOCAL : RTN_UNICAST)});
  const std::vector<host::Device> near = {port.device};
  if (point.has_input)
    set_devices(packet, true, point.is_answer ? near : clients);
  else
    set_no_device(packet, true);
  if (point.has_input && is_routed_back(host, port, point.is_answer, clients))
    set_reverse(packet, point.is_answer ? near : clients);
  if (point.has_output)
    set_devices(packet, false, point.is_answer ? clients : near);
  else
    set_no_device(packet, false);
  return packet;
}

Packet arriving_packet(const nft::PublishedPort& port, const std::vector<IpAddress>& addresses) {
  Packet packet = packet_of(port, false);
  set_tracking(packet, port, {});
  set_published(packet, port, false, published_addresses(addresses, port, true));
  packet.set(PacketField::daddr_type, {number32(RTN_LOCAL)});
  return packet;
}

Packet leaving_packet(const nft::PublishedPort& port) {
  Packet packet = packet_of(port, true);
  set_tracking(packet, port, {.is_answer = true});
  packet.set(PacketField::ct_status, {number32(IPS_SEEN_REPLY | IPS_CONFIRMED)});
  set_published(packet, port, true, published_addresses({}, port, true));
  packet.set(PacketField::daddr_type, {number32(RTN_UNICAST)});
  set_no_device(packet, true);
  return packet;
}

void set_passage(Packet& packet, const host::Device& device, bool is_leaving) {
  set_devices(packet, !is_leaving, {device});
}

void set_open(Packet& packet) {
  constexpr std::uint8_t kAck = 0x10;
  constexpr std::uint8_t kPushAck = 0x18;
  constexpr std::uint32_t kStatus = IPS_DST_NAT | IPS_DST_NAT_DONE | IPS_SRC_NAT_DONE |
                                    IPS_SEEN_REPLY | IPS_CONFIRMED | IPS_ASSURED;
  packet.set(PacketField::tcp_flags, {{kAck}, {kPushAck}});
  const std::vector<Blob>* const states = packet.find(PacketField::ct_state);
  if (states == nullptr || *states == std::vector<Blob>{number32(NF_CT_STATE_INVALID_BIT)}) return;
  packet.set(PacketField::ct_state, {number32(kEstablished)});
  packet.set(PacketField::ct_status, {number32(kStatus)});
}

void set_device_names(Packet& packet, PacketField field, const std::vector<std::string>& names) {
  std::vector<Blob> blobs;
  blobs.reserve(names.size());
  for (const std::string& name : names) blobs.push_back(device_name(name));
  if (!blobs.empty()) packet.set(field, std::move(blobs));
  if (field == PacketField::iifname) packet.forget(PacketField::iif);
  if (field == PacketField::oifname) packet.forget(PacketField::oif);
}

}  // namespace portmapper::doctor

#include "lib/app/doctor/packets.hpp"

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>

#include <cstring>

namespace portmapper {
namespace {

constexpr std::uint8_t kOriginal = 0;
constexpr std::uint8_t kReply = 1;
constexpr std::uint32_t kNew = NF_CT_STATE_BIT(IP_CT_NEW);
constexpr std::uint32_t kEstablished = NF_CT_STATE_BIT(IP_CT_ESTABLISHED_REPLY);

Blob host_number(std::uint32_t number) {
  Blob blob(sizeof number);
  std::memcpy(blob.data(), &number, sizeof number);
  return blob;
}

Blob number16(std::uint32_t number) {
  return {static_cast<std::uint8_t>(number >> 8 & 0xff), static_cast<std::uint8_t>(number & 0xff)};
}

Blob bytes_of(const IpAddress& address) {
  return {address.bytes().begin(),
          address.bytes().begin() + static_cast<std::ptrdiff_t>(address.length())};
}

Blob device_name(const std::string& name) {
  Blob blob(name.begin(), name.end());
  blob.resize(16);
  return blob;
}

// What all packets of a connection to the port have.
Packet packet_of(const PublishedPort& port) {
  const bool is_ipv4 = port.address.family() == Family::ipv4;
  Packet packet;
  packet.set(PacketField::nfproto,
             {{is_ipv4 ? std::uint8_t{NFPROTO_IPV4} : std::uint8_t{NFPROTO_IPV6}}});
  packet.set(PacketField::ether_type, {number16(is_ipv4 ? ETH_P_IP : ETH_P_IPV6)});
  packet.set(PacketField::l4proto, {{static_cast<std::uint8_t>(port.protocol)}});
  packet.set(PacketField::ct_original_dport, {number16(port.port.value())});
  return packet;
}

Packet translated(const RoutedPort& port, std::uint32_t status) {
  Packet packet = packet_of(port.published);
  packet.set(PacketField::ct_status, {host_number(IPS_DST_NAT | IPS_DST_NAT_DONE | status)});
  packet.set(PacketField::daddr_type, {host_number(RTN_UNICAST)});
  return packet;
}

// A packet goes between the container's device and any other.
void set_devices(Packet& packet, const Device& near, const std::vector<Device>& devices,
                 bool is_answer) {
  std::vector<Blob> names;
  std::vector<Blob> indexes;
  for (const Device& device : devices) {
    if (device.name == near.name) continue;
    names.push_back(device_name(device.name));
    indexes.push_back(host_number(device.index));
  }
  if (!near.name.empty()) {
    packet.set(is_answer ? PacketField::iifname : PacketField::oifname, {device_name(near.name)});
    packet.set(is_answer ? PacketField::iif : PacketField::oif, {host_number(near.index)});
  }
  if (names.empty()) return;
  packet.set(is_answer ? PacketField::oifname : PacketField::iifname, std::move(names));
  packet.set(is_answer ? PacketField::oif : PacketField::iif, std::move(indexes));
}

}  // namespace

Packet first_packet(const RoutedPort& port, const std::vector<Device>& devices) {
  const bool is_ipv4 = port.endpoint.address.family() == Family::ipv4;
  Packet packet = translated(port, 0);
  packet.set(PacketField::ct_state, {host_number(kNew)});
  packet.set(PacketField::ct_direction, {{kOriginal}});
  packet.set(is_ipv4 ? PacketField::ip_daddr : PacketField::ip6_daddr,
             {bytes_of(port.endpoint.address)});
  packet.set(PacketField::dport, {number16(port.endpoint.port.value())});
  set_devices(packet, port.device, devices, false);
  return packet;
}

Packet answer_packet(const RoutedPort& port, const std::vector<Device>& devices) {
  const bool is_ipv4 = port.endpoint.address.family() == Family::ipv4;
  Packet packet = translated(port, IPS_SEEN_REPLY | IPS_CONFIRMED | IPS_SRC_NAT_DONE);
  packet.set(PacketField::ct_state, {host_number(kEstablished)});
  packet.set(PacketField::ct_direction, {{kReply}});
  packet.set(is_ipv4 ? PacketField::ip_saddr : PacketField::ip6_saddr,
             {bytes_of(port.endpoint.address)});
  packet.set(PacketField::sport, {number16(port.endpoint.port.value())});
  set_devices(packet, port.device, devices, true);
  return packet;
}

Packet arriving_packet(const PublishedPort& port, const std::vector<IpAddress>& addresses) {
  const Family family = port.address.family();
  Packet packet = packet_of(port);
  packet.set(PacketField::ct_state, {host_number(kNew)});
  packet.set(PacketField::ct_status, {host_number(0)});
  packet.set(PacketField::ct_direction, {{kOriginal}});
  packet.set(PacketField::daddr_type, {host_number(RTN_LOCAL)});
  packet.set(PacketField::dport, {number16(port.port.value())});
  std::vector<Blob> destinations;
  if (!port.address.is_any()) destinations.push_back(bytes_of(port.address));
  for (const IpAddress& address : addresses)
    if (port.address.is_any() && address.family() == family)
      destinations.push_back(bytes_of(address));
  if (!destinations.empty())
    packet.set(family == Family::ipv4 ? PacketField::ip_daddr : PacketField::ip6_daddr,
               std::move(destinations));
  return packet;
}

}  // namespace portmapper

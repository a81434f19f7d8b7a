#include "lib/app/doctor/packets.hpp"

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/rtnetlink.h>

#include "nft/netlink_message.hpp"

namespace portmapper::doctor {
namespace {

constexpr std::uint8_t kOriginal = 0;
constexpr std::uint8_t kReply = 1;
constexpr std::uint32_t kNew = NF_CT_STATE_BIT(IP_CT_NEW);
constexpr std::uint32_t kEstablished = NF_CT_STATE_BIT(IP_CT_ESTABLISHED_REPLY);

nft::foreign::Blob number32(std::uint32_t number) {
  return nft::foreign::blob_of(host_number(number));
}

nft::foreign::Blob number16(std::uint16_t number) {
  return nft::foreign::blob_of(network_number(number));
}

nft::foreign::Blob bytes_of(const IpAddress& address) {
  return nft::foreign::blob_of({address.bytes().data(), address.length()});
}

nft::foreign::Blob device_name(const std::string& name) {
  nft::foreign::Blob blob(name.begin(), name.end());
  blob.resize(16);
  return blob;
}

// What all packets of a connection to the port have.
nft::foreign::Packet packet_of(const nft::PublishedPort& port) {
  const bool is_ipv4 = port.address.family() == Family::ipv4;
  nft::foreign::Packet packet;
  packet.set(nft::foreign::PacketField::nfproto, {{nft::protocol_family(port.address.family())}});
  packet.set(nft::foreign::PacketField::ether_type, {number16(is_ipv4 ? ETH_P_IP : ETH_P_IPV6)});
  packet.set(nft::foreign::PacketField::l4proto, {{static_cast<std::uint8_t>(port.protocol)}});
  packet.set(nft::foreign::PacketField::ct_original_dport, {number16(port.port.value())});
  return packet;
}

nft::foreign::Packet translated(const RoutedPort& port, std::uint32_t status) {
  nft::foreign::Packet packet = packet_of(port.published);
  packet.set(nft::foreign::PacketField::ct_status,
             {number32(IPS_DST_NAT | IPS_DST_NAT_DONE | status)});
  packet.set(nft::foreign::PacketField::daddr_type, {number32(RTN_UNICAST)});
  return packet;
}

// A packet goes between the container's device and any other.
void set_devices(nft::foreign::Packet& packet, const host::Device& near,
                 const std::vector<host::Device>& devices, bool is_answer) {
  std::vector<nft::foreign::Blob> names;
  std::vector<nft::foreign::Blob> indexes;
  for (const host::Device& device : devices) {
    if (device.name == near.name) continue;
    names.push_back(device_name(device.name));
    indexes.push_back(number32(device.index));
  }
  if (!near.name.empty()) {
    packet.set(is_answer ? nft::foreign::PacketField::iifname : nft::foreign::PacketField::oifname,
               {device_name(near.name)});
    packet.set(is_answer ? nft::foreign::PacketField::iif : nft::foreign::PacketField::oif,
               {number32(near.index)});
  }
  if (names.empty()) return;
  packet.set(is_answer ? nft::foreign::PacketField::oifname : nft::foreign::PacketField::iifname,
             std::move(names));
  packet.set(is_answer ? nft::foreign::PacketField::oif : nft::foreign::PacketField::iif,
             std::move(indexes));
}

}  // namespace

void set_arrival(nft::foreign::Packet& packet, const host::Device& device) {
  packet.set(nft::foreign::PacketField::iifname, {device_name(device.name)});
  packet.set(nft::foreign::PacketField::iif, {number32(device.index)});
}

nft::foreign::Packet first_packet(const RoutedPort& port,
                                  const std::vector<host::Device>& devices) {
  const bool is_ipv4 = port.endpoint.address.family() == Family::ipv4;
  nft::foreign::Packet packet = translated(port, 0);
  packet.set(nft::foreign::PacketField::ct_state, {number32(kNew)});
  packet.set(nft::foreign::PacketField::ct_direction, {{kOriginal}});
  packet.set(is_ipv4 ? nft::foreign::PacketField::ip_daddr : nft::foreign::PacketField::ip6_daddr,
             {bytes_of(port.endpoint.address)});
  packet.set(nft::foreign::PacketField::dport, {number16(port.endpoint.port.value())});
  set_devices(packet, port.device, devices, false);
  return packet;
}

nft::foreign::Packet answer_packet(const RoutedPort& port,
                                   const std::vector<host::Device>& devices) {
  const bool is_ipv4 = port.endpoint.address.family() == Family::ipv4;
  nft::foreign::Packet packet = translated(port, IPS_SEEN_REPLY | IPS_CONFIRMED | IPS_SRC_NAT_DONE);
  packet.set(nft::foreign::PacketField::ct_state, {number32(kEstablished)});
  packet.set(nft::foreign::PacketField::ct_direction, {{kReply}});
  packet.set(is_ipv4 ? nft::foreign::PacketField::ip_saddr : nft::foreign::PacketField::ip6_saddr,
             {bytes_of(port.endpoint.address)});
  packet.set(nft::foreign::PacketField::sport, {number16(port.endpoint.port.value())});
  set_devices(packet, port.device, devices, true);
  return packet;
}

nft::foreign::Packet arriving_packet(const nft::PublishedPort& port,
                                     const std::vector<IpAddress>& addresses) {
  const Family family = port.address.family();
  nft::foreign::Packet packet = packet_of(port);
  packet.set(nft::foreign::PacketField::ct_state, {number32(kNew)});
  packet.set(nft::foreign::PacketField::ct_status, {number32(0)});
  packet.set(nft::foreign::PacketField::ct_direction, {{kOriginal}});
  packet.set(nft::foreign::PacketField::daddr_type, {number32(RTN_LOCAL)});
  packet.set(nft::foreign::PacketField::dport, {number16(port.port.value())});
  std::vector<nft::foreign::Blob> destinations;
  if (!port.address.is_any()) destinations.push_back(bytes_of(port.address));
  for (const IpAddress& address : addresses)
    if (port.address.is_any() && address.family() == family)
      destinations.push_back(bytes_of(address));
  if (!destinations.empty())
    packet.set(family == Family::ipv4 ? nft::foreign::PacketField::ip_daddr
                                      : nft::foreign::PacketField::ip6_daddr,
               std::move(destinations));
  return packet;
}

}  // namespace portmapper::doctor

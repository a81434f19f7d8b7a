// The packets of a published port, as other tables see them along their way.
//
//   // The first of a connection, at forward, where it is translated already.
//   const nft::foreign::Packet packet =
//       packet_at(Host(), port, {.is_translated = true, .has_output = true}, devices);
//
// A client's address is not set, unless the operator named one, but it is none that the kernel
// forwards nothing from; its port is one that clients have, and it comes by any of the devices that are
// given. Bytes as nft/foreign/foreign says. Errors: none. Source: kernel nf_conntrack_common.h,
// rtnetlink.h, net/netfilter/nft_meta.c (a device that a hook does not have has an empty name and index
// 0); net/ipv4/route.c (ip_route_input_slow, martian sources), net/ipv6/ip6_output.c (ip6_forward).
#pragma once

#include <vector>

#include "lib/app/doctor/doctor.hpp"
#include "nft/foreign/walk.hpp"

namespace portmapper::doctor {

// Where a packet is on its way.
struct Point {
  enum class Tracking : std::uint8_t { none, unknown, done };
  bool is_answer = false;
  // The request's destination is the endpoint; the answer's source is the published port again.
  bool is_translated = false;
  Tracking tracking = Tracking::done;
  bool has_input = true;
  bool has_output = false;
};

// `clients`: by which devices requests come and answers go; with none they can be any.
nft::foreign::Packet packet_at(const Host& host, const RoutedPort& port, const Point& point,
                               const std::vector<host::Device>& clients);
// At prerouting and output, before any translation; `addresses` are the host's own.
nft::foreign::Packet arriving_packet(const nft::PublishedPort& port,
                                     const std::vector<IpAddress>& addresses);
// At output, a reply of who has the port, where nothing is translated.
nft::foreign::Packet leaving_packet(const nft::PublishedPort& port);
// It comes by this device, or goes by it.
void set_passage(nft::foreign::Packet& packet, const host::Device& device, bool is_leaving);
// Sets what differs when its connection is open: no SYN, and conntrack has seen both directions.
void set_open(nft::foreign::Packet& packet);

// Sets one of the fields iifname, oifname, ibrname and obrname, and with it iif or oif to anything.
void set_device_names(nft::foreign::Packet& packet, nft::foreign::PacketField field,
                      const std::vector<std::string>& names);

}  // namespace portmapper::doctor

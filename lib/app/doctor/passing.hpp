// Passings: which base chains of others the packets of a published port meet on their way, and as
// what.
//
//   const Host host;  // ctl::doctor reads it
//   if (stretch_of(chain) == Stretch::before)
//     for (const Passing& passing : passings(host, chain, port, Clients::main))
//       use(travel(host.others, chain, passing.packet), passing.is_answer);
//
//   client > ingress, bridge > raw, conntrack, mangle > TRANSLATION > forward > postrouting > egress
//                        before                                       middle        behind
//
// Both directions are here: the request of a client, and the container's answer to it, which enters
// by the container's device and leaves by the client's. What the host itself sends is not; and a port
// that is published on 127.0.0.0/8 or ::1 has nothing but that. Errors: none. Does not promise: to
// know which port of a bridge is whose. Source: kernel include/uapi/linux/netfilter_ipv4.h
// (priorities), net/netfilter/nf_nat_core.c (all NAT chains of a hook run at dstnat and srcnat).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/app/doctor/doctor.hpp"
#include "nft/foreign/walk.hpp"

namespace portmapper::doctor {

inline constexpr std::int32_t kConntrackPriority = -200;

enum class Stretch : std::uint8_t { before, middle, behind };
// Nothing: no packet of a published port meets it.
std::optional<Stretch> stretch_of(const nft::foreign::Chain& base);

enum class Clients : std::uint8_t {
  main,  // those that come by the default route's devices, or the one that the operator named
  all,   // any device but the container's
};
std::vector<host::Device> client_devices(const Host& host, const RoutedPort& port, Clients clients);

struct Passing {
  nft::foreign::Packet packet;
  bool is_answer = false;
  // Not all packets of the port in this direction meet the chain, or it is not known in which order.
  bool is_partial = false;
};
std::vector<Passing> passings(const Host& host, const nft::foreign::Chain& base,
                              const RoutedPort& port, Clients clients);
// The same for clients that come by these devices.
std::vector<Passing> passings(const Host& host, const nft::foreign::Chain& base,
                              const RoutedPort& port, std::vector<host::Device> devices);

}  // namespace portmapper::doctor

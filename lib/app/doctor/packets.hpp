// The packets of a published port, as other tables see them at their hooks.
//
//   // The first of a connection, at forward, where it is translated already.
//   const nft::foreign::Packet packet = first_packet(port, devices);
//
// What a client chooses (its address and port) is not set; it comes by any device of the host but
// the container's. Bytes as nft/foreign/foreign says. Errors: none. Source: kernel
// nf_conntrack_common.h, rtnetlink.h.
#pragma once

#include <vector>

#include "lib/app/doctor/doctor.hpp"
#include "nft/foreign/walk.hpp"

namespace portmapper::doctor {

// At forward, to the container and back to the client.
nft::foreign::Packet first_packet(const RoutedPort& port, const std::vector<host::Device>& devices);
nft::foreign::Packet answer_packet(const RoutedPort& port,
                                   const std::vector<host::Device>& devices);
// At prerouting and output, before any translation; `addresses` are the host's own.
nft::foreign::Packet arriving_packet(const nft::PublishedPort& port,
                                     const std::vector<IpAddress>& addresses);
// It comes by this device.
void set_arrival(nft::foreign::Packet& packet, const host::Device& device);

}  // namespace portmapper::doctor

// attempt_all: whether somebody answers at some addresses and ports, by real connections.
//
//   const Destination where[] = {{Protocol::tcp, address, *Port::from(8080)}};
//   const std::vector<Answer> answers = attempt_all(where);  // one for each
//
// TCP: a connection is made and closed at once. UDP: an empty datagram is sent, and who says nothing
// may still have taken it. Nothing is sent by SCTP. All are tried together, from the network
// namespace of the calling thread. Units: a TCP connection has 1.5 seconds, so that one lost SYN is
// sent again, a datagram 0.3. Errors: `untried` where no socket can be had, or the host's own rules
// forbid to send. Does not promise: that whoever answered is who should.
// Source: tcp(7), udp(7), ip(7).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"

namespace portmapper::host {

struct Destination {
  Protocol protocol;
  IpAddress address;
  Port port;

  auto operator<=>(const Destination&) const = default;
};

enum class Answer : std::uint8_t {
  untried,
  answered,     // connected, or a datagram came back
  refused,      // a reset, or "port unreachable"
  unreachable,  // no route, here or on the way
  silent,       // nothing came; of UDP that is no bad sign
};

std::vector<Answer> attempt_all(std::span<const Destination> destinations);

}  // namespace portmapper::host

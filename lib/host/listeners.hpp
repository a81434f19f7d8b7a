// Listeners: which processes of this network namespace listen on a port.
//
//   std::vector<Listener> found = listeners(Protocol::tcp, 8080);
//   // {"nginx", 4711, 127.0.0.1}
//
// Ports are in host byte order. Errors: none; what cannot be read is not there, and a socket whose
// process cannot be seen has pid 0. Does not promise: sctp, which /proc lists elsewhere.
// Source: proc(5), /proc/net/tcp and the socket links of /proc/PID/fd.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"

namespace portmapper::host {

struct Listener {
  std::string process;
  int pid = 0;
  IpAddress address;
};

std::vector<Listener> listeners(Protocol protocol, std::uint16_t port);

}  // namespace portmapper::host

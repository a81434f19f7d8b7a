// Service: one port served on every path, TCP and UDP, IPv4 and IPv6.
//
//   const Service service(lab.ns("abc"), "abc", 80);
//   ask(lab.client(), Protocol::udp, "2001:db8::1", 8080);  // "abc 2001:db8::2"
//
// Errors: those of Server. Does not promise: that the namespace has addresses of both families.
#pragma once

#include <string>

#include "tests/support/traffic.hpp"

namespace portmapper::test {

struct Service {
  Service(const std::string& ns, const std::string& name, std::uint16_t port)
      : tcp(ns, name, Protocol::tcp, "0.0.0.0", port),
        tcp6(ns, name, Protocol::tcp, "::", port),
        udp(ns, name, Protocol::udp, "0.0.0.0", port),
        udp6(ns, name, Protocol::udp, "::", port) {}

  Server tcp;
  Server tcp6;
  Server udp;
  Server udp6;
};

}  // namespace portmapper::test

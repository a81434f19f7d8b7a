// Listeners: the sockets of this network namespace that wait for somebody on a port, and whose they are.
//
//   Result<Netlink> sockets = Netlink::open(NETLINK_SOCK_DIAG);
//   const ListenPort wanted[] = {{Protocol::tcp, *Port::from(8080)}};
//   Result<std::vector<Listener>> found = find_listeners(*sockets, wanted);
//   if (found && !found->empty()) name_processes(*found);  // {"nginx", 4711} on 0.0.0.0
//
// A listener is a TCP or SCTP socket that listens, or a UDP socket that is connected to nobody.
// find_listeners is one dump for each protocol and address family, of one port alone where there is
// but one. name_processes goes through /proc, which costs as much as there are open files on the
// host: call it for those that matter. A process chooses its name itself: print it through
// lib/base/escape. Ports are in host byte order. Errors: mapping_failed with the errno where the
// kernel lists no sockets; where it knows no SCTP, nothing listens there. Does not promise: that a
// process is found; one of another PID namespace, the kernel's own sockets and those that one may
// not see have pid 0. Source: sock_diag(7), kernel net/ipv4/inet_diag.c, udp_diag.c; proc(5).
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"
#include "lib/base/port.hpp"

namespace portmapper::host {

struct ListenPort {
  Protocol protocol;
  Port port;

  auto operator<=>(const ListenPort&) const = default;
};

struct Listener {
  ListenPort port;
  IpAddress address;        // 0.0.0.0 and :: are any; IPv4 where an IPv6 socket has such an address
  bool also_ipv4 = false;   // of :: alone: it is 0.0.0.0 as well
  std::uint64_t inode = 0;  // 0: no process has the socket
  std::string process{};    // what the process calls itself
  int pid = 0;              // 0: it cannot be seen here

  bool operator==(const Listener&) const = default;
};

Result<std::vector<Listener>> find_listeners(Transport& sockets, std::span<const ListenPort> ports);
// The same of whatever port.
Result<std::vector<Listener>> all_listeners(Transport& sockets, Protocol protocol);

// Where several processes have a socket, the one with the lowest number, but conmon before all: it
// holds sockets that podman opened, which podman too has for a moment.
void name_processes(std::span<Listener> listeners);

}  // namespace portmapper::host

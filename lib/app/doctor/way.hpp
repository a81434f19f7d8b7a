// Way: how the packets of one published port and one client cross the host.
//
//   Way way{.client = *IpAddress::parse("192.0.2.2")};
//   way.request = {.in = "eth0", .out = "cni0"};       // from the client to the endpoint
//   way.answer = Crossing{.in = "cni1", .refusal = EXDEV};  // and back: rp_filter of cni1 drops it
//
// What a crossing holds, the kernel's own route lookup said (lib/host/route_lookup), with the policy
// rules, rp_filter and forwarding of the interface, and the mark that rules give (marks). The answer comes by the interface that the
// container's own route leads to, which with two networks is not always the one of the request.
// Errors: a refusal is the kernel's errno. Source: lib/host/route_lookup.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/ip_address.hpp"
#include "lib/host/interfaces.hpp"
#include "lib/host/route_lookup.hpp"

namespace portmapper::doctor {

// What rules mark packets with before they are routed.
struct Mark {
  std::optional<std::uint32_t> number{0};  // nothing: not known
  std::string by{};                        // the last rule that gives one; empty: none does
};

struct Crossing {
  std::string in{};       // the interface by which the packet comes
  int refusal = 0;        // errno; 0: it goes on
  std::string out{};      // the one by which it goes on
  bool is_local = false;  // it ends at the host
  Mark mark{};            // that it was routed with; where it is not known, without one
};

struct Way {
  IpAddress client{};
  Crossing request{};
  std::optional<Crossing> back{};    // in the container's namespace; nothing: not known
  std::optional<Crossing> answer{};  // nothing: it is translated before it is routed
};

// Sysctls of one interface; nothing: there is no such.
struct DeviceSettings {
  std::optional<std::int64_t> forwards{};   // net.ipv4.conf.DEVICE.forwarding
  std::optional<std::int64_t> rp_filter{};  // the higher of its own and that of "all"
  std::optional<std::int64_t> forced6{};    // net.ipv6.conf.DEVICE.force_forwarding
};

// A client, and where it comes in.
struct ClientPlace {
  IpAddress address;
  std::uint32_t device = 0;
};

// Clients that stand for all that may come: a neighbour on each interface that has addresses and
// leads to no container, and one behind the default route. A pure function of what rtnetlink has.
// `containers`: interfaces that lead to endpoints.
std::vector<ClientPlace> stand_ins(const std::vector<host::Interface>& interfaces,
                                   const std::vector<host::InterfaceAddress>& addresses,
                                   const std::vector<host::DefaultRoute>& defaults,
                                   const std::vector<std::uint32_t>& containers);

}  // namespace portmapper::doctor

// healthy_host: what the doctor would have read of a host where all is well, for unit tests.
//
//   doctor::Host host = healthy_host();     // 0.0.0.0:8080/tcp and [::]:8080/tcp of web/abc/eth0
//   host.ports[0].ways[0].request.refusal = EXDEV;
//   CHECK(told(doctor::diagnose(host)) == "problem: rp_filter of eth0 drops ... | why | command\n");
//
//   eth0 (2)  192.0.2.1/24, the clients'
//   cni0 (3)  10.22.0.1/16, with port veth0 (4), the other end of the container's eth0 (2)
//
// Errors: none. Does not promise: to be all that diagnose() looks at.
#pragma once

#include <string>
#include <vector>

#include "lib/app/doctor/doctor.hpp"

namespace portmapper::test {

inline constexpr std::uint64_t kNetnsOfAbc = 77;

inline doctor::RoutedPort routed_port(const std::string& published, const std::string& endpoint,
                                      const std::string& client) {
  doctor::RoutedPort port{{*IpAddress::parse(published), Protocol::tcp, *Port::from(8080)},
                          {*IpAddress::parse(endpoint), *Port::from(80)}};
  port.device = {"cni0", 3};
  port.owner = "web/abc/eth0";
  port.netns = kNetnsOfAbc;
  doctor::Way way{.client = *IpAddress::parse(client)};
  way.request = {.in = "eth0", .out = "cni0"};
  way.back = doctor::Crossing{};
  way.answer = doctor::Crossing{.in = "cni0", .out = "eth0"};
  port.ways = {way};
  return port;
}

inline host::Interface interface_of(const std::string& name, std::uint32_t index,
                                    const std::string& kind = "") {
  host::Interface interface { .name = name, .index = index, .kind = kind };
  interface.is_up = true;
  interface.has_carrier = true;
  interface.mtu = 1500;
  return interface;
}

inline doctor::Inside inside_of_abc() {
  doctor::Inside inside;
  inside.path = "/run/netns/abc";
  inside.interfaces = {interface_of("eth0", 2, "veth")};
  inside.interfaces[0].peer = 4;
  inside.addresses = {{2, *IpPrefix::parse("10.22.0.2/16")}, {2, *IpPrefix::parse("fd00::2/64")}};
  inside.listed = {Protocol::tcp, Protocol::udp, Protocol::sctp};
  inside.listeners = {{.port = {Protocol::tcp, *Port::from(80)},
                       .address = IpAddress::any(Family::ipv6),
                       .also_ipv4 = true}};
  return inside;
}

inline doctor::Host healthy_host() {
  doctor::Host host;
  host.ports = {routed_port("0.0.0.0", "10.22.0.2", "192.0.2.2"),
                routed_port("::", "fd00::2", "2001:db8::2")};
  host.addresses = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")};
  host.devices = {{"eth0", 2}, {"cni0", 3}};
  host.interfaces = {interface_of("eth0", 2), interface_of("cni0", 3, "bridge"),
                     interface_of("veth0", 4, "veth")};
  host.interfaces[2].peer = 2;
  host.interfaces[2].master = 3;
  host.interfaces[2].port = host::BridgePort{};
  host.prefixes = {{2, *IpPrefix::parse("192.0.2.1/24")}, {3, *IpPrefix::parse("10.22.0.1/16")}};
  host.settings = {{"eth0", {1, 0, 0}}, {"cni0", {1, 0, 0}}};
  host.insides = {{kNetnsOfAbc, inside_of_abc()}};
  host.forwards = 1;
  host.forwards6 = 1;
  host.has_table = true;
  host.bridge_calls = 0;
  host.bridge_calls6 = 0;
  host.connections = 10;
  host.most_connections = 1000;
  return host;
}

// Of the first port alone, the IPv4 one.
inline doctor::Host host_of_one_port() {
  doctor::Host host = healthy_host();
  host.ports.pop_back();
  return host;
}

// What is found, a line each: "problem: what | why | command".
inline std::string told(const std::vector<doctor::Finding>& findings) {
  std::string text;
  for (const doctor::Finding& finding : findings) {
    if (finding.level == doctor::Finding::Level::ok) continue;
    text += finding.level == doctor::Finding::Level::note ? "note: " : "problem: ";
    text += finding.what + " | " + finding.why + " | " + finding.command + "\n";
  }
  return text;
}

}  // namespace portmapper::test

// The example of ruleset.nft as values: container "abc" of network "web", chain MESOS-WEB.
//
//   insertion(example_plan()), removal(example_holding()), prefix("10.22.0.2/16"), ...
//
// The short makers end the program (an empty optional) on what is not an address or a port.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nft/installed_ports.hpp"
#include "nft/plan.hpp"

namespace portmapper::test {

inline IpAddress address(const char* text) {
  return IpAddress::parse(text).value();
}
inline IpPrefix prefix(const char* text) {
  return IpPrefix::parse(text).value();
}
inline Port port(int number) {
  return Port::from(number).value();
}
inline nft::PublishedPort published(const char* host, Protocol protocol, int number) {
  return {address(host), protocol, port(number)};
}
inline nft::Endpoint endpoint(const char* container, int number) {
  return {address(container), port(number)};
}
// Any address of both families where `host` is null.
inline PortMapping mapping(const char* host, Protocol protocol, int host_port, int container_port) {
  return {host == nullptr ? std::nullopt : std::optional(address(host)), protocol, port(host_port),
          port(container_port)};
}

inline nft::PlanInput example_input() {
  return {.attachment = {"web", "abc", "eth0"},
          .netns = {},
          .chain = {"MESOS-WEB", {"mesos-cni0", "docker0"}},
          .mappings = {mapping(nullptr, Protocol::tcp, 8080, 80),
                       mapping("192.0.2.1", Protocol::udp, 5353, 53)},
          .addresses = {prefix("10.22.0.2/16"), prefix("fd00::2/64")}};
}

inline nft::Plan example_plan() {
  return nft::make_plan(example_input());
}

// What the kernel holds after the example's insertion.
inline nft::InstalledPorts example_holding() {
  const nft::Plan plan = example_plan();
  nft::InstalledPorts installed;
  installed.owner = nft::owner_hash(plan.attachment);
  installed.comment = "web/abc/eth0";
  installed.chain = plan.chain.name;
  for (const nft::Translation& translation : plan.translations)
    installed.ports.push_back({static_cast<std::uint32_t>(installed.ports.size()),
                               translation.published, true, translation.endpoint});
  return installed;
}

}  // namespace portmapper::test

// Plan: what one ADD wants in the kernel, as pure data.
//
//   const Plan plan = make_plan({.attachment = {"web", "abc", "eth0"},
//                                .mappings = conf.mappings, .addresses = prefixes});
//   to_string(plan);  // one deterministic text, for tests and render
//
// A pure function of its input: no I/O, no clock, no environment; it knows neither JSON nor
// netlink. IPv4 translations come before IPv6 ones, each in the order of the mappings; the first
// address of a family is the one that ports lead to. Ports are in host byte order. Errors: none; a
// mapping whose host address is of a family that the container lacks is left out with a note. Does
// not promise: that the ports are free. Source: packaging/doc/design.md, "The ruleset".
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "lib/base/attachment.hpp"
#include "lib/base/match.hpp"
#include "lib/base/network_namespace.hpp"
#include "nft/published_port.hpp"

namespace portmapper::nft {

// One CNI network's chain: its name, and what its rules depend on.
struct NetworkChain {
  std::string name;
  std::vector<std::string> exclude_devices{};  // "docker0"; "veth*" for all that begin so
  std::vector<IpPrefix> exclude_addresses{};   // where ports on any address are not the container's
  std::vector<Match> conditions_v4{};          // of the connections that are translated
  std::vector<Match> conditions_v6{};
  std::string network{};  // whose it is; empty: it has no restrictions, and all may use it
};

// Whether ports on any address leave the address to others.
bool excludes(const NetworkChain& chain, const IpAddress& address);

// What a configuration says of what is masqueraded, of both families.
struct EgressWish {
  std::vector<IpPrefix> stays{};  // nonMasqueradeCIDRs
  std::vector<IpAddress> snat{};  // snatAddress: one of a family, or none
};

// What leaves one subnet of one network.
struct EgressNetwork {
  std::string network;
  IpPrefix subnet;
  std::vector<IpPrefix> stays{};
  std::optional<IpAddress> snat{};  // nothing: that of the interface by which it leaves

  auto operator<=>(const EgressNetwork&) const = default;
};

// One address of the container.
struct EgressSource {
  IpAddress address;
  EgressNetwork network;

  auto operator<=>(const EgressSource&) const = default;
};

struct PlanInput {
  Attachment attachment{};
  NetworkNamespace netns{};
  NetworkChain chain{};
  std::vector<PortMapping> mappings{};
  std::vector<IpPrefix> addresses{};  // of the container's interface
  bool snat = true;
  bool masq_all = false;
  bool close_connections = true;
  Pod pod{};
  std::optional<EgressWish> egress{};
};

struct Translation {
  PublishedPort published;
  Endpoint endpoint;
  bool standby = false;  // a sibling publishes the port: decided by nft/conflicts, never by a plan
  bool operator==(const Translation&) const = default;
};

// Clients in `source` that reach `destination` through a published port are masqueraded.
struct Hairpin {
  IpPrefix source;
  IpPrefix destination;
  auto operator<=>(const Hairpin&) const = default;
};

struct Plan {
  Attachment attachment;
  NetworkNamespace netns;
  NetworkChain chain;
  std::vector<Translation> translations;
  std::vector<Hairpin> hairpins;
  std::vector<IpPrefix> subnets;   // what the pairs lead to, also where there are none
  std::string localnet_device{};   // by which 127.0.0.0/8 reaches the container; empty: it does not
  std::string loopback6_device{};  // by which ::1 does, with a route
  std::vector<std::string> notes;  // what was left out, and why
  bool is_restored = false;        // from a runtime's record, not by its ADD
  bool is_seen_changed = false;    // likewise: what its ADD published leads elsewhere by now
  bool close_connections = true;   // of ports that give way, of TCP and SCTP too
  Pod pod{};                       // what the container is called, for who lists its ports
  std::vector<IpAddress> addresses{};  // that the container has
  std::vector<EgressSource> egress{};  // what of it is masqueraded
};

Plan make_plan(PlanInput input);

// Whether the family's loopback addresses, 127.0.0.0/8 or ::1, are to reach one of the ports.
bool wants_loopback(const Plan& plan, Family family);
bool is_reachable_by_loopback(const PublishedPort& port);
// The first of the family that they may reach; null: none.
const Translation* reachable_by_loopback(std::span<const Translation> translations, Family family);
// By which device they reach the container: of a Plan, or of InstalledPorts.
template <typename T>
auto& loopback_device(T& one, Family family) {
  return family == Family::ipv4 ? one.localnet_device : one.loopback6_device;
}
// The devices by which they reach the plans' containers.
std::set<std::string> loopback_devices_of(std::span<const Plan* const> plans, Family family);
// The plan without that, since it does not reach the container.
void leave_loopback_out(Plan& plan, Family family, const std::string& why);
// "the ports do not answer on the host's ::1"
std::string no_answer_by_loopback(Family family);
std::string to_string(const Plan& plan);

}  // namespace portmapper::nft

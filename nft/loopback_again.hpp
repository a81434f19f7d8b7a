// Which ports ::1 reaches, decided again: br_netfilter may have come, or gone, since their ADD.
//
//   const LoopbackAgain again = decide_loopback_again(LoopbackView{});
//   for (const std::string& finding : again.findings) use(finding);
//   commit(transport, again.repair);                              // one batch
//   for (const auto& [device, ports] : again.routes) use(device);  // that get the route, behind it
//
// A pure function. A port is to be in loopback-ip6 where its attachment wants ::1, there is a pair of
// ::1 and the container's subnet, and replies reach the host. An attachment that does not tell (a
// listing was loaded) wants it where it is recorded to have it. Errors: none. Does not promise: to judge ports
// on 127.0.0.0/8, for which no such thing changes. Source: packaging/doc/design.md, "Host effects".
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "nft/owner_entry.hpp"
#include "nft/transaction.hpp"

namespace portmapper::nft {

// A published port of any IPv6 address or of ::1, and where it leads.
struct LoopbackPort {
  OwnerEntry owner;
  std::string comment;  // of its claim
  IpAddress endpoint;
};

// Of all that was read of the ports, those that ::1 may reach.
using ClaimsByPort = std::map<PublishedPort, ClaimEntry>;
using EndpointsByPort = std::map<PublishedPort, IpAddress>;
std::vector<LoopbackPort> loopback_ports(const std::vector<OwnerEntry>& owners,
                                         const ClaimsByPort& claims,
                                         const EndpointsByPort& endpoints);

// The interface towards a container.
struct LoopbackLink {
  std::string device;
  std::string obstacle{};      // why ::1 does not reach him by it: "eth0 is down"; empty: it does
  bool forbids_route = false;  // the obstacle, whoever needs the route
};

struct LoopbackView {
  std::vector<LoopbackPort> ports;
  std::vector<Hairpin> hairpins;
  std::map<PublishedPort, std::string> listed;  // with their comments, in loopback-ip6
  std::map<OwnerHash, std::string> users;       // in loopback-users
  std::set<std::string> recorded;               // in loopback-routes
  std::map<OwnerHash, LoopbackLink> links;      // of owners that are attached to one
  std::set<std::string> routed;                 // the devices that have the route
};

struct LoopbackAgain {
  std::vector<std::string> findings;  // each is mended
  Transaction repair;
  // Devices that get the route, each with the ports that are not to be led there without it.
  std::map<std::string, std::vector<PublishedPort>> routes;
};
LoopbackAgain decide_loopback_again(const LoopbackView& view);

}  // namespace portmapper::nft

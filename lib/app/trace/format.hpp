// The way of a packet as text for people, and of all of them as JSON.
//
//   const Known known{.port = port8080};
//   const Told told{Story{.number = 1, .request = Packet()}, Conclusion()};
//   format(told, known);         // "Packet 1: 192.0.2.2:41234 to ...\n\n  prerouting ..."
//   format_json({told}, known);  // as schemas/trace.schema.json says
//
//   Packet 1: 192.0.2.2:41234 to 192.0.2.1:8080/tcp
//
//     prerouting, from lan0
//       inet nft-port-mapper, chain prerouting (nat, priority -99)
//         meta nfproto ipv4 meta l4proto . th dport @published-ip goto any-address
//         ...
//       destination is now 10.22.0.2:80
//     forward, from lan0 to cni0
//       ip filter, chain FORWARD (filter, priority 0)
//         no rule decides  [policy drop]
//
//   Dropped in forward, by the policy (drop) of chain FORWARD of table ip filter: ...
//
// A pure function. Chains that see the packet and let it pass without a rule are shown with their
// policy. Names from the kernel are made printable. Errors: none. Does not promise: that the text
// stays as it is; the JSON does. Source: lib/app/trace/story.
#pragma once

#include <string>
#include <vector>

#include "lib/app/trace/story.hpp"

namespace portmapper::trace {

// Who publishes the port, a line each; or that nobody does.
std::string format_publishers(const Known& known);
std::string format(const Told& told, const Known& known);
std::string format_json(const std::vector<Told>& all, const Known& known);

}  // namespace portmapper::trace

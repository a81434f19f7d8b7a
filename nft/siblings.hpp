// Siblings: attachments of one container, which wants the same ports on each of its networks.
//
//   const InstalledPorts& gone = *snapshot.installed;
//   const std::vector<InstalledPorts> next = successors(gone, {}, *snapshot.siblings);
//   use(next.size());  // nft/transaction's promotion() puts them into the batch of the DEL
//
// The attachment that came first publishes a port. The others stand by: they have an owner entry,
// and an element of map `standby` that says where the port would lead. When the publisher leaves,
// one of them is promoted: the one with the lowest hash, so that everybody decides alike.
// A sibling has the same container ID and the same network namespace; where a namespace is not
// recorded (a table loaded by nft -f), the ID decides. Pure functions. Errors: none. Does not
// promise: a promotion where somebody else has an overlapping port meanwhile; then it stands by on.
// Source: packaging/doc/design.md, "Siblings".
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "nft/snapshot.hpp"

namespace portmapper::nft {

// As with bind(2): any address and one address of the same port.
bool overlap(const PublishedPort& a, const PublishedPort& b);

// Whether nobody recorded another one since.
bool same_record(const NetworkNamespace& a, const NetworkNamespace& b);

// Nothing: the comment was shortened by a version that kept no hash.
std::optional<OwnerHash> container_of(const InstalledPorts& installed);
bool is_sibling(const InstalledPorts& installed, const Plan& plan);

// The ports of `plan` that a sibling of `occupancy` publishes, or overlaps with, become standby.
void stand_by(Plan& plan, const Occupancy& occupancy);

// Whether anybody may be promoted when `leaving` leaves its ports.
bool has_successors(const InstalledPorts& leaving);

// Who gets which of the ports that `leaving` leaves; `kept`: those that it publishes again.
// Of each successor, the ports that it gets: `standby` is where each will lead, `endpoint` a leftover
// target in its way.
std::vector<InstalledPorts> successors(const InstalledPorts& leaving,
                                       std::span<const Translation> kept,
                                       const std::map<OwnerHash, Sibling>& siblings);

}  // namespace portmapper::nft

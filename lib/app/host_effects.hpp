// Host effects: what an ADD and a DEL do beside nftables: a sysctl for 127.0.0.1, a route for ::1, stale
// flows.
//
//   find_way_of_loopback(plan);  // before anything is decided
//   const Status status = effects_of_add(transport, plan, {}, notes);  // the elements are there
//   const nft::CommitResult gone = commit_closing(transport, transaction, left_open);  // of a DEL
//   effects_of_dels(transport, {&installed, 1}, notes);            // after they are gone
//
// The effects come after the batch: the localnet-guard is in it, and a flow that ends before the
// elements change would begin again as it was. A device is closed (the sysctl reset, the route
// removed) before its record goes, so that
// none stays open without one; an ADD that began to need it meanwhile makes the kernel refuse the
// batch, and it is opened again. After a lost answer it stays closed, since its record may be gone.
// Errors: mapping_failed only where a port of 127.0.0.0/8 or ::1 alone could not work; everything else is a
// note for the operator, since the ports themselves work. Does not promise: that no note repeats.
// Source: packaging/doc/design.md, "Host effects".
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/commit.hpp"
#include "nft/installed_ports.hpp"
#include "nft/plan.hpp"

namespace portmapper::app {

// By which interfaces 127.0.0.1 and ::1 reach the plan's container, if its ports are to answer there.
// Only one that the container is attached to may be opened: the default route's would be the uplink.
// ::1 does not where something is in its way (lib/host/loopback_route).
void find_way_of_loopback(nft::Plan& plan);

// `left_open`: why a device could not be closed, one error for each. Its record stays, for those who
// may.
nft::CommitResult commit_closing(Transport& transport, const nft::Transaction& transaction,
                                 std::vector<Error>& left_open);

// Closes a device that no record was seen of; false where there is one now, of an ADD meanwhile, or no
// such device any more.
Result<bool> close_unrecorded(Transport& transport, Family family, const std::string& device);

// `left`: what gave way to the plan. Of it, flows end to the endpoints that are named.
Status effects_of_add(Transport& transport, const nft::Plan& plan,
                      std::span<const nft::InstalledPorts> left, std::vector<std::string>& notes);
// The same for many plans, with one dump of the flows. Each result stands at its plan's index.
std::vector<Status> effects_of_adds(Transport& transport, std::span<const nft::Plan* const> plans,
                                    std::span<const nft::InstalledPorts> left,
                                    std::vector<std::string>& notes);
// IPv6 ports that ::1 cannot reach: a connection that is translated all the same would hang. Without
// the generation, since whatever changed meanwhile does not mend that.
void unlist_loopback6(Transport& transport, std::span<const nft::PublishedPort> ports);
// Of nft/siblings' successors, to which ports lead now.
void effects_of_promotion(Transport& transport, std::span<const nft::InstalledPorts> successors,
                          std::vector<std::string>& notes);
// Of all attachments that a command removed, likewise.
void effects_of_dels(Transport& transport, std::span<const nft::InstalledPorts> gone,
                     std::vector<std::string>& notes);
// Of the whole table.
void effects_of_flush(Transport& transport, std::vector<std::string>& notes);

}  // namespace portmapper::app

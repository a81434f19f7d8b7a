// Conflicts: what stands in the way of a plan, and whether it may be removed.
//
//   Result<Transaction> removals = resolve_conflicts(netlink, plan, local_addresses);
//
// Looked for only after the kernel refused an element with EEXIST. May be removed: what the same
// attachment had before, all that a dead owner has, elements that no owner entry stands for. An
// owner is dead when its network namespace is gone or an endpoint of it has the address that was
// just given to us. Errors: mapping_failed naming every port that a living owner has, the owner's
// container and network. Does not promise: to be still true; the transaction carries the generation
// read first. Source: shared design, section 4 "ADD".
#pragma once

#include <span>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/transaction.hpp"

namespace portmapper::app {

Result<nft::Transaction> resolve_conflicts(Transport& transport, nft::Plan& plan,
                                           std::span<const IpAddress> local_addresses);

}  // namespace portmapper::app

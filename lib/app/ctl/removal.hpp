// remove_each: withdraws attachments, and tells what became of each.
//
//   std::vector<std::string> notes;
//   const Listing listing = *read_listing(transport);
//   const auto dead = nft::decide_prune(listing.owners, listing.life);
//   for (const Fate& fate : remove_each(transport, listing, dead, /*dry_run=*/true, notes))
//     use(fate.comment, fate.ports);  // would be removed
//
// In the order of `withdrawals`; flows of all of them end at once. A dry run changes nothing. `notes`
// gets what went wrong beside it. Errors: each Fate has its own. Source: packaging/doc/design.md, "The
// commands".
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "lib/app/ctl/listing.hpp"
#include "lib/base/netlink.hpp"
#include "nft/decide.hpp"

namespace portmapper::ctl {

struct Fate {
  enum class Kind { removed, changed, unknown, failed };
  Kind kind;
  std::string comment;  // "web/abc/eth0"
  std::size_t ports = 0;
  std::string error{};  // why it failed
};

Fate fate_of(Fate::Kind kind, const Listing& listing, const nft::OwnerHash& owner);

std::vector<Fate> remove_each(Transport& transport, const Listing& listing,
                              const std::vector<nft::Withdrawal>& withdrawals, bool dry_run,
                              std::vector<std::string>& notes);

}  // namespace portmapper::ctl

// end_left_over: withdraws what a saved ruleset brought back of containers that are gone.
//
//   LeftOver told;
//   const auto none = []() -> Result<std::set<nft::OwnerHash>> { return std::set<nft::OwnerHash>(); };
//   const Status done = end_left_over(transport, none, /*dry_run=*/false, told);
//
// A ruleset that was saved with nft list ruleset has the ports of that day, and a reload or the next
// boot publishes them again, whoever has the containers' addresses by then. Its owners have no network
// namespace on record, which tells them from all others. Withdrawn are those that are proven dead,
// and those that have `ended` by the runtime's own record, which is asked for only where there are
// such owners. It counts only in the host's first namespaces, where the runtimes' paths lead to
// what they mean.
// `told` gets a line for each, among the problems if it could not be removed. Errors: mapping_failed as nft/read/reader. Does not promise: to find
// a container whose record went with its DEL, while somebody has its address.
// Source: packaging/doc/design.md, "Restore".
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/names.hpp"

namespace portmapper::ctl {

struct LeftOver {
  std::vector<std::string> notes{};
  std::vector<std::string> problems{};
};

Status end_left_over(Transport& transport,
                     const std::function<Result<std::set<nft::OwnerHash>>()>& ended, bool dry_run,
                     LeftOver& told);

}  // namespace portmapper::ctl

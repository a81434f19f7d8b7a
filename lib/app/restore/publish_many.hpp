// publish_many: publishes the ports of thousands of attachments in a few batches.
//
//   const Status mended = mend(transport, plans);  // skeleton, network chains, hairpins
//   const auto each = publish_many(transport, plans, Mode::publish);  // the result of each
//
// mend builds in one batch what is missing or not ours of the skeleton and of the plans' network
// chains, and adds the hairpins that are not there; what is as we build it is not touched. Plans
// are in the order of their age, oldest first. Where two disagree about a network chain that must
// be built, the later one wins, as its ADD would have. publish_many then inserts elements alone,
// some thousands in a batch. A batch that is refused is halved until the plans that were refused
// stand alone, which are published as an ADD does it. Each plan is in the kernel whole or not at
// all. Errors: as publish, for each plan. Source: packaging/doc/design.md, "Restore".
#pragma once

#include <span>
#include <vector>

#include "lib/app/publish.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/plan.hpp"

namespace portmapper::restore {

using Plans = std::span<const nft::Plan* const>;

Status mend(Transport& transport, Plans plans);

enum class Mode { publish, dry_run };
// What was published of each.
// Mode::dry_run changes nothing, and says what would be refused.
std::vector<Result<app::Published>> publish_many(Transport& transport, Plans plans, Mode mode);

}  // namespace portmapper::restore

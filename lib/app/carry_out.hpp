// carry_out: reads, decides and commits until the kernel has taken the decision.
//
//   const CarriedOut done = carry_out(transport, {.plan = &plan, .network = &plan.chain},
//                                     [&](const nft::Snapshot& s) { return decide_add(plan, s); });
//   if (!done.status) return done.status;
//
// Reads what the decision asks for, section by section; tries again when others changed the ruleset
// meanwhile, and when a refusal teaches something that the decision did not know. A batch that is too
// long for this user namespace goes in parts (nft/parts), each on the generation that the one before
// it left: what is refused is undone, and what has begun is not half done but where the process or
// `undo` is cut off, after which a DEL removes it. Errors: the decision's refusal; the kernel's; try_again_later (11). Source:
// packaging/doc/design.md, "Read, decide, commit".
#pragma once

#include <functional>

#include "lib/app/look.hpp"
#include "lib/base/netlink.hpp"
#include "nft/decide.hpp"

namespace portmapper::app {

using Decide = std::function<nft::Decision(const nft::Snapshot&)>;
using Commit = std::function<nft::CommitResult(Transport&, const nft::Transaction&)>;
using Undo = std::function<void()>;  // of parts that were taken before one was refused

// Adds to `snapshot` until the decision is a transaction.
Result<nft::Transaction> read_and_decide(Transport& transport, const Subject& subject,
                                         const Decide& decide, nft::Snapshot& snapshot);

struct CarriedOut {
  Status status;
  nft::Snapshot snapshot;     // what the last decision was made on
  bool is_committed = false;  // there was something to do, and it is done
  bool is_uncertain = false;  // the kernel's answer was lost: the batch may have been taken
};

CarriedOut carry_out(Transport& transport, const Subject& subject, const Decide& decide,
                     const Commit& commit = nft::commit, const Undo& undo = {});

}  // namespace portmapper::app

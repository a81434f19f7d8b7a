// decide: what a command wants and what it knows become one transaction.
//
//   Decision decision = decide_add(plan, snapshot);
//   std::get_if<Transaction>(&decision);  // commit it; no operations: nothing to do, if the
//                                         // generation that it names is still so
//   std::get_if<ReadMore>(&decision);     // read this section, then decide again
//   std::get_if<Error>(&decision);        // a living owner has the port
//
// Pure functions: no I/O, no clock. What a decision rests on is guarded in its transaction: by
// creating elements exclusively, or by the generation of the snapshot. tests/model tries every
// interleaving of them. Errors: port_taken naming every port that a living owner has, the owner's
// container and network. Source: packaging/doc/design.md, "Read, decide, commit".
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "lib/base/error.hpp"
#include "nft/commit.hpp"
#include "nft/owner_entry.hpp"
#include "nft/snapshot.hpp"
#include "nft/transaction.hpp"

namespace portmapper::nft {

struct ReadMore {
  Section section;
};
using Decision = std::variant<Transaction, ReadMore, Error>;

// Whether an owner lives. Only the dead lose their ports: without proof it is unknown.
//
//   namespace   addresses
//   gone        any                  dead      whoever has its address now is another
//   exists      any                  alive     a task may serve an address that is not there
//   empty       inside               alive     pinned, with its interface
//   empty       nowhere              dead      pinned, and nothing in it ever answers
//   empty       elsewhere, unknown   unknown
//   unrecorded  elsewhere            alive     it may be there
//   unrecorded  nowhere              dead      its ports lead to nothing
//   unrecorded  unknown              unknown
//   unknown     any                  unknown   an address in our sight says nothing of another's
enum class Liveness : std::uint8_t { alive, dead, unknown };
Liveness liveness_of(const LifeSigns& signs);

// ADD, and ADD again: all ports of the plan or none. Puts back skeleton and network chain where
// they are not as we build them, replaces what the same attachment had, and takes ports over from
// dead owners.
Decision decide_add(const Plan& plan, const Snapshot& snapshot);

// The ports of several plans at once, whose rules and hairpins are there. Errors: with EEXIST where
// somebody has a claim that overlaps; each plan alone may still find its way.
Decision decide_insertion(std::span<const Plan* const> plans, const Snapshot& snapshot);

// Whose ports go. `only`: the namespace that the decision to withdraw was made about; nothing is
// withdrawn from an attachment that was made again in another one. `only_restored`: nor what an ADD
// published.
struct Withdrawal {
  OwnerHash owner{};
  std::string chain;  // where its targets are, if its entries do not say
  std::optional<NetworkNamespace> only{};
  bool only_restored = false;
  bool seeks_lost =
      false;  // its claims that no owner entry stands for as well, though none says so
};
Decision decide_withdrawal(const Withdrawal& withdrawal, const Snapshot& snapshot);

// Whose owner is dead, each with the namespace that this was decided on.
std::vector<Withdrawal> decide_prune(const std::vector<OwnerEntry>& entries,
                                     const std::map<OwnerHash, LifeSigns>& signs);
// Whom a ruleset brought back that was saved before they ended, and loaded again: owners without a
// recorded namespace that are dead, or, whoever has their address now, of whom the runtime's own
// record says so (`ended`).
std::vector<Withdrawal> decide_left_over(const std::vector<OwnerEntry>& entries,
                                         const std::map<OwnerHash, LifeSigns>& signs,
                                         const std::set<OwnerHash>& ended);
// Which attachments of `network` are not in `valid`, likewise. `chain`: that of the network's
// configuration.
std::vector<Withdrawal> decide_gc(const std::vector<OwnerEntry>& entries,
                                  const std::string& network, const std::set<OwnerHash>& valid,
                                  const std::string& chain);

// A network chain in whose maps nothing is left goes, its maps and the jump with it.
Decision decide_network_removal(const std::string& chain, const Snapshot& snapshot);

// What is missing or not ours of the skeleton, of the plans' network chains and of their hairpins.
// Plans come oldest first: where they disagree about a chain, nft/rebuilding says which counts.
Decision decide_mending(std::span<const Plan* const> plans, const Snapshot& snapshot);

// Of plans, oldest first: which cannot have their chain, since an earlier one of another network
// restricts it otherwise.
std::vector<bool> without_chain(std::span<const Plan* const> plans);

// The skeleton alone, where it is not as we build it.
Decision decide_skeleton(const Snapshot& snapshot);

// The skeleton and the network chain, whatever there is: what STATUS tries.
Decision decide_build(const NetworkChain& network, const Snapshot& snapshot);

// Adds what a refusal teaches. False: it teaches nothing new, so trying again does not help.
bool learn(Snapshot::Refused& refused, const Refusal& refusal);

}  // namespace portmapper::nft

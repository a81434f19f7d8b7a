// egress: masquerades what leaves a container, and ends it (`ipMasq`).
//
//   const Status done = masquerade(transport, plan);  // of a plan with `egress`
//   const Result<bool> gone = unmasquerade(transport, nft::owner_hash(plan.attachment));
//   const Result<EgressView> view = look_at_egress(transport);
//   if (view) use(check_masquerade(*view, plan));
//
// Each reads, decides and commits until the kernel takes it; what has nothing to do changes nothing. An
// `only` namespace: what was made again in another one meanwhile stays. UDP flows that an address began
// end where it is led elsewhere, or no more. Errors: the kernel's; try_again_later (11). Does not promise:
// an end of connections that are masqueraded; they go on as they began. Source: packaging/doc/egress.md.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/egress_state.hpp"
#include "nft/plan.hpp"

namespace portmapper::app {

Status masquerade(Transport& transport, const nft::Plan& plan);
// Of a plan without `egress`: ends what an ADD before began, and what led one of its addresses for a
// container that is dead, or for nobody on record.
Status leave_unmasqueraded(Transport& transport, const nft::Plan& plan);

// True: there was something.
Result<bool> unmasquerade(Transport& transport, const nft::OwnerHash& owner,
                          const std::optional<NetworkNamespace>& only = std::nullopt,
                          nft::LastOne last_one = nft::LastOne::takes_table);

// The same of what `restore` or the watch began.
Result<bool> take_back_masquerade(Transport& transport, const nft::OwnerHash& owner,
                                  const NetworkNamespace& netns);

// By the attachments' names; what could not be ended keeps no other from its end.
struct Unmasqueraded {
  std::vector<std::string> ended{};    // or, of a dry run, what would be
  std::vector<std::string> unknown{};  // nobody can tell from here whether they live
  std::vector<Error> failures{};
  bool ended_table = false;  // an ADD had left it empty
};
// Of the attachments of a network that are not in `valid`.
Result<Unmasqueraded> unmasquerade_unknown(Transport& transport, const std::string& network,
                                           const std::set<nft::OwnerHash>& valid);
// Of those whose container is dead.
Result<Unmasqueraded> unmasquerade_dead(Transport& transport, bool dry_run);
// Of those whom a saved ruleset brought back: without a recorded namespace, and dead or `ended`.
Result<Unmasqueraded> unmasquerade_left_over(Transport& transport,
                                             const std::set<nft::OwnerHash>& ended, bool dry_run);
// Of those that are meant.
Result<Unmasqueraded> unmasquerade_meant(
    Transport& transport, const std::function<bool(const nft::EgressEntry&)>& is_meant);
// True: there was a table.
Result<bool> delete_egress_table(Transport& transport);

// What the table has, and the rules of its chains.
struct EgressView {
  nft::EgressState state{};
  nft::EgressRules rules{};
};
Result<EgressView> look_at_egress(Transport& transport);
// What is not as the plan's ADD left it.
std::vector<std::string> check_masquerade(const EgressView& view, const nft::Plan& plan);
struct EgressAudit {
  std::uint32_t generation = 0;  // before it was read
  std::vector<nft::EgressFinding> damage{};
  std::vector<std::string> dead{};  // attachments
  std::vector<std::string>
      notes{};  // a snatAddress that is on no interface: its leavers get no answer
};
// Whatever the configurations say.
Result<EgressAudit> audit_masquerade(Transport& transport);
// Puts back what needs no configuration. True: something was missing.
Result<bool> mend_masquerade(Transport& transport);
// Who is masqueraded, of one network or of all; and whether the table is there.
struct Masqueraded {
  bool has_table = false;
  std::vector<std::string> names{};
};
Result<Masqueraded> masqueraded(Transport& transport, const std::optional<std::string>& network);

}  // namespace portmapper::app

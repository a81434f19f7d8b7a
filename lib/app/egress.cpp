#include "lib/app/egress.hpp"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <map>

#include "lib/app/host_notes.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/conntrack.hpp"
#include "lib/host/life_signs.hpp"
#include "lib/host/local_addresses.hpp"
#include "nft/commit.hpp"
#include "nft/decide.hpp"

namespace portmapper::app {
namespace {

using DecideEgress = std::function<Result<nft::Transaction>(const nft::EgressState&)>;

// True: something was committed.
Result<bool> change_egress(Transport& transport, const DecideEgress& decide) {
  for (Retry retry; retry.again();) {
    const Result<nft::EgressState> state = nft::read_egress(transport);
    if (!state && changed_concurrently(state.error().error_number)) continue;
    if (!state) return state.error();
    Result<nft::Transaction> decided = decide(*state);
    if (!decided && changed_concurrently(decided.error().error_number)) continue;
    if (!decided) return decided.error();
    nft::Transaction transaction = *std::move(decided);
    if (transaction.operations.empty()) return false;
    nft::CommitResult result = nft::commit(transport, transaction);
    if (result.refusal && result.refusal->error_number == EBUSY) {  // somebody's rule goes there
      transaction = nft::without_chain_ends(transaction);
      result = nft::commit(transport, transaction);
    }
    if (result) {
      // Where the kernel has no conntrack, or hands out no flows, those that there are go on.
      const std::set<IpAddress> addresses = nft::led_anew(transaction, *state);
      if (!addresses.empty()) (void)host::delete_udp_flows_from(transport, addresses);
      return true;
    }
    const Status status = nft::to_status(result, transaction);
    if (!changed_concurrently(status.error().error_number)) return status.error();
  }
  return Retry::exhausted();
}

Result<nft::EgressState> read_egress_settled(Transport& transport) {
  return retried([&transport] { return nft::read_egress(transport); });
}

// Each owner once, with the first of its entries.
std::map<nft::OwnerHash, const nft::EgressEntry*> egress_owners_of(const nft::EgressState& state) {
  std::map<nft::OwnerHash, const nft::EgressEntry*> owners;
  for (const nft::EgressEntry& entry : state.owners) owners.try_emplace(entry.owner, &entry);
  return owners;
}

struct EgressLife {
  const nft::EgressEntry* first;  // of the owner's entries
  nft::Liveness liveness;
};

// Each owner that is one of `owners`, or of all.
std::vector<EgressLife> egress_life_of(const nft::EgressState& state,
                                       const std::set<nft::OwnerHash>* only = nullptr) {
  std::vector<EgressLife> lives;
  std::vector<host::LifeTrace> traces;
  for (const auto& [owner, first] : egress_owners_of(state)) {
    if (only != nullptr && !only->contains(owner)) continue;
    host::LifeTrace& trace = traces.emplace_back(host::LifeTrace{first->netns, {}});
    for (const nft::EgressEntry& entry : state.owners)
      if (entry.owner == owner) trace.addresses.push_back(entry.address);
    lives.push_back({first, nft::Liveness::unknown});
  }
  if (traces.empty()) return lives;
  const std::vector<LifeSigns> signs = host::find_life(traces);
  for (std::size_t i = 0; i < lives.size(); ++i) lives[i].liveness = nft::liveness_of(signs[i]);
  return lives;
}

void end_one(Transport& transport, const nft::EgressEntry& entry, Unmasqueraded& done) {
  const Result<bool> gone = unmasquerade(transport, entry.owner, entry.netns);
  if (!gone) return done.failures.push_back(gone.error());
  if (*gone) done.ended.push_back(entry.comment);
}

// What an ADD left empty.
void end_empty_table(Transport& transport, const nft::EgressState& state, Unmasqueraded& done) {
  if (!state.exists || !state.owners.empty()) return;
  const Result<bool> gone = unmasquerade(transport, nft::OwnerHash());
  if (!gone) done.failures.push_back(gone.error());
  done.ended_table = gone && *gone;
}

// The rules of the base chain, and of every chain that an owner or an address has.
Result<nft::EgressRules> rules_of(Transport& transport, const nft::EgressState& state) {
  nft::EgressRules rules;
  std::set<std::string> chains = {nft::kPostrouting};
  for (const nft::EgressEntry& entry : state.owners) chains.insert(entry.chain);
  for (const auto& [address, target] : state.sources) chains.insert(target.chain);
  chains.erase("");
  for (const std::string& chain : chains) {
    Result<std::vector<nft::RuleForm>> found = nft::read_egress_rules(transport, chain);
    if (!found) return found.error();
    rules[chain] = std::move(*found);
  }
  return rules;
}

std::vector<std::string> notes_on_snat_addresses(const nft::EgressRules& all) {
  std::set<IpAddress> addresses;
  for (const auto& [chain, rules] : all)
    for (const nft::RuleForm& rule : rules)
      if (const auto address = nft::snat_address(rule)) addresses.insert(*address);
  std::vector<std::string> notes;
  if (addresses.empty()) return notes;
  const auto absent = host::absent_addresses({addresses.begin(), addresses.end()});
  if (!absent) return notes;  // what cannot be asked is not said
  for (const IpAddress& address : *absent) notes.push_back(absent_snat_address(address));
  return notes;
}

}  // namespace

Status masquerade(Transport& transport, const nft::Plan& plan) {
  const Result<bool> done = change_egress(transport, [&plan](const nft::EgressState& state) {
    return nft::decide_masquerade(plan, state);
  });
  if (!done) return done.error();
  return {};
}

Result<bool> unmasquerade(Transport& transport, const nft::OwnerHash& owner,
                          const std::optional<NetworkNamespace>& only, nft::LastOne last_one) {
  return change_egress(transport, [&](const nft::EgressState& state) {
    if (only)
      for (const nft::EgressEntry& entry : state.owners)
        if (entry.owner == owner && entry.record == nft::EgressEntry::Record::whole &&
            entry.netns != *only)
          return nft::Transaction();
    return nft::decide_unmasquerade(owner, state, last_one);
  });
}

Result<bool> take_back_masquerade(Transport& transport, const nft::OwnerHash& owner,
                                  const NetworkNamespace& netns) {
  return change_egress(transport, [&](const nft::EgressState& state) {
    return nft::decide_take_back(owner, netns, state);
  });
}

Status leave_unmasqueraded(Transport& transport, const nft::Plan& plan) {
  const Result<nft::EgressState> state = read_egress_settled(transport);
  if (!state) return state.error();
  const nft::OwnerHash own = nft::owner_hash(plan.attachment);
  std::set<nft::OwnerHash> others;
  for (const nft::EgressEntry& entry : state->owners) {
    const auto& addresses = plan.addresses;
    if (std::find(addresses.begin(), addresses.end(), entry.address) != addresses.end())
      others.insert(entry.owner);
  }
  others.erase(own);
  const auto end = [&transport](const nft::OwnerHash& owner,
                                const std::optional<NetworkNamespace>& only) {
    return unmasquerade(transport, owner, only, nft::LastOne::leaves_table);
  };
  if (const Result<bool> gone = end(own, std::nullopt); !gone) return gone.error();
  if (others.empty()) return {};
  Unmasqueraded done;
  for (const EgressLife& life : egress_life_of(*state, &others)) {
    // No record says that anybody wants it; the runtime has given the address to the plan.
    const bool is_lost = life.first->record != nft::EgressEntry::Record::whole;
    if (life.liveness != nft::Liveness::dead && !is_lost) continue;
    if (const Result<bool> gone = end(life.first->owner, life.first->netns); !gone)
      done.failures.push_back(gone.error());
  }
  return done.failures.empty() ? Status() : Status(done.failures.front());
}

Result<Unmasqueraded> unmasquerade_unknown(Transport& transport, const std::string& network,
                                           const std::set<nft::OwnerHash>& valid) {
  const Result<nft::EgressState> state = read_egress_settled(transport);
  if (!state) return state.error();
  Unmasqueraded done;
  for (const auto& [owner, entry] : egress_owners_of(*state))
    if (nft::is_of_network(*entry, network) && !valid.contains(owner) &&
        entry->record != nft::EgressEntry::Record::nobodys)
      end_one(transport, *entry, done);
  end_empty_table(transport, *state, done);
  return done;
}

Result<Unmasqueraded> unmasquerade_meant(
    Transport& transport, const std::function<bool(const nft::EgressEntry&)>& is_meant) {
  const Result<nft::EgressState> state = read_egress_settled(transport);
  if (!state) return state.error();
  Unmasqueraded done;
  for (const auto& [owner, entry] : egress_owners_of(*state))
    if (is_meant(*entry)) end_one(transport, *entry, done);
  return done;
}

Result<Unmasqueraded> unmasquerade_left_over(Transport& transport,
                                             const std::set<nft::OwnerHash>& ended, bool dry_run) {
  const Result<nft::EgressState> state = read_egress_settled(transport);
  if (!state) return state.error();
  std::set<nft::OwnerHash> unrecorded;
  for (const nft::EgressEntry& entry : state->owners)
    if (!entry.netns.is_known()) unrecorded.insert(entry.owner);
  Unmasqueraded done;
  if (unrecorded.empty()) return done;
  for (const EgressLife& life : egress_life_of(*state, &unrecorded)) {
    if (life.liveness != nft::Liveness::dead && !ended.contains(life.first->owner)) continue;
    if (dry_run)
      done.ended.push_back(life.first->comment);
    else
      end_one(transport, *life.first, done);
  }
  return done;
}

Result<Unmasqueraded> unmasquerade_dead(Transport& transport, bool dry_run) {
  const Result<nft::EgressState> state = read_egress_settled(transport);
  if (!state) return state.error();
  Unmasqueraded done;
  for (const EgressLife& life : egress_life_of(*state)) {
    if (life.liveness == nft::Liveness::unknown) done.unknown.push_back(life.first->comment);
    if (life.liveness != nft::Liveness::dead) continue;
    if (dry_run)
      done.ended.push_back(life.first->comment);
    else
      end_one(transport, *life.first, done);
  }
  if (!dry_run) end_empty_table(transport, *state, done);
  return done;
}

Result<bool> mend_masquerade(Transport& transport) {
  return change_egress(transport, [&](const nft::EgressState& state) -> Result<nft::Transaction> {
    if (!state.exists) return nft::Transaction();
    const Result<nft::EgressRules> rules = rules_of(transport, state);
    if (!rules) return rules.error();
    return nft::decide_egress_again(state, *rules);
  });
}

Result<bool> delete_egress_table(Transport& transport) {
  return change_egress(transport, [](const nft::EgressState& state) {
    nft::Transaction transaction{.generation = state.generation, .table = nft::kEgressTable};
    if (state.exists) transaction.operations.emplace_back(nft::DeleteTable{});
    return transaction;
  });
}

Result<EgressView> look_at_egress(Transport& transport) {
  return retried([&]() -> Result<EgressView> {
    Result<nft::EgressState> state = nft::read_egress(transport);
    if (!state) return state.error();
    Result<nft::EgressRules> rules =
        state->exists ? rules_of(transport, *state) : Result<nft::EgressRules>(nft::EgressRules());
    if (!rules) return rules.error();
    return EgressView{*std::move(state), *std::move(rules)};
  });
}

std::vector<std::string> check_masquerade(const EgressView& view, const nft::Plan& plan) {
  if (!view.state.exists) return {std::string("there is no table inet ") + nft::kEgressTable};
  return nft::check_egress(plan, view.state, view.rules);
}

Result<EgressAudit> audit_masquerade(Transport& transport) {
  const Result<EgressView> view = look_at_egress(transport);
  if (!view) return view.error();
  EgressAudit audit{.generation = view->state.generation};
  if (!view->state.exists) return audit;
  audit.damage = nft::check_egress(view->state, view->rules);
  audit.notes = notes_on_snat_addresses(view->rules);
  for (const EgressLife& life : egress_life_of(view->state))
    if (life.liveness == nft::Liveness::dead) audit.dead.push_back(life.first->comment);
  return audit;
}

Result<Masqueraded> masqueraded(Transport& transport, const std::optional<std::string>& network) {
  const Result<nft::EgressState> state = read_egress_settled(transport);
  if (!state) return state.error();
  Masqueraded found{.has_table = state->exists};
  for (const auto& [owner, entry] : egress_owners_of(*state))
    if (!network || nft::is_of_network(*entry, *network)) found.names.push_back(entry->comment);
  return found;
}

}  // namespace portmapper::app

#include "lib/app/publish.hpp"

#include <algorithm>
#include <cerrno>

#include "lib/app/obstacles.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/local_addresses.hpp"
#include "nft/commit.hpp"
#include "nft/hairpin_fit.hpp"
#include "nft/reader.hpp"

namespace portmapper {
namespace {

// Skeleton and network chain, with a jump to every network chain there is.
Result<Transaction> rebuild(Transport& transport, const NetworkChain& chain,
                            const Ruleset& ruleset) {
  Result<std::vector<std::string>> chains = read_network_chains(transport);
  if (!chains) return chains.error();
  if (std::find(chains->begin(), chains->end(), chain.name) == chains->end())
    chains->push_back(chain.name);
  Transaction transaction = construction(chain, *chains, ruleset.wrong_hooks);
  transaction.generation = ruleset.generation;
  return transaction;
}

// What the kernel's refusals have taught us so far.
struct Lessons {
  bool obstructed = false;  // EEXIST: look at what is in the way
  bool incomplete = false;  // ENOENT: build the skeleton, even though its chains looked intact
};

// Removes what is in the way, and lets the plan's hairpins fit what is there.
Result<Transaction> make_way(Transport& transport, Plan& plan, std::span<const IpAddress> local) {
  Result<Transaction> transaction = clear_obstacles(transport, plan, local);
  if (!transaction) return transaction.error();
  const Result<std::vector<Hairpin>> existing = read_hairpins(transport);
  if (!existing) return existing.error();
  HairpinFit fit = fit_hairpins(plan.hairpins, *existing);
  transaction->append(removal(fit.remove));
  plan.hairpins = std::move(fit.add);
  return transaction;
}

// A port on any address asserts that nobody has it on one of the host's addresses: two operations
// for each address. For thousands of ports it is cheaper to look whether anybody has any port on
// one address, and to let the generation guard that answer.
Result<bool> can_skip_assertions(Transport& transport, const Plan& plan,
                                 std::span<const IpAddress> local) {
  constexpr std::size_t kMany = 1000;
  if (plan.translations.size() * local.size() < kMany) return false;
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    const Result<bool> empty = is_set_empty(transport, claim_set({family, true}));
    if (!empty) return empty.error();
    if (!*empty) return false;
  }
  return true;
}

Result<Transaction> decide(Transport& transport, Plan plan, std::span<const IpAddress> local,
                           const Lessons& lessons) {
  const Result<Ruleset> ruleset = read_ruleset(transport, plan.chain);
  if (!ruleset) return ruleset.error();
  Transaction transaction;
  if (!ruleset->intact() || lessons.incomplete) {
    Result<Transaction> skeleton = rebuild(transport, plan.chain, *ruleset);
    if (!skeleton) return skeleton.error();
    transaction = std::move(*skeleton);
  }
  if (lessons.obstructed) {
    Result<Transaction> way = make_way(transport, plan, local);
    if (!way) return way.error();
    transaction.append(std::move(*way));
    transaction.generation = ruleset->generation;  // the earliest of what was read
  }
  const Result<bool> unneeded = can_skip_assertions(transport, plan, local);
  if (!unneeded) return unneeded.error();
  if (*unneeded) transaction.generation = ruleset->generation;
  transaction.append(insertion(plan, *unneeded ? std::span<const IpAddress>() : local));
  return transaction;
}

}  // namespace

Status publish(Transport& transport, const Plan& plan) {
  Lessons lessons;
  for (Retry retry; retry.again();) {
    const Result<std::vector<IpAddress>> local = local_addresses();
    const Result<Transaction> transaction =
        local ? decide(transport, plan, *local, lessons) : Result<Transaction>(local.error());
    const Status status =
        transaction ? commit(transport, *transaction) : Status(transaction.error());
    if (status) return {};
    const int error_number = status.error().error_number;
    if (is_moved(error_number)) continue;
    if (error_number == EEXIST && !lessons.obstructed) {
      lessons.obstructed = true;
    } else if (error_number == ENOENT && !lessons.incomplete) {
      lessons.incomplete = true;
    } else {
      return status.error();
    }
  }
  return Retry::exhausted();
}

namespace {

// Whatever of its path was kept.
bool same_namespace(const NetworkNamespace& a, const NetworkNamespace& b) {
  return a.device == b.device && a.inode == b.inode && a.id == b.id;
}

Status remove(Transport& transport, Held held, bool with_hairpins) {
  if (!with_hairpins) held.holding.hairpins.clear();
  Transaction transaction = removal(held.holding);
  transaction.generation = held.generation;
  if (with_hairpins) {
    const Result<bool> others = others_publish(transport, held.holding);
    if (!others) return others.error();
    if (!*others) transaction.append(hairpins_removal());
  }
  return commit(transport, transaction);
}

}  // namespace

Result<Holding> withdraw(Transport& transport, const OwnerHash& owner, const std::string& chain,
                         const NetworkNamespace* only) {
  bool with_hairpins = true;
  for (Retry retry; retry.again();) {
    Result<Held> held = read_holding(transport, owner, chain);
    if (held && held->holding.empty()) return std::move(held->holding);
    if (held && only != nullptr && !same_namespace(held->holding.netns, *only)) return Holding{};
    const Status status = held ? remove(transport, *held, with_hairpins) : Status(held.error());
    if (status) return std::move(held->holding);
    const int error_number = status.error().error_number;
    // The elements were read under the same generation, so only hairpins can be refused: their set
    // is missing, or one that we shared was replaced by a larger one.
    if ((error_number == ENOENT || error_number == EEXIST) && with_hairpins)
      with_hairpins = false;
    else if (!is_moved(error_number))
      return status.error();
  }
  return Retry::exhausted();
}

Status rehearse(Transport& transport, const NetworkChain& chain) {
  for (Retry retry; retry.again();) {
    const Result<Ruleset> ruleset = read_ruleset(transport, chain);
    if (!ruleset) return ruleset.error();
    Result<Transaction> transaction = rebuild(transport, chain, *ruleset);
    if (!transaction) return transaction.error();
    const Status status = rehearse(transport, std::move(*transaction));
    if (status || !is_moved(status.error().error_number)) return status;
  }
  return Retry::exhausted();
}

Status remove_chain_if_empty(Transport& transport, const std::string& chain) {
  for (Retry retry; retry.again();) {
    const Result<Emptiness> emptiness = read_emptiness(transport, chain);
    if (!emptiness) return emptiness.error();
    Result<std::vector<std::string>> chains = read_network_chains(transport);
    if (!chains) return chains.error();
    if (!emptiness->empty || std::erase(*chains, chain) == 0) return {};
    Transaction transaction = demolition(chain, *chains);
    transaction.generation = emptiness->generation;
    const Status status = commit(transport, transaction);
    if (status || !is_moved(status.error().error_number)) return status;
  }
  return Retry::exhausted();
}

}  // namespace portmapper

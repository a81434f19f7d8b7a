#include "lib/app/publish.hpp"

#include <algorithm>
#include <cerrno>

#include "lib/app/conflicts.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/local_addresses.hpp"
#include "nft/commit.hpp"
#include "nft/hairpin_fit.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::app {
namespace {

// Skeleton and network chain, with a jump to every network chain there is.
Result<nft::Transaction> rebuild(Transport& transport, const nft::NetworkChain& chain,
                                 const nft::RulesetDiff& ruleset) {
  Result<std::vector<std::string>> chains = nft::read_network_chains(transport);
  if (!chains) return chains.error();
  if (std::find(chains->begin(), chains->end(), chain.name) == chains->end())
    chains->push_back(chain.name);
  nft::Transaction transaction = nft::build_tables(chain, *chains, ruleset.wrong_hooks);
  transaction.generation = ruleset.generation;
  return transaction;
}

// What the kernel's refusals have taught us so far.
struct Lessons {
  bool obstructed = false;  // EEXIST: look at what is in the way
  bool incomplete = false;  // ENOENT: build the skeleton, even though its chains looked intact
};

// Removes what is in the way, and lets the plan's hairpins fit what is there.
Result<nft::Transaction> make_way(Transport& transport, nft::Plan& plan) {
  const Result<std::vector<IpAddress>> local = host::local_addresses();
  if (!local) return local.error();
  Result<nft::Transaction> transaction = resolve_conflicts(transport, plan, *local);
  if (!transaction) return transaction.error();
  const Result<std::vector<nft::Hairpin>> existing = nft::read_hairpins(transport);
  if (!existing) return existing.error();
  nft::HairpinFit fit = nft::fit_hairpins(plan.hairpins, *existing);
  transaction->append(nft::removal(fit.remove));
  plan.hairpins = std::move(fit.add);
  return transaction;
}

bool names_host_addresses(const nft::Plan& plan) {
  return std::any_of(plan.translations.begin(), plan.translations.end(),
                     [](const nft::Translation& t) { return !t.published.address.is_any(); });
}

bool has_family(const nft::Plan& plan, Family family) {
  return std::any_of(
      plan.translations.begin(), plan.translations.end(),
      [&](const nft::Translation& t) { return t.published.address.family() == family; });
}

// Whether nobody has any port on one address, in the families of `plan`. Then a plan of ports on
// any address overlaps with nothing, as long as the generation stays what it was.
Result<bool> nobody_has_addresses(Transport& transport, const nft::Plan& plan) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    if (!has_family(plan, family)) continue;
    const Result<bool> empty =
        nft::is_set_empty(transport, nft::claim_set({family, nft::AddressScope::one}));
    if (!empty || !*empty) return empty;
  }
  return true;
}

// The plan's own elements, and what asserts that nobody's ports overlap with them. Two assertions
// for each port and local address are elements to delete, and whoever deletes makes the next commit
// wait for a grace period: so the ordinary case, ports on any address and nobody who has one
// address only, is read and guarded by the generation instead.
Result<nft::Transaction> insert(Transport& transport, const nft::Plan& plan,
                                std::uint32_t generation) {
  if (!names_host_addresses(plan)) {
    const Result<bool> free = nobody_has_addresses(transport, plan);
    if (!free) return free.error();
    if (*free) {
      nft::Transaction transaction = nft::insertion(plan, {});
      transaction.generation = generation;
      return transaction;
    }
  }
  const Result<std::vector<IpAddress>> local = host::local_addresses();
  if (!local) return local.error();
  return nft::insertion(plan, *local);
}

Result<nft::Transaction> decide(Transport& transport, nft::Plan plan, const Lessons& lessons) {
  const Result<nft::RulesetDiff> ruleset = nft::read_ruleset(transport, plan.chain);
  if (!ruleset) return ruleset.error();
  nft::Transaction transaction;
  if (!ruleset->intact() || lessons.incomplete) {
    Result<nft::Transaction> skeleton = rebuild(transport, plan.chain, *ruleset);
    if (!skeleton) return skeleton.error();
    transaction = std::move(*skeleton);
  }
  if (lessons.obstructed) {
    Result<nft::Transaction> way = make_way(transport, plan);
    if (!way) return way.error();
    transaction.append(std::move(*way));
    transaction.generation = ruleset->generation;  // the earliest of what was read
  }
  Result<nft::Transaction> ports = insert(transport, plan, ruleset->generation);
  if (!ports) return ports.error();
  if (ports->generation) transaction.generation = ports->generation;
  transaction.append(std::move(*ports));
  return transaction;
}

}  // namespace

Status publish(Transport& transport, const nft::Plan& plan) {
  Lessons lessons;
  for (Retry retry; retry.again();) {
    const Result<nft::Transaction> transaction = decide(transport, plan, lessons);
    const Status status =
        transaction ? nft::commit(transport, *transaction) : Status(transaction.error());
    if (status) return {};
    const int error_number = status.error().error_number;
    if (changed_concurrently(error_number)) continue;
    if (error_number == EEXIST && !lessons.obstructed) {
      lessons.obstructed = true;
    } else if (error_number == ENOENT && !lessons.incomplete) {
      lessons.incomplete = true;
    } else {
      if (transaction && !nft::is_refusal(status.error()))
        (void)withdraw(transport, nft::owner_hash(plan.attachment), plan.chain.name);
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

Status remove(Transport& transport, nft::InstalledPortsAt held, bool with_hairpins) {
  if (!with_hairpins) held.installed.hairpins.clear();
  nft::Transaction transaction = nft::removal(held.installed);
  transaction.generation = held.generation;
  if (with_hairpins) {
    const Result<bool> others = nft::others_publish(transport, held.installed);
    if (!others) return others.error();
    if (!*others) transaction.append(nft::hairpins_removal());
  }
  return nft::commit(transport, transaction);
}

}  // namespace

Result<nft::InstalledPorts> withdraw(Transport& transport, const nft::OwnerHash& owner,
                                     const std::string& chain, const NetworkNamespace* only) {
  bool with_hairpins = true;
  for (Retry retry; retry.again();) {
    Result<nft::InstalledPortsAt> held = nft::read_installed_ports(transport, owner, chain);
    if (held && held->installed.empty()) return std::move(held->installed);
    if (held && only != nullptr && !same_namespace(held->installed.netns, *only))
      return nft::InstalledPorts{};
    const Status status = held ? remove(transport, *held, with_hairpins) : Status(held.error());
    if (status) return std::move(held->installed);
    const int error_number = status.error().error_number;
    // The elements were read under the same generation, so only hairpins can be refused: their set
    // is missing, or one that we shared was replaced by a larger one.
    if ((error_number == ENOENT || error_number == EEXIST) && with_hairpins)
      with_hairpins = false;
    else if (!changed_concurrently(error_number))
      return status.error();
  }
  return Retry::exhausted();
}

Status dry_run(Transport& transport, const nft::NetworkChain& chain) {
  for (Retry retry; retry.again();) {
    const Result<nft::RulesetDiff> ruleset = nft::read_ruleset(transport, chain);
    if (!ruleset) return ruleset.error();
    Result<nft::Transaction> transaction = rebuild(transport, chain, *ruleset);
    if (!transaction) return transaction.error();
    const Status status = nft::dry_run(transport, std::move(*transaction));
    if (status || !changed_concurrently(status.error().error_number)) return status;
  }
  return Retry::exhausted();
}

Status remove_chain_if_empty(Transport& transport, const std::string& chain) {
  for (Retry retry; retry.again();) {
    const Result<nft::Emptiness> emptiness = nft::read_emptiness(transport, chain);
    if (!emptiness) return emptiness.error();
    Result<std::vector<std::string>> chains = nft::read_network_chains(transport);
    if (!chains) return chains.error();
    if (!emptiness->empty || std::erase(*chains, chain) == 0) return {};
    nft::Transaction transaction = nft::delete_network(chain, *chains);
    transaction.generation = emptiness->generation;
    const Status status = nft::commit(transport, transaction);
    if (status || !changed_concurrently(status.error().error_number)) return status;
  }
  return Retry::exhausted();
}

}  // namespace portmapper::app

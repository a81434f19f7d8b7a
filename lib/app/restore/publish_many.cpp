#include "lib/app/restore/publish_many.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <set>

#include "lib/app/conflicts.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/local_addresses.hpp"
#include "nft/commit.hpp"
#include "nft/hairpin_fit.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::restore {
namespace {

// Ports in a batch: large enough that the kernel's wait at the end of each does not matter, small
// enough that the others do not wait long.
constexpr std::size_t kPorts = 4096;

// The network chains of the plans that are missing or not as we build them.
Result<std::vector<nft::NetworkChain>> broken_chains(Transport& transport, Plans plans,
                                                     const std::vector<std::string>& existing) {
  std::map<std::string, const nft::NetworkChain*> wanted;
  for (const nft::Plan* plan : plans) wanted[plan->chain.name] = &plan->chain;
  std::vector<nft::NetworkChain> broken;
  for (const auto& [name, chain] : wanted) {
    if (std::find(existing.begin(), existing.end(), name) != existing.end()) {
      const Result<nft::ChainDamage> damage = nft::read_chain_damage(transport, name);
      if (!damage) return damage.error();
      const auto sets = nft::read_set_damage(transport, name);
      if (!sets) return sets.error();
      if (!damage->lacks_jump && damage->rules.empty() && sets->empty()) continue;
    }
    broken.push_back(*chain);
  }
  return broken;
}

bool overlap(const IpPrefix& a, const IpPrefix& b) {
  return a.contains(b) || b.contains(a);
}

bool overlap(const nft::Hairpin& a, const nft::Hairpin& b) {
  return overlap(a.destination, b.destination) && overlap(a.source, b.source);
}

// The hairpins of all plans, fitted to each other and to what is there.
Result<nft::HairpinFit> fit_all(Transport& transport, Plans plans) {
  std::set<nft::Hairpin> wanted;
  for (const nft::Plan* plan : plans) wanted.insert(plan->hairpins.begin(), plan->hairpins.end());
  const Result<std::vector<nft::Hairpin>> read = nft::read_hairpins(transport);
  if (!read) return read.error();
  for (const nft::Hairpin& hairpin : *read) wanted.erase(hairpin);
  // The widest first, so that none has to replace another that was just added.
  std::vector<nft::Hairpin> widest_first(wanted.begin(), wanted.end());
  std::stable_sort(
      widest_first.begin(), widest_first.end(), [](const nft::Hairpin& a, const nft::Hairpin& b) {
        return a.source.length + a.destination.length < b.source.length + b.destination.length;
      });
  std::vector<nft::Hairpin> existing = *read;
  nft::HairpinFit all;
  for (const nft::Hairpin& hairpin : widest_first) {
    std::vector<nft::Hairpin>
        close;  // nothing else matters, and there may be one for each container
    std::copy_if(existing.begin(), existing.end(), std::back_inserter(close),
                 [&hairpin](const nft::Hairpin& other) { return overlap(hairpin, other); });
    const nft::HairpinFit fit = nft::fit_hairpins({&hairpin, 1}, close);
    for (const nft::Hairpin& removed : fit.remove) {
      std::erase(existing, removed);
      if (std::erase(all.add, removed) == 0) all.remove.push_back(removed);
    }
    existing.insert(existing.end(), fit.add.begin(), fit.add.end());
    all.add.insert(all.add.end(), fit.add.begin(), fit.add.end());
  }
  return all;
}

class Publisher {
 public:
  Publisher(Transport& transport, Mode mode, std::vector<IpAddress> local, nft::Transaction mending)
      : transport_(transport),
        mode_(mode),
        local_(std::move(local)),
        mending_(std::move(mending)) {}

  void publish_all(Plans plans, std::span<Status> results) {
    while (!plans.empty()) {
      std::size_t count = 0;
      std::size_t ports = 0;
      while (count < plans.size() && (count == 0 || ports < kPorts))
        ports += plans[count++]->translations.size();
      publish_batch(plans.first(count), results.first(count));
      plans = plans.subspan(count);
      results = results.subspan(count);
    }
  }

 private:
  void publish_batch(Plans plans, std::span<Status> results) {
    if (try_batch(plans)) {
      std::fill(results.begin(), results.end(), Status());
    } else if (plans.size() == 1) {
      results.front() = publish_one(*plans.front());
    } else {
      const std::size_t half = plans.size() / 2;
      publish_batch(plans.first(half), results.first(half));
      publish_batch(plans.subspan(half), results.subspan(half));
    }
  }

  Status try_batch(Plans plans) {
    nft::Transaction transaction = mending_;  // a dry run leaves nothing that the next can stand on
    for (const nft::Plan* plan : plans) transaction.append(nft::insertion_of_ports(*plan, local_));
    bool mended = false;
    for (app::Retry retry; retry.again();) {
      const Status status = mode_ == Mode::dry_run ? nft::dry_run(transport_, transaction)
                                                   : nft::commit(transport_, transaction);
      if (status) return status;
      const int error_number = status.error().error_number;
      if (app::changed_concurrently(error_number)) continue;
      // Somebody flushed the ruleset once more.
      if (error_number != ENOENT || mended || mode_ == Mode::dry_run) return status;
      mended = true;
      if (const Status again = mend(transport_, plans); !again) return again;
    }
    return app::Retry::exhausted();
  }

  Status publish_one(const nft::Plan& plan) {
    if (mode_ == Mode::publish) return app::publish(transport_, plan);
    nft::Plan tried = plan;
    const Result<nft::Transaction> way = app::resolve_conflicts(transport_, tried, local_);
    return way ? Status() : Status(way.error());
  }

  Transport& transport_;
  Mode mode_;
  std::vector<IpAddress> local_;
  nft::Transaction mending_;
};

}  // namespace

Result<nft::Transaction> mending(Transport& transport, Plans plans) {
  const Result<nft::RulesetDiff> skeleton = nft::read_skeleton(transport);
  if (!skeleton) return skeleton.error();
  Result<std::vector<std::string>> chains = nft::read_network_chains(transport);
  if (!chains) return chains.error();
  const Result<std::vector<nft::NetworkChain>> broken = broken_chains(transport, plans, *chains);
  if (!broken) return broken.error();
  const Result<nft::HairpinFit> hairpins = fit_all(transport, plans);
  if (!hairpins) return hairpins.error();
  nft::Transaction transaction;
  if (!plans.empty() && (!skeleton->intact() || !broken->empty())) {
    for (const nft::NetworkChain& chain : *broken)
      if (std::find(chains->begin(), chains->end(), chain.name) == chains->end())
        chains->push_back(chain.name);
    transaction = nft::build_tables(*broken, *chains, skeleton->wrong_hooks);
  }
  transaction.append(nft::removal(hairpins->remove));
  transaction.append(nft::addition(hairpins->add));
  transaction.generation = skeleton->generation;
  return transaction;
}

Status mend(Transport& transport, Plans plans) {
  for (app::Retry retry; retry.again();) {
    const Result<nft::Transaction> transaction = mending(transport, plans);
    if (transaction && transaction->operations.empty()) return {};
    const Status status =
        transaction ? nft::commit(transport, *transaction) : Status(transaction.error());
    if (status || !app::changed_concurrently(status.error().error_number)) return status;
  }
  return app::Retry::exhausted();
}

std::vector<Status> publish_many(Transport& transport, Plans plans, Mode mode) {
  std::vector<Status> results(plans.size());
  Result<std::vector<IpAddress>> local = host::local_addresses();
  Result<nft::Transaction> before = mode == Mode::dry_run
                                        ? mending(transport, plans)
                                        : Result<nft::Transaction>(nft::Transaction());
  if (!local || !before) {
    std::fill(results.begin(), results.end(), Status(local ? before.error() : local.error()));
    return results;
  }
  before->generation.reset();
  Publisher(transport, mode, std::move(*local), std::move(*before)).publish_all(plans, results);
  return results;
}

}  // namespace portmapper::restore

#include "lib/app/restore/publish_many.hpp"

#include <algorithm>
#include <cerrno>

#include "lib/app/carry_out.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/commit.hpp"

namespace portmapper::restore {
namespace {

// Ports in a batch: large enough that the kernel's wait at the end of each does not matter, small
// enough that the others do not wait long.
constexpr std::size_t kPorts = 4096;

app::Decide mending_of(Plans plans) {
  return [plans](const nft::Snapshot& snapshot) { return nft::decide_mending(plans, snapshot); };
}

// The record of the devices that these plans need, and that are still closed; of those with the route
// of ::1, always, as an ADD does.
nft::Transaction closed_devices_of(Plans plans) {
  nft::Transaction transaction;
  for (const std::string& device : nft::loopback_devices_of(plans, Family::ipv4))
    if (!host::has_route_localnet(device))
      transaction.append(nft::opened_device_added(Family::ipv4, device));
  for (const std::string& device : nft::loopback_devices_of(plans, Family::ipv6))
    transaction.append(nft::opened_device_added(Family::ipv6, device));
  return transaction;
}

class Publisher {
 public:
  Publisher(Transport& transport, Mode mode, nft::Transaction mending)
      : transport_(transport), mode_(mode), mending_(std::move(mending)) {}

  void publish_all(Plans plans, std::span<Result<app::Published>> results) {
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
  void publish_batch(Plans plans, std::span<Result<app::Published>> results) {
    if (try_batch(plans)) {
      std::fill(results.begin(), results.end(), app::Published{.is_new = true});
    } else if (plans.size() == 1) {
      results.front() = publish_one(*plans.front());
    } else {
      const std::size_t half = plans.size() / 2;
      publish_batch(plans.first(half), results.first(half));
      publish_batch(plans.subspan(half), results.subspan(half));
    }
  }

  Status try_batch(Plans plans) {
    const nft::Transaction devices = closed_devices_of(plans);
    bool mended = false;
    for (app::Retry retry; retry.again();) {
      nft::Snapshot snapshot;
      Result<nft::Transaction> decided = app::read_and_decide(
          transport_, {.plans = plans},
          [plans](const nft::Snapshot& seen) { return nft::decide_insertion(plans, seen); },
          snapshot);
      if (!decided && app::changed_concurrently(decided.error().error_number)) continue;
      if (!decided) return decided.error();
      nft::Transaction transaction = mending_;  // a dry run leaves nothing for the next to stand on
      transaction.generation = decided->generation;
      transaction.append(devices);
      transaction.append(std::move(*decided));
      const nft::CommitResult result = mode_ == Mode::dry_run
                                           ? nft::dry_run(transport_, transaction)
                                           : nft::commit(transport_, transaction);
      if (result) return {};
      const Status status = to_status(result, transaction);
      const int error_number = status.error().error_number;
      if (app::changed_concurrently(error_number)) continue;
      // Somebody flushed the ruleset once more.
      if (error_number != ENOENT || mended || mode_ == Mode::dry_run) return status;
      mended = true;
      if (const Status again = mend(transport_, plans); !again) return again;
    }
    return app::Retry::exhausted();
  }

  Result<app::Published> publish_one(const nft::Plan& plan) {
    if (mode_ == Mode::publish) return app::publish(transport_, plan);
    nft::Snapshot snapshot{.refused = {.exists = true}};
    const Result<nft::Transaction> decided = app::read_and_decide(
        transport_, {.plan = &plan, .network = &plan.chain},
        [&plan](const nft::Snapshot& seen) { return nft::decide_add(plan, seen); }, snapshot);
    if (!decided) return decided.error();
    return app::Published{.is_new = !decided->operations.empty()};
  }

  Transport& transport_;
  Mode mode_;
  nft::Transaction mending_;
};

}  // namespace

Status mend(Transport& transport, Plans plans) {
  return app::carry_out(transport, {.plans = plans}, mending_of(plans)).status;
}

std::vector<Result<app::Published>> publish_many(Transport& transport, Plans plans, Mode mode) {
  std::vector<Result<app::Published>> results(plans.size(), app::Published{.is_new = true});
  nft::Snapshot snapshot;
  Result<nft::Transaction> before =
      mode == Mode::dry_run
          ? app::read_and_decide(transport, {.plans = plans}, mending_of(plans), snapshot)
          : Result<nft::Transaction>(nft::Transaction());
  if (!before) {
    std::fill(results.begin(), results.end(), before.error());
    return results;
  }
  Publisher(transport, mode, std::move(*before)).publish_all(plans, results);
  return results;
}

}  // namespace portmapper::restore

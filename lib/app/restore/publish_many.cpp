#include "lib/app/restore/publish_many.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include "lib/app/carry_out.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/local_addresses.hpp"
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

class Publisher {
 public:
  Publisher(Transport& transport, Mode mode, std::vector<IpAddress> local, nft::Transaction mending)
      : transport_(transport),
        mode_(mode),
        local_(std::move(local)),
        mending_(std::move(mending)) {}

  void publish_all(Plans plans, std::span<Result<bool>> results) {
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
  void publish_batch(Plans plans, std::span<Result<bool>> results) {
    if (try_batch(plans)) {
      std::fill(results.begin(), results.end(), true);
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
    std::set<std::string> closed;
    for (const nft::Plan* plan : plans) {
      transaction.append(nft::insertion_of_ports(*plan, local_));
      const std::string& device = plan->localnet_device;
      if (!device.empty() && !closed.contains(device) && !host::has_route_localnet(device)) {
        closed.insert(device);
        transaction.append(nft::localnet_device_added(device));
      }
    }
    bool mended = false;
    for (app::Retry retry; retry.again();) {
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

  Result<bool> publish_one(const nft::Plan& plan) {
    if (mode_ == Mode::publish) return app::publish(transport_, plan);
    nft::Snapshot snapshot{.refused = {.exists = true}};
    const Result<nft::Transaction> decided = app::read_and_decide(
        transport_, {.plan = &plan, .network = &plan.chain},
        [&plan](const nft::Snapshot& seen) { return nft::decide_add(plan, seen); }, snapshot);
    if (!decided) return decided.error();
    return !decided->operations.empty();
  }

  Transport& transport_;
  Mode mode_;
  std::vector<IpAddress> local_;
  nft::Transaction mending_;
};

}  // namespace

Status mend(Transport& transport, Plans plans) {
  return app::carry_out(transport, {.plans = plans}, mending_of(plans)).status;
}

std::vector<Result<bool>> publish_many(Transport& transport, Plans plans, Mode mode) {
  std::vector<Result<bool>> results(plans.size(), true);
  Result<std::vector<IpAddress>> local = host::local_addresses();
  nft::Snapshot snapshot;
  Result<nft::Transaction> before =
      mode == Mode::dry_run
          ? app::read_and_decide(transport, {.plans = plans}, mending_of(plans), snapshot)
          : Result<nft::Transaction>(nft::Transaction());
  if (!local || !before) {
    std::fill(results.begin(), results.end(), local ? before.error() : local.error());
    return results;
  }
  before->generation.reset();
  Publisher(transport, mode, std::move(*local), std::move(*before)).publish_all(plans, results);
  return results;
}

}  // namespace portmapper::restore

// Retry: the bound on trying again after somebody else changed the ruleset.
//
//   for (Retry retry; retry.again();)
//     if (!changed_concurrently(error_number)) return error_number;  // of a commit
//   return Retry::exhausted();
//
//   const auto entries = retried([&] { return nft::read_owners(transport); });
//
// Pauses between tries. Each pause is a little longer, with a random part so that processes do not
// run in step. Gives up when 10 seconds are over and 100 tries were made: on a slow machine, or while
// the kernel loads modules, a single try takes seconds, and of a hundred that run at once each may be
// beaten by all the others. Errors: exhausted() is try_again_later (11). Does not promise: fairness.
// Source: packaging/doc/design.md, "Read, decide, commit".
#pragma once

#include <chrono>
#include <cstdint>

#include "lib/base/error.hpp"

namespace portmapper::app {

class Retry {
 public:
  using Clock = std::chrono::steady_clock::time_point (*)();
  explicit Retry(Clock now = std::chrono::steady_clock::now) : now_(now) {}
  bool again();  // true the first time, then after a pause, until time and tries are used up
  [[nodiscard]] static Error exhausted();

 private:
  Clock now_;
  std::chrono::steady_clock::time_point start_;
  std::uint32_t tries_ = 0;
};

// Whether an errno of the kernel means that somebody changed the ruleset meanwhile.
bool changed_concurrently(int error_number);

// What `act` returns, once no change of others interrupts it.
template <typename Act>
auto retried(const Act& act) -> decltype(act()) {
  for (Retry retry; retry.again();) {
    auto result = act();
    if (result || !changed_concurrently(result.error().error_number)) return result;
  }
  return Retry::exhausted();
}

}  // namespace portmapper::app

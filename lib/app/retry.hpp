// Retry: the bound on trying again after somebody else changed the ruleset.
//
//   for (Retry retry; retry.again();) { ...decide, commit; return unless the generation moved... }
//   return retry.exhausted();
//
// Pauses between tries, a little longer each time and never in step with another process; gives up
// after 10 seconds. Errors: exhausted() is try_again_later (11). Does not promise: fairness.
// Source: shared design, section 4 "Concurrency is the kernel's".
#pragma once

#include <chrono>
#include <cstdint>

#include "lib/base/error.hpp"

namespace portmapper::app {

class Retry {
 public:
  bool again();  // true the first time, then after a pause, until the time is over
  [[nodiscard]] static Error exhausted();

 private:
  std::chrono::steady_clock::time_point start_;
  std::uint32_t tries_ = 0;
};

// Whether an errno of the kernel means "somebody changed something meanwhile".
bool changed_concurrently(int error_number);

}  // namespace portmapper::app

// slowness: how many times slower than a usual machine this one is, for limits of waiting.
//
//   const auto deadline = Clock::now() + slowness() * std::chrono::seconds(5);
//
// The environment says it (NPM_SLOWNESS), as tests/vm measures it in a machine that is emulated; 1 without it,
// and at most 30: what waits for nothing to come takes all of it. Errors: none.
#pragma once

#include <algorithm>
#include <cstdlib>

namespace portmapper::test {

inline int slowness() {
  static const int factor = [] {
    const char* said = std::getenv("NPM_SLOWNESS");
    return said == nullptr ? 1 : std::clamp(std::atoi(said), 1, 30);
  }();
  return factor;
}

}  // namespace portmapper::test

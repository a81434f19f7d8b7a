// comes_true: waits for what happens by itself, five seconds at most.
//
//   CHECK(comes_true([&] { return tool(ns, "ip link show cni0").find("DOWN") != std::string::npos; }));
//
// It is asked ten times a second. Errors: false where it did not come true; what `condition` throws.
#pragma once

#include <chrono>
#include <thread>

#include "tests/support/slowness.hpp"

namespace portmapper::test {

template <typename Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 50 * slowness(); ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return false;
}

}  // namespace portmapper::test

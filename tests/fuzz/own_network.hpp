// enter_own_network: a network namespace that nobody else sees, for targets that talk to the
// kernel.
//
//   extern "C" int LLVMFuzzerInitialize(int*, char***) { return enter_own_network(); }
//
// It has lo, and routes of both families lead there. Returns 0. Needs root. Errors: those of
// demand(). Source: unshare(2), ip-route(8).
#pragma once

#include <sched.h>

#include "tests/fuzz/fuzz.hpp"

namespace portmapper::fuzz {

inline int enter_own_network() {
  demand(unshare(CLONE_NEWNET) == 0, "a network namespace is made");
  const int status = std::system(
      "ip link set lo up && ip route add default dev lo && "  // NOLINT(cert-env33-c)
      "ip -6 route add default dev lo");
  demand(status == 0, "it has lo and routes");
  return 0;
}

}  // namespace portmapper::fuzz

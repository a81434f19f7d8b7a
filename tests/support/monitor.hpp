// Monitor: what `nft monitor` sees in a namespace while a test works.
//
//   Monitor monitor(lab.host());     // listens when this returns
//   runtime.add("abc", {{8080, 80}});
//   std::string events = monitor.stop();  // "add element ...\n# new generation 7 by process ..."
//
// Everything committed before stop() is in the events; `stop` may be called once.
// Errors: std::runtime_error when it does not listen within 5 seconds.
// Source: nft(8) MONITOR; the groups column of /proc/net/netlink, netlink(7).
#pragma once

#include <future>
#include <string>

#include "tests/support/process.hpp"

namespace portmapper::test {

class Monitor {
 public:
  explicit Monitor(std::string ns);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  std::string stop();

 private:
  std::string ns_;
  std::future<RunResult> running_;
};

}  // namespace portmapper::test

// Stay: what `install --stay` does, the first process of a container that keeps the plugin installed.
//
//   Stay stay{.install = [](std::vector<std::string>& done) -> Status { done.push_back("said"); return {}; }};
//   return stay_installed(std::move(stay));  // an outcome with a next, which waits
//
// Where `ready` says no, it ends with that before anything is changed. Otherwise it installs, runs
// `nft-port-mapperctl watch`, or another child, and every 10 seconds installs again what others wrote over:
// flannel and k3s write their lists anew at each start. What cannot be installed is said once, and tried again,
// since a node's network may be configured later. SIGTERM, SIGINT and, unless it is ignored, SIGHUP end the child,
// then `leave`, if given, has the last word, and the status is 0. When the child ends by itself so does this,
// with status 1: whoever started it starts it again. When this ends otherwise, the kernel ends the child. All
// it says is in `log`, for standard error: a reader that goes away ends nothing. It reaps every child, as the
// first process of a PID namespace has to. For a process of one thread. Errors: in the outcome. Does not
// promise: to end a child that ignores SIGTERM otherwise than by SIGKILL after 10 s.
// Source: sigtimedwait(2), PR_SET_PDEATHSIG(2const), pid_namespaces(7).
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "lib/app/outcome.hpp"
#include "lib/base/error.hpp"

namespace portmapper::ctl {

struct Stay {
  std::vector<std::string> child{"/proc/self/exe", "watch"};  // a file, and its arguments
  std::chrono::milliseconds look_again{10000};
  std::function<Status()> ready{};
  std::function<Status(std::vector<std::string>& done)> install{};
  std::function<app::Outcome()> leave{};
};

app::Outcome stay_installed(Stay stay);

}  // namespace portmapper::ctl

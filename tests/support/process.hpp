// run: one process from start to end, as a runtime runs a plugin.
//
//   RunResult result = run({"nft", "list", "tables"}, {.ns = lab.host()});
//   REQUIRE(result.status == 0);
//
// The process gets `environment` and nothing else, `input` on a pipe, and enters no namespace but
// the network namespace. All three pipes are served together, so it may write before it reads.
// It ends when the process does: what processes that it left behind write later is lost.
// Units: milliseconds. Errors: std::runtime_error when it cannot be started; a process that is
// killed by a signal has 128 + its number as status, one that exceeds `time_limit` gets SIGKILL.
// Source: posix_spawn(3), pidfd_open(2).
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace portmapper::test {

struct RunResult {
  int status = 0;
  std::string out;
  std::string err;
};

std::vector<std::string> tool_environment();  // a PATH that has ip and nft, LC_ALL=C

struct RunOptions {
  std::string input{};
  std::vector<std::string> environment = tool_environment();
  std::string ns{};  // as `ip netns` names it; empty: the caller's own
  std::chrono::milliseconds time_limit{60000};
};

RunResult run(const std::vector<std::string>& argv, const RunOptions& options = {});

}  // namespace portmapper::test

// Tracing: nft-port-mapperctl trace, running beside a test.
//
//   Tracing tracing(lab.host(), {"8080", "--count", "2"});  // it listens when this returns
//   ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080);
//   const RunResult result = tracing.result();              // waits for its end
//   tracing.signal(SIGINT);                                 // before result(), to end it
//
// Errors: a failed REQUIRE when its table does not appear within 10 seconds. Does not promise: an end
// without a packet or a signal before its two minutes are over.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <future>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/slowness.hpp"
#include "tests/support/tool.hpp"

namespace portmapper::test {

// "nft-port-mapper-trace-4711"; empty: there is none.
inline std::string trace_table(const std::string& ns) {
  std::smatch match;
  const std::string tables = tool(ns, "nft list tables");
  static const std::regex name("nft-port-mapper-trace-\\d+");
  return std::regex_search(tables, match, name) ? match[0].str() : "";
}

class Tracing {
 public:
  Tracing(std::string ns, std::vector<std::string> words) : ns_(std::move(ns)) {
    words.insert(words.begin(), {CTL, "trace"});
    running_ = std::async(std::launch::async, [words, in = ns_] { return run(words, {.ns = in}); });
    const auto deadline = std::chrono::steady_clock::now() + slowness() * std::chrono::seconds(10);
    while ((table_ = trace_table(ns_)).empty() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    REQUIRE(!table_.empty());
  }
  ~Tracing() {
    if (running_.valid()) signal(SIGKILL);
  }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

  [[nodiscard]] const std::string& table() const { return table_; }
  // The table has the process's number.
  void signal(int number) const { kill(std::stoi(table_.substr(table_.rfind('-') + 1)), number); }
  RunResult result() { return running_.get(); }

 private:
  std::string ns_;
  std::string table_;
  std::future<RunResult> running_;
};

}  // namespace portmapper::test

// Runner: runs the plugin that creates the interface, and nothing else.
//
//   PluginRunner runner(request.path);  // CNI_PATH
//   const auto result = runner.run({.type = "bridge", .command = "ADD", .input = text,
//                                   .time_limit = std::chrono::seconds(120)});
//
// The plugin is looked up in the directories of CNI_PATH and nowhere else; it gets our environment
// with CNI_COMMAND set, `input` on stdin, our stderr's text passed on. stdin and both output pipes
// are polled together. Units: seconds. Errors: delegate_missing (102): it was not started;
// delegate_failed (102) with the plugin's own error object, or what it printed, in `details`; no
// child, no file descriptor is left behind.
// Does not promise: to stop processes that the plugin itself left running.
// Source: CNI SPEC.md section 4 "Plugin Delegation", posix_spawn(3), pidfd_open(2).
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "lib/base/error.hpp"

namespace portmapper::delegate {

struct Call {
  std::string_view type;     // a file name, without a slash
  std::string_view command;  // "ADD"
  std::string_view input;
  std::chrono::seconds time_limit{0};  // 0: none
};

class Runner {
 public:
  Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  virtual ~Runner() = default;

  // What the plugin printed on stdout, when it exited with 0.
  virtual Result<std::string> run(const Call& call) = 0;
};

class PluginRunner final : public Runner {
 public:
  explicit PluginRunner(std::string cni_path) : cni_path_(std::move(cni_path)) {}
  Result<std::string> run(const Call& call) override;

 private:
  std::string cni_path_;
};

}  // namespace portmapper::delegate

// Exchange: reads and writes a delegate's three pipes, polled together until it exits.
//
//   Result<Exchange> exchange = Exchange::open(text);
//   Result<Process> process = Process::start(path, "ADD", exchange->child_ends());
//   const Result<End> end = exchange->run(*process, std::chrono::seconds(120));
//   use(exchange->output());
//
// No pipe is waited for alone: a delegate may write 10 MiB to stderr before it reads stdin, close
// stdin unread, or close all three and live on. Only its exit, the time limit or too much output
// end run(); the end of its pipes does not, because a daemon that it started may keep them open for
// ever: at its exit, what is in the pipes at that moment is read, and no more. Units: bytes,
// seconds. Errors: delegate_failed with the errno of the call that failed; then, and when the end
// is not `exited`, the caller kills. Source: pipe(7), poll(2), ioctl_tty(2) FIONREAD.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "lib/base/error.hpp"
#include "lib/base/unique_fd.hpp"
#include "lib/delegate/process.hpp"
#include "lib/delegate/stderr_relay.hpp"

namespace portmapper::delegate {

enum class End { exited, timed_out, too_much_output };

class Exchange {
 public:
  static constexpr std::size_t output_limit = std::size_t{16} << 20;
  static constexpr std::size_t stderr_tail_limit = std::size_t{4} << 10;

  // `input` must outlive the exchange.
  static Result<Exchange> open(std::string_view input);

  [[nodiscard]] ChildEnds child_ends() const;
  // Closes our copies of the child's ends. A time limit of 0 or less is none.
  Result<End> run(const Process& process, std::chrono::seconds time_limit);

  [[nodiscard]] std::string& output() { return output_; }
  [[nodiscard]] const std::string& stderr_tail() const { return stderr_tail_; }

 private:
  using Clock = StderrRelay::Clock;

  Exchange() = default;
  Result<End> until_the_end(const Process& process, Clock::time_point deadline);
  // Milliseconds for poll, -1 for none.
  [[nodiscard]] int poll_time(Clock::time_point now, Clock::time_point deadline,
                              bool has_pidfd) const;
  Status write_input();
  Status read_output(std::size_t at_most);
  void read_stderr(std::size_t at_most);
  Status drain();

  std::string_view input_;
  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
  UniqueFd child_in_;
  UniqueFd child_out_;
  UniqueFd child_err_;
  std::string output_;
  std::string stderr_tail_;
  StderrRelay relay_;
};

}  // namespace portmapper::delegate

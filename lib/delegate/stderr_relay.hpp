// StderrRelay: forwards a delegate's stderr to ours, and never waits for the reader.
//
//   if (relay.is_idle()) relay.take(text);
//   pollfd ours{.fd = relay.fd(), .events = POLLOUT};
//   if (poll(&ours, 1, 0) == 1) relay.on_ready(ours.revents);
//   relay.give_up_if_stalled(StderrRelay::Clock::now());
//
// Our stderr is shared with the runtime, so it stays as it is (no O_NONBLOCK: that would change
// the runtime's own). Instead it is written to only when poll(2) says so, at most PIPE_BUF bytes at
// a time, which a pipe then takes without blocking. One chunk waits here at most; while it does,
// the caller reads no more of the delegate's, so a slow reader loses nothing. A reader that takes
// nothing for a second loses the rest: a runtime that reads our stdout to its end before it looks
// at stderr must not hang the delegate.
// Errors: none; a stderr that is closed, full or broken is ignored from then on. SIGPIPE must be
// ignored (ChildSignals). Does not promise: not to block where another process fills the same pipe
// between poll and write. Source: pipe(7) "PIPE_BUF"; the kernel's pipe_poll.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace portmapper::delegate {

class StderrRelay {
 public:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] bool is_idle() const { return pending_.empty(); }
  void take(std::string_view chunk);
  // -1 when there is nothing to write.
  [[nodiscard]] int fd() const;
  void on_ready(short revents);
  // When give_up_if_stalled() would act; only while not idle.
  [[nodiscard]] Clock::time_point stall_time() const;
  void give_up_if_stalled(Clock::time_point now);
  // Writes what is pending, until it stalls.
  void flush();

 private:
  void give_up();

  std::string pending_;
  Clock::time_point progress_;
  bool given_up_ = false;
};

}  // namespace portmapper::delegate

// HeldSignals: the signals that end a program wait, so that it ends when it has put things in order.
//
//   const HeldSignals signals;
//   while (!signals.came()) use(text);  // Ctrl-C: once, then it is forgotten
//
// Held are SIGINT, SIGTERM and SIGHUP, but for those that are ignored, as nohup has it. The destructor
// brings back what was set before, and forgets what came meanwhile: the program is ending by it. Not
// for more than one thread. Errors: none; sigprocmask(2) of these cannot fail. Does not promise:
// anything of a signal that cannot be held. Source: sigtimedwait(2), signal(7).
#pragma once

#include <array>
#include <csignal>
#include <ctime>

namespace portmapper::ctl {

class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (const int number : std::array{SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction action {};
      sigaction(number, nullptr, &action);
      if (action.sa_handler != SIG_IGN) sigaddset(&held_, number);
    }
    sigprocmask(SIG_BLOCK, &held_, &before_);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  ~HeldSignals() {
    while (came()) {
    }
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

  [[nodiscard]] bool came() const {
    const timespec at_once{};
    return sigtimedwait(&held_, nullptr, &at_once) > 0;
  }

 private:
  sigset_t held_{};
  sigset_t before_{};
};

}  // namespace portmapper::ctl

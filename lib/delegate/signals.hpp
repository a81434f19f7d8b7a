// ChildSignals: the two signal dispositions that running a child needs, while it lives.
//
//   const ChildSignals signals;
//   write(pipe_end, "{}", 2);    // EPIPE, not death by SIGPIPE
//   waitpid(child, nullptr, 0);  // has a status, although the runtime may have ignored SIGCHLD
//
// An ignored SIGCHLD is inherited over exec, and then the kernel reaps children without telling how
// they ended. What was set before comes back in the destructor. Not for more than one thread:
// dispositions belong to the process. Errors: none; sigaction(2) of these two cannot fail. Source:
// sigaction(2), "SA_NOCLDWAIT"; waitpid(2), NOTES.
#pragma once

#include <csignal>

namespace portmapper::delegate {

class ChildSignals {
 public:
  ChildSignals() {
    struct sigaction action {};
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, &pipe_);
    action.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &action, &child_);
  }
  ChildSignals(const ChildSignals&) = delete;
  ChildSignals& operator=(const ChildSignals&) = delete;
  ~ChildSignals() {
    sigaction(SIGPIPE, &pipe_, nullptr);
    sigaction(SIGCHLD, &child_, nullptr);
  }

 private:
  struct sigaction pipe_ {};
  struct sigaction child_ {};
};

}  // namespace portmapper::delegate

// Process: one plugin that was started, from posix_spawn to waitpid.
//
//   Result<Process> process = Process::start(path, "ADD", {.in = 5, .out = 8, .err = 10});
//   pollfd exit{.fd = process->pidfd(), .events = POLLIN};  // where it is -1, ask has_exited()
//   poll(&exit, 1, -1);
//   const Result<int> status = process->wait();
//
// The child gets our environment with CNI_COMMAND replaced, the three descriptors as 0, 1 and 2
// and no other, an empty signal mask and default dispositions. It leads a process group of its
// own, so that kill_all() also ends what it started: a hung `bridge` most likely waits for its IPAM
// plugin, which would otherwise go on and hand out an address after we reported the failure. The
// price: a terminal's Ctrl-C reaches us and not the delegate, which then finishes what it does
// and meets a closed pipe; that is no worse than being interrupted half way, and the runtime's DEL
// cleans up after both. It never reads the terminal (stdin is a pipe), so it cannot be stopped by
// it.
//
// Errors: delegate_failed with the path and the errno. The destructor kills and reaps what was not
// waited for, so nothing leaves a zombie, with one exception: a process in an uninterruptible
// system call (a dead NFS server) outlives SIGKILL, and wait() gives up after 5 seconds with
// ETIMEDOUT, since the runtime must get its error. Does not promise: to end a process that moved
// itself to another process group. Source: posix_spawn(3), pidfd_open(2), waitpid(2), kill(2).
//
// Our environment is handed on as it is, as libcni does it: the delegate runs with the privileges
// and the environment that the runtime gave to us, and may need any of it (a proxy, LD_PRELOAD of a
// profiler, PATH for iptables).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "lib/base/error.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::delegate {

// The child's ends of its pipes. None of them may be 0, 1 or 2: they are moved there one by one.
struct ChildEnds {
  int in = -1;
  int out = -1;
  int err = -1;
};

class Process {
 public:
  static Result<Process> start(const std::string& path, std::string_view command,
                               const ChildEnds& ends);

  Process(Process&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  Process& operator=(Process&&) = delete;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  // Readable when the process has exited; -1 where the kernel or a seccomp filter has no
  // pidfd_open.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  // Does not reap.
  [[nodiscard]] bool has_exited() const;
  void kill_all() const;
  // Reaps what has exited or was killed; the status is waitpid's. Once only.
  Result<int> wait();

 private:
  Process(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}

  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

}  // namespace portmapper::delegate

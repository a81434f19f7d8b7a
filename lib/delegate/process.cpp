#include "lib/delegate/process.hpp"

#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <vector>

#include "lib/base/libc.hpp"
#include "lib/delegate/above_stderr.hpp"

namespace portmapper::delegate {
namespace {

// How long a process that was killed, or has exited already, may take to be reaped.
constexpr std::chrono::milliseconds kPatience{5000};
constexpr std::chrono::milliseconds kPause{5};

// What posix_spawn needs to know beside the file; owns its two attribute objects.
class SpawnPlan {
 public:
  SpawnPlan() : error_(posix_spawn_file_actions_init(&actions_)) {
    if (error_ != 0) return;
    error_ = posix_spawnattr_init(&attributes_);
    if (error_ != 0) posix_spawn_file_actions_destroy(&actions_);
    initialized_ = error_ == 0;
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    if (!initialized_) return;
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }

  void connect(const ChildEnds& ends) {
    check(posix_spawn_file_actions_adddup2(&actions_, ends.in, STDIN_FILENO));
    check(posix_spawn_file_actions_adddup2(&actions_, ends.out, STDOUT_FILENO));
    check(posix_spawn_file_actions_adddup2(&actions_, ends.err, STDERR_FILENO));
    // Ours are CLOEXEC; this is for those that the runtime let us inherit.
    check(libc::add_close_from(&actions_, STDERR_FILENO + 1));
  }

  void set_group_and_signals() {
    sigset_t none;
    sigemptyset(&none);
    // Every bit: sigfillset() leaves out 32 and 33, and glibc would have the child ignore these.
    sigset_t all;
    std::memset(&all, 0xff, sizeof(all));
    check(posix_spawnattr_setsigdefault(&attributes_, &all));
    check(posix_spawnattr_setsigmask(&attributes_, &none));
    check(posix_spawnattr_setpgroup(&attributes_, 0));
    check(posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP));
  }

  // The errno, 0 when the process runs.
  int spawn(pid_t& pid, const std::string& path, char* const* environment) const {
    if (error_ != 0) return error_;
    std::string name = path;
    char* arguments[] = {name.data(), nullptr};
    return posix_spawn(&pid, path.c_str(), &actions_, &attributes_, arguments, environment);
  }

  [[nodiscard]] bool is_ready() const { return error_ == 0; }

 private:
  void check(int error) {
    if (error_ == 0) error_ = error;
  }

  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
  int error_ = 0;
  bool initialized_ = false;
};

// Our environment, every entry in its place, but for CNI_COMMAND, which is `command_entry`.
std::vector<char*> environment_with(std::string& command_entry) {
  constexpr std::string_view name = "CNI_COMMAND=";
  std::vector<char*> environment;
  bool replaced = false;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const bool is_command = std::string_view(*entry).starts_with(name);
    if (!is_command) environment.push_back(*entry);
    if (is_command && !replaced) environment.push_back(command_entry.data());
    replaced = replaced || is_command;
  }
  if (!replaced) environment.push_back(command_entry.data());
  environment.push_back(nullptr);
  return environment;
}

void sleep_for(std::timespec time) {
  while (nanosleep(&time, &time) != 0 && errno == EINTR) {
  }
}

}  // namespace

Result<Process> Process::start(const std::string& path, std::string_view command,
                               const ChildEnds& ends) {
  std::string command_entry = "CNI_COMMAND=" + std::string(command);
  const std::vector<char*> environment = environment_with(command_entry);
  SpawnPlan plan;
  if (plan.is_ready()) {
    plan.connect(ends);
    plan.set_group_and_signals();
  }
  pid_t pid = -1;
  int error = plan.spawn(pid, path, environment.data());
  // An installer that copies over a plugin holds it open for writing; as CNI's own libcni, wait a
  // few seconds for it to end.
  for (int retries = 0; error == ETXTBSY && retries < 50; ++retries) {
    sleep_for({.tv_sec = 0, .tv_nsec = 100'000'000});
    error = plan.spawn(pid, path, environment.data());
  }
  if (error != 0) {
    return delegate_failed("cannot start delegate", path, error);
  }
  // The child is not reaped yet, so the number still means it. A pidfd is always CLOEXEC.
  return Process(pid, above_stderr(UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)))));
}

Process::~Process() {
  if (pid_ <= 0) return;
  kill_all();
  static_cast<void>(wait());
}

bool Process::has_exited() const {
  siginfo_t info{};
  const int result = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
  // Not our child any more: wait() will say so.
  if (result != 0) return errno == ECHILD;
  return info.si_pid == pid_;
}

void Process::kill_all() const {
  // Both by number, safe as long as the process is not reaped: neither its number nor its group's
  // is used again before.
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
}

Result<int> Process::wait() {
  const pid_t pid = std::exchange(pid_, -1);
  int status = 0;
  pid_t reaped = waitpid(pid, &status, WNOHANG);
  for (int tries = 0; reaped == 0 && tries < kPatience / kPause; ++tries) {
    sleep_for({.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(kPause).count()});
    reaped = waitpid(pid, &status, WNOHANG);
  }
  if (reaped == 0) errno = ETIMEDOUT;
  if (reaped <= 0) {
    return delegate_failed("cannot determine how the delegate ended", {}, errno);
  }
  return status;
}

}  // namespace portmapper::delegate

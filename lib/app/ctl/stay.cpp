#include "lib/app/ctl/stay.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <memory>
#include <utility>

#include "lib/app/ctl/ctl.hpp"
#include "lib/base/escape.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::ctl {
namespace {

constexpr std::chrono::seconds kChildPatience{10};

sigset_t awaited() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&signals, one);
  // Who started it under nohup wants it to go on.
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);
  return signals;
}

// One of those, or 0 when the time is over.
int next_signal(std::chrono::milliseconds time) {
  const sigset_t signals = awaited();
  const std::timespec limit{.tv_sec = time.count() / 1000,
                            .tv_nsec = time.count() % 1000 * 1000000};
  const int signal = sigtimedwait(&signals, nullptr, &limit);
  return signal > 0 ? signal : 0;
}

// The child ends with this process, however that ends. What keeps it from starting goes to `answer`.
[[noreturn]] void become(char* const* arguments, pid_t parent, const sigset_t& mask, int answer) {
  (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  if (getppid() != parent) _exit(0);  // it was gone before that
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  execv(*arguments, arguments);
  const int error = errno;
  (void)!write(answer, &error, sizeof error);
  _exit(127);
}

// With the signals as they were before.
Result<pid_t> start(std::vector<std::string> command, const sigset_t& mask) {
  const std::string file = command.front();
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return mapping_failed("cannot start", file, errno);
  const UniqueFd answer(ends[0]);
  UniqueFd child_end(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return mapping_failed("cannot start", file, errno);
  if (pid == 0) become(arguments.data(), parent, mask, child_end.get());
  child_end.reset();
  int error = 0;
  if (read(answer.get(), &error, sizeof error) <= 0) return pid;  // closed: it has started
  (void)waitpid(pid, nullptr, 0);
  return mapping_failed("cannot start", file, error);
}

class Staying {
 public:
  explicit Staying(Stay stay) : stay_(std::move(stay)) {}

  app::Outcome begin(const std::shared_ptr<Staying>& self) {
    sigset_t before;
    const sigset_t signals = awaited();
    sigprocmask(SIG_BLOCK, &signals, &before);
    // Whoever ignores it, and started us, would have the kernel reap.
    (void)std::signal(SIGCHLD, SIG_DFL);
    if (stay_.ready)
      if (const Status ready = stay_.ready(); !ready) return failure(ready.error());
    app::Outcome outcome = install();
    const Result<pid_t> child = start(stay_.child, before);
    if (!child) {
      outcome.log += failure(child.error()).log;
      outcome.status = kProblem;
      return outcome;
    }
    child_ = *child;
    (void)std::signal(SIGPIPE, SIG_IGN);  // whoever reads what it says may go
    outcome.next = [self] { return self->go_on(self); };
    return outcome;
  }

 private:
  // Until there is something to say. An orphan that ends does not put off the next look.
  app::Outcome go_on(const std::shared_ptr<Staying>& self) {
    using std::chrono::milliseconds;
    using Clock = std::chrono::steady_clock;
    for (Clock::time_point look = Clock::now() + stay_.look_again;;) {
      const auto left = std::chrono::ceil<milliseconds>(look - Clock::now());
      const int signal = next_signal(std::max(left, milliseconds(0)));
      if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP) return end();
      if (signal == SIGCHLD && has_ended()) return ended_by_itself();
      if (Clock::now() < look) continue;
      look = Clock::now() + stay_.look_again;
      app::Outcome outcome = install();
      if (outcome.log.empty()) continue;
      outcome.next = [self] { return self->go_on(self); };
      return outcome;
    }
  }

  app::Outcome install() {
    app::Outcome outcome;
    std::vector<std::string> done;
    const Status status = stay_.install(done);
    for (const std::string& line : done) outcome.log += printable(line) + "\n";
    const std::string problem = status ? "" : failure(status.error()).log;
    if (problem != problem_) outcome.log += problem;
    problem_ = problem;
    return outcome;
  }

  // Reaps whatever is there to reap: orphans become children of the first process.
  bool has_ended() {
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, WNOHANG);
      if (pid < 0 && errno == EINTR) continue;
      if (pid <= 0) return child_ < 0;
      if (pid == child_) {
        child_ = -1;
        status_ = status;
      }
    }
  }

  [[nodiscard]] app::Outcome ended_by_itself() const {
    const std::string name = stay_.child.back();
    app::Outcome outcome;
    outcome.status = kProblem;
    outcome.log =
        log_lines({WIFSIGNALED(status_)
                       ? name + " was ended by signal " + std::to_string(WTERMSIG(status_))
                       : name + " ended with exit status " + std::to_string(WEXITSTATUS(status_))});
    return outcome;
  }

  app::Outcome end() {
    if (!has_ended()) kill(child_, SIGTERM);
    const auto limit = std::chrono::steady_clock::now() + kChildPatience;
    while (!has_ended() && std::chrono::steady_clock::now() < limit)
      (void)next_signal(std::chrono::seconds(1));
    if (!has_ended()) kill(child_, SIGKILL);
    app::Outcome outcome = stay_.leave ? stay_.leave() : app::Outcome();
    outcome.log.insert(0, std::exchange(outcome.out, {}));
    return outcome;
  }

  Stay stay_;
  pid_t child_ = -1;
  int status_ = 0;
  std::string problem_;  // that was said last
};

}  // namespace

app::Outcome stay_installed(Stay stay) {
  const auto staying = std::make_shared<Staying>(std::move(stay));
  return staying->begin(staying);
}

}  // namespace portmapper::ctl

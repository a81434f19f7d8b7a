#include "tests/support/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "lib/base/unique_fd.hpp"
#include "tests/support/namespace.hpp"
#include "tests/support/slowness.hpp"

namespace portmapper::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};

Pipe make_pipe() {
  std::array<int, 2> fds{};
  if (pipe2(fds.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

void set_nonblocking(const UniqueFd& fd) {
  fcntl(fd.get(), F_SETFL, O_NONBLOCK);
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (const std::string& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// The child of a thread is in the network namespace of that thread; SIGPIPE, which this process
// ignores, is at its default again in the child.
pid_t spawn(const std::vector<std::string>& argv, const RunOptions& options, int in, int out,
            int err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigfillset(&defaults);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  pid_t pid = -1;
  const int error = in_namespace(options.ns, [&] {
    return posix_spawnp(&pid, argv.at(0).c_str(), &actions, &attributes, pointers(argv).data(),
                        pointers(options.environment).data());
  });
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error(argv.at(0) + ": " + std::strerror(error));
  return pid;
}

void feed(UniqueFd& fd, const std::string& input, std::size_t& written) {
  const ssize_t count = write(fd.get(), input.data() + written, input.size() - written);
  if (count > 0) written += static_cast<std::size_t>(count);
  const bool failed = count < 0 && errno != EAGAIN && errno != EINTR;
  if (failed || written == input.size()) fd.reset();
}

void drain(UniqueFd& fd, std::string& text) {
  std::array<char, 65536> buffer;
  while (fd) {
    const ssize_t count = read(fd.get(), buffer.data(), buffer.size());
    if (count > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else {
      if (count == 0 || errno != EAGAIN) fd.reset();
      return;
    }
  }
}

int remaining(Clock::time_point deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(left);
}

int reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::vector<std::string> tool_environment() {
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
}

RunResult run(const std::vector<std::string>& argv, const RunOptions& options) {
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  const auto deadline = Clock::now() + slowness() * options.time_limit;
  const pid_t pid = spawn(argv, options, in.reader.get(), out.writer.get(), err.writer.get());
  in.reader.reset();
  out.writer.reset();
  err.writer.reset();
  for (const UniqueFd* fd : {&in.writer, &out.reader, &err.reader}) set_nonblocking(*fd);
  // glibc 2.36 declares pidfd_open without C linkage.
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));

  RunResult result;
  std::size_t written = 0;
  if (options.input.empty()) in.writer.reset();
  while (true) {
    std::array<pollfd, 4> fds{{{process.get(), POLLIN, 0},
                               {in.writer.get(), POLLOUT, 0},
                               {out.reader.get(), POLLIN, 0},
                               {err.reader.get(), POLLIN, 0}}};
    const int ready = poll(fds.data(), fds.size(), remaining(deadline));
    if (ready == 0) kill(pid, SIGKILL);
    if (fds[1].revents != 0) feed(in.writer, options.input, written);
    drain(out.reader, result.out);
    drain(err.reader, result.err);
    if (ready == 0 || fds[0].revents != 0) break;
  }
  result.status = reap(pid);
  drain(out.reader, result.out);
  drain(err.reader, result.err);
  return result;
}

}  // namespace portmapper::test

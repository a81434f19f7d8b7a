// What the tests of lib/delegate share: a directory of plugins that checks what must hold after
// each test, a stderr of ours for a while, a process for what must not happen to the tests
// themselves.
//
//   Plugins plugins;
//   plugins.script("cat; exit 3");
//   said(plugins.run("input"));  // "delegate ADD ended with exit status 3: /tmp/.../plugin"
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "lib/base/unique_fd.hpp"
#include "lib/delegate/runner.hpp"
#include "tests/support/running.hpp"

namespace delegate_test {

using namespace portmapper;
using test::is_running;

inline std::string read_all(int fd) {
  std::string text;
  char buffer[65536];
  while (true) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

inline void write_file(const std::filesystem::path& path, const std::string& text, mode_t mode) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  REQUIRE(fd);
  REQUIRE(write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

inline std::string contents(const std::filesystem::path& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? read_all(fd.get()) : "(no file)";
}

inline std::set<std::string> open_fds() {
  std::set<std::string> fds;
  for (const std::filesystem::directory_entry& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::filesystem::path target = std::filesystem::read_symlink(entry.path(), gone);
    if (!gone) fds.insert(entry.path().filename().string() + " " + target.string());
  }
  return fds;
}

// Our stderr is `fd` for a while.
class StderrIs {
 public:
  explicit StderrIs(const UniqueFd& fd) : StderrIs(fd.get()) {}
  explicit StderrIs(int fd) : saved_(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100)) {
    if (fd >= 0) dup2(fd, STDERR_FILENO);
    if (fd < 0) close(STDERR_FILENO);
  }
  StderrIs(const StderrIs&) = delete;
  StderrIs& operator=(const StderrIs&) = delete;
  ~StderrIs() { dup2(saved_.get(), STDERR_FILENO); }

 private:
  UniqueFd saved_;
};

// A directory of plugins, a stderr of ours that nobody needs to read, and what must hold after
// each test.
class Plugins {
 public:
  Plugins() {
    char name[] = "/tmp/delegate-test.XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    directory = name;
    fds_ = open_fds();
  }
  Plugins(const Plugins&) = delete;
  Plugins& operator=(const Plugins&) = delete;
  ~Plugins() {
    CHECK(open_fds() == fds_);
    CHECK(waitpid(-1, nullptr, WNOHANG) == -1);
    CHECK(errno == ECHILD);
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }

  [[nodiscard]] std::string path(const std::string& name = "plugin") const {
    return (directory / name).string();
  }
  void script(const std::string& body, const std::string& name = "plugin",
              mode_t mode = 0755) const {
    write_file(directory / name, "#!/bin/sh\n" + body + "\n", mode);
  }
  [[nodiscard]] Result<std::string> run(std::string_view input = "{}",
                                        std::chrono::seconds limit = std::chrono::seconds(20),
                                        std::string_view command = "ADD") const {
    delegate::PluginRunner runner(directory.string());
    return runner.run({.type = "plugin", .command = command, .input = input, .time_limit = limit});
  }
  // What a script wrote with "echo $!" to the file of that name.
  [[nodiscard]] pid_t pid_in(const std::string& name) const {
    const pid_t pid = std::atoi(contents(path(name)).c_str());
    REQUIRE(pid > 0);  // 0 would be our own process group
    return pid;
  }

  std::filesystem::path directory;

 private:
  StderrIs quiet_{UniqueFd(open("/dev/null", O_WRONLY | O_CLOEXEC))};
  std::set<std::string> fds_;
};

struct TestPipe {
  TestPipe() {
    int fds[2];
    REQUIRE(pipe2(fds, O_CLOEXEC) == 0);
    read_end = UniqueFd(fds[0]);
    write_end = UniqueFd(fds[1]);
  }
  UniqueFd read_end;
  UniqueFd write_end;
};

inline std::string said(const Result<std::string>& result) {
  return result ? "success: " + *result : result.error().message();
}

// Runs `body` in a forked process and returns its text; for what must not happen to the tests.
inline std::string elsewhere(const std::function<std::string()>& body) {
  TestPipe answer;
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const UniqueFd out(fcntl(answer.write_end.get(), F_DUPFD_CLOEXEC, 200));
    const std::string text = body();
    const ssize_t written = write(out.get(), text.data(), text.size());
    _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  answer.write_end.reset();
  std::string text = read_all(answer.read_end.get());
  int status = -1;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
  return text;
}

// From now on these system calls fail so, in this process and its children.
inline void deny(const std::vector<int>& calls, int error) {
  std::vector<sock_filter> program;
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  for (const int call : calls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()),
                          .filter = program.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    _exit(2);
  }
}

template <typename Body>
std::chrono::milliseconds time_of(Body body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               begin);
}

// Killed processes take a moment to go.
inline bool stops_running(pid_t pid) {
  for (int i = 0; i < 100 && is_running(pid); ++i) usleep(10'000);
  return !is_running(pid);
}

}  // namespace delegate_test

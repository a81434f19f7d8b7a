// lib/delegate: what the plugin inherits (environment, descriptors, signals), and the runner on a
// host that does everything wrong: failing system calls, signals, closed descriptors.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "lib/base/unique_fd.hpp"
#include "lib/delegate/exchange.hpp"
#include "lib/delegate/process.hpp"
#include "tests/unit/delegate_fixture.hpp"

using namespace delegate_test;
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

void kill_daemon(const Plugins& plugins) {
  kill(plugins.pid_in("daemon"), SIGKILL);
}

}  // namespace

TEST_CASE("delegate: any of our own 0, 1 and 2 may be closed") {
  // A pipe that got one of these numbers would be mixed up with stderr or with another pipe.
  Plugins plugins;
  plugins.script("echo noise >&2; sleep 0.01; cat");
  const std::string input(200'000, 'x');
  for (int closed = 1; closed < 8; ++closed) {
    CHECK(elsewhere([&] {
            for (const int fd : {0, 1, 2}) {
              if ((closed & 1 << fd) != 0) close(fd);
            }
            return said(plugins.run(input));
          }) == "success: " + input);
  }
  CHECK(elsewhere([] {
          for (const int fd : {0, 1, 2}) close(fd);
          const Result<delegate::Exchange> exchange = delegate::Exchange::open("");
          if (!exchange) return exchange.error().message();
          const delegate::ChildEnds ends = exchange->child_ends();
          return std::to_string(std::min({ends.in, ends.out, ends.err}) > 2);
        }) == "1");
}

TEST_CASE("delegate: its environment is the caller's, with CNI_COMMAND replaced") {
  Plugins plugins;
  fs::create_symlink("/usr/bin/env", plugins.directory / "plugin");
  const auto expected = [](const std::string& command) {
    std::string text;
    bool seen = false;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const bool is_command = std::string_view(*entry).starts_with("CNI_COMMAND=");
      seen = seen || is_command;
      text += (is_command ? command : std::string(*entry)) + "\n";
    }
    return seen ? text : text + command + "\n";
  };
  unsetenv("CNI_COMMAND");
  setenv("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=a b\xff", 1);
  setenv("CNI_COMMANDER", "kept", 1);
  CHECK(*plugins.run("", seconds(20), "DEL") == expected("CNI_COMMAND=DEL"));
  setenv("CNI_COMMAND", "ADD", 1);
  setenv("CNI_LAST", "after", 1);
  CHECK(*plugins.run("", seconds(20), "CHECK") == expected("CNI_COMMAND=CHECK"));
  CHECK(std::string(getenv("CNI_COMMAND")) == "ADD");
  for (const char* name : {"CNI_COMMAND", "CNI_ARGS", "CNI_COMMANDER", "CNI_LAST"}) unsetenv(name);
}

TEST_CASE("delegate: CNI_COMMAND given twice reaches the delegate once") {
  Plugins plugins;
  fs::create_symlink("/usr/bin/env", plugins.directory / "plugin");
  char a[] = "CNI_COMMAND=ADD";
  char b[] = "X=1";
  char c[] = "CNI_COMMAND=CHECK";
  char* entries[] = {a, b, c, nullptr};
  char** const before = environ;
  environ = entries;
  const std::string output = said(plugins.run("", seconds(20), "DEL"));
  environ = before;
  CHECK(output == "success: CNI_COMMAND=DEL\nX=1\n");
}

TEST_CASE("delegate: it has 0, 1 and 2 and no other descriptor, though ours be inheritable") {
  Plugins plugins;
  plugins.script("exec ls /proc/self/fd");
  CHECK(dup2(STDOUT_FILENO, 57) == 57);
  const std::string output = said(plugins.run());
  close(57);
  CHECK(output == "success: 0\n1\n2\n3\n");  // 3 is the directory that ls reads
  plugins.script("for fd in 0 1 2; do readlink /proc/$$/fd/$fd | cut -d: -f1; done");
  CHECK(*plugins.run() == "pipe\npipe\npipe\n");
}

TEST_CASE("delegate: none of our descriptors would survive an exec") {
  Plugins plugins;
  // Of what we close while it looks, `grep -L` would say that it lacks the flag.
  plugins.script(
      "grep -H '^flags:' /proc/$PPID/fdinfo/* | grep -v '[2367][0-7]\\{6\\}$' | cut -d: -f1 | grep "
      "-o '[0-9]*$'");
  std::string before;
  for (int fd = 0; fd < 1024; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) before += std::to_string(fd) + "\n";
  }
  std::set<std::string> expected;
  std::set<std::string> inheritable;
  const auto split = [](const std::string& text, std::set<std::string>& lines) {
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
      lines.insert(text.substr(at, text.find('\n', at) - at));
    }
  };
  split(before, expected);
  split(*plugins.run(), inheritable);
  CHECK(inheritable == expected);
}

TEST_CASE("delegate process: one that is not waited for is killed and reaped") {
  Plugins plugins;
  plugins.script("exec sleep 30");
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const milliseconds time = time_of([&] {
    const Result<delegate::Process> process =
        delegate::Process::start(plugins.path(), "ADD", {null.get(), null.get(), null.get()});
    CHECK(process);
    CHECK(!process->has_exited());
  });
  CHECK(time < milliseconds(5000));
}

TEST_CASE("delegate process: waiting goes on after a signal of ours") {
  Plugins plugins;
  plugins.script("sleep 0.1; exit 3");
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, &before);
  const itimerval often{.it_interval = {0, 10'000}, .it_value = {0, 10'000}};
  const itimerval never{};
  setitimer(ITIMER_REAL, &often, nullptr);
  Result<delegate::Process> process =
      delegate::Process::start(plugins.path(), "ADD", {null.get(), null.get(), null.get()});
  REQUIRE(process);
  const Result<int> status = process->wait();
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  REQUIRE(status);
  CHECK(*status == 3 << 8);
}

TEST_CASE("delegate process: one that SIGKILL does not end is not waited for without end") {
  // As after an uninterruptible system call: a process whose tracer does not look at its death is
  // a zombie that its parent cannot reap.
  Plugins plugins;
  plugins.script("echo $$ > '" + plugins.path("pid") + "'; exec sleep 30");
  const pid_t tracer = fork();
  REQUIRE(tracer >= 0);
  if (tracer == 0) {
    while (contents(plugins.path("pid")).find('\n') == std::string::npos) usleep(1000);
    const pid_t pid = std::atoi(contents(plugins.path("pid")).c_str());
    if (ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) _exit(1);
    for (;;) pause();
  }
  Result<std::string> result = std::string();
  const milliseconds time = time_of([&] { result = plugins.run("", seconds(1)); });
  kill(tracer, SIGKILL);
  CHECK(waitpid(tracer, nullptr, 0) == tracer);
  CHECK(
      said(result) ==
      "delegate ADD took longer than the 1 s of delegateTimeout and was killed, but has not ended "
      "yet: " +
          plugins.path());
  // The delegate sleeps 30 s; a busy machine makes 6 s a few more.
  CHECK(time > milliseconds(6000));
  CHECK(time < milliseconds(25000));
  CHECK(waitpid(-1, nullptr, 0) > 0);  // the tracer is gone, and with it what kept it
}

TEST_CASE("delegate: it starts with default signals, ours are as before") {
  Plugins plugins;
  plugins.script("exec grep -E '^Sig(Blk|Ign)' /proc/self/status");
  CHECK(elsewhere([&] {
          sigset_t set;
          sigfillset(&set);
          sigprocmask(SIG_BLOCK, &set, nullptr);
          for (const int number : {SIGHUP, SIGPIPE, SIGTERM, SIGUSR1}) std::signal(number, SIG_IGN);
          return said(plugins.run());
        }) == "success: SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  CHECK(elsewhere([&] {
          for (const int number : {SIGPIPE, SIGCHLD}) std::signal(number, SIG_DFL);
          const bool ran = static_cast<bool>(plugins.run());
          const bool pipe_default = std::signal(SIGPIPE, SIG_DFL) == SIG_DFL;
          const bool child_default = std::signal(SIGCHLD, SIG_DFL) == SIG_DFL;
          return std::string(ran && pipe_default && child_default ? "as before" : "changed");
        }) == "as before");
}

TEST_CASE("delegate: a runtime that ignores SIGCHLD does not hide that the delegate failed") {
  Plugins plugins;
  plugins.script("exit 3");
  CHECK(elsewhere([&] {
          std::signal(SIGCHLD, SIG_IGN);
          const std::string text = said(plugins.run());
          return text + (std::signal(SIGCHLD, SIG_DFL) == SIG_IGN ? ", as before" : ", changed");
        }) == "delegate ADD ended with exit status 3: " + plugins.path() + ", as before");
}

TEST_CASE("delegate: signals that interrupt us every millisecond change nothing") {
  Plugins plugins;
  plugins.script("head -c 300000 /dev/zero >&2; cat; exit 4");
  const std::string input(std::size_t{1} << 20, 'x');
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, &before);
  const itimerval often{.it_interval = {0, 1000}, .it_value = {0, 1000}};
  const itimerval never{};
  setitimer(ITIMER_REAL, &often, nullptr);
  const Result<std::string> result = plugins.run(input);
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  CHECK(said(result) == "delegate ADD ended with exit status 4: " + plugins.path());
  CHECK(result.error().details == std::string(65536, 'x'));
}

TEST_CASE("delegate: what the kernel cannot start is told with path and errno") {
  Plugins plugins;
  write_file(plugins.directory / "plugin", "no program", 0755);
  const Result<std::string> result = plugins.run();
  CHECK(said(result) == "cannot start delegate: " + plugins.path() + ": Exec format error");
  CHECK(result.error().error_number == ENOEXEC);
  write_file(plugins.directory / "plugin", "#!/nowhere/sh\n", 0755);
  const Result<std::string> nowhere = plugins.run();
  CHECK(said(nowhere) ==
        "cannot start delegate: " + plugins.path() + ": No such file or directory");
  CHECK(nowhere.error().kind == ErrorKind::delegate_missing);
}

TEST_CASE("delegate: a plugin that is being installed is waited for") {
  Plugins plugins;
  plugins.script("echo ok");
  TestPipe hold;
  const pid_t installer = fork();
  REQUIRE(installer >= 0);
  if (installer == 0) {
    const int fd = open(plugins.path().c_str(), O_WRONLY | O_CLOEXEC);
    const bool told = write(hold.write_end.get(), "x", 1) == 1;
    usleep(150'000);
    _exit(fd >= 0 && told ? 0 : 1);
  }
  char byte = 0;
  REQUIRE(read(hold.read_end.get(), &byte, 1) == 1);
  CHECK(said(plugins.run()) == "success: ok\n");
  int status = -1;
  CHECK(waitpid(installer, &status, 0) == installer);
  CHECK(status == 0);
}

TEST_CASE("delegate: without pidfd_open all is the same") {
  Plugins plugins;
  const auto without = [&] {
    return elsewhere([&] {
      deny({SYS_pidfd_open}, ENOSYS);
      return said(plugins.run("in"));
    });
  };
  plugins.script("exec 2>&-; cat; exec 0<&- 1>&-; sleep 0.1");
  CHECK(time_of([&] { CHECK(without() == "success: in"); }) < milliseconds(5000));
  plugins.script("sleep 30 & echo $! > '" + plugins.path("daemon") + "'; cat");
  CHECK(time_of([&] { CHECK(without() == "success: in"); }) < milliseconds(5000));
  kill_daemon(plugins);
}

TEST_CASE("delegate: system calls that fail give their own errors, and leave no child") {
  Plugins plugins;
  plugins.script("cat; sleep 5");
  const auto denied = [&](const std::vector<int>& calls, int error) {
    return elsewhere([&] {
      deny(calls, error);
      const std::string text = said(plugins.run("in", seconds(1)));
      const bool no_child = waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD;
      return text + (no_child ? "" : ", and left a child");
    });
  };
  const std::string path = plugins.path();
  CHECK(denied({SYS_pipe2}, EMFILE) ==
        "cannot make a pipe to the delegate: " + path + ": Too many open files");
  CHECK(denied({SYS_clone, SYS_clone3}, EAGAIN) ==
        "cannot start delegate: " + path + ": Resource temporarily unavailable");
#ifdef SYS_poll
  CHECK(denied({SYS_poll, SYS_ppoll}, ENOMEM) ==
        "cannot wait for the delegate: " + path + ": Cannot allocate memory");
#endif
  // The pipes must be open at the exit for this call to be needed.
  plugins.script("sleep 30 & echo $! > '" + plugins.path("daemon") + "'");
  CHECK(denied({SYS_ioctl}, EIO) ==
        "cannot read from the delegate: " + path + ": Input/output error");
  kill_daemon(plugins);
}

// lib/delegate: the runner against plugins that do everything wrong: where they are looked up, what
// goes through the pipes, how they end.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "lib/base/unique_fd.hpp"
#include "lib/delegate/lookup.hpp"
#include "lib/delegate/runner.hpp"
#include "tests/unit/delegate_fixture.hpp"

using namespace delegate_test;
namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("delegate lookup: the first directory of CNI_PATH wins") {
  Plugins plugins;
  fs::create_directories(plugins.directory / "a");
  fs::create_directories(plugins.directory / "b");
  plugins.script("echo b", "b/bridge");
  const std::string path = plugins.path("none") + "::" + plugins.path("a") + ":" +
                           plugins.path("b/") + ":" + plugins.path("a");
  CHECK(*delegate::find_plugin("bridge", path) == plugins.path("b/bridge"));
  plugins.script("echo a", "a/bridge");
  CHECK(*delegate::find_plugin("bridge", path) == plugins.path("a/bridge"));
  CHECK(*delegate::PluginRunner(path).run({.type = "bridge", .command = "ADD", .input = ""}) ==
        "a\n");
}

TEST_CASE("delegate lookup: what is no executable file is passed over, a link is followed") {
  Plugins plugins;
  for (const char* name : {"a", "b", "c", "d"}) fs::create_directories(plugins.directory / name);
  fs::create_directories(plugins.directory / "a/bridge");
  plugins.script("", "b/bridge", 0644);
  fs::create_symlink("/nowhere", plugins.directory / "c/bridge");
  plugins.script("", "real");
  fs::create_symlink("../real", plugins.directory / "d/bridge");
  std::string path = plugins.path("a") + ":" + plugins.path("b") + ":" + plugins.path("c");
  CHECK(said(delegate::find_plugin("bridge", path)) ==
        "delegate \"bridge\": " + plugins.path("a/bridge") +
            " is not an executable file, and there is no other in CNI_PATH \"" + path +
            "\"; make it executable, or install the plugin again");
  path += ":" + plugins.path("d");
  CHECK(*delegate::find_plugin("bridge", path) == plugins.path("d/bridge"));
}

TEST_CASE("delegate lookup: a missing plugin names type, CNI_PATH and the next step") {
  const Result<std::string> result = delegate::find_plugin("bridge", "/nowhere/a:/nowhere/b");
  CHECK(said(result) ==
        "delegate \"bridge\": no executable file of that name in CNI_PATH "
        "\"/nowhere/a:/nowhere/b\"; install the plugin there, or add its directory to CNI_PATH");
  CHECK(result.error().kind == ErrorKind::delegate_failed);
}

TEST_CASE("delegate lookup: the current directory is never searched") {
  Plugins plugins;
  plugins.script("echo wrong", "bridge");
  fs::create_directories(plugins.directory / "bin");
  plugins.script("echo wrong", "bin/bridge");
  const fs::path before = fs::current_path();
  fs::current_path(plugins.directory);
  for (const char* path : {"", ":", "::", ".", "bin", "./bin:bin/", ":bin:"}) {
    CHECK(said(delegate::find_plugin("bridge", path)) ==
          "delegate \"bridge\": CNI_PATH \"" + std::string(path) +
              "\" names no directory by an absolute path; set CNI_PATH to the directory of the "
              "plugins");
  }
  for (const char* path : {"/nowhere:", ":/nowhere", "/nowhere::/nowhere", "bin:/nowhere"}) {
    CHECK(said(delegate::find_plugin("bridge", path)) ==
          "delegate \"bridge\": no executable file of that name in CNI_PATH \"" +
              std::string(path) + "\"; install the plugin there, or add its directory to CNI_PATH");
  }
  fs::current_path(before);
}

TEST_CASE("delegate lookup: a type that is a path is refused") {
  Plugins plugins;
  plugins.script("echo wrong", "bridge");
  for (const std::string& type :
       {std::string("../bridge"), std::string("/bin/sh"), std::string("bridge/"), std::string(),
        std::string("."), std::string(".."), std::string("bridge\0x", 8)}) {
    CHECK(said(delegate::find_plugin(type, plugins.directory.string())) ==
          "delegate.type: \"" + type +
              "\" is not the name of a plugin; give the name of a file in CNI_PATH, without a "
              "slash");
  }
}

TEST_CASE("delegate lookup: no words that a runtime reads as success") {
  // containerd's go-cni takes a failed DEL for done when the error contains these.
  Plugins plugins;
  plugins.script("", "data", 0644);
  for (const char* type : {"bridge", "a/b", "data"}) {
    for (const std::string& path : {std::string(), std::string("/nowhere"), plugins.path("")}) {
      const std::string text = said(delegate::find_plugin(type, path));
      CHECK(text.find("not found") == std::string::npos);
      CHECK(text.find("no such file or directory") == std::string::npos);
    }
  }
}

TEST_CASE("delegate: its stdout is the result, byte by byte; its stdin is the input") {
  Plugins plugins;
  plugins.script("cat");
  CHECK(*plugins.run("{\"a\":\"\xc3\xa9\"}\n\n") == "{\"a\":\"\xc3\xa9\"}\n\n");
  CHECK(plugins.run("")->empty());
  const std::string binary("\0\xff\n", 3);
  CHECK(*plugins.run(binary) == binary);
}

TEST_CASE("delegate: success with empty or truncated output is the caller's to judge") {
  Plugins plugins;
  plugins.script("exit 0");
  CHECK(plugins.run("{}", seconds(20), "DEL")->empty());
  plugins.script("printf '{\"cniVersion\":'");
  CHECK(*plugins.run() == "{\"cniVersion\":");
}

TEST_CASE("delegate: 10 MiB on stderr before stdin is read do not hang, and arrive in order") {
  Plugins plugins;
  plugins.script(
      "seq 1000000 1310719 >&2; yes 0123456789abcde 2>/dev/null | head -c 8388608 >&2; cat");
  const std::string input(std::size_t{1} << 20, 'x');
  const UniqueFd file(open(plugins.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  std::string output;
  {
    const StderrIs redirected(file.get());
    output = said(plugins.run(input));
  }
  CHECK(output == "success: " + input);
  std::string expected;
  for (int i = 1000000; i <= 1310719; ++i) expected += std::to_string(i) + "\n";
  while (expected.size() < 310720 * 8 + 8388608) expected += "0123456789abcde\n";
  CHECK(contents(plugins.path("log")) == expected);
}

TEST_CASE("delegate: reads and writes at once, more than the pipes hold") {
  Plugins plugins;
  plugins.script("cat; exec 1>&2; printf end");
  const std::string input(std::size_t{4} << 20, 'y');
  CHECK(*plugins.run(input) == input);
}

TEST_CASE("delegate: stderr arrives while the delegate runs") {
  Plugins plugins;
  // The plugin goes on only when what it said has come through.
  plugins.script("echo first >&2; until grep -q first '" + plugins.path("log") +
                 "'; do sleep 0.01; done; echo second >&2; echo done");
  const UniqueFd file(open(plugins.path("log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  std::string output;
  {
    const StderrIs redirected(file.get());
    output = said(plugins.run("{}", seconds(3)));
  }
  CHECK(output == "success: done\n");
  CHECK(contents(plugins.path("log")) == "first\nsecond\n");
}

TEST_CASE("delegate: a stderr of ours that nobody reads costs a second, and no more") {
  Plugins plugins;
  plugins.script("head -c 1048576 /dev/zero >&2; cat");
  const TestPipe nobody_reads;
  std::string output;
  const milliseconds time = time_of([&] {
    const StderrIs redirected(nobody_reads.write_end.get());
    output = said(plugins.run("in"));
  });
  CHECK(output == "success: in");
  CHECK(time < milliseconds(5000));
}

TEST_CASE("delegate: a slow reader of our stderr loses nothing, however long it takes") {
  Plugins plugins;
  plugins.script("seq 1 12000 >&2");
  TestPipe slow;
  REQUIRE(fcntl(slow.write_end.get(), F_SETPIPE_SZ, 4096) == 4096);
  const pid_t reader = fork();
  REQUIRE(reader >= 0);
  if (reader == 0) {
    slow.write_end.reset();
    std::string text;
    char buffer[4096];
    for (ssize_t got = 1; got > 0; usleep(80'000)) {
      got = read(slow.read_end.get(), buffer, sizeof(buffer));
      if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
    }
    std::string expected;
    for (int i = 1; i <= 12000; ++i) expected += std::to_string(i) + "\n";
    _exit(text == expected ? 0 : 1);
  }
  std::string output;
  const milliseconds time = time_of([&] {
    const StderrIs redirected(slow.write_end.get());
    output = said(plugins.run());
  });
  slow.write_end.reset();
  int status = -1;
  CHECK(waitpid(reader, &status, 0) == reader);
  CHECK(status == 0);
  CHECK(output == "success: ");
  CHECK(time > milliseconds(1000));  // longer than one that takes nothing gets
}

TEST_CASE("delegate: a stderr of ours that is closed, broken or full changes nothing") {
  Plugins plugins;
  plugins.script("head -c 200000 /dev/zero >&2; cat");
  TestPipe broken;
  broken.read_end.reset();
  const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  for (const int fd : {-1, broken.write_end.get(), full.get()}) {
    std::string output;
    const milliseconds time = time_of([&] {
      const StderrIs redirected(fd);
      output = said(plugins.run("in"));
    });
    CHECK(output == "success: in");
    CHECK(time < milliseconds(900));  // given up at once
  }
}

TEST_CASE("delegate: closing stdin unread is no error by itself") {
  Plugins plugins;
  const std::string input(std::size_t{1} << 20, 'x');
  plugins.script("exec 0<&-; sleep 0.1; echo '{}'");
  CHECK(*plugins.run(input) == "{}\n");
  plugins.script("exit 0");
  CHECK(plugins.run(input)->empty());
  plugins.script("exec 0<&-; sleep 0.1; exit 7");
  CHECK(said(plugins.run(input)) == "delegate ADD ended with exit status 7: " + plugins.path());
}

TEST_CASE("delegate: one that closes all of its pipes is waited for") {
  Plugins plugins;
  plugins.script("exec 0<&- 1>&- 2>&-; sleep 0.2; exit 5");
  CHECK(said(plugins.run(std::string(std::size_t{1} << 20, 'x'))) ==
        "delegate ADD ended with exit status 5: " + plugins.path());
}

TEST_CASE("delegate: its own error object is kept in details as it is") {
  Plugins plugins;
  plugins.script("echo noise >&2; echo; echo ' {\"code\":11,\"msg\":\"x not found\"} '; exit 1");
  const Result<std::string> result = plugins.run("{}", seconds(20), "DEL");
  REQUIRE(!result);
  CHECK(result.error().message() == "delegate DEL ended with exit status 1: " + plugins.path());
  CHECK(result.error().kind == ErrorKind::delegate_failed);
  CHECK(result.error().error_number == 0);
  CHECK(result.error().details == "{\"code\":11,\"msg\":\"x not found\"}");
}

// Who ran and failed may have left something; of who never ran there is nothing to undo.
TEST_CASE("delegate: one that was never started is told from one that failed") {
  Plugins plugins;
  CHECK(plugins.run().error().kind == ErrorKind::delegate_missing);
  plugins.script("kill -9 $$");
  CHECK(plugins.run().error().kind == ErrorKind::delegate_failed);
}

TEST_CASE("delegate: without an object, details are the end of its stderr") {
  Plugins plugins;
  plugins.script("echo ' panic: oh' >&2; echo 'at line 3' >&2; printf ' \\n'; exit 2");
  CHECK(plugins.run().error().details == "panic: oh\nat line 3");
  plugins.script("seq 1 10000 >&2; exit 2");
  std::string all;
  for (int i = 1; i <= 10000; ++i) all += std::to_string(i) + "\n";
  const std::string tail = all.substr(all.size() - 4096);
  const Result<std::string> result = plugins.run();
  CHECK(result.error().details == tail.substr(0, tail.size() - 1));
}

TEST_CASE("delegate: a shell's complaint does not make containerd believe a DEL that failed") {
  Plugins plugins;
  plugins.script("echo 'sh: 1: jq: not found' >&2; exit 127");
  CHECK(plugins.run().error().details == "sh: 1: jq: not-found");
  plugins.script("echo 'jq: not found, ip: not found'; exit 127");
  CHECK(plugins.run().error().details == "jq: not-found, ip: not-found");
}

TEST_CASE("delegate: details are at most 64 KiB") {
  Plugins plugins;
  plugins.script("printf '{'; head -c 200000 /dev/zero | tr '\\0' x; exit 1");
  CHECK(plugins.run().error().details == "{" + std::string(65535, 'x'));
}

TEST_CASE("delegate: more than 16 MiB on stdout is refused, 16 MiB are not") {
  Plugins plugins;
  plugins.script("head -c 16777216 /dev/zero");
  const Result<std::string> full = plugins.run();
  REQUIRE(full);
  CHECK(full->size() == 16777216);
  plugins.script("head -c 16777217 /dev/zero");
  CHECK(said(plugins.run()) ==
        "delegate ADD printed more than 16 MiB on stdout: " + plugins.path());
  plugins.script("exec cat /dev/zero");
  const Result<std::string> endless = plugins.run();
  CHECK(said(endless) == "delegate ADD printed more than 16 MiB on stdout: " + plugins.path());
  CHECK(endless.error().details.size() == 65536);
}

TEST_CASE("delegate: death by a signal is told by its name") {
  Plugins plugins;
  plugins.script("kill -SEGV $$");
  CHECK(said(plugins.run()) == "delegate ADD was killed by SIGSEGV: " + plugins.path());
  plugins.script("echo cause >&2; kill -9 $$");
  const Result<std::string> result = plugins.run();
  CHECK(said(result) == "delegate ADD was killed by SIGKILL: " + plugins.path());
  CHECK(result.error().details == "cause");
  plugins.script("kill -40 $$");
  CHECK(said(plugins.run()) == "delegate ADD was killed by signal 40: " + plugins.path());
}

TEST_CASE("delegate: the time limit kills the delegate and what it started") {
  Plugins plugins;
  plugins.script("sleep 30 & echo $! > '" + plugins.path("child") +
                 "'; trap '' TERM INT HUP; echo stuck >&2; wait");
  Result<std::string> result = std::string();
  const milliseconds time = time_of([&] { result = plugins.run("{}", seconds(1)); });
  CHECK(said(result) ==
        "delegate ADD took longer than the 1 s of delegateTimeout and was killed: " +
            plugins.path());
  CHECK(result.error().details == "stuck");
  CHECK(time >= milliseconds(1000));
  CHECK(time < milliseconds(5000));
  CHECK(stops_running(plugins.pid_in("child")));
}

TEST_CASE("delegate: a time limit of 0 is none, a huge one does not overflow") {
  Plugins plugins;
  plugins.script("sleep 0.05; echo ok");
  CHECK(*plugins.run("", seconds(0)) == "ok\n");
  CHECK(*plugins.run("", seconds::max()) == "ok\n");
}

TEST_CASE("delegate: a daemon that keeps the pipes open, or fills them, is not waited for") {
  Plugins plugins;
  plugins.script("sleep 30 & echo $! > '" + plugins.path("daemon") + "'; cat");
  Result<std::string> result = std::string();
  CHECK(time_of([&] { result = plugins.run("in"); }) < milliseconds(5000));
  CHECK(said(result) == "success: in");
  const pid_t daemon = plugins.pid_in("daemon");
  CHECK(is_running(daemon));  // not ours to stop
  kill(daemon, SIGKILL);
  CHECK(stops_running(daemon));

  plugins.script("yes noise >&2 2>/dev/null & echo $! > '" + plugins.path("daemon") + "'; cat");
  const milliseconds time = time_of([&] { result = plugins.run("in"); });
  kill(plugins.pid_in("daemon"), SIGKILL);
  CHECK(time < milliseconds(5000));
  CHECK(said(result) == "success: in");
}

TEST_CASE("delegate: output that is still in the pipe at its exit is not lost") {
  Plugins plugins;
  plugins.script("head -c 60000 /dev/zero; exec head -c 60000 /dev/zero >&2");
  for (int i = 0; i < 20; ++i) {
    const Result<std::string> result = plugins.run();
    REQUIRE(result);
    CHECK(result->size() == 60000);
  }
}

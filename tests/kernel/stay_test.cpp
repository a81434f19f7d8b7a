// nft-port-mapperctl install --stay: what stays in a container, and how it ends.
#include "lib/app/ctl/stay.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <thread>

#include "lib/app/ctl/ctl.hpp"
#include "lib/app/ctl/installation.hpp"
#include "lib/base/unique_fd.hpp"
#include "lib/base/write_all.hpp"
#include "lib/host/directory_lock.hpp"
#include "tests/support/install_host.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

namespace fs = std::filesystem;

// What `condition` waits for comes within a minute of a loaded machine.
template <typename Condition>
bool comes(const Condition& condition) {
  for (int attempt = 0; attempt < 3000; ++attempt) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

// A process that stays, as main() runs it; what it says goes to `log`.
pid_t staying(ctl::Stay stay, int log) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  (void)std::signal(SIGPIPE, SIG_DFL);  // which the tests ignore
  app::Outcome outcome = ctl::stay_installed(std::move(stay));
  for (;;) {
    (void)write_all(log, outcome.out + outcome.log);
    if (!outcome.next) _exit(outcome.status);
    outcome = app::Outcome(outcome.next());
  }
}

pid_t staying(ctl::Stay stay, const std::string& said) {
  const UniqueFd log(creat(said.c_str(), 0600));
  return staying(std::move(stay), log.get());
}

// Says its PID in `file`, and ends at SIGTERM.
std::vector<std::string> child_that_says(const std::string& file) {
  return {"/bin/sh", "-c", "trap 'exit 0' TERM; echo $$ >\"$0\"; while :; do sleep 0.1; done",
          file};
}

pid_t pid_in(const std::string& file) {
  REQUIRE(comes([&] { return fs::exists(file) && !read_file(file).empty(); }));
  return std::stoi(read_file(file));
}

int status_of_ended(pid_t pid) {
  int status = -1;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return status;
}

bool names_ours(const std::string& list) {
  return fs::exists(list) && read_file(list).find("nft-port-mapper") != std::string::npos;
}

}  // namespace

TEST_CASE(
    "install --stay: a list that comes later, or is written anew, names ours again; SIGTERM undoes "
    "it") {
  const InstallHost host;
  const std::string list = host.list("10-flannel.conflist");
  const std::string original = InstallHost::recorded("10-flannel.conflist");
  const std::string said = host.root.path("said");
  const ctl::Installation place{
      .plugin = host.plugin,
      .to = host.bin,
      .list = host.net,
      .records = {{restore::Source::Kind::libcni, host.records + "/results"}}};
  const pid_t pid = staying(
      {.child = child_that_says(host.root.path("child")),
       .look_again = std::chrono::milliseconds(50),
       .install = [&](std::vector<std::string>& lines) { return ctl::put_in_place(place, lines); },
       .leave =
           [&] {
             app::Outcome outcome;
             std::vector<std::string> lines;
             if (!ctl::take_away(place, lines).empty()) outcome.status = 1;
             for (const std::string& line : lines) outcome.out += line + "\n";
             return outcome;
           }},
      said);
  REQUIRE(comes([&] { return fs::exists(said) && !read_file(said).empty(); }));
  host.put(list, original);
  CHECK(comes([&] { return names_ours(list); }));
  host.put(list, original);  // as flannel does when its pod starts
  CHECK(comes([&] { return names_ours(list); }));
  const pid_t child = pid_in(host.root.path("child"));
  // It waits without the lock, for uninstall by hand.
  CHECK(host::DirectoryLock::take({host.bin, host.net}));
  CHECK(kill(child, 0) == 0);
  REQUIRE(kill(pid, SIGTERM) == 0);
  CHECK(status_of_ended(pid) == 0);
  CHECK(kill(child, 0) == -1);
  CHECK(read_file(list) == original);
  CHECK(host.names() == "10-flannel.conflist ");
  const std::string replaced = "replaced portmap by nft-port-mapper in " + list + "\n";
  CHECK(read_file(said) == "copied " + host.plugin + " to " + host.target +
                               "\nnft-port-mapperctl: there is no network configuration yet in: " +
                               host.net + "\n" + replaced + replaced + list +
                               " is what it was before install\nremoved " + host.target + "\n");
}

TEST_CASE("install --stay: when its child ends by itself, so does it, and all stays installed") {
  const InstallHost host;
  const std::string list = host.list("10-flannel.conflist");
  host.put(list, InstallHost::recorded("10-flannel.conflist"));
  const ctl::Installation place{.plugin = host.plugin, .to = host.bin, .list = list};
  const std::string said = host.root.path("said");
  const pid_t pid = staying(
      {.child = {"/bin/sh", "-c", "exit 7"},
       .install = [&](std::vector<std::string>& lines) { return ctl::put_in_place(place, lines); },
       .leave = [] { return app::Outcome{.out = "it left\n", .log = {}}; }},
      said);
  CHECK(WEXITSTATUS(status_of_ended(pid)) == 1);
  CHECK(read_file(said) == "copied " + host.plugin + " to " + host.target +
                               "\nreplaced portmap by nft-port-mapper in " + list +
                               "\nnft-port-mapperctl: exit 7 ended with exit status 7\n");
}

TEST_CASE("install --stay: SIGHUP ends it as SIGTERM does, unless it is ignored") {
  const InstallHost host;
  const auto begin = [&host](const std::string& name) {
    return staying({.child = child_that_says(host.root.path(name)),
                    .install = [](std::vector<std::string>&) { return Status(); }},
                   host.root.path("said"));
  };
  const pid_t pid = begin("child");
  const pid_t child = pid_in(host.root.path("child"));
  REQUIRE(kill(pid, SIGHUP) == 0);
  CHECK(status_of_ended(pid) == 0);
  CHECK(kill(child, 0) == -1);

  const auto before = std::signal(SIGHUP, SIG_IGN);  // as nohup does
  const pid_t other = begin("other");
  (void)std::signal(SIGHUP, before);
  (void)pid_in(host.root.path("other"));
  REQUIRE(kill(other, SIGHUP) == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(waitpid(other, nullptr, WNOHANG) == 0);
  REQUIRE(kill(other, SIGTERM) == 0);
  CHECK(status_of_ended(other) == 0);
}

TEST_CASE("install --stay: killed, it leaves no child") {
  const InstallHost host;
  const pid_t pid = staying({.child = child_that_says(host.root.path("child")),
                             .install = [](std::vector<std::string>&) { return Status(); }},
                            host.root.path("said"));
  const pid_t child = pid_in(host.root.path("child"));
  REQUIRE(kill(pid, SIGKILL) == 0);
  CHECK(WTERMSIG(status_of_ended(pid)) == SIGKILL);
  // Whoever adopts it may not reap it yet.
  CHECK(comes([child] {
    const std::string stat = "/proc/" + std::to_string(child) + "/stat";
    std::string text;
    std::getline(std::ifstream(stat), text);
    return text.empty() || text.find(") Z ") != std::string::npos;
  }));
}

TEST_CASE("install --stay: it goes on when nobody reads any more what it says") {
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  const ctl::Installation place{.plugin = host.plugin, .to = host.bin, .list = list};
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  REQUIRE(close(ends[0]) == 0);
  const pid_t pid = staying(
      {.child = child_that_says(host.root.path("child")),
       .look_again = std::chrono::milliseconds(50),
       .install = [&](std::vector<std::string>& lines) { return ctl::put_in_place(place, lines); }},
      ends[1]);
  REQUIRE(close(ends[1]) == 0);
  CHECK(comes([&] { return names_ours(list); }));
  host.put(list, InstallHost::recorded("10-flannel.conflist"));
  CHECK(comes([&] { return names_ours(list); }));
  REQUIRE(kill(pid, SIGTERM) == 0);
  CHECK(status_of_ended(pid) == 0);
}

TEST_CASE(
    "install --stay: its watch has the name by which our own changes are known, and a child that "
    "cannot be started is said") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  const RunResult result = run({"sh", "-c",
                                R"("$@" >/dev/null 2>"$0" & stay=$!
                                   until grep -qs '^nft-port-mapperctl: watching' "$0"; do
                                     kill -0 $stay || exit 1
                                     sleep 0.05
                                   done
                                   read -r child </proc/$stay/task/$stay/children
                                   cat /proc/$stay/comm "/proc/${child% }/comm"
                                   kill $stay && wait $stay)",
                                host.root.path("said"), CTL, "install", "--stay", "--plugin",
                                host.plugin, "--to", host.bin, list},
                               {.ns = lab.host()});
  CHECK(result.out == "nft-port-mapper\nnft-port-mapper\n");
  CHECK(result.err == "");
  CHECK(result.status == 0);

  const pid_t pid = staying(
      {.child = {"/nowhere/child"}, .install = [](std::vector<std::string>&) { return Status(); }},
      host.root.path("said"));
  CHECK(WEXITSTATUS(status_of_ended(pid)) == 1);
  CHECK(read_file(host.root.path("said")) ==
        "nft-port-mapperctl: cannot start: /nowhere/child: No such file or directory\n");
}

TEST_CASE("install --stay: where its watch could not work, no list is changed") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  const RunResult result = run({"setpriv", "--bounding-set", "-net_admin", CTL, "install", "--stay",
                                "--plugin", host.plugin, "--to", host.bin, list},
                               {.ns = lab.host()});
  CHECK(result.status == 1);
  CHECK(result.out == "");
  CHECK(result.err ==
        "nft-port-mapperctl: cannot read: table inet nft-port-mapper: Operation not permitted\n"
        "It needs CAP_NET_ADMIN: run it as root.\n");
  CHECK(host.names() == "10-flannel.conflist ");
}

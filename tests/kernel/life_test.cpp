// Dead means proven dead: who keeps a namespace alive, from where that is seen, and what frees a port.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "lib/base/unique_fd.hpp"
#include "lib/host/life_signs.hpp"
#include "lib/host/netns.hpp"
#include "tests/support/files.hpp"
#include "tests/support/first_mounts.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/text.hpp"
#include "tests/support/thread_in.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

std::string answer(const RunResult& result) {
  return std::to_string(result.status) + "\n" + result.out + result.err;
}

std::string ctl(const Lab& lab, std::vector<std::string> words) {
  words.insert(words.begin(), CTL);
  return answer(run(words, {.ns = lab.host()}));
}

// In that mount namespace, where the program may be another or none.
std::string ctl_of_the_host(const Lab& lab, std::vector<std::string> words) {
  words.insert(words.begin(), CTL);
  return answer(run(in_first_mounts(words), {.ns = lab.host()}));
}

// A process that runs until it is told to stop.
class Sleeper {
 public:
  Sleeper(std::vector<std::string> before, const std::string& ns) {
    const std::string script = "touch " + scratch_.path("ready") + "; while [ ! -e " +
                               scratch_.path("stop") + " ]; do sleep 0.02; done";
    before.insert(before.end(), {"sh", "-c", script});
    process_ = std::async(std::launch::async, [before, ns] { return run(before, {.ns = ns}); });
    while (!std::filesystem::exists(scratch_.path("ready"))) std::this_thread::yield();
  }
  ~Sleeper() { stop(); }
  void stop() {
    if (!process_.valid()) return;
    scratch_.script("stop", "");
    (void)process_.get();
  }

 private:
  ScratchDirectory scratch_;
  std::future<RunResult> process_;
};

// Here alone: to unlink the file would remove the mounts of others as well.
void unmount(const std::string& ns) {
  REQUIRE(umount2(namespace_path(ns).c_str(), MNT_DETACH) == 0);
}

const std::string refused = conflict("b", published_by("0.0.0.0:8080/tcp", "a"));
const std::string kUnknown = "left web/a/eth0 (1 port): it is unknown whether it lives\n";
const std::string kNext =
    "nft-port-mapperctl: who lives can be told as root on the host itself, or where the runtime"
    " runs the plugin, in the same PID and mount namespace; nft-port-mapperctl release CONTAINER"
    " frees the ports of one\n";

// Other tests that run on this machine have the lab's ordinary addresses, and an address that is
// anywhere counts: these are this process's.
std::string own_address(int number) {
  return "10.22." + std::to_string(getpid() / 50 % 250 + 1) + "." +
         std::to_string(getpid() % 50 * 5 + number) + "/16";
}

// Container a publishes 8080, and b wants it.
struct Scene {
  Lab lab;
  Runtime runtime{lab};
  std::string a = lab.container("a", own_address(2));
  std::string b = lab.container("b", own_address(3));

  Scene() { REQUIRE(runtime.add("a", {{8080, 80}}) == done); }
  [[nodiscard]] std::string add_b() const { return runtime.add("b", {{8080, 80}}); }
};

}  // namespace

TEST_CASE("life: another network's container with the same address takes no port of a living one") {
  Scene scene;
  Lab& lab = scene.lab;
  lab.network("cni1", "10.22.0.1/16", "fd01::1/64");
  lab.container("c", own_address(2), "", {.bridge = "cni1"});
  const Server server(scene.a, "a", Protocol::tcp, "0.0.0.0", 80);
  const Runtime other(lab, R"("chain":"OTHER")", "other");
  CHECK(other.add("c", {{8080, 80}}) == conflict("c", published_by("0.0.0.0:8080/tcp", "a")));
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "a 192.0.2.2");
}

TEST_CASE("life: a namespace that only a thread is in keeps its ports until that ends") {
  const Scene scene;
  ThreadIn thread(scene.a);
  remove_namespace(scene.a);
  CHECK(scene.add_b() == refused);
  CHECK(ctl(scene.lab, {"prune"}) == "0\nevery owner is alive; nothing to remove\n");
  thread.stop();
  CHECK(scene.add_b() == done);
}

TEST_CASE(
    "life: a namespace that only a descriptor is open on keeps its ports until it is closed") {
  const Scene scene;
  UniqueFd fd(open(namespace_path(scene.a).c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(fd);
  remove_namespace(scene.a);
  CHECK(scene.add_b() == refused);
  CHECK(ctl(scene.lab, {"prune"}) == "0\nevery owner is alive; nothing to remove\n");
  fd.reset();
  CHECK(scene.add_b() == done);
}

TEST_CASE("life: a namespace that only the end of a netlink socket still keeps is gone") {
  const Scene scene;
  const Result<NetworkNamespace> netns = host::netns_to_record(namespace_path(scene.a));
  REQUIRE(netns);
  UniqueFd socket = in_namespace(
      scene.a, [] { return UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)); });
  REQUIRE(socket);
  remove_namespace(scene.a);
  socket.reset();  // and the kernel keeps it for some tens of milliseconds
  CHECK(host::find_life({{*netns, {}}}).front().netns == NamespaceState::gone);
}

TEST_CASE("life: a descriptor of a thread that shares none with its process keeps a namespace") {
  const Scene scene;
  std::promise<void> opened;
  std::promise<void> stop;
  std::thread thread([&] {
    REQUIRE(unshare(CLONE_FILES) == 0);
    const UniqueFd fd(open(namespace_path(scene.a).c_str(), O_RDONLY | O_CLOEXEC));
    opened.set_value();
    stop.get_future().wait();
  });
  opened.get_future().wait();
  remove_namespace(scene.a);
  CHECK(scene.add_b() == refused);
  stop.set_value();
  thread.join();
  CHECK(scene.add_b() == done);
}

TEST_CASE("life: a mount in another mount namespace alone keeps a namespace and its ports") {
  const Scene scene;
  Sleeper other({"unshare", "--mount", "--propagation", "private"}, scene.lab.host());
  unmount(scene.a);
  CHECK(scene.add_b() == refused);
  other.stop();
  CHECK(scene.add_b() == done);
}

TEST_CASE("life: a mount namespace that only a descriptor is open on is looked into") {
  const Scene scene;
  Sleeper other({"unshare", "--mount", "--propagation", "private"}, scene.lab.host());
  UniqueFd mounts;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::error_code ignored;
    const auto self = std::filesystem::read_symlink("/proc/self/ns/mnt", ignored);
    const auto its = std::filesystem::read_symlink(entry.path() / "ns/mnt", ignored);
    const auto net = std::filesystem::read_symlink(entry.path() / "ns/net", ignored);
    struct stat host {};
    REQUIRE(stat(namespace_path(scene.lab.host()).c_str(), &host) == 0);
    if (!its.empty() && its != self && net == "net:[" + std::to_string(host.st_ino) + "]")
      mounts = UniqueFd(open((entry.path() / "ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
  }
  REQUIRE(mounts);
  other.stop();
  unmount(scene.a);
  CHECK(scene.add_b() == refused);
  mounts.reset();
  CHECK(scene.add_b() == done);
}

TEST_CASE("life: a pinned namespace that nothing is in is dead, and one with a process is not") {
  Scene scene;
  run({"ip", "link", "del", scene.lab.host_interface("a")}, {.ns = scene.lab.host()});
  {
    const ThreadIn thread(scene.a);  // whose address may be far away
    CHECK(last_word(ctl(scene.lab, {"list"})) == "alive");
    CHECK(scene.add_b() == refused);
  }
  CHECK(namespace_exists(scene.a));
  CHECK(last_word(ctl(scene.lab, {"list"})) == "dead");
  CHECK(ctl(scene.lab, {"check"}) ==
        "1\nattachment web/a/eth0 is dead; nft-port-mapperctl prune removes its ports\n");
  SUBCASE("ADD takes its port") {
    CHECK(scene.add_b() == done);
  }
  SUBCASE("prune removes it") {
    CHECK(ctl(scene.lab, {"prune"}) == "0\nremoved web/a/eth0 (1 port)\n");
    CHECK(scene.add_b() == done);
  }
}

TEST_CASE("life: from another PID namespace nobody can tell, and nothing is taken or pruned") {
  const Scene scene;
  ThreadIn thread(scene.a);
  remove_namespace(scene.a);
  const std::vector<std::string> away = {"unshare", "--pid", "--fork", "--mount-proc", CTL};
  const auto ctl_away = [&](const std::string& word) {
    std::vector<std::string> words = away;
    words.push_back(word);
    return answer(run(words, {.ns = scene.lab.host()}));
  };
  const std::string before = listing(scene.lab.host());
  CHECK(ctl_away("prune") == "1\n" + kUnknown + kNext);
  CHECK(last_word(ctl_away("list")) == "unknown");
  const RunResult added =
      run({"unshare", "--pid", "--fork", "--mount-proc", PLUGIN},
          {.input = chained_config("web", scene.lab.previous_result("b"), to_json({{8080, 80}}),
                                   R"("chain":"MESOS-WEB","portWait":0)"),
           .environment = {"CNI_COMMAND=ADD", "CNI_CONTAINERID=b",
                           "CNI_NETNS=" + namespace_path(scene.b), "CNI_IFNAME=eth0",
                           "CNI_PATH=/nowhere", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
           .ns = scene.lab.host()});
  CHECK(added.status == 1);
  CHECK(added.err.find("0.0.0.0:8080/tcp is published by container a of network web (eth0), and"
                       " nobody can tell from here whether it lives") != std::string::npos);
  CHECK(difference(listing(scene.lab.host()), before) == "");
  thread.stop();
  // Dead now; but that cannot be told from there either.
  CHECK(ctl_away("prune") == "1\n" + kUnknown + kNext);
  CHECK(last_word(ctl(scene.lab, {"list"})) == "dead");
  CHECK(ctl(scene.lab, {"prune"}) == "0\nremoved web/a/eth0 (1 port)\n");
}

TEST_CASE("life: from another mount namespace the living are found, and nobody is proven dead") {
  Scene scene;
  const auto prune_away = [&scene](const std::string& first) {
    return answer(run({"unshare", "--mount", "--propagation", "private", "sh", "-c",
                       first + "exec " + CTL + " prune"},
                      {.ns = scene.lab.host()}));
  };
  CHECK(prune_away("umount " + namespace_path(scene.a) + "; ") ==
        "0\nevery owner is alive; nothing to remove\n");
  scene.lab.remove("a");
  CHECK(prune_away("") == "1\n" + kUnknown + kNext);
  CHECK(ctl(scene.lab, {"prune"}) == "0\nremoved web/a/eth0 (1 port)\n");
}

TEST_CASE("life: without the right to look nobody is proven dead") {
  Scene scene;
  scene.lab.remove("a");
  for (const char* capability : {"-sys_ptrace", "-sys_admin"})
    CHECK(answer(run({"setpriv", "--bounding-set", capability, CTL, "prune"},
                     {.ns = scene.lab.host()})) == "1\n" + kUnknown + kNext);
  CHECK(ctl(scene.lab, {"prune"}) == "0\nremoved web/a/eth0 (1 port)\n");
}

// As on a node that is itself a container: kind's.
TEST_CASE("life: what a PID and mount namespace of its own recorded, it can prove as well") {
  const Lab lab;
  const std::string ns = lab.ns("k");
  const std::string add =
      "CNI_COMMAND=ADD CNI_CONTAINERID=k CNI_IFNAME=eth0 CNI_PATH=/nowhere CNI_NETNS=/run/netns/" +
      ns + " " + PLUGIN + " <<'END' >/dev/null\n" +
      chained_config("web", result_of("10.22.0.9/16"), to_json({{8080, 80}})) + "\nEND\n";
  const std::string prune = CTL + std::string(" prune\n");
  const std::string script = "set -e\nip netns add " + ns + "\nip netns exec " + ns +
                             " sleep 60 &\nwhile [ \"$(readlink /proc/$!/ns/net)\" ="
                             " \"$(readlink /proc/self/ns/net)\" ]; do sleep 0.02; done\n" +
                             add + prune + "ip netns del " + ns + "\n" + prune +
                             "kill $!\nwait $! 2>/dev/null || :\n" + prune;
  const RunResult inside = run({"unshare", "--mount", "--propagation", "private", "--pid", "--fork",
                                "--mount-proc", "--kill-child", "sh", "-c", script},
                               {.ns = lab.host()});
  CHECK(inside.err == "");
  const std::string alive = "every owner is alive; nothing to remove\n";
  CHECK(inside.out == alive + alive + "removed web/k/eth0 (1 port)\n");
}

TEST_CASE("life: an owner that was loaded with nft -f lives while its address is somewhere") {
  Scene scene;
  nft(scene.lab.host(), "delete table inet nft-port-mapper\n" + listing(scene.lab.host()));
  CHECK(last_word(ctl(scene.lab, {"list"})) == "alive");
  CHECK(scene.add_b() == refused);
  CHECK(ctl(scene.lab, {"prune"}) == "0\nevery owner is alive; nothing to remove\n");
  scene.lab.remove("a");
  if (first_mounts().empty()) {
    CHECK(ctl(scene.lab, {"prune"}) == "1\n" + kUnknown + kNext);
    return;
  }
  CHECK(last_word(ctl_of_the_host(scene.lab, {"list"})) == "dead");
  CHECK(ctl_of_the_host(scene.lab, {"prune"}) == "0\nremoved web/a/eth0 (1 port)\n");
  CHECK(listing(scene.lab.host()).find("8080") == std::string::npos);
  CHECK(scene.add_b() == done);
}

TEST_CASE("release: frees the ports of one container, which is named whole, and of no other") {
  const Scene scene;
  const Server server(scene.a, "a", Protocol::tcp, "0.0.0.0", 80);
  const AddOptions eth1{.result = replaced(scene.lab.previous_result("b"), "eth0", "eth1"),
                        .environment = {"CNI_IFNAME=eth1"}};
  REQUIRE(scene.runtime.add("b", {{9090, 80}}) == done);
  REQUIRE(Runtime(scene.lab, "", "mail").add("b", {{25, 25}}, eth1) == done);
  const std::string none = "nft-port-mapperctl: container ";
  CHECK(ctl(scene.lab, {"release", "c"}) ==
        "1\n" + none +
            "c publishes no port; nft-port-mapperctl list --no-trunc shows who publishes ports\n");
  CHECK(ctl(scene.lab, {"release", "a", "--network", "mail"}) ==
        "1\n" + none +
            "a of network mail publishes no port; nft-port-mapperctl list --no-trunc shows who"
            " publishes ports\n");
  CHECK(ctl(scene.lab, {"release"}).starts_with("2\n"));
  CHECK(ask(scene.lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "a 192.0.2.2");
  CHECK(ctl(scene.lab, {"release", "b", "--network", "mail", "--ifname", "eth1"}) ==
        "0\nreleased mail/b/eth1: 0.0.0.0:25/tcp\n");
  CHECK(ctl(scene.lab, {"release", "b"}) == "0\nreleased web/b/eth0: 0.0.0.0:9090/tcp\n");
  CHECK(ctl(scene.lab, {"release", "a"}) == "0\nreleased web/a/eth0: 0.0.0.0:8080/tcp\n");
  CHECK(probe(scene.lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  CHECK(scene.add_b() == done);
}

TEST_CASE("release: the beginning of an ID is not the ID") {
  Lab lab;
  lab.container("abcdef", "10.22.0.2/16");
  REQUIRE(Runtime(lab).add("abcdef", {{8080, 80}}) == done);
  CHECK(ctl(lab, {"release", "abc"}) ==
        "1\nnft-port-mapperctl: container abc publishes no port; the ID must be whole, as"
        " nft-port-mapperctl list --no-trunc shows it\n");
  CHECK(ctl(lab, {"release", "abcdef"}) == "0\nreleased web/abcdef/eth0: 0.0.0.0:8080/tcp\n");
}

TEST_CASE("add: a CNI_NETNS that is no network namespace is refused before the delegate runs") {
  Lab lab;
  lab.container("a", "10.22.0.2/16");
  const ScratchDirectory scratch;
  scratch.script("fake",
                 "touch " + scratch.path("called") + "; echo '" + result_of("10.22.0.2/16") + "'");
  REQUIRE(mkfifo(scratch.path("fifo").c_str(), 0600) == 0);
  const Plugin plugin{PLUGIN, scratch.path()};
  const std::string config =
      chained_config("web", "", to_json({{8080, 80}}), R"("chain":"X","delegate":{"type":"fake"})");
  const auto refusal = [&](const std::string& path) {
    const RunResult result =
        plugin.call(lab, lab.host(), "ADD", "a", config, {"CNI_NETNS=" + path});
    CHECK(result.status == 1);
    CHECK(result.out.find(R"("code":101)") != std::string::npos);
    return result.err;
  };
  const std::string end = "; it must be the path of the container's network namespace\n";
  CHECK(refusal("/run/netns/npm-none") ==
        "nft-port-mapper: CNI_NETNS: \"/run/netns/npm-none\" does not exist" + end);
  for (const std::string& path :
       {std::string("/etc/passwd"), std::string("/proc/self/ns/mnt"), scratch.path("fifo")})
    CHECK(refusal(path) ==
          "nft-port-mapper: CNI_NETNS: \"" + path + "\" is not a network namespace" + end);
  CHECK_FALSE(std::filesystem::exists(scratch.path("called")));
  CHECK(
      plugin.call(lab, lab.host(), "DEL", "a", config, {"CNI_NETNS=/run/netns/npm-none"}).status ==
      0);
  CHECK(std::filesystem::exists(scratch.path("called")));
}

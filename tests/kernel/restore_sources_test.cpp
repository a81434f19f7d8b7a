// nft-port-mapperctl restore from what each runtime keeps: thousands of entries, Mesos, the
// service.
#include <doctest/doctest.h>
#include <sys/mount.h>

#include <chrono>
#include <fstream>
#include <regex>

#include "lib/base/netlink.hpp"
#include "nft/read/query.hpp"
#include "tests/support/cni_cache.hpp"
#include "tests/support/service.hpp"
#include "tests/support/text.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

// Each batch that the kernel took is a generation.
std::uint32_t generation(const Lab& lab) {
  return in_namespace(lab.host(), [] {
    Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
    REQUIRE(netlink);
    Query query;
    query.generation();
    REQUIRE(query.run(*netlink, [](const nlmsghdr&) {}));
    return query.found_generation();
  });
}

void write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  REQUIRE(file.flush());
}

// A Mesos agent with one container on network "web", in its runtime directory.
class MesosAgent {
 public:
  explicit MesosAgent(Lab& lab) : lab_(lab) {
    namespace fs = std::filesystem;
    lab_.bare("abc");
    fs::create_directories(network() + "/eth0");
    write(container() + "/ns", "");
    REQUIRE(mount(namespace_path(lab_.ns("abc")).c_str(), (container() + "/ns").c_str(), nullptr,
                  MS_BIND, nullptr) == 0);
    write(container() + "/hosts", "127.0.0.1 localhost\n");
  }
  ~MesosAgent() { umount2((container() + "/ns").c_str(), MNT_DETACH); }
  MesosAgent(const MesosAgent&) = delete;
  MesosAgent& operator=(const MesosAgent&) = delete;

  // As the agent's attach does it: the configuration first, the plugin reads it, then its output.
  void add() const {
    write(network() + "/network.conf", config());
    const RunResult added = call("ADD");
    REQUIRE(added.status == 0);
    write(network() + "/eth0/network.info", added.out);
  }
  // The plugin's part of its detach.
  void del() const { REQUIRE(call("DEL").status == 0); }

  [[nodiscard]] std::string directory() const { return scratch_.path("mesos"); }
  [[nodiscard]] std::string container() const { return directory() + "/isolators/network/cni/abc"; }
  [[nodiscard]] std::string network() const { return container() + "/web"; }

 private:
  [[nodiscard]] RunResult call(const std::string& command) const {
    return Plugin{PLUGIN}.call(lab_, lab_.host(), command, "abc", config(),
                               {"CNI_NETNS=" + container() + "/ns"});
  }
  [[nodiscard]] std::string config() const {
    return R"({"args":{"org.apache.mesos":{"network_info":{"name":"web","port_mappings":)"
           R"([{"container_port":80,"host_port":8080,"protocol":"tcp"}]}}},"chain":"MESOS-WEB",)"
           R"("cniVersion":"0.2.0","delegate":{"type":"ptp","ipam":{"type":"host-local",)"
           R"("dataDir":")" +
           scratch_.path("ipam") +
           R"(","subnet":"10.26.0.0/24","routes":[{"dst":"0.0.0.0/0"}]}},)"
           R"("excludeDevices":["mesos-cni0"],"name":"web","type":"nft-port-mapper"})";
  }

  Lab& lab_;
  ScratchDirectory scratch_;
};

// The value of a key of a unit file that has it once.
std::string setting(const std::string& unit, const std::string& key) {
  const std::regex line("(^|\n)" + key + "=([^\n]*)\n");
  std::smatch match;
  REQUIRE(std::regex_search(unit, match, line));
  return match[2].str();
}

}  // namespace

TEST_CASE("restore: five thousand attachments of two networks in a few batches") {
  constexpr int attachments = 5000;
  Lab lab;
  const std::string ns = lab.container("abc", "10.22.0.2/16");
  const CniCache web(lab);
  const CniCache other(lab, R"("chain":"OTHER","excludeDevices":["lan1"])", "other");
  std::string addresses;
  for (int i = 0; i < attachments; ++i) {
    const std::string address =
        "10.22." + std::to_string(1 + i / 250) + "." + std::to_string(1 + i % 250) + "/16";
    addresses += "addr add " + address + " dev eth0\n";
    const std::string id = "c" + std::to_string(i);
    web.write(id, web.entry(id, {{static_cast<std::uint16_t>(10000 + i), 80}}, result_of(address),
                            namespace_path(ns)));
  }
  REQUIRE(run({"ip", "-batch", "-"}, {.input = addresses, .ns = ns}).status == 0);
  for (int i = 0; i < 10; ++i) {
    const std::string id = "d" + std::to_string(i);
    std::ofstream(web.directory() + "/results/other-" + id + "-eth0")
        << other.entry(id, {{static_cast<std::uint16_t>(20000 + i), 80}}, result_of("10.22.1.1/16"),
                       namespace_path(ns));
  }

  const std::uint32_t before = generation(lab);
  const auto start = std::chrono::steady_clock::now();
  const RunResult restored = ctl(lab, {"restore", "--from", web.directory()});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  MESSAGE("5,010 attachments restored in ", took.count(), " s, one of them waiting for DELs");
  CHECK(restored.err == "");
  CHECK(restored.out.ends_with("restored 5010 attachments; 0 published already, 0 gone\n"));
  // Skeleton, chains and hairpins; then 4,096 ports, then the rest.
  CHECK(generation(lab) - before == 3);
  const std::string table = listing(lab.host());
  CHECK(count(table, " : 10.22.") == 5010);
  CHECK(count(table, "/eth0\" : ::ffff:") == 5010);
  CHECK(count(table, "/eth0\" : \"cni0\"") == 5010);
  CHECK(count(table, "\t\tjump ") == 2);

  const auto again = std::chrono::steady_clock::now();
  CHECK(ctl(lab, {"restore", "--from", web.directory()}).out ==
        "restored 0 attachments; 5010 published already, 0 gone\n");
  const std::chrono::duration<double> idle = std::chrono::steady_clock::now() - again;
  MESSAGE("and looked at again in ", idle.count(), " s");
  CHECK(generation(lab) - before == 3);
}

TEST_CASE("restore: among five hundred attachments the one in conflict alone is refused") {
  Lab lab;
  const std::string ns = lab.container("abc", "10.22.0.2/16");
  const CniCache cache(lab);
  REQUIRE(Runtime(lab).add("other", {{10123, 80}}, {.result = result_of("10.22.0.9/16")}) == done);
  for (int i = 0; i < 500; ++i) {
    const std::string id = "c" + std::to_string(i);
    cache.write(id, cache.entry(id, {{static_cast<std::uint16_t>(10000 + i), 80}},
                                result_of("10.22.0.2/16"), namespace_path(ns)));
  }
  const std::uint32_t before = generation(lab);
  const RunResult restored = ctl(lab, {"restore", "--from", cache.directory()});
  CHECK(restored.status == 1);
  CHECK(restored.err == "nft-port-mapperctl: " +
                            conflict("c123", published_by("0.0.0.0:10123/tcp", "other")) + "\n");
  CHECK(restored.out.ends_with("restored 499 attachments; 0 published already, 0 gone\n"));
  // Halved down to the one: at most one batch for each power of two.
  CHECK(generation(lab) - before <= 10);
}

TEST_CASE("restore: from the Mesos agent's checkpoints") {
  Lab lab;
  const MesosAgent agent(lab);
  agent.add();
  const Service service(lab.ns("abc"), "abc", 80);
  const std::string before = normalise(listing(lab.host()));
  REQUIRE(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  test::nft(lab.host(), "flush ruleset");
  const std::string root = agent.directory() + "/isolators/network/cni";
  for (const std::string& from : {agent.directory(), root + "/"}) {
    CAPTURE(from);
    CHECK(ctl(lab, {"restore", "--dry-run", "--from", from}).out ==
          "would restore web/abc/eth0 (1 port)\n"
          "would restore 1 attachment; 0 published already, 0 gone\n");
  }
  const RunResult restored = ctl(lab, {"restore", "--from", agent.directory()});
  CHECK(restored.err == "");
  CHECK(restored.out ==
        "restored web/abc/eth0 (1 port)\nrestored 1 attachment; 0 published already, 0 gone\n");
  CHECK(difference(normalise(listing(lab.host())), before) == "");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");

  agent.del();
  SUBCASE("the plugin's DEL is over, the agent's files are still there") {
    CHECK(ctl(lab, {"restore", "--from", agent.directory()}).out ==
          "restored 0 attachments; 0 published already, 1 gone\n");
  }
  SUBCASE("the interface's directory went after it") {
    std::filesystem::remove_all(agent.network() + "/eth0");
    CHECK(ctl(lab, {"restore", "--from", agent.directory()}).out ==
          "restored 0 attachments; 0 published already, 0 gone\n");
  }
  CHECK(listing(lab.host()).find("abc") == std::string::npos);
}

TEST_CASE("restore: what is no checkpoint of a Mesos agent is named") {
  Lab lab;
  const MesosAgent agent(lab);
  agent.add();
  test::nft(lab.host(), "flush ruleset");
  const std::string root = agent.directory() + "/isolators/network/cni";
  std::filesystem::create_symlink("/etc", root + "/link");
  std::filesystem::create_symlink("/etc",
                                  agent.container() + "/link");  // like resolv.conf: not ours
  write(agent.network() + "/network.conf", R"({"type":"nft-port-mapper","name":"other"})");
  const RunResult restored = ctl(lab, {"restore", "--from", root});
  CHECK(restored.status == 1);
  CHECK(std::regex_replace(restored.err, std::regex("veth[0-9a-f]+"), "veth") ==
        std::string("nft-port-mapperctl: reset route_localnet of veth") +
            ": no port needs it, and no guard was there\nnft-port-mapperctl: " + root +
            "/link: is not the directory of a container\nnft-port-mapperctl: " + agent.network() +
            "/network.conf: its name is not that of its directory\n");
  CHECK(listing(lab.host()) == "");
}

TEST_CASE(
    "restore: the service brings the ports back when Debian's nftables.service flushes them") {
  const std::string nftables = read_file("/lib/systemd/system/nftables.service");
  const std::string ours = read_file(PACKAGING "/systemd/nft-port-mapper-restore.service");
  const std::string restore = "/usr/sbin/nft-port-mapperctl restore";
  REQUIRE(setting(ours, "ExecStart") == restore);
  REQUIRE(setting(ours, "ExecReload") == restore);
  CHECK(setting(ours, "After") == "nftables.service");
  CHECK(setting(ours, "PartOf") == "nftables.service");
  CHECK(setting(ours, "ReloadPropagatedFrom") == "nftables.service");
  CHECK(setting(ours, "WantedBy") == "nftables.service");
  // A unit that failed is not reloaded, and one unreadable file must not cost all ports.
  CHECK(setting(ours, "SuccessExitStatus") == "1 3");
  CHECK(setting(ours, "RemainAfterExit") == "yes");

  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Service service(abc, "abc", 80);
  const CniCache cache(lab);
  REQUIRE(cache.add("abc", {{8080, 80}}) == done);
  const ScratchDirectory scratch;
  write(scratch.path("nftables.conf"),
        "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter { chain input { type filter hook "
        "input priority filter; }; }\n");
  // systemd's part, in a mount namespace where /etc/nftables.conf and /var/lib are the test's.
  const auto systemd = [&](const std::string& key) {
    const std::string script =
        "set -e; mount --bind " + scratch.path("nftables.conf") +
        " /etc/nftables.conf; mount -t tmpfs none /var/lib; mkdir /var/lib/cni; cp -a " +
        cache.directory() + "/results /var/lib/cni/\n" + setting(nftables, key) +
        "\nnft list tables\n" + std::string(CTL) + restore.substr(restore.find(' '));
    const RunResult result = run({"unshare", "-m", "sh", "-c", script}, {.ns = lab.host()});
    return std::to_string(result.status) + "\n" + result.out + result.err;
  };
  const std::string before = normalise(listing(lab.host()));
  for (const std::string key : {"ExecStart", "ExecReload"}) {
    CAPTURE(key);
    CHECK(systemd(key) ==
          "0\ntable inet filter\nrestored web/abc/eth0 (2 ports)\n"
          "restored 1 attachment; 0 published already, 0 gone\n");
    CHECK(difference(normalise(listing(lab.host())), before) == "");
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
    CHECK(ask(lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
  }
}

// hostListeners: what an ADD and restore say of processes that a port hides, and what the ctl shows.
#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/support/cni_cache.hpp"
#include "tests/support/cni_network.hpp"
#include "tests/support/patient.hpp"
#include "tests/support/service.hpp"
#include "tests/support/traced.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const Mappings web = {{8080, 80}};

std::string options(const std::string& wish) {
  return R"("chain":"MESOS-WEB","hostListeners":")" + wish + "\"";
}

// The tests' own process, whose threads serve.
std::string this_process(const std::string& name = "kernel-tests") {
  return "the host's process " + name + " (pid " + std::to_string(getpid()) + ")";
}

// The process calls itself this until the end; its tests run in its main thread.
class Renamed {
 public:
  explicit Renamed(const char* name) { prctl(PR_SET_NAME, name); }
  ~Renamed() { prctl(PR_SET_NAME, "kernel-tests"); }
  Renamed(const Renamed&) = delete;
  Renamed& operator=(const Renamed&) = delete;
};

struct Hosts {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");

  // "STATUS ERR" of an ADD, and whether anything is published.
  [[nodiscard]] std::string add(const std::string& wish, const Mappings& ports = web) const {
    const RunResult added = Plugin{PLUGIN}.call(
        lab, lab.host(), "ADD", "abc",
        chained_config("web", lab.previous_result("abc"), to_json(ports), options(wish)));
    return std::to_string(added.status) + " " + added.err +
           (listing(lab.host()).empty() ? "no table" : "table");
  }
  [[nodiscard]] std::string ask_ctl(const std::vector<std::string>& words) const {
    const RunResult result = ctl(lab, words);
    return std::to_string(result.status) + "\n" + result.out + result.err;
  }
};

std::string refused(const std::string& what) {
  return "1 nft-port-mapper: cannot publish ports of container abc: " + what +
         "; let it listen on another address or port, or choose another host port\nno table";
}

}  // namespace

TEST_CASE(
    "hostListeners: an ADD looks at no socket where nothing is said, and at them where asked") {
  const Hosts hosts;
  const Server server(hosts.lab.host(), "host", Protocol::tcp, "0.0.0.0", 8080);
  const auto calls = [&hosts](const std::string& more) {
    const Traced traced;
    const RunResult added =
        traced.plugin("-e trace=socket,openat,execve")
            .call(hosts.lab, hosts.lab.host(), "ADD", "abc",
                  chained_config("web", hosts.lab.previous_result("abc"), to_json(web), more));
    REQUIRE(added.status == 0);
    return traced.calls();
  };
  for (const std::string& more : {std::string(), options("hidden")}) {
    const std::string seen = calls(more);
    CHECK(seen.find("NETLINK_NETFILTER") != std::string::npos);
    CHECK(seen.find("NETLINK_SOCK_DIAG") == std::string::npos);
    CHECK(seen.find("\"/proc\"") == std::string::npos);
  }
  CHECK(calls(options("noted")).find("NETLINK_SOCK_DIAG") != std::string::npos);
}

TEST_CASE("hostListeners: noted names the process that is hidden, and publishes") {
  const Hosts hosts;
  CHECK(hosts.add("noted") == "0 table");  // nobody listens
  const Server server(hosts.lab.host(), "host", Protocol::tcp, "0.0.0.0", 8080);
  const Server udp(hosts.lab.host(), "host", Protocol::udp, "::", 8080);
  const Server one(hosts.lab.host(), "host", Protocol::udp, "192.0.2.1", 5353);
  const std::string note = "0 nft-port-mapper: 0.0.0.0:8080/tcp hides " + this_process() +
                           ", which listens on 0.0.0.0:8080/tcp\n";
  CHECK(hosts.add("noted") == note + "table");
  CHECK(hosts.add("noted", {{8080, 80}, {8080, 80, "udp"}, {5353, 53, "udp"}}) ==
        note + "nft-port-mapper: [::]:8080/udp hides " + this_process() +
            ", which listens on [::]:8080/udp\ntable");
  // It keeps its address, unless the port is published there.
  CHECK(hosts.add("noted", {{5353, 53, "udp", "192.0.2.11"}}) == "0 table");
  CHECK(hosts.add("noted", {{5353, 53, "udp", "192.0.2.1"}}) ==
        "0 nft-port-mapper: 192.0.2.1:5353/udp hides " + this_process() +
            ", which listens on 192.0.2.1:5353/udp\ntable");
  const Service service(hosts.abc, "abc", 53);
  CHECK(ask(hosts.lab.client(), Protocol::udp, "192.0.2.1", 5353) == "abc 192.0.2.2");
}

TEST_CASE("hostListeners: refused names port, process and where it listens, and changes nothing") {
  const Hosts hosts;
  const auto server = [&hosts](const char* address) {
    return std::make_unique<Server>(hosts.lab.host(), "host", Protocol::tcp, address, 8080);
  };
  auto any = server("0.0.0.0");
  const std::string there = this_process() + ", which listens on 0.0.0.0:8080/tcp";
  CHECK(hosts.add("refused") == refused("0.0.0.0:8080/tcp would hide " + there));
  CHECK(hosts.add("refused", {{9090, 80}, {8080, 80, "tcp", "192.0.2.1"}}) ==
        refused("192.0.2.1:8080/tcp would hide " + there));
  CHECK(hosts.add("refused", {{8080, 80, "udp"}, {8080, 80, "tcp", "::"}}) == "0 table");
  REQUIRE(Runtime(hosts.lab, options("refused")).del("abc") == done);
  tool(hosts.lab.host(), "nft flush ruleset");
  any.reset();
  const auto both_families = [&hosts] {
    UniqueFd fd = open_socket(hosts.lab.host(), Family::ipv6, SOCK_STREAM, 0);
    const SocketAddress where(IpAddress::any(Family::ipv6), 8080);
    REQUIRE(bind(fd.get(), where.get(), where.length) == 0);
    REQUIRE(listen(fd.get(), 1) == 0);
    return fd;
  };
  {
    const UniqueFd socket = both_families();
    const std::string both = this_process() + ", which listens on [::]:8080/tcp";
    CHECK(hosts.add("refused") == refused("0.0.0.0:8080/tcp would hide " + both));
  }
  // 127.0.0.1 reaches the port, unless snat is false.
  const auto loopback = server("127.0.0.1");
  CHECK(hosts.add("refused") == refused("0.0.0.0:8080/tcp would hide " + this_process() +
                                        ", which listens on 127.0.0.1:8080/tcp"));
  CHECK(hosts.add("refused\",\"snat\":false,\"x\":\"") == "0 table");
}

TEST_CASE("hostListeners: the answer to a refused ADD is an error object of code 103") {
  const Hosts hosts;
  const Server server(hosts.lab.host(), "host", Protocol::tcp, "0.0.0.0", 8080);
  // Runtime::add returns the message only where both streams and the code are right.
  CHECK(Runtime(hosts.lab, options("refused")).add("abc", web) ==
        "cannot publish ports of container abc: 0.0.0.0:8080/tcp would hide " + this_process() +
            ", which listens on 0.0.0.0:8080/tcp; let it listen on another address or port, or "
            "choose another host port");
}

TEST_CASE("hostListeners: a refused ADD takes the delegate's interface back") {
  Lab lab;
  const std::string abc = lab.bare("abc");
  const CniNetwork network(lab, "linked", R"("type":"ptp")", "10.26.0.0/24", "fd26::/64",
                           R"("hostListeners":"refused")");
  {
    const Server server(lab.host(), "host", Protocol::tcp, "0.0.0.0", 8080);
    CHECK(network.add("abc", web).find("would hide the host's process kernel-tests") !=
          std::string::npos);
    CHECK(tool(abc, "ip -br link").find("eth0") == std::string::npos);
    CHECK(listing(lab.host()).empty());
  }
  CHECK(network.add("abc", web) == "10.26.0.3 fd26::3");
}

TEST_CASE(
    "hostListeners: podman's conmon, which reserves published ports, is neither noted nor "
    "counted") {
  const Patient patient;
  const Server server(patient.lab.host(), "conmon", Protocol::tcp, "0.0.0.0", 8080);
  const Renamed conmon("conmon");
  Hosts hosts;
  const Server other(hosts.lab.host(), "conmon", Protocol::tcp, "0.0.0.0", 8080);
  CHECK(hosts.add("noted") == "0 table");
  CHECK(hosts.add("refused") == "0 table");
  CHECK(ctl(patient.lab, {"list", "--quiet", "--columns", "processes"}).out == "-\n-\n");
  CHECK(ctl(patient.lab, {"list", "--json"}).out.find("hostProcesses") == std::string::npos);
  CHECK(patient.is_well());
  // Whoever wants another port learns why it is taken.
  const Server third(hosts.lab.host(), "conmon", Protocol::tcp, "0.0.0.0", 7070);
  CHECK(hosts.ask_ctl({"owner", "7070"}) == "1\nnobody publishes 7070/tcp.\n" +
                                                this_process("conmon") +
                                                " listens on 0.0.0.0:7070/tcp.\n");
}

TEST_CASE("hostListeners: a process's name reaches no terminal as it is") {
  const Hosts hosts;
  const Server server(hosts.lab.host(), "host", Protocol::tcp, "0.0.0.0", 8080);
  const Renamed evil("a\033[2Jb\"\\c");
  CHECK(hosts.add("noted") == "0 nft-port-mapper: 0.0.0.0:8080/tcp hides " +
                                  this_process("a?[2Jb\"\\c") +
                                  ", which listens on 0.0.0.0:8080/tcp\ntable");
  CHECK(ctl(hosts.lab, {"list", "-o", "wide"}).out.find('\033') == std::string::npos);
  CHECK(ctl(hosts.lab, {"owner", "8080"}).out.find('\033') == std::string::npos);
  CHECK(ctl(hosts.lab, {"doctor"}).out.find('\033') == std::string::npos);
  CHECK(ctl(hosts.lab, {"list", "--json"}).out.find(R"("process":"a\u001b[2Jb\"\\c")") !=
        std::string::npos);
}

TEST_CASE("hostListeners: list and owner show what a port hides, and who keeps an address") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}, {53, 53, "udp", "0.0.0.0"}, {9090, 90}}) == done);
  const Server any(lab.host(), "any", Protocol::tcp, "0.0.0.0", 8080);
  const Server resolver(lab.host(), "resolver", Protocol::udp, "10.22.0.1", 53);
  const Server other(lab.host(), "other", Protocol::udp, "10.22.0.1", 54);
  const std::string pid = std::to_string(getpid());
  CHECK(ctl(lab, {"list"}).err ==
        "nft-port-mapperctl: processes of the host listen where containers publish 2 ports; list -o"
        " wide shows which\n");
  CHECK(ctl(lab, {"list", "--columns", "proto,host,processes"}).out ==
        "PROTO  HOST          PROCESSES\n"
        "tcp    0.0.0.0:8080  hides kernel-tests (" +
            pid +
            ") on 0.0.0.0:8080\n"
            "tcp    [::]:8080     -\n"
            "tcp    0.0.0.0:9090  -\n"
            "tcp    [::]:9090     -\n"
            "udp    0.0.0.0:53    kernel-tests (" +
            pid + ") keeps 10.22.0.1:53\n");
  const std::string json = ctl(lab, {"list", "--json"}).out;
  CHECK(
      json.find(R"("state":"alive","hostProcesses":[{"address":"0.0.0.0","process":"kernel-tests",)"
                R"("pid":)" +
                pid + R"(,"hidden":true}]},)") != std::string::npos);
  CHECK(json.find(R"("hostProcesses":[{"address":"10.22.0.1","process":"kernel-tests","pid":)" +
                  pid + R"(,"hidden":false}]}]})") != std::string::npos);
  const std::string published =
      "0\n0.0.0.0:53/udp is published by container abc of network web (eth0) and leads to "
      "10.22.0.2:53.\n";
  CHECK(hosts.ask_ctl({"owner", "53/udp"}) ==
        published + this_process() + " keeps 10.22.0.1:53/udp.\n");
  CHECK(hosts.ask_ctl({"owner", "53/udp", "10.22.0.1"}) ==
        published + this_process() + " keeps 10.22.0.1:53/udp.\n");
  CHECK(hosts.ask_ctl({"owner", "53/udp", "192.0.2.1"}) == published);
  CHECK(hosts.ask_ctl({"owner", "8080", "192.0.2.1"}) ==
        "0\n0.0.0.0:8080/tcp is published by container abc of network web (eth0) and leads to "
        "10.22.0.2:80.\n0.0.0.0:8080/tcp hides " +
            this_process() + ", which listens on 0.0.0.0:8080/tcp.\n");
}

TEST_CASE("hostListeners: what listens on an excluded address is not hidden, nor refused for") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const Server server(lab.host(), "host", Protocol::tcp, "127.0.0.1", 8080);
  REQUIRE(Runtime(lab, options("refused")).add("abc", {{8080, 80}}).find("would hide") !=
          std::string::npos);
  const Runtime careful(lab, options("refused") + R"(,"excludeAddresses":["127.0.0.1"])");
  REQUIRE(careful.add("abc", {{8080, 80}}) == done);
  CHECK(ask(lab.host(), Protocol::tcp, "127.0.0.1", 8080) == "host 127.0.0.1");
  CHECK(ctl(lab, {"owner", "8080"}).out.ends_with(this_process() + " keeps 127.0.0.1:8080/tcp.\n"));
}

TEST_CASE("hostListeners: a process of another PID namespace is shown as one that cannot be seen") {
  const Hosts hosts;
  REQUIRE(Runtime(hosts.lab).add("abc", web) == done);
  const Server any(hosts.lab.host(), "any", Protocol::tcp, "0.0.0.0", 8080);
  const auto elsewhere = [&hosts](std::vector<std::string> words) {
    words.insert(words.begin(), {"unshare", "--pid", "--fork", "--mount-proc", CTL});
    return run(words, {.ns = hosts.lab.host()}).out;
  };
  CHECK(elsewhere({"list", "-o", "wide"})
            .find("hides a process that cannot be seen here on 0.0.0.0:8080\n") !=
        std::string::npos);
  CHECK(elsewhere({"list", "--json"})
            .find(R"("hostProcesses":[{"address":"0.0.0.0","hidden":true}])") != std::string::npos);
  CHECK(elsewhere({"owner", "8080"})
            .ends_with("hides a process that cannot be seen here, which "
                       "listens on 0.0.0.0:8080/tcp.\n"));
}

TEST_CASE("hostListeners: the doctor notes hidden processes and addresses that are kept") {
  const Patient patient({{8080, 80}, {53, 53, "udp"}});
  CHECK(patient.is_well());
  const Server any(patient.lab.host(), "any", Protocol::tcp, "0.0.0.0", 8080);
  const Server resolver(patient.lab.host(), "resolver", Protocol::udp, "10.22.0.1", 53);
  const Server stub(patient.lab.host(), "stub", Protocol::udp, "127.0.0.53", 53);
  const std::string who = this_process();
  const RunResult result = patient.doctor();
  CHECK(result.status == 0);
  const std::string found =
      result.out.substr(result.out.find("note"),
                        result.out.find("ok       route_localnet") - result.out.find("note"));
  const std::string on_any = who + " on 0.0.0.0:8080/tcp\n";
  const std::string on_one = who + " keeps 10.22.0.1:53/udp\n";
  CHECK(found ==
        "note     hidden: " + on_any +
            "         why:  a container's port is published there, so connections go to the"
            " container and\n"
            "               not to the process; let it listen on an address of its own, or"
            " publish the\n"
            "               port on another address\n"
            "note     " +
            on_one +
            "         why:  a container publishes the port on any address; connections to this one"
            " go to\n"
            "               the process, but for the host's own; publish the port on this address"
            " if the\n"
            "               container is to have it\n");
  CHECK(result.out.ends_with("\nno problems, 2 notes\n"));
}

TEST_CASE(
    "hostListeners: restore notes what it hides, and refuses nothing that an ADD was granted") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  for (const char* wish : {"hidden", "noted", "refused"}) {
    CAPTURE(wish);
    const CniCache cache(lab, options(wish));
    REQUIRE(cache.add("abc", web) == done);
    nft(lab.host(), "flush ruleset");
    const Server any(lab.host(), "any", Protocol::tcp, "0.0.0.0", 8080);
    const RunResult restored = ctl(lab, {"restore", "--from", cache.directory()});
    CHECK(restored.status == 0);
    CHECK(restored.out ==
          "restored web/abc/eth0 (2 ports)\n"
          "restored 1 attachment; 0 published already, 0 gone\n");
    CHECK(restored.err == (wish == std::string("hidden")
                               ? ""
                               : "nft-port-mapperctl: 0.0.0.0:8080/tcp hides " + this_process() +
                                     ", which listens on 0.0.0.0:8080/tcp\n"));
    nft(lab.host(), "flush ruleset");
  }
}

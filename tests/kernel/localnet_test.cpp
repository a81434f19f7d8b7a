// What an ADD opens on the host for 127.0.0.1 ends with the last port that needs it.
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/cni_cache.hpp"
#include "tests/support/join.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"
#include "tests/support/traced.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

std::string is_open(const Lab& lab, const std::string& device = "cni0") {
  return read_sysctl(lab.host(), "net/ipv4/conf/" + device + "/route_localnet");
}

// What the listing has of a set: the text between "elements = {" and "}".
std::string elements_of(const Lab& lab, const std::string& set) {
  const std::string all = listing(lab.host());
  const std::size_t begin = all.find(" " + set + " {");
  const std::string text = all.substr(begin, all.find("\n\t}", begin) - begin);
  const std::size_t at = text.find("elements = { ");
  if (at == std::string::npos) return "";
  return text.substr(at + 13, text.find(" }", at) - at - 13);
}

struct Two {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  Runtime runtime{lab};
};

// ctl, which waits for a second before it changes cni0's setting; `meanwhile` happens then.
RunResult slow_ctl(const Lab& lab, std::vector<std::string> arguments,
                   const std::function<void()>& meanwhile) {
  const Traced traced;
  arguments.insert(arguments.begin(), traced.ctl("-P /proc/sys/net/ipv4/conf/cni0/route_localnet"
                                                 " -e trace=openat,write"
                                                 " -e inject=write:delay_enter=1000000:when=1"));
  auto slow = std::async(std::launch::async, [&] { return run(arguments, {.ns = lab.host()}); });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (traced.calls().find("O_RDWR") == std::string::npos) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  meanwhile();
  return slow.get();
}

}  // namespace

TEST_CASE("localnet: route_localnet ends with the last port that needs the device") {
  const Two two;
  const Lab& lab = two.lab;
  REQUIRE(two.runtime.add("abc", {{8080, 80}}) == done);
  REQUIRE(two.runtime.add("def", {{9090, 80}, {9091, 80, "tcp", "127.0.0.1"}}) == done);
  CHECK(elements_of(lab, "localnet-devices") == "\"cni0\"");
  CHECK(two.runtime.del("abc") == done);
  CHECK(is_open(lab) == "1");
  CHECK(elements_of(lab, "loopback-ip") ==
        "tcp . 9090 comment \"container_id: def\",\n\t\t\t     tcp . 9091 comment \"container_id: "
        "def\"");
  CHECK(two.runtime.del("def") == done);
  CHECK(is_open(lab) == "0");
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("localnet: a port on one address of the LAN opens nothing, and its DEL closes nothing") {
  const Two two;
  const Lab& lab = two.lab;
  REQUIRE(two.runtime.add("abc", {{8080, 80, "tcp", "192.0.2.1"}}) == done);
  CHECK(is_open(lab) == "0");
  write_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet", "1");
  CHECK(two.runtime.del("abc") == done);
  CHECK(is_open(lab) == "1");
}

TEST_CASE("localnet: what somebody else opened beside our guard stays open") {
  const Two two;
  const Lab& lab = two.lab;
  REQUIRE(two.runtime.add("abc", {{8080, 80, "tcp", "192.0.2.1"}}) == done);
  write_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet", "1");
  REQUIRE(two.runtime.add("def", {{9090, 80}}) == done);
  CHECK(elements_of(lab, "localnet-devices") == "");
  CHECK(two.runtime.del("def") == done);
  CHECK(is_open(lab) == "1");
}

TEST_CASE(
    "localnet: two containers with one port on two addresses of 127.0.0.0/8 do not end each "
    "other") {
  const Two two;
  const Lab& lab = two.lab;
  const Service at_abc(two.abc, "abc", 80);
  const Service at_def(two.def, "def", 80);
  REQUIRE(two.runtime.add("abc", {{8080, 80, "tcp", "127.0.0.1"}}) == done);
  REQUIRE(two.runtime.add("def", {{8080, 80, "tcp", "127.0.0.2"}}) == done);
  REQUIRE(ask(lab.host(), Protocol::tcp, "127.0.0.2", 8080) == "def 10.22.0.1");
  CHECK(two.runtime.del("abc") == done);
  CHECK(ask(lab.host(), Protocol::tcp, "127.0.0.2", 8080) == "def 10.22.0.1");
  CHECK(probe(lab.host(), Protocol::tcp, "127.0.0.1", 8080) == "refused");
  CHECK(two.runtime.del("def") == done);
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("localnet: ctl flush closes what was opened") {
  const Two two;
  const Lab& lab = two.lab;
  REQUIRE(two.runtime.add("abc", {{8080, 80}}) == done);
  CHECK(ctl(lab, {"flush", "--yes"}).out == "removed table inet nft-port-mapper\n");
  CHECK(is_open(lab) == "0");
}

TEST_CASE("localnet: after nft flush ruleset, check, doctor and restore do not leave it open") {
  const Two two;
  const Lab& lab = two.lab;
  const std::string exposed =
      "device cni0 has route_localnet without the guard: its neighbours reach the host's "
      "127.0.0.1\ndevice cni0 has a route of ::1 that no port needs\n";
  REQUIRE(two.runtime.add("abc", {{8080, 80}}) == done);
  nft(lab.host(), "flush ruleset");
  REQUIRE(is_open(lab) == "1");
  CHECK(ctl(lab, {"check"}).out == exposed);
  CHECK(ctl(lab, {"check"}).status == 1);
  CHECK(ctl(lab, {"doctor"}).out.find("route_localnet is set without the guard on cni0") !=
        std::string::npos);
  SUBCASE("check --repair") {
    CHECK(ctl(lab, {"check", "--repair"}).out == exposed + "mended 2 of 2\n");
    CHECK(is_open(lab) == "0");
  }
  SUBCASE("restore with nothing that lives") {
    CHECK(ctl(lab, {"restore", "--from", "/nowhere"}).err.find("reset route_localnet of cni0") !=
          std::string::npos);
    CHECK(is_open(lab) == "0");
  }
  SUBCASE("the next ADD and its DEL") {
    REQUIRE(two.runtime.add("def", {{9090, 80}}) == done);
    CHECK(two.runtime.del("def") == done);
    CHECK(is_open(lab) == "0");
  }
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
}

TEST_CASE("localnet: a device that an ADD begins to need while it is closed is open in the end") {
  const Two two;
  const Lab& lab = two.lab;
  REQUIRE(two.runtime.add("abc", {{8080, 80}}) == done);
  nft(lab.host(), "flush ruleset");
  const auto adds = [&] { REQUIRE(two.runtime.add("def", {{9090, 80}}) == done); };
  SUBCASE("by restore") {
    const RunResult restored = slow_ctl(lab, {"restore", "--from", "/nowhere"}, adds);
    CHECK(restored.err.find("reset route_localnet") == std::string::npos);
  }
  SUBCASE("by check --repair") {
    CHECK(slow_ctl(lab, {"check", "--repair"}, adds).status == 0);
  }
  CHECK(is_open(lab) == "1");
  CHECK(elements_of(lab, "localnet-devices") == "\"cni0\"");
}

TEST_CASE("localnet: ctl flush closes a device that an ADD opens meanwhile") {
  Two two;
  const Lab& lab = two.lab;
  two.lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
  REQUIRE(two.runtime.add("abc", {{8080, 80}}) == done);
  const RunResult flushed = slow_ctl(lab, {"flush", "--yes"}, [&] {
    REQUIRE(two.runtime.add("def", {{9090, 80}}, {.result = result_of("10.23.0.2/16", "")}) ==
            done);
  });
  CHECK(flushed.out == "removed table inet nft-port-mapper\n");
  CHECK(is_open(lab) == "0");
  CHECK(is_open(lab, "cni1") == "0");
}

TEST_CASE("localnet: a container behind the default route does not open the uplink") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  tool(lab.host(), "ip route add default via 192.0.2.2");
  const Runtime runtime(lab);
  const std::string said =
      runtime.add("abc", {{8080, 80}}, {.result = result_of("203.0.113.7/24")});
  CHECK(said.starts_with("status 0, "));
  CHECK(said.find("the ports do not answer on the host's 127.0.0.1: the route to 203.0.113.7 by"
                  " lan0 is not to a neighbour there\n") != std::string::npos);
  CHECK(is_open(lab, "lan0") == "0");
  CHECK(elements_of(lab, "loopback-ip") == "");
  CHECK(elements_of(lab, "hairpin-ip") == "203.0.113.0/24 . 203.0.113.0/24");
  CHECK(runtime.del("abc") == done);
}

TEST_CASE("localnet: a damaged record is found, and mended") {
  const Two two;
  const Lab& lab = two.lab;
  REQUIRE(two.runtime.add("abc", {{8080, 80}}) == done);
  SUBCASE("a device that nobody needs") {
    nft(lab.host(), "add element inet nft-port-mapper localnet-devices { \"lan0\" }");
    write_sysctl(lab.host(), "net/ipv4/conf/lan0/route_localnet", "1");
    CHECK(ctl(lab, {"check", "--repair"}).out ==
          "device lan0 has route_localnet for ports that are no longer published\nmended 1 of 1\n");
    CHECK(is_open(lab, "lan0") == "0");
  }
  SUBCASE("a device that somebody closed") {
    write_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet", "0");
    CHECK(ctl(lab, {"check", "--repair"}).out ==
          "device cni0 lacks route_localnet: 127.0.0.1 does not reach its ports\nmended 1 of 1\n");
    CHECK(is_open(lab) == "1");
  }
  SUBCASE("a port that is not published") {
    nft(lab.host(), "add element inet nft-port-mapper loopback-ip { tcp . 7070 }");
    CHECK(ctl(lab, {"check", "--repair"}).out ==
          "element of 0.0.0.0:7070/tcp in loopback-ip () has no claim\nmended 1 of 1\n");
  }
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  CHECK(elements_of(lab, "localnet-devices") == "\"cni0\"");
}

TEST_CASE("localnet: somebody's own DNAT to 127.0.0.1 goes on beside the guard") {
  const Two two;
  const Lab& lab = two.lab;
  REQUIRE(two.runtime.add("abc", {{8080, 80}}) == done);
  const Server agent(lab.host(), "agent", Protocol::tcp, "127.0.0.1", 9999);
  nft(lab.host(),
      "table ip agent { chain pre { type nat hook prerouting priority dstnat; ip daddr"
      " 169.254.169.254 tcp dport 80 dnat to 127.0.0.1:9999; }; }");
  CHECK(ask(two.abc, Protocol::tcp, "169.254.169.254", 80) == "agent 10.22.0.2");
  CHECK(probe(two.abc, Protocol::tcp, "10.22.0.1", 9999) == "refused");
}

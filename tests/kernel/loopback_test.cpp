// Loopback: the host's 127.0.0.1 leads to containers, and containers do not get to the host's.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "tests/support/cni_network.hpp"
#include "tests/support/join.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"
#include "tests/support/traced.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

constexpr std::array both = {Protocol::tcp, Protocol::udp};

// The interfaces of the host that have route_localnet.
std::string opened(const Lab& lab) {
  const std::vector<std::string> names = in_namespace(lab.host(), [] {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/sys/net/ipv4/conf"))
      all.push_back(entry.path().filename().string());
    return all;
  });
  std::vector<std::string> found;
  for (const std::string& name : names)
    if (read_sysctl(lab.host(), "net/ipv4/conf/" + name + "/route_localnet") == "1")
      found.push_back(name);
  std::sort(found.begin(), found.end());
  return join(found);
}

// Lets `ns` send to 127.0.0.0/8 by its gateway, and take the answers: the best that an attacker who
// owns a container or a machine on the LAN can do.
void attack(const std::string& ns, const std::string& gateway) {
  write_sysctl(ns, "net/ipv4/conf/all/rp_filter", "0");
  write_sysctl(ns, "net/ipv4/conf/eth0/rp_filter", "0");
  write_sysctl(ns, "net/ipv4/conf/all/route_localnet", "1");
  write_sysctl(ns, "net/ipv4/conf/eth0/route_localnet", "1");
  tool(ns, "ip addr del 127.0.0.1/8 dev lo");
  tool(ns, "ip route add 127.0.0.0/8 via " + gateway);
}

// "tcp, udp" of 127.0.0.1:PORT, from `ns`.
std::string outcome(const std::string& ns, std::uint16_t port) {
  return probe(ns, Protocol::tcp, "127.0.0.1", port) + ", " +
         probe(ns, Protocol::udp, "127.0.0.1", port);
}

void remove_guard(const Lab& lab) {
  for (const char* chain : {"localnet-guard", "localnet-guard-input"})
    nft(lab.host(), std::string("flush chain inet nft-port-mapper ") + chain);
}

// A container that publishes a port, its neighbour, and both of them and the LAN on the attack.
struct Attacked {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  std::string def = lab.container("def", "10.22.0.3/16");

  Attacked() {
    attack(abc, "10.22.0.1");
    attack(def, "10.22.0.1");
    attack(lab.client(), "192.0.2.1");
  }
  // From the container, its neighbour and the LAN.
  [[nodiscard]] std::string outcomes(std::uint16_t port) const {
    return join({outcome(abc, port), outcome(def, port), outcome(lab.client(), port)});
  }
};

const std::string no_answer = "timeout, timeout, timeout, timeout, timeout, timeout";

}  // namespace

TEST_CASE("loopback: the host reaches a port on its 127.0.0.1, whatever bridge netfilter is") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}, {8080, 80, "udp"}}) == done);
  const Service service(abc, "abc", 80);
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    for (const Protocol protocol : both) {
      CHECK(ask(lab.host(), protocol, "127.0.0.1", 8080) == "abc 10.22.0.1");
      CHECK(ask(lab.host(), protocol, "127.0.0.9", 8080) == "abc 10.22.0.1");
      // systemd-resolved's own addresses stay the host's.
      for (const char* stub : {"127.0.0.53", "127.0.0.54"})
        CHECK(probe(lab.host(), protocol, stub, 8080) == "refused");
    }
  }
}

TEST_CASE("loopback: only the interface that leads to the container gets route_localnet") {
  Lab lab;
  lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  lab.container("far", "10.23.0.2/16", "fd01::2/64", {.bridge = "cni1"});
  const Runtime runtime(lab);
  REQUIRE(opened(lab) == "");
  REQUIRE(runtime.add("far", {{8080, 80}}) == done);
  CHECK(opened(lab) == "cni1");
  REQUIRE(runtime.add("abc", {{8081, 80, "udp", "127.0.0.1"}}) == done);
  CHECK(opened(lab) == "cni0, cni1");
}

TEST_CASE("loopback: an ADD without a port reachable by loopback sets no route_localnet") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Runtime runtime(lab);
  REQUIRE(runtime.add("abc", {{8080, 80, "tcp", "192.0.2.1"},
                              {8080, 80, "udp", "10.22.0.1"},
                              {8080, 80, "tcp", "2001:db8::1"},
                              {8081, 80, "tcp", "::"}}) == done);
  CHECK(opened(lab) == "");
  REQUIRE(runtime.add("abc", {}) == done);
  CHECK(opened(lab) == "");
  // masqAll's one hairpin pair covers 127.0.0.0/8 as well, which must not count as a port.
  const Runtime masq_all(lab, R"("chain":"MESOS-WEB","masqAll":true)");
  REQUIRE(masq_all.add("abc", {{8080, 80, "tcp", "192.0.2.1"}}) == done);
  CHECK(opened(lab) == "");
}

TEST_CASE("loopback: on a ptp network it is the container's own link that is opened") {
  Lab lab;
  const std::string abc = lab.bare("abc");
  lab.bare("def");
  const CniNetwork network(lab, "linked", R"("type":"ptp")", "10.26.0.0/24", "fd26::/64");
  REQUIRE(network.add("def", {{9090, 80, "tcp", "192.0.2.1"}}) == "10.26.0.2 fd26::2");
  CHECK(opened(lab) == "");
  REQUIRE(network.add("abc", {{8080, 80}, {8080, 80, "udp"}}) == "10.26.0.3 fd26::3");
  const std::string device = opened(lab);
  CHECK(tool(lab.host(), "ip route get 10.26.0.3").find(" dev " + device + " ") !=
        std::string::npos);
  const Service service(abc, "abc", 80);
  for (const Protocol protocol : both)
    CHECK(ask(lab.host(), protocol, "127.0.0.1", 8080) == "abc 10.26.0.1");
}

TEST_CASE("loopback: what listens on the host's 127.0.0.1 stays out of reach for containers") {
  const Attacked attacked;
  const Lab& lab = attacked.lab;
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  REQUIRE(opened(lab) == "cni0");
  const Server tcp(lab.host(), "host", Protocol::tcp, "127.0.0.1", 9999);
  const Server udp(lab.host(), "host", Protocol::udp, "127.0.0.1", 9999);
  REQUIRE(outcome(lab.host(), 9999) == "host 127.0.0.1, host 127.0.0.1");
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    CHECK(attacked.outcomes(9999) == no_answer);
  }
  // The attack works: it is the guard that stops it, but on the LAN, where the kernel does.
  remove_guard(lab);
  CHECK(attacked.outcomes(9999) ==
        "host 10.22.0.2, host 10.22.0.2, host 10.22.0.3, host 10.22.0.3, timeout, timeout");
}

TEST_CASE("loopback: the guard covers the LAN even where an operator set route_localnet there") {
  const Attacked attacked;
  const Lab& lab = attacked.lab;
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  write_sysctl(lab.host(), "net/ipv4/conf/lan0/route_localnet", "1");
  const Server tcp(lab.host(), "host", Protocol::tcp, "127.0.0.1", 9999);
  const Server udp(lab.host(), "host", Protocol::udp, "127.0.0.1", 9999);
  CHECK(outcome(lab.client(), 9999) == "timeout, timeout");
  remove_guard(lab);
  CHECK(outcome(lab.client(), 9999) == "host 192.0.2.2, host 192.0.2.2");
}

TEST_CASE("loopback: a port of 127.0.0.1 alone is the host's alone") {
  const Attacked attacked;
  const Lab& lab = attacked.lab;
  REQUIRE(Runtime(lab).add(
              "abc", {{8080, 80, "tcp", "127.0.0.1"}, {8080, 80, "udp", "127.0.0.1"}}) == done);
  const Service service(attacked.abc, "abc", 80);
  CHECK(outcome(lab.host(), 8080) == "abc 10.22.0.1, abc 10.22.0.1");
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    CHECK(attacked.outcomes(8080) == no_answer);
  }
  for (const std::string& from : {attacked.abc, attacked.def, lab.client(), lab.host()})
    CHECK(probe(from, Protocol::tcp, "192.0.2.1", 8080) == "refused");
  // DNAT comes before routing, so without the guard even the LAN would get there.
  remove_guard(lab);
  CHECK(attacked.outcomes(8080) ==
        "abc 10.22.0.1, abc 10.22.0.1, abc 10.22.0.1, abc 10.22.0.1, abc 192.0.2.2, abc 192.0.2.2");
}

TEST_CASE("loopback: a container cannot send as the host's 127.0.0.1") {
  const Attacked attacked;
  const Lab& lab = attacked.lab;
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  const Server udp(lab.host(), "host", Protocol::udp, "0.0.0.0", 9999);
  nft(lab.host(),
      "table ip seen { chain input { type filter hook input priority 0; ip saddr 127.0.0.0/8 "
      "iifname cni0 udp dport 9999 counter; }; }");
  const auto arrived = [&lab] {
    return tool(lab.host(), "nft list table ip seen").find("packets 0 ") == std::string::npos;
  };
  write_sysctl(lab.host(), "net/ipv4/conf/all/rp_filter", "0");
  write_sysctl(lab.host(), "net/ipv4/conf/cni0/rp_filter", "0");
  // The gateway is known, so that what follows does not wait for ARP.
  REQUIRE(ask(attacked.abc, Protocol::udp, "192.0.2.1", 9999) == "host 10.22.0.2");
  for (const char* source : {"127.0.0.1", "127.0.0.9"})
    tool(attacked.abc, std::string("ip addr add ") + source + "/32 dev eth0");
  CHECK(probe(attacked.abc, Protocol::udp, "192.0.2.1", 9999, {.source_address = "127.0.0.1"}) ==
        "timeout");
  CHECK_FALSE(arrived());
  CHECK(probe(attacked.abc, Protocol::udp, "192.0.2.1", 9999, {.source_address = "127.0.0.9"}) ==
        "timeout");
  CHECK_FALSE(arrived());
  // Without rp_filter, route_localnet lets all but 127.0.0.1 in as a source: the guard stops it.
  remove_guard(lab);
  probe(attacked.abc, Protocol::udp, "192.0.2.1", 9999, {.source_address = "127.0.0.9"});
  CHECK(arrived());
}

TEST_CASE("loopback: the guard comes with the first port, and the next ADD puts it back") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  lab.container("def", "10.22.0.3/16");
  const Runtime runtime(lab);
  const std::string guard = "iifname != \"lo\" ip daddr 127.0.0.0/8 drop";
  REQUIRE(runtime.add("abc", {{8080, 80}}) == done);
  CHECK(listing(lab.host()).find(guard) != std::string::npos);
  remove_guard(lab);
  REQUIRE(listing(lab.host()).find(guard) == std::string::npos);
  REQUIRE(runtime.add("def", {{9090, 80}}) == done);
  CHECK(listing(lab.host()).find(guard) != std::string::npos);
}

TEST_CASE("loopback: the guard is in the kernel before route_localnet is set") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const Traced traced;
  const RunResult added =
      traced.plugin("-e trace=sendto,openat")
          .call(lab, lab.host(), "ADD", "abc",
                chained_config("web", lab.previous_result("abc"), to_json({{8080, 80}})));
  REQUIRE(added.err == "");
  const std::string calls = traced.calls();
  const std::size_t batch = calls.rfind("NFNL_MSG_BATCH_BEGIN");
  const std::size_t opening = calls.find("/proc/sys/net/ipv4/conf/cni0/route_localnet\", O_RDWR");
  REQUIRE(batch != std::string::npos);
  REQUIRE(opening != std::string::npos);
  CHECK(batch < opening);
}

TEST_CASE(
    "loopback: where /proc/sys cannot be written, only ports of 127.0.0.1 alone are refused") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16");
  const std::string file = "/proc/sys/net/ipv4/conf/cni0/route_localnet";
  const Traced traced;
  const auto add = [&](const Mappings& ports) {
    return traced.plugin("-P " + file + " -e inject=openat:error=EROFS")
        .call(lab, lab.host(), "ADD", "abc",
              chained_config("web", lab.previous_result("abc"), to_json(ports)));
  };
  const std::string failed = "cannot set to 1: " + file + ": Read-only file system";
  const RunResult refused = add({{8080, 80, "tcp", "127.0.0.1"}, {8081, 80}});
  CHECK(refused.status == 1);
  CHECK(refused.out == R"({"cniVersion":"1.0.0","code":103,"msg":")" + failed + "\"}\n");
  CHECK(refused.err == "nft-port-mapper: " + failed + "\n");
  CHECK(listing(lab.host()).find("container_id") == std::string::npos);

  const RunResult added = add({{8081, 80}});
  CHECK(added.status == 0);
  CHECK(added.out == lab.previous_result("abc"));
  CHECK(added.err ==
        "nft-port-mapper: " + failed + "; the ports do not answer on the host's 127.0.0.1\n");
  const Service service(abc, "abc", 80);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8081) == "abc 192.0.2.2");
  CHECK(probe(lab.host(), Protocol::tcp, "127.0.0.1", 8081) == "timeout");
}

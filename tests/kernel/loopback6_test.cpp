// ::1: the host reaches containers by it where the kernel lets the replies through, and nowhere else.
#include <doctest/doctest.h>

#include <array>

#include "tests/support/cni_cache.hpp"
#include "tests/support/cni_network.hpp"
#include "tests/support/loopback_routes.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"
#include "tests/support/traced.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

constexpr std::array both = {Protocol::tcp, Protocol::udp};
const Mappings web = {{8080, 80}, {8080, 80, "udp"}};

std::string seen(const Lab& lab, Protocol protocol, std::uint16_t port = 8080) {
  return ask(lab.host(), protocol, "::1", port);
}

void call_ip6tables(const Lab& lab, const char* value) {
  write_sysctl(lab.host(), "net/bridge/bridge-nf-call-ip6tables", value);
}

struct Pair {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  Runtime runtime{lab};
};

// A finding about a port of abc.
std::string is_dropped(const std::string& port) {
  return "port " + port +
         " of web/abc/eth0 is in loopback-ip6, and br_netfilter drops the replies behind bridge "
         "cni0: "
         "connections to ::1 hang\n";
}

std::string is_missing(const std::string& port) {
  return "port " + port +
         " of web/abc/eth0 is missing in loopback-ip6, and ::1 can reach it by cni0\n";
}

}  // namespace

TEST_CASE("loopback6: ::1 reaches ports on any address and on ::1 behind a bridge") {
  const Pair pair;
  const Lab& lab = pair.lab;
  REQUIRE(pair.runtime.add("abc", web) == done);
  REQUIRE(pair.runtime.add("def", {{9090, 80, "tcp", "::1"}, {9090, 80, "udp", "::1"}}) == done);
  const Service abc(pair.abc, "abc", 80);
  const Service def(pair.def, "def", 80);
  for (const Protocol protocol : both) {
    CHECK(seen(lab, protocol) == "abc fd00::1");
    CHECK(seen(lab, protocol, 9090) == "def fd00::1");
    // Of a port on ::1 nobody else knows.
    CHECK(probe(lab.client(), protocol, "2001:db8::1", 9090) == "refused");
    CHECK(probe(lab.host(), protocol, "127.0.0.1", 9090) == "refused");
  }
  CHECK(routes(lab) == "cni0 127");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
}

TEST_CASE("loopback6: behind a bridge with br_netfilter ::1 is the host's, and never hangs") {
  const Pair pair;
  const Lab& lab = pair.lab;
  SUBCASE("by the sysctl") {
    call_ip6tables(lab, "1");
  }
  SUBCASE("by the bridge's own option") {
    tool(lab.host(), "ip link set cni0 type bridge nf_call_ip6tables 1");
  }
  REQUIRE(pair.runtime.add("abc", web) == done);
  const std::string said = pair.runtime.add("def", {{9090, 80, "tcp", "::1"}});
  CHECK(said.starts_with("status 0, "));
  CHECK(said.find("the ports do not answer on the host's ::1: br_netfilter drops the replies behind"
                  " bridge cni0; net.bridge.bridge-nf-call-ip6tables=0 and nft-port-mapperctl check"
                  " --repair let them answer\n") != std::string::npos);
  CHECK(routes(lab) == "");
  CHECK(elements6(lab, "loopback-ip6") == "");
  for (const Protocol protocol : both) CHECK(probe(lab.host(), protocol, "::1", 8080) == "refused");
  CHECK(probe(lab.host(), Protocol::tcp, "::1", 9090) == "refused");
  const Server tcp(lab.host(), "host", Protocol::tcp, "::1", 8080);
  const Server udp(lab.host(), "host", Protocol::udp, "::1", 8080);
  for (const Protocol protocol : both) CHECK(seen(lab, protocol) == "host ::1");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
}

TEST_CASE("loopback6: on a ptp network ::1 works with and without br_netfilter") {
  Lab lab;
  const std::string abc = lab.bare("abc");
  const CniNetwork network(lab, "linked", R"("type":"ptp")", "10.26.0.0/24", "fd26::/64");
  for (const char* value : {"0", "1"}) {
    CAPTURE(value);
    call_ip6tables(lab, value);
    Mappings ports = web;
    ports.push_back({9090, 80, "tcp", "::1"});
    const std::string addresses = network.add("abc", ports);
    REQUIRE(addresses.starts_with("10.26.0."));
    const Service service(abc, "abc", 80);
    for (const Protocol protocol : both) CHECK(seen(lab, protocol) == "abc fd26::1");
    CHECK(seen(lab, Protocol::tcp, 9090) == "abc fd26::1");
    CHECK(routes(lab).ends_with(" 127"));
    CHECK(network.del("abc") == done);
    CHECK(routes(lab) == "");
  }
}

TEST_CASE("loopback6: without snat neither 127.0.0.1 nor ::1 is translated") {
  const Pair pair;
  const Lab& lab = pair.lab;
  REQUIRE(Runtime(lab, R"("snat":false)").add("abc", web) == done);
  const Service service(pair.abc, "abc", 80);
  for (const char* address : {"127.0.0.1", "::1"})
    for (const Protocol protocol : both)
      CHECK(probe(lab.host(), protocol, address, 8080) == "refused");
  const Server host(lab.host(), "host", Protocol::tcp, "127.0.0.1", 8080);
  const Server host6(lab.host(), "host", Protocol::tcp, "::1", 8080);
  CHECK(ask(lab.host(), Protocol::tcp, "127.0.0.1", 8080) == "host 127.0.0.1");
  CHECK(seen(lab, Protocol::tcp) == "host ::1");
  CHECK(routes(lab) == "");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
}

TEST_CASE("loopback6: br_netfilter that comes or goes after the ADD is found, and mended") {
  const Pair pair;
  const Lab& lab = pair.lab;
  REQUIRE(pair.runtime.add("abc", {{8080, 80}, {8081, 80, "udp", "::1"}}) == done);
  const Service service(pair.abc, "abc", 80);
  REQUIRE(seen(lab, Protocol::tcp) == "abc fd00::1");
  call_ip6tables(lab, "1");
  const std::string dropped = is_dropped("[::1]:8081/udp") + is_dropped("[::]:8080/tcp");
  const auto sorted = [](const std::string& text) {
    const std::size_t middle = text.find('\n') + 1;
    const std::string first = text.substr(0, middle);
    const std::string second = text.substr(middle, text.find('\n', middle) + 1 - middle);
    return std::min(first, second) + std::max(first, second) + text.substr(middle + second.size());
  };
  CHECK(ctl(lab, {"check"}).status == 1);
  CHECK(sorted(ctl(lab, {"check", "--repair"}).out) == sorted(dropped) + "mended 2 of 2\n");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  CHECK(probe(lab.host(), Protocol::tcp, "::1", 8080) == "refused");
  CHECK(probe(lab.host(), Protocol::udp, "::1", 8081) == "refused");
  call_ip6tables(lab, "0");
  const std::string missing = is_missing("[::1]:8081/udp") + is_missing("[::]:8080/tcp");
  SUBCASE("by check --repair") {
    CHECK(sorted(ctl(lab, {"check", "--repair"}).out) == sorted(missing) + "mended 2 of 2\n");
  }
  SUBCASE("by restore") {
    const RunResult restored = ctl(lab, {"restore", "--from", "/nowhere"});
    CHECK(restored.err.find("mended: " + is_missing("[::]:8080/tcp")) != std::string::npos);
  }
  CHECK(seen(lab, Protocol::tcp) == "abc fd00::1");
  CHECK(seen(lab, Protocol::udp, 8081) == "abc fd00::1");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  CHECK(pair.runtime.del("abc") == done);
  CHECK(routes(lab) == "");
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("loopback6: a port that was published while replies were dropped is mended to answer") {
  const Pair pair;
  const Lab& lab = pair.lab;
  call_ip6tables(lab, "1");
  REQUIRE(pair.runtime.add("abc", {{8080, 80}}) == done);
  const Service service(pair.abc, "abc", 80);
  call_ip6tables(lab, "0");
  CHECK(ctl(lab, {"doctor"})
            .out.find("port [::]:8080/tcp of web/abc/eth0 is missing in"
                      " loopback-ip6") != std::string::npos);
  CHECK(ctl(lab, {"check", "--repair"}).out ==
        "attachment web/abc/eth0 is not in loopback-users with cni0\n" +
            is_missing("[::]:8080/tcp") + "device cni0 is missing in loopback-routes\n" +
            "device cni0 lacks the route of ::1: connections to ::1 hang\nmended 4 of 4\n");
  CHECK(seen(lab, Protocol::tcp) == "abc fd00::1");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  CHECK(pair.runtime.del("abc") == done);
  CHECK(routes(lab) == "");
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("loopback6: what listens on the host's ::1 stays out of reach for containers") {
  const Pair pair;
  const Lab& lab = pair.lab;
  REQUIRE(pair.runtime.add("abc", web) == done);
  REQUIRE(routes(lab) == "cni0 127");
  const Server tcp(lab.host(), "host", Protocol::tcp, "::1", 9999);
  const Server udp(lab.host(), "host", Protocol::udp, "::1", 9999);
  for (const std::string& from : {pair.abc, pair.def}) {
    tool(from, "ip -6 addr del ::1/128 dev lo");
    tool(from, "ip -6 route add ::1/128 via fd00::1");
    for (const Protocol protocol : both) CHECK(probe(from, protocol, "::1", 9999) == "timeout");
  }
}

TEST_CASE("loopback6: the route ends with the last port that needs the device") {
  const Pair pair;
  const Lab& lab = pair.lab;
  const Service def(pair.def, "def", 80);
  REQUIRE(pair.runtime.add("abc", web) == done);
  REQUIRE(pair.runtime.add("def", {{9090, 80}}) == done);
  CHECK(elements6(lab, "loopback-routes") == "\"cni0\"");
  CHECK(pair.runtime.del("abc") == done);
  CHECK(routes(lab) == "cni0 127");
  CHECK(seen(lab, Protocol::tcp, 9090) == "def fd00::1");
  SUBCASE("by DEL") {
    CHECK(pair.runtime.del("def") == done);
    CHECK(listing(lab.host()).find("elements") == std::string::npos);
  }
  SUBCASE("by an ADD without ports that ::1 reaches") {
    REQUIRE(pair.runtime.add("def", {{9090, 80, "tcp", "0.0.0.0"}}) == done);
    CHECK(elements6(lab, "loopback-routes") == "");
    CHECK(read_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet") == "1");
  }
  SUBCASE("by ctl flush") {
    CHECK(ctl(lab, {"flush", "--yes"}).out == "removed table inet nft-port-mapper\n");
  }
  SUBCASE("with the device") {
    tool(lab.host(), "ip link del cni0");
    CHECK(pair.runtime.del("def") == done);
    CHECK(listing(lab.host()).find("elements") == std::string::npos);
  }
  CHECK(routes(lab) == "");
}

TEST_CASE("loopback6: ports of one family do not keep what the other family needed") {
  const Pair pair;
  const Lab& lab = pair.lab;
  REQUIRE(pair.runtime.add("abc", {{8080, 80, "tcp", "0.0.0.0"}}) == done);
  REQUIRE(pair.runtime.add("def", {{8080, 80, "tcp", "::"}}) == done);
  CHECK(pair.runtime.del("abc") == done);
  CHECK(read_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet") == "0");
  CHECK(routes(lab) == "cni0 127");
  REQUIRE(pair.runtime.add("abc", {{8080, 80, "tcp", "0.0.0.0"}}) == done);
  CHECK(pair.runtime.del("def") == done);
  CHECK(routes(lab) == "");
  CHECK(read_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet") == "1");
}

TEST_CASE("loopback6: after nft flush ruleset restore and the next DEL leave no route behind") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const CniCache cache(lab);
  const Service service(abc, "abc", 80);
  REQUIRE(cache.add("abc", web) == done);
  const std::string before = listing(lab.host());
  nft(lab.host(), "flush ruleset");
  SUBCASE("as it was") {
    CHECK(ctl(lab, {"restore", "--from", cache.directory()}).status == 0);
    CHECK(difference(normalise(listing(lab.host())), normalise(before)) == "");
    for (const Protocol protocol : both) CHECK(seen(lab, protocol) == "abc fd00::1");
  }
  SUBCASE("with br_netfilter since then") {
    call_ip6tables(lab, "1");
    CHECK(ctl(lab, {"restore", "--from", cache.directory()}).status == 0);
    for (const Protocol protocol : both)
      CHECK(probe(lab.host(), protocol, "::1", 8080) == "refused");
    call_ip6tables(lab, "0");
    CHECK(ctl(lab, {"check", "--repair"}).status == 0);
    CHECK(seen(lab, Protocol::udp) == "abc fd00::1");
  }
  CHECK(cache.plugin_del("abc") == done);
  CHECK(routes(lab) == "");
}

TEST_CASE(
    "loopback6: a route that nft flush ruleset left is named, and removed where nobody lives") {
  Pair pair;
  const Lab& lab = pair.lab;
  const ScratchDirectory scratch;
  REQUIRE(pair.runtime.add("abc", web) == done);
  const std::string left = "device cni0 has a route of ::1 that no port needs";
  nft(lab.host(), "flush ruleset");
  SUBCASE("by restore") {
    std::filesystem::create_directories(scratch.path("results"));
    const std::string from = scratch.path("");
    CHECK(ctl(lab, {"restore", "--dry-run", "--from", from}).err.find(left) != std::string::npos);
    CHECK(routes(lab) == "cni0 127");
    CHECK(ctl(lab, {"restore", "--from", from})
              .err.find("removed the route of ::1 on cni0: no port needs it") != std::string::npos);
  }
  SUBCASE("by check --repair") {
    const RunResult checked = ctl(lab, {"check"});
    CHECK(checked.status == 1);
    CHECK(checked.out.find(left + "\n") != std::string::npos);
    CHECK(ctl(lab, {"check", "--repair"}).out.ends_with("mended 2 of 2\n"));
  }
  SUBCASE("by check --repair, beside a table that has no record of it") {
    REQUIRE(pair.runtime.add("def", {{9090, 80, "tcp", "192.0.2.1"}}) == done);
    CHECK(ctl(lab, {"check"}).out.find(left + "\n") != std::string::npos);
    CHECK(ctl(lab, {"check", "--repair"}).status == 0);
  }
  CHECK(routes(lab) == "");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
}

TEST_CASE("loopback6: a route that somebody else made stays, and does not stand in the way") {
  const Pair pair;
  const Lab& lab = pair.lab;
  const std::string link = tool(lab.host(), "ip -o link show cni0");
  const int index = std::stoi(link);
  const Service service(pair.abc, "abc", 80);
  std::string device = "cni0";
  int metric = 5;
  SUBCASE("on the device") {}
  SUBCASE("on the device, with our metric") {
    metric = 1024 + index;
  }
  SUBCASE("on another device, with our metric") {
    device = "lan0";
    metric = 1024 + index;
  }
  tool(lab.host(), "ip -6 route add local ::1/128 dev " + device + " table local metric " +
                       std::to_string(metric));
  REQUIRE(routes(lab) == device + " boot");
  REQUIRE(pair.runtime.add("abc", web) == done);
  for (const Protocol protocol : both) CHECK(seen(lab, protocol) == "abc fd00::1");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  CHECK(pair.runtime.del("abc") == done);
  CHECK(routes(lab) == device + " boot");
}

TEST_CASE("loopback6: where the route cannot be made, the ports are not translated") {
  const Pair pair;
  const Lab& lab = pair.lab;
  const int index = std::stoi(tool(lab.host(), "ip -o link show cni0"));
  for (int i = 0; i < 8; ++i)
    tool(lab.host(), "ip -6 route add local ::1/128 dev lan0 table local metric " +
                         std::to_string(1024 + index + (i << 16)));
  const std::string failed = "cannot add: the route of ::1 on cni0: File exists";
  CHECK(
      pair.runtime.add("abc", web).find(failed + "; the ports do not answer on the host's ::1\n") !=
      std::string::npos);
  CHECK(elements6(lab, "loopback-ip6") == "");
  CHECK(probe(lab.host(), Protocol::tcp, "::1", 8080) == "refused");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  CHECK(pair.runtime.add("def", {{9090, 80, "tcp", "::1"}}) == failed);
  CHECK(listing(lab.host()).find("container_id: def") == std::string::npos);
}

TEST_CASE("loopback6: a damaged record is found, and mended") {
  const Pair pair;
  const Lab& lab = pair.lab;
  REQUIRE(pair.runtime.add("abc", {{8080, 80}}) == done);
  const std::string table = "inet nft-port-mapper ";
  std::string finding;
  SUBCASE("the route is missing") {
    tool(lab.host(), "ip -6 route del local ::1/128 dev cni0 table local");
    finding = "device cni0 lacks the route of ::1: connections to ::1 hang\n";
  }
  SUBCASE("the device is not recorded") {
    nft(lab.host(), "flush set " + table + "loopback-routes");
    finding = "device cni0 is missing in loopback-routes\n";
  }
  SUBCASE("the attachment's use is not recorded") {
    nft(lab.host(), "flush map " + table + "loopback-users");
    finding = "attachment web/abc/eth0 is not in loopback-users with cni0\n";
  }
  SUBCASE("a device that nobody needs") {
    nft(lab.host(), "add element " + table + "loopback-routes { \"lan0\" }");
    tool(lab.host(), "ip -6 route add local ::1/128 dev lan0 table local metric 9 proto 127");
    finding = "device lan0 has the route of ::1 for ports that are no longer published\n";
  }
  SUBCASE("a port that is not published") {
    nft(lab.host(), "add element " + table + "loopback-ip6 { tcp . 7070 }");
    finding = "element of [::]:7070/tcp in loopback-ip6 () has no claim\n";
  }
  SUBCASE("a use that nobody has") {
    nft(lab.host(), "add element " + table + "loopback-users { \"k00000000000000\" : \"cni0\" }");
    finding = "element k00000000000000 in loopback-users has no owner\n";
  }
  CHECK(ctl(lab, {"check", "--repair"}).out == finding + "mended 1 of 1\n");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  CHECK(routes(lab) == "cni0 127");
  CHECK(pair.runtime.del("abc") == done);
  CHECK(routes(lab) == "");
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("loopback6: a container behind the default route does not get the route on the uplink") {
  Lab lab;
  tool(lab.host(), "ip -6 route add default via 2001:db8::2");
  const Runtime runtime(lab);
  const AddOptions away{.result = result_of("10.22.0.2/16", "2001:db8:7::7/64")};
  CHECK(runtime.add("abc", {{8080, 80, "tcp", "::"}}, away) == done);
  CHECK(runtime.add("def", {{9090, 80, "tcp", "::1"}}, away)
            .find("the ports do not answer on the host's ::1: the route to 2001:db8:7::7 by lan0 is"
                  " not to a neighbour there\n") != std::string::npos);
  CHECK(routes(lab) == "");
  CHECK(elements6(lab, "loopback-ip6") == "");
  CHECK(probe(lab.host(), Protocol::tcp, "::1", 8080) == "refused");
  CHECK(runtime.del("abc") == done);
  CHECK(runtime.del("def") == done);
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
}

TEST_CASE("loopback6: a sibling that stood by is reached by ::1 when it gets the port") {
  Lab lab;
  lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Service service(abc, "abc", 80);
  tool(lab.host(), "ip link add v9 type veth peer name eth1 netns " + abc);
  tool(lab.host(), "ip link set v9 master cni1 up");
  for (const char* command : {"ip addr add fd01::2/64 dev eth1 nodad", "ip link set eth1 up"})
    tool(abc, command);
  const Runtime first(lab, R"("chain":"MESOS-WEB")", "web");
  const Runtime second(lab, R"("chain":"OTHER")", "net2");
  REQUIRE(first.add("abc", {{8080, 80, "tcp", "::"}}) == done);
  REQUIRE(second.add("abc", {{8080, 80, "tcp", "::"}},
                     {.result = result_of("10.23.0.2/16", "fd01::2/64")}) == done);
  CHECK(routes(lab) == "cni0 127");
  CHECK(seen(lab, Protocol::tcp) == "abc fd00::1");
  CHECK(first.del("abc") == done);
  CHECK(routes(lab) == "cni1 127");
  CHECK(seen(lab, Protocol::tcp) == "abc fd01::1");
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  CHECK(second.del("abc") == done);
  CHECK(routes(lab) == "");
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("loopback6: an ADD without ports that ::1 may reach asks for no interface and no route") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Traced traced;
  const RunResult added =
      traced.plugin("-e trace=sendto")
          .call(lab, lab.host(), "ADD", "abc",
                chained_config("web", lab.previous_result("abc"),
                               to_json({{8080, 80, "tcp", "0.0.0.0"}, {1, 2, "tcp", "fd00::1"}})));
  REQUIRE(added.err == "");
  const std::string calls = traced.calls();
  CHECK(calls.find("RTM_GETLINK") == std::string::npos);
  CHECK(calls.find("RTM_NEWROUTE") == std::string::npos);
  CHECK(calls.find("AF_INET6") == std::string::npos);
}

TEST_CASE("loopback6: Kubernetes' conformance case: one hostPort, three hostIPs and protocols") {
  Lab lab;
  const std::string pod1 = lab.container("pod1", "10.22.0.2/16", "fd00::2/64");
  const std::string pod2 = lab.container("pod2", "10.22.0.3/16", "fd00::3/64");
  const std::string pod3 = lab.container("pod3", "10.22.0.4/16", "fd00::4/64");
  const Service one(pod1, "pod1", 8080);
  const Service two(pod2, "pod2", 8080);
  const Service three(pod3, "pod3", 8080);
  const Runtime runtime(lab, "");
  const auto passes = [&](const std::string& loopback, const std::string& node) {
    CAPTURE(loopback);
    REQUIRE(runtime.add("pod1", {{54323, 8080, "tcp", loopback}}) == done);
    REQUIRE(runtime.add("pod2", {{54323, 8080, "tcp", node}}) == done);
    REQUIRE(runtime.add("pod3", {{54323, 8080, "udp", node}}) == done);
    CHECK(ask(lab.host(), Protocol::tcp, loopback, 54323).starts_with("pod1 "));
    CHECK(ask(lab.host(), Protocol::tcp, node, 54323).starts_with("pod2 "));
    CHECK(ask(lab.host(), Protocol::udp, node, 54323).starts_with("pod3 "));
    for (const char* pod : {"pod1", "pod2", "pod3"}) CHECK(runtime.del(pod) == done);
  };
  passes("127.0.0.1", "192.0.2.1");
  passes("::1", "2001:db8::1");
}

// Published ports with real traffic: who reaches them, whom they see, and what is left alone.
#include <doctest/doctest.h>

#include <array>

#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

struct Path {
  std::string host;    // an address of the host
  std::string client;  // whom the container sees when the client asks there
  std::string own;     // and when the host does: the address that the kernel chooses
};

const std::array paths{
    Path{"192.0.2.1", "192.0.2.2", "192.0.2.1"}, Path{"192.0.2.11", "192.0.2.2", "192.0.2.1"},
    Path{"10.22.0.1", "192.0.2.2", "10.22.0.1"}, Path{"2001:db8::1", "2001:db8::2", "2001:db8::1"},
    Path{"fd00::1", "2001:db8::2", "fd00::1"}};

// A server for each family on one port.
struct BothFamilies {
  BothFamilies(const std::string& ns, const std::string& name, Protocol protocol,
               std::uint16_t port)
      : v4(ns, name, protocol, "0.0.0.0", port), v6(ns, name, protocol, "::", port) {}
  Server v4;
  Server v6;
};

const std::string abc_at = "abc ";

}  // namespace

TEST_CASE("publish: client and host reach a port on every address of the host, TCP and UDP") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Runtime runtime(lab);
  REQUIRE(runtime.add("abc", {{8080, 80}, {8080, 80, "udp"}}) == done);
  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    const BothFamilies server(abc, "abc", protocol, 80);
    for (const Path& path : paths) {
      CAPTURE(path.host);
      CHECK(ask(lab.client(), protocol, path.host, 8080) == abc_at + path.client);
      CHECK(ask(lab.host(), protocol, path.host, 8080) == abc_at + path.own);
      CHECK(probe(lab.client(), protocol, path.host, 8081) == "refused");
      CHECK(probe(lab.host(), protocol, path.host, 80) == "refused");
    }
  }
  REQUIRE(runtime.del("abc") == done);
  const BothFamilies server(abc, "abc", Protocol::tcp, 80);
  for (const Path& path : paths) {
    CHECK(probe(lab.client(), Protocol::tcp, path.host, 8080) == "refused");
    CHECK(probe(lab.host(), Protocol::tcp, path.host, 8080) == "refused");
  }
}

TEST_CASE("publish: a port of one host address answers there and nowhere else") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Runtime runtime(lab);
  REQUIRE(runtime.add("abc", {{5353, 53, "udp", "192.0.2.1"},
                              {8080, 80, "tcp", "::ffff:192.0.2.11"},
                              {8080, 80, "tcp", "2001:db8::1"}}) == done);
  const BothFamilies tcp(abc, "abc", Protocol::tcp, 80);
  const BothFamilies udp(abc, "abc", Protocol::udp, 53);
  CHECK(ask(lab.client(), Protocol::udp, "192.0.2.1", 5353) == "abc 192.0.2.2");
  CHECK(ask(lab.host(), Protocol::udp, "192.0.2.1", 5353) == "abc 192.0.2.1");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.11", 8080) == "abc 192.0.2.2");
  CHECK(ask(lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
  CHECK(probe(lab.client(), Protocol::udp, "192.0.2.11", 5353) == "refused");
  CHECK(probe(lab.client(), Protocol::udp, "2001:db8::1", 5353) == "refused");
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  CHECK(probe(lab.client(), Protocol::tcp, "fd00::1", 8080) == "refused");
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 5353) == "refused");  // UDP's, not TCP's
}

TEST_CASE("publish: an SCTP packet arrives with a checksum that holds") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80, "sctp"}}) == done);
  SctpReceiver v4(abc, Family::ipv4);
  send_raw_sctp(lab.client(), "192.0.2.1", 8080, 40001);
  const auto packet = v4.receive(std::chrono::seconds(5));
  REQUIRE(packet.has_value());
  CHECK(packet->to_string() == "192.0.2.2 40001 -> 10.22.0.2 80");
  SctpReceiver v6(abc, Family::ipv6);
  send_raw_sctp(lab.client(), "2001:db8::1", 8080, 40002);
  const auto packet6 = v6.receive(std::chrono::seconds(5));
  REQUIRE(packet6.has_value());
  CHECK(packet6->to_string() == "2001:db8::2 40002 -> fd00::2 80");
}

TEST_CASE("publish: traffic routed through the host to somebody else's port is not touched") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}, {8080, 80, "udp"}}) == done);
  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    const BothFamilies published(abc, "published", protocol, 80);
    const BothFamilies own(abc, "abc", protocol, 8080);
    const BothFamilies neighbour(def, "def", protocol, 8080);
    const BothFamilies outside(lab.client(), "client", protocol, 8080);
    CHECK(ask(lab.client(), protocol, "192.0.2.1", 8080) == "published 192.0.2.2");
    CHECK(ask(lab.client(), protocol, "10.22.0.2", 8080) == "abc 192.0.2.2");
    CHECK(ask(lab.client(), protocol, "fd00::2", 8080) == "abc 2001:db8::2");
    CHECK(ask(lab.client(), protocol, "10.22.0.3", 8080) == "def 192.0.2.2");
    CHECK(ask(lab.client(), protocol, "fd00::3", 8080) == "def 2001:db8::2");
    CHECK(ask(lab.host(), protocol, "10.22.0.3", 8080) == "def 10.22.0.1");
    CHECK(ask(lab.host(), protocol, "192.0.2.2", 8080) == "client 192.0.2.1");
    CHECK(ask(def, protocol, "192.0.2.2", 8080) == "client 10.22.0.3");
    CHECK(ask(abc, protocol, "2001:db8::2", 8080) == "client fd00::2");
  }
}

TEST_CASE("publish: neighbours and the container itself reach it by the host's address") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  const std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  const BothFamilies server(abc, "abc", Protocol::tcp, 80);
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    CAPTURE(bridge_netfilter);
    for (const std::string& from : {abc, def}) {
      CHECK(ask(from, Protocol::tcp, "192.0.2.1", 8080) == "abc 10.22.0.1");
      CHECK(ask(from, Protocol::tcp, "2001:db8::1", 8080) == "abc fd00::1");
    }
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  }
}

TEST_CASE("publish: an IPv6 connection is not counted in the IPv4 map") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80},
                                   {8081, 80, "tcp", "192.0.2.1"},
                                   {8081, 80, "tcp", "2001:db8::1"}}) == done);
  const BothFamilies server(abc, "abc", Protocol::tcp, 80);
  const auto counts = [&lab] {
    return connections(lab, "MESOS-WEB-ip", "tcp . 8080") + " " +
           connections(lab, "MESOS-WEB-ip6", "tcp . 8080") + " " +
           connections(lab, "MESOS-WEB-hostip", "192.0.2.1 . tcp . 8081") + " " +
           connections(lab, "MESOS-WEB-hostip6", "2001:db8::1 . tcp . 8081");
  };
  CHECK(counts() == "0 0 0 0");
  for (const std::string& from : {lab.client(), lab.host()})
    CHECK(ask(from, Protocol::tcp, "2001:db8::1", 8080).starts_with(abc_at));
  CHECK(counts() == "0 2 0 0");
  for (const std::string& from : {lab.client(), lab.host(), lab.client()})
    CHECK(ask(from, Protocol::tcp, "192.0.2.1", 8080).starts_with(abc_at));
  CHECK(counts() == "3 2 0 0");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8081) == "abc 192.0.2.2");
  CHECK(counts() == "3 2 1 0");
  for (const std::string& from : {lab.client(), lab.host()})
    CHECK(ask(from, Protocol::tcp, "2001:db8::1", 8081).starts_with(abc_at));
  CHECK(counts() == "3 2 1 2");
}

TEST_CASE("publish: every device in excludeDevices is excluded, not only the last one") {
  Lab lab;
  lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const std::string far = lab.container("far", "10.23.0.2/16", "fd01::2/64", {.bridge = "cni1"});
  const BothFamilies server(abc, "abc", Protocol::tcp, 80);
  const auto outcome = [&](const std::string& address) {
    return probe(lab.client(), Protocol::tcp, address, 8080) + ", " +
           probe(far, Protocol::tcp, address, 8080) + ", " +
           probe(lab.host(), Protocol::tcp, address, 8080);
  };
  const auto add = [&lab](const std::string& devices) {
    return Runtime(lab, R"("chain":"MESOS-WEB","excludeDevices":)" + devices)
        .add("abc", {{8080, 80}});
  };
  const std::string all = "abc 192.0.2.2, abc 10.23.0.2, abc 192.0.2.1";
  REQUIRE(add("[]") == done);
  CHECK(outcome("192.0.2.1") == all);
  REQUIRE(add(R"(["lan0","cni1","absent0"])") == done);
  CHECK(outcome("192.0.2.1") == "refused, refused, abc 192.0.2.1");
  CHECK(outcome("2001:db8::1") == "refused, refused, abc 2001:db8::1");
  REQUIRE(add(R"(["cni1"])") == done);
  CHECK(outcome("192.0.2.1") == "abc 192.0.2.2, refused, abc 192.0.2.1");
  REQUIRE(add(R"(["lan0"])") == done);
  CHECK(outcome("2001:db8::1") == "refused, abc fd01::2, abc 2001:db8::1");
  REQUIRE(add("null") == done);
  CHECK(outcome("192.0.2.1") == all);
}

TEST_CASE("publish: a changed excludeDevices takes effect at another container's ADD") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16");
  lab.container("def", "10.22.0.3/16");
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  const Runtime excluding(lab, R"("chain":"MESOS-WEB","excludeDevices":["lan0"])");
  REQUIRE(excluding.add("def", {{9090, 80}}) == done);
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  CHECK(ask(lab.host(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.1");
}

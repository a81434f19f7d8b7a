// Any against one address: they overlap, as with bind(2). One owner may have both, two may not.
#include <doctest/doctest.h>

#include <array>

#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// Two containers that are alive, and a network for both.
struct TwoContainers {
  Lab lab;
  std::string a = lab.container("a", "10.22.0.2/16", "fd00::2/64");
  std::string b = lab.container("b", "10.22.0.3/16", "fd00::3/64");
  Runtime runtime{lab};
};

struct Overlap {
  std::string address;
  std::string one;  // its port 8080, as messages name it
  std::string any;  // "any" of its family
};

// Whatever listens on any address has the port on this one too, be it the host's own, local by a
// route only, or not local at all.
const std::array overlaps{
    Overlap{"192.0.2.1", "192.0.2.1:8080/tcp", "0.0.0.0:8080/tcp"},
    Overlap{"192.0.2.11", "192.0.2.11:8080/tcp", "0.0.0.0:8080/tcp"},
    Overlap{"10.22.0.1", "10.22.0.1:8080/tcp", "0.0.0.0:8080/tcp"},
    Overlap{"127.0.0.1", "127.0.0.1:8080/tcp", "0.0.0.0:8080/tcp"},
    Overlap{"127.0.0.2", "127.0.0.2:8080/tcp", "0.0.0.0:8080/tcp"},
    Overlap{"198.51.100.9", "198.51.100.9:8080/tcp", "0.0.0.0:8080/tcp"},
    Overlap{"::ffff:192.0.2.1", "192.0.2.1:8080/tcp", "0.0.0.0:8080/tcp"},
    Overlap{"2001:db8::1", "[2001:db8::1]:8080/tcp", "[::]:8080/tcp"},
    Overlap{"fd00::1", "[fd00::1]:8080/tcp", "[::]:8080/tcp"},
};

// Whether `said` is `expected`, or that behind the note about an address that no interface has.
bool is_said(const std::string& said, const std::string& expected, const std::string& address) {
  const std::string note = "no interface of this host has " + address + " now";
  return said == expected ||
         (address == "198.51.100.9" && said.find(note) != std::string::npos &&
          said.find(expected == done ? "status 0" : expected) != std::string::npos);
}

}  // namespace

TEST_CASE("overlap: a port of one address is refused when another publishes it on any") {
  const TwoContainers two;
  REQUIRE(two.runtime.add("a", {{8080, 80}}) == done);
  const std::string before = listing(two.lab.host());
  for (const Overlap& overlap : overlaps) {
    CAPTURE(overlap.address);
    CHECK(is_said(two.runtime.add("b", {{9090, 80}, {8080, 80, "tcp", overlap.address}}),
                  conflict("b", published_by(overlap.any, "a")), overlap.address));
    CHECK(difference(listing(two.lab.host()), before) == "");
  }
  CHECK(two.runtime.add("b", {{8080, 80, "udp", "192.0.2.1"}}) == done);  // no overlap
}

TEST_CASE("overlap: a port of any address is refused when another publishes it on one") {
  for (const Overlap& overlap : overlaps) {
    CAPTURE(overlap.address);
    const TwoContainers two;
    REQUIRE(
        is_said(two.runtime.add("a", {{8080, 80, "tcp", overlap.address}}), done, overlap.address));
    const std::string before = listing(two.lab.host());
    CHECK(two.runtime.add("b", {{8080, 80}}) == conflict("b", published_by(overlap.one, "a")));
    CHECK(two.runtime.add("b", {{9090, 80}, {8080, 80}}) ==
          conflict("b", published_by(overlap.one, "a")));
    CHECK(difference(listing(two.lab.host()), before) == "");
    REQUIRE(two.runtime.del("a") == done);
    CHECK(two.runtime.add("b", {{8080, 80}}) == done);
  }
}

TEST_CASE("overlap: the refusal is the CNI error object of the version asked for") {
  const TwoContainers two;
  REQUIRE(two.runtime.add("a", {{8080, 80}}) == done);
  const RunResult refused = Plugin{PLUGIN}.call(
      two.lab, two.lab.host(), "ADD", "b",
      chained_config("web", two.lab.previous_result("b", "0.4.0"),
                     to_json({{8080, 80, "tcp", "192.0.2.1"}}), R"("chain":"MESOS-WEB")", "0.4.0"));
  CHECK(refused.status == 1);
  CHECK(refused.out ==
        R"({"cniVersion":"0.4.0","code":103,"msg":"cannot publish ports of container b: )"
        R"(0.0.0.0:8080/tcp is published by container a of network web (eth0); )"
        R"(stop that container or choose another host port"})"
        "\n");
  CHECK(refused.err ==
        "nft-port-mapper: cannot publish ports of container b: "
        "0.0.0.0:8080/tcp is published by container a of network web (eth0); "
        "stop that container or choose another host port\n");
}

TEST_CASE("overlap: who publishes both of his own is still refused another's") {
  const TwoContainers two;
  REQUIRE(two.runtime.add("a", {{8080, 80, "tcp", "192.0.2.11"}}) == done);
  CHECK(two.runtime.add("b", {{8080, 80}, {8080, 81, "tcp", "192.0.2.1"}}) ==
        conflict("b", published_by("192.0.2.11:8080/tcp", "a")));
  REQUIRE(two.runtime.add("a", {{8080, 80}, {8080, 80, "tcp", "192.0.2.1"}}) == done);
  CHECK(two.runtime.add("b", {{8080, 80, "tcp", "192.0.2.11"}}) ==
        conflict("b", published_by("0.0.0.0:8080/tcp", "a")));
  CHECK(two.runtime.add("b", {{8080, 80}, {8080, 81, "tcp", "192.0.2.1"}}) ==
        conflict("b", published_by("0.0.0.0:8080/tcp", "a") + "; " +
                          published_by("192.0.2.1:8080/tcp", "a") + "; " +
                          published_by("[::]:8080/tcp", "a")));
}

TEST_CASE("overlap: one container may publish both, and the address wins") {
  const TwoContainers two;
  const auto host = two.lab.host();
  const Server any(two.a, "any", Protocol::tcp, "0.0.0.0", 80);
  const Server one(two.a, "one", Protocol::tcp, "0.0.0.0", 81);
  const Server any6(two.a, "any", Protocol::tcp, "::", 80);
  const Server one6(two.a, "one", Protocol::tcp, "::", 81);
  const Mapping on_any{8080, 80};
  const Mapping on_one{8080, 81, "tcp", "192.0.2.1"};
  const Mapping on_one6{8080, 81, "tcp", "2001:db8::1"};
  for (const Mappings& ports : {Mappings{on_any, on_one, on_one6}, {on_one6, on_one, on_any}}) {
    REQUIRE(two.runtime.add("a", ports) == done);
    CHECK(ask(two.lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "one 192.0.2.2");
    CHECK(ask(two.lab.client(), Protocol::tcp, "192.0.2.11", 8080) == "any 192.0.2.2");
    CHECK(ask(two.lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "one 2001:db8::2");
    CHECK(ask(two.lab.client(), Protocol::tcp, "fd00::1", 8080) == "any 2001:db8::2");
    CHECK(connections(two.lab, "MESOS-WEB-ip", "tcp . 8080") == "1");
    CHECK(connections(two.lab, "MESOS-WEB-hostip", "192.0.2.1 . tcp . 8080") == "1");
    REQUIRE(two.runtime.del("a") == done);
    CHECK(listing(host).find("elements") == std::string::npos);
  }
}

TEST_CASE("overlap: two containers on two addresses of the host live side by side") {
  const TwoContainers two;
  const Server a(two.a, "a", Protocol::tcp, "0.0.0.0", 80);
  const Server b(two.b, "b", Protocol::tcp, "0.0.0.0", 80);
  const Server a6(two.a, "a", Protocol::tcp, "::", 80);
  const Server b6(two.b, "b", Protocol::tcp, "::", 80);
  REQUIRE(two.runtime.add("a", {{8080, 80, "tcp", "192.0.2.1"}, {8080, 80, "tcp", "fd00::1"}}) ==
          done);
  REQUIRE(two.runtime.add(
              "b", {{8080, 80, "tcp", "192.0.2.11"}, {8080, 80, "tcp", "2001:db8::1"}}) == done);
  CHECK(ask(two.lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "a 192.0.2.2");
  CHECK(ask(two.lab.client(), Protocol::tcp, "192.0.2.11", 8080) == "b 192.0.2.2");
  CHECK(ask(two.lab.client(), Protocol::tcp, "fd00::1", 8080) == "a 2001:db8::2");
  CHECK(ask(two.lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "b 2001:db8::2");
  REQUIRE(two.runtime.del("a") == done);
  CHECK(probe(two.lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  CHECK(ask(two.lab.client(), Protocol::tcp, "192.0.2.11", 8080) == "b 192.0.2.2");
}

TEST_CASE("overlap: networks with chains of their own overlap just the same") {
  const TwoContainers two;
  const Runtime mail(two.lab, R"("chain":"MAIL")", "mail");
  REQUIRE(mail.add("a", {{8080, 80, "tcp", "192.0.2.1"}}) == done);
  CHECK(two.runtime.add("b", {{8080, 80}}) ==
        conflict("b", published_by("192.0.2.1:8080/tcp", "a", "mail")));
  CHECK(two.runtime.add("b", {{8080, 80, "tcp", "192.0.2.1"}}) ==
        conflict("b", published_by("192.0.2.1:8080/tcp", "a", "mail")));
  REQUIRE(mail.add("a", {{8080, 80}}) == done);
  CHECK(two.runtime.add("b", {{8080, 80, "tcp", "2001:db8::1"}}) ==
        conflict("b", published_by("[::]:8080/tcp", "a", "mail")));
}

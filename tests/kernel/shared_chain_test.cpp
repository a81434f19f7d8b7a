// What networks share: chains, masquerade, hairpin pairs. The last to come is not right.
#include <doctest/doctest.h>

#include "tests/support/join.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string plain = R"("chain":"SHARED")";
const std::string restricted = R"("chain":"SHARED","excludeDevices":["lan0"])";

std::string excluded(const Lab& lab) {
  return listing(lab.host()).find("iifname \"lan0\" return") == std::string::npos ? "none" : "lan0";
}

std::string refused(const std::string& network, const std::string& user) {
  return "\"code\":101,\"msg\":\"chain SHARED of network " + network + " is used by network " +
         user +
         " with other excludeDevices, excludeAddresses or conditions; give each of the two a chain "
         "of"
         " its own\"";
}

struct Two {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64", {.hairpin = true});
};

}  // namespace

TEST_CASE("shared: another network does not lift the restriction of a chain that is in use") {
  const Two two;
  const Lab& lab = two.lab;
  const Service at_abc(two.abc, "abc", 80);
  REQUIRE(Runtime(lab, restricted, "web").add("abc", {{8080, 80}}) == done);
  CHECK(Runtime(lab, plain, "db").add("def", {{9090, 80}}).find(refused("db", "web")) !=
        std::string::npos);
  CHECK(excluded(lab) == "lan0");
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  CHECK(listing(lab.host()).find("9090") == std::string::npos);
  CHECK(listing(lab.host()).find("comment \"network: web\"") != std::string::npos);
}

TEST_CASE("shared: networks with the same restrictions share a chain, and each keeps its ports") {
  const Two two;
  const Lab& lab = two.lab;
  const Service at_abc(two.abc, "abc", 80);
  const Service at_def(two.def, "def", 80);
  const Runtime web(lab, plain, "web");
  const Runtime db(lab, plain, "db");
  REQUIRE(web.add("abc", {{8080, 80}}) == done);
  REQUIRE(db.add("def", {{9090, 80}}) == done);
  // Not even the chain's own network changes it under the other's ports.
  CHECK(Runtime(lab, restricted, "web").add("abc", {{8080, 80}}).find(refused("web", "db")) !=
        std::string::npos);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(web.del("abc") == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "def 192.0.2.2");
}

TEST_CASE("shared: a network's changed restriction takes effect at its next ADD") {
  const Two two;
  const Lab& lab = two.lab;
  REQUIRE(Runtime(lab, plain, "web").add("abc", {{8080, 80}}) == done);
  CHECK(excluded(lab) == "none");
  REQUIRE(Runtime(lab, restricted, "web").add("def", {{9090, 80}}) == done);
  CHECK(excluded(lab) == "lan0");
  REQUIRE(Runtime(lab, plain, "web").add("def", {{9090, 80}}) == done);
  CHECK(excluded(lab) == "none");
}

TEST_CASE("shared: a chain in which nobody has a port is the next network's") {
  const Two two;
  const Lab& lab = two.lab;
  const Runtime web(lab, restricted, "web");
  REQUIRE(web.add("abc", {{8080, 80}}) == done);
  REQUIRE(web.del("abc") == done);
  REQUIRE(Runtime(lab, plain, "db").add("def", {{9090, 80}}) == done);
  CHECK(excluded(lab) == "none");
  CHECK(listing(lab.host()).find("comment \"network: db\"") != std::string::npos);
}

TEST_CASE("shared: what another table translates is not masqueraded, not even with masqAll") {
  const Two two;
  const Lab& lab = two.lab;
  const Service at_def(two.def, "def", 80);
  for (const char* options : {R"("chain":"W")", R"("chain":"W","masqAll":true)"}) {
    REQUIRE(Runtime(lab, options).add("abc", {{8080, 80}}) == done);
    nft(lab.host(),
        "table ip svc\ndelete table ip svc\ntable ip svc { chain pre { type nat hook"
        " prerouting priority dstnat; ip daddr 10.96.0.1 tcp dport 80 dnat to"
        " 10.22.0.3:80; }; }");
    tool(two.abc, "ip route replace 10.96.0.1 via 10.22.0.1");
    // Routed back by the host, or the answer would come from a stranger's address.
    tool(two.def, "ip route replace 10.22.0.2 via 10.22.0.1");
    CHECK(ask(two.abc, Protocol::tcp, "10.96.0.1", 80) == "def 10.22.0.2");
  }
}

TEST_CASE("shared: masqAll and snat that are switched off take effect at the network's next ADD") {
  const Two two;
  const Lab& lab = two.lab;
  const Service at_abc(two.abc, "abc", 80);
  REQUIRE(Runtime(lab, R"("chain":"W","masqAll":true)").add("abc", {{8080, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 10.22.0.1");
  REQUIRE(Runtime(lab, R"("chain":"W")").add("abc", {{8080, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(ask(lab.host(), Protocol::tcp, "127.0.0.1", 8080) == "abc 10.22.0.1");
  REQUIRE(Runtime(lab, R"("chain":"W","snat":false)").add("abc", {{8080, 80}}) == done);
  CHECK(listing(lab.host()).find("10.22.0.0/16") == std::string::npos);
}

TEST_CASE("shared: pairs that another network's containers want in the same subnet stay") {
  const Two two;
  const Lab& lab = two.lab;
  const Service at_abc(two.abc, "abc", 80);
  REQUIRE(Runtime(lab, R"("chain":"W","masqAll":true)", "web").add("abc", {{8080, 80}}) == done);
  REQUIRE(Runtime(lab, R"("chain":"D")", "db").add("def", {{9090, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 10.22.0.1");
}

TEST_CASE("shared: a port on one address does not take 127.0.0.1 from its neighbours") {
  const Two two;
  const Lab& lab = two.lab;
  const Service at_abc(two.abc, "abc", 80);
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  REQUIRE(Runtime(lab).add("def", {{9090, 80, "tcp", "192.0.2.1"}}) == done);
  CHECK(ask(lab.host(), Protocol::tcp, "127.0.0.1", 8080) == "abc 10.22.0.1");
}

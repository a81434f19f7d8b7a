// Hairpin: containers that reach their own published port and their neighbours' through the host.
#include <doctest/doctest.h>

#include "tests/support/cni_network.hpp"
#include "tests/support/join.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const Mappings ports_of_abc = {{8080, 80}, {8080, 80, "udp"}};
const Mappings ports_of_def = {{9090, 80}, {9090, 80, "udp"}};

// What the servers of abc and def see when `from` asks for both their ports at each host address.
std::string asked(const std::string& from, Protocol protocol,
                  const std::vector<std::string>& addresses) {
  std::string seen;
  for (const std::string& address : addresses) {
    seen += ask(from, protocol, address, 8080) + ", " + ask(from, protocol, address, 9090) + "; ";
    if (seen.find("timeout") != std::string::npos) break;
  }
  return seen;
}

// `times` answers of both servers to `source`, as asked() puts it.
std::string seen(const std::string& source, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += "abc " + source + ", def " + source + "; ";
  return text;
}

// One network with two containers that publish ports, and a third one without.
struct Network {
  const Lab& lab;
  std::string gateway;
  std::string gateway6;

  // Whom do the servers see? The host's own addresses are in the traffic matrix.
  void check(const std::string& client_seen, const std::string& client6_seen) const {
    const std::vector<std::string> v4 = {"192.0.2.1", "192.0.2.11", gateway};
    const std::vector<std::string> v6 = {"2001:db8::1", gateway6};
    const Service abc(lab.ns("abc"), "abc", 80);
    const Service def(lab.ns("def"), "def", 80);
    for (const bool bridge_netfilter : {false, true}) {
      lab.bridge_netfilter(bridge_netfilter);
      for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
        CAPTURE(bridge_netfilter);
        CAPTURE(to_string(protocol));
        for (const char* name : {"abc", "def", "ghi"}) {
          CAPTURE(name);
          REQUIRE(asked(lab.ns(name), protocol, v4) == seen(gateway, 3));
          REQUIRE(asked(lab.ns(name), protocol, v6) == seen(gateway6, 2));
        }
        REQUIRE(asked(lab.host(), protocol, {"127.0.0.1"}) == seen(gateway, 1));
        REQUIRE(asked(lab.client(), protocol, v4) == seen(client_seen, 3));
        REQUIRE(asked(lab.client(), protocol, v6) == seen(client6_seen, 2));
      }
    }
  }
};

std::string add_all(const CniNetwork& network) {
  return join(
      {network.add("abc", ports_of_abc), network.add("def", ports_of_def), network.add("ghi", {})});
}

std::string del_all(const CniNetwork& network) {
  return join({network.del("abc"), network.del("def"), network.del("ghi")});
}

// The addresses of three containers: three("10.25.0.", "fd25::").
std::string three(const std::string& v4, const std::string& v6) {
  std::vector<std::string> addresses;
  for (const char* last : {"2", "3", "4"}) addresses.push_back(v4 + last + " " + v6 + last);
  return join(addresses);
}

void make_bare(Lab& lab) {
  for (const char* name : {"abc", "def", "ghi"}) lab.bare(name);
}

// The host's own macvlan interface: the kernel lets lan0 itself talk to none of its macvlans.
void add_macvlan_of_host(const Lab& lab) {
  tool(lab.host(), "ip link add mac0 link lan0 type macvlan mode bridge");
  tool(lab.host(), "ip addr add 10.27.0.1/24 dev mac0");
  tool(lab.host(), "ip addr add fd27::1/64 dev mac0 nodad");
  tool(lab.host(), "ip link set mac0 up");
}

const std::string all_done = "done, done, done";

}  // namespace

TEST_CASE("hairpin: containers on a bridge reach their own and their neighbours' ports") {
  Lab lab;
  make_bare(lab);
  const CniNetwork network(lab, "bridged",
                           R"("type":"bridge","bridge":"br25","isGateway":true,"hairpinMode":true)",
                           "10.25.0.0/24", "fd25::/64");
  REQUIRE(add_all(network) == three("10.25.0.", "fd25::"));
  Network{lab, "10.25.0.1", "fd25::1"}.check("192.0.2.2", "2001:db8::2");
  CHECK(del_all(network) == all_done);
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("hairpin: containers on ptp links reach their own and their neighbours' ports") {
  Lab lab;
  make_bare(lab);
  const CniNetwork network(lab, "linked", R"("type":"ptp")", "10.26.0.0/24", "fd26::/64");
  REQUIRE(add_all(network) == three("10.26.0.", "fd26::"));
  Network{lab, "10.26.0.1", "fd26::1"}.check("192.0.2.2", "2001:db8::2");
  CHECK(del_all(network) == all_done);
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE(
    "hairpin: containers on macvlan with masqAll reach their own and their neighbours' ports") {
  Lab lab;
  make_bare(lab);
  add_macvlan_of_host(lab);
  const CniNetwork network(lab, "children", R"("type":"macvlan","master":"lan0","mode":"bridge")",
                           "10.27.0.0/24", "fd27::/64", R"("masqAll":true)");
  REQUIRE(add_all(network) == three("10.27.0.", "fd27::"));
  Network{lab, "10.27.0.1", "fd27::1"}.check("10.27.0.1", "fd27::1");
  CHECK(del_all(network) == all_done);
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("hairpin: a macvlan container whose gateway is not the host answers with masqAll only") {
  for (const bool masq_all : {false, true}) {
    CAPTURE(masq_all);
    Lab lab;
    add_macvlan_of_host(lab);
    const std::string abc = lab.bare("abc");
    const CniNetwork network(lab, "children", R"("type":"macvlan","master":"lan0","mode":"bridge")",
                             "10.27.0.0/24", "fd27::/64",
                             masq_all ? R"("masqAll":true)" : R"("masqAll":false)");
    REQUIRE(network.add("abc", ports_of_abc) == "10.27.0.2 fd27::2");
    // The LAN's router, which is where the container's answers go.
    tool(lab.client(), "ip addr add 10.27.0.254/24 dev eth0");
    tool(abc, "ip route replace default via 10.27.0.254");
    const Service service(abc, "abc", 80);
    const std::string seen_by_host = masq_all ? "abc 10.27.0.1" : "timeout";
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp})
      CHECK(probe(lab.client(), protocol, "192.0.2.1", 8080, {.source_address = "192.0.2.2"}) ==
            seen_by_host);
  }
}

TEST_CASE("hairpin: with bridge-nf, a container reaches its own port in hairpin mode only") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  REQUIRE(Runtime(lab).add("abc", ports_of_abc) == done);
  const Service service(abc, "abc", 80);
  const auto outcome = [&] {
    return probe(abc, Protocol::tcp, "192.0.2.1", 8080) + ", " +
           probe(abc, Protocol::udp, "2001:db8::1", 8080) + ", " +
           probe(def, Protocol::tcp, "192.0.2.1", 8080);
  };
  lab.bridge_netfilter(false);
  CHECK(outcome() == "abc 10.22.0.1, abc fd00::1, abc 10.22.0.1");
  lab.bridge_netfilter(true);
  CHECK(outcome() == "timeout, timeout, abc 10.22.0.1");
  tool(lab.host(), "ip link set " + lab.host_interface("abc") + " type bridge_slave hairpin on");
  CHECK(outcome() == "abc 10.22.0.1, abc fd00::1, abc 10.22.0.1");
}

// A process of the host that listens where a port is published: which of the two answers.
#include <doctest/doctest.h>

#include "tests/support/cni_network.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// TCP and UDP on one address of the host.
struct Process {
  Process(const Lab& lab, const std::string& name, const std::string& address, std::uint16_t port)
      : tcp(lab.host(), name, Protocol::tcp, address, port),
        udp(lab.host(), name, Protocol::udp, address, port) {}

  Server tcp;
  Server udp;
};

struct Hosts {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  std::string far;
  Service service{abc, "abc", 80};

  Hosts() {
    lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
    far = lab.container("far", "10.23.0.2/16", "fd01::2/64", {.bridge = "cni1"});
  }
  // What `from` gets at the address: TCP, UDP; one where they are the same.
  static std::string seen(const std::string& from, const std::string& address, std::uint16_t port) {
    const std::string tcp = ask(from, Protocol::tcp, address, port);
    const std::string udp = ask(from, Protocol::udp, address, port);
    return tcp == udp ? tcp : tcp + ", " + udp;
  }
};

const Mappings dns = {{53, 80}, {53, 80, "udp"}};
const Mappings web = {{8080, 80}, {8080, 80, "udp"}};

}  // namespace

TEST_CASE(
    "listeners: publishing 53 leaves the bridge's resolver to every container, the one that "
    "publishes it too") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab).add("abc", dns) == done);
  const Process v4(lab, "resolver", "10.22.0.1", 53);
  const Process v6(lab, "resolver", "fd00::1", 53);
  for (const bool bridge_netfilter : {false, true}) {
    CAPTURE(bridge_netfilter);
    lab.bridge_netfilter(bridge_netfilter);
    CHECK(Hosts::seen(hosts.abc, "10.22.0.1", 53) == "resolver 10.22.0.2");
    CHECK(Hosts::seen(hosts.def, "10.22.0.1", 53) == "resolver 10.22.0.3");
    CHECK(Hosts::seen(hosts.far, "10.22.0.1", 53) == "resolver 10.23.0.2");
    CHECK(Hosts::seen(hosts.abc, "fd00::1", 53) == "resolver fd00::2");
    CHECK(Hosts::seen(hosts.def, "fd00::1", 53) == "resolver fd00::3");
    CHECK(Hosts::seen(hosts.far, "fd00::1", 53) == "resolver fd01::2");
    // Everywhere else it is the container's.
    CHECK(Hosts::seen(lab.client(), "192.0.2.1", 53) == "abc 192.0.2.2");
    CHECK(Hosts::seen(lab.client(), "2001:db8::1", 53) == "abc 2001:db8::2");
    CHECK(Hosts::seen(hosts.far, "10.23.0.1", 53) == "abc 10.23.0.2");
    CHECK(Hosts::seen(hosts.def, "192.0.2.1", 53) == "abc 10.22.0.1");
  }
}

TEST_CASE("listeners: a server on one address keeps it for the LAN, and loses it with its socket") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  const auto answers = [&](const std::string& lan, const std::string& lan6) {
    CHECK(Hosts::seen(lab.client(), "192.0.2.1", 8080) == lan + " 192.0.2.2");
    CHECK(Hosts::seen(hosts.far, "192.0.2.1", 8080) == lan + " 10.23.0.2");
    CHECK(Hosts::seen(lab.client(), "2001:db8::1", 8080) == lan6 + " 2001:db8::2");
    CHECK(Hosts::seen(lab.client(), "192.0.2.11", 8080) == "abc 192.0.2.2");
    CHECK(Hosts::seen(lab.client(), "fd00::1", 8080) == "abc 2001:db8::2");
    // The kernel cannot see a listener in output: the host's own go to the container.
    CHECK(Hosts::seen(lab.host(), "192.0.2.1", 8080) == "abc 192.0.2.1");
  };
  {
    const Process v4(lab, "lan", "192.0.2.1", 8080);
    const Process v6(lab, "lan", "2001:db8::1", 8080);
    REQUIRE(Runtime(lab).add("abc", web) == done);
    for (const bool bridge_netfilter : {false, true}) {
      lab.bridge_netfilter(bridge_netfilter);
      answers("lan", "lan");
    }
  }
  answers("abc", "abc");
}

TEST_CASE(
    "listeners: one on any address is hidden, in each family that the port is published for") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  const Process v4(lab, "host", "0.0.0.0", 8080);
  const Process v6(lab, "host", "::", 8080);
  REQUIRE(Hosts::seen(lab.client(), "192.0.2.1", 8080) == "host 192.0.2.2");
  REQUIRE(Runtime(lab).add("abc", web) == done);
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    CHECK(Hosts::seen(lab.client(), "192.0.2.1", 8080) == "abc 192.0.2.2");
    CHECK(Hosts::seen(lab.client(), "2001:db8::1", 8080) == "abc 2001:db8::2");
    CHECK(Hosts::seen(lab.host(), "127.0.0.1", 8080) == "abc 10.22.0.1");
    CHECK(Hosts::seen(hosts.far, "192.0.2.1", 8080) == "abc 10.23.0.2");
  }
  REQUIRE(Runtime(lab).add("abc", {{8080, 80, "tcp", "0.0.0.0"}, {8080, 80, "udp", "0.0.0.0"}}) ==
          done);
  CHECK(Hosts::seen(lab.client(), "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(Hosts::seen(lab.client(), "2001:db8::1", 8080) == "host 2001:db8::2");
  REQUIRE(Runtime(lab).del("abc") == done);
  CHECK(Hosts::seen(lab.client(), "192.0.2.1", 8080) == "host 192.0.2.2");
}

TEST_CASE(
    "listeners: a port on one address goes before a socket on that very address, such as "
    "podman's") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  const Process v4(lab, "reserved", "192.0.2.1", 8080);
  const Process v6(lab, "reserved", "2001:db8::1", 8080);
  const Process other(lab, "other", "192.0.2.11", 8080);
  Mappings ports = {{8080, 80, "tcp", "192.0.2.1"},
                    {8080, 80, "udp", "192.0.2.1"},
                    {8080, 80, "tcp", "2001:db8::1"},
                    {8080, 80, "udp", "2001:db8::1"}};
  // Alone, and beside the same port on any address.
  for (const bool on_any_too : {false, true}) {
    CAPTURE(on_any_too);
    if (on_any_too) ports.insert(ports.end(), web.begin(), web.end());
    REQUIRE(Runtime(lab).add("abc", ports) == done);
    for (const bool bridge_netfilter : {false, true}) {
      lab.bridge_netfilter(bridge_netfilter);
      CHECK(Hosts::seen(lab.client(), "192.0.2.1", 8080) == "abc 192.0.2.2");
      CHECK(Hosts::seen(lab.client(), "2001:db8::1", 8080) == "abc 2001:db8::2");
      CHECK(Hosts::seen(lab.host(), "192.0.2.1", 8080) == "abc 192.0.2.1");
      CHECK(Hosts::seen(hosts.abc, "192.0.2.1", 8080) == "abc 10.22.0.1");
      CHECK(Hosts::seen(lab.client(), "192.0.2.11", 8080) == "other 192.0.2.2");
    }
  }
}

TEST_CASE("listeners: systemd-resolved's stubs answer the host when 53 is published") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  const Process stub(lab, "stub", "127.0.0.53", 53);
  const Process proxy(lab, "proxy", "127.0.0.54", 53);
  REQUIRE(Runtime(lab).add("abc", dns) == done);
  CHECK(Hosts::seen(lab.host(), "127.0.0.53", 53) == "stub 127.0.0.1");
  CHECK(Hosts::seen(lab.host(), "127.0.0.54", 53) == "proxy 127.0.0.1");
  CHECK(Hosts::seen(lab.host(), "127.0.0.1", 53) == "abc 10.22.0.1");
  CHECK(Hosts::seen(lab.client(), "192.0.2.1", 53) == "abc 192.0.2.2");
}

TEST_CASE("listeners: one on 127.0.0.1 is hidden where the host's loopback reaches the port") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  const Process process(lab, "host", "127.0.0.1", 8080);
  REQUIRE(Runtime(lab).add("abc", web) == done);
  CHECK(Hosts::seen(lab.host(), "127.0.0.1", 8080) == "abc 10.22.0.1");
  REQUIRE(Runtime(lab, R"("chain":"MESOS-WEB","snat":false)").add("abc", web) == done);
  CHECK(Hosts::seen(lab.host(), "127.0.0.1", 8080) == "host 127.0.0.1");
  CHECK(Hosts::seen(lab.client(), "192.0.2.1", 8080) == "abc 192.0.2.2");
}

TEST_CASE("listeners: behind a routed interface (ptp) the gateway's resolver stays its own") {
  Lab lab;
  const std::string abc = lab.bare("abc");
  const std::string def = lab.bare("def");
  const CniNetwork network(lab, "linked", R"("type":"ptp")", "10.26.0.0/24", "fd26::/64");
  REQUIRE(network.add("abc", dns) == "10.26.0.2 fd26::2");
  REQUIRE(network.add("def", {{9090, 80}}) == "10.26.0.3 fd26::3");
  const Service service(abc, "abc", 80);
  const Process v4(lab, "resolver", "10.26.0.1", 53);
  const Process v6(lab, "resolver", "fd26::1", 53);
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    CHECK(Hosts::seen(abc, "10.26.0.1", 53) == "resolver 10.26.0.2");
    CHECK(Hosts::seen(def, "10.26.0.1", 53) == "resolver 10.26.0.3");
    CHECK(Hosts::seen(abc, "fd26::1", 53) == "resolver fd26::2");
    CHECK(Hosts::seen(def, "fd26::1", 53) == "resolver fd26::3");
    CHECK(Hosts::seen(lab.client(), "192.0.2.1", 53) == "abc 192.0.2.2");
    CHECK(Hosts::seen(lab.client(), "2001:db8::1", 53) == "abc 2001:db8::2");
  }
}

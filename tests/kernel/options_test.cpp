// Options: what snat, masqAll, excludeDevices and portmap's other keys change in the traffic.
#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "tests/support/join.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

constexpr std::array both = {Protocol::tcp, Protocol::udp};
const Mappings ports = {{8080, 80}, {8080, 80, "udp"}};
const std::string masq_all = R"("chain":"MESOS-WEB","masqAll":true)";

// The elements of a set or map, one a line, without counters: "10.22.0.0/16 . 10.22.0.0/16".
std::string elements(const Lab& lab, const std::string& set) {
  const std::string text = tool(lab.host(), "nft list set inet nft-port-mapper " + set);
  const std::size_t begin = text.find("elements = { ");
  if (begin == std::string::npos) return "";
  const std::size_t from = begin + std::string("elements = { ").size();
  return replaced(text.substr(from, text.find(" }", from) - from), ",\n\t\t\t     ", "\n");
}

// abc publishes, def is its neighbour, far is on another bridge.
struct Hosts {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64", {.hairpin = true});
  std::string far = network();

  // From the LAN, the host, the container itself, its neighbour and elsewhere.
  [[nodiscard]] std::string outcomes(Protocol protocol, const std::string& address,
                                     std::uint16_t port = 8080) const {
    std::vector<std::string> all;
    for (const std::string& from : {lab.client(), lab.host(), abc, def, far})
      all.push_back(probe(from, protocol, address, port));
    return join(all);
  }

 private:
  std::string network() {
    lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
    return lab.container("far", "10.23.0.2/16", "fd01::2/64", {.bridge = "cni1"});
  }
};

}  // namespace

TEST_CASE("options: without snat there is no masquerade and no sysctl") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab, R"("snat":false)").add("abc", ports) == done);
  CHECK(elements(lab, "hairpin-ip") == "");
  CHECK(elements(lab, "hairpin-ip6") == "");
  CHECK(read_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet") == "0");
  const Service service(hosts.abc, "abc", 80);
  lab.bridge_netfilter(false);
  for (const Protocol protocol : both) {
    CHECK(hosts.outcomes(protocol, "192.0.2.1") ==
          "abc 192.0.2.2, abc 192.0.2.1, timeout, timeout, abc 10.23.0.2");
    CHECK(probe(lab.host(), protocol, "127.0.0.1", 8080) != "abc 10.22.0.1");
  }
  // Here the answers of neighbours pass the host, which puts their addresses right.
  lab.bridge_netfilter(true);
  CHECK(probe(hosts.def, Protocol::tcp, "192.0.2.1", 8080) == "abc 10.22.0.3");
  CHECK(probe(hosts.def, Protocol::udp, "2001:db8::1", 8080) == "abc fd00::3");
}

TEST_CASE("options: masqAll shows the host's address for every client") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab, masq_all).add("abc", ports) == done);
  CHECK(elements(lab, "hairpin-ip") == "0.0.0.0/0 . 10.22.0.0/16");
  CHECK(elements(lab, "hairpin-ip6") == "::/0 . fd00::/64");
  const Service service(hosts.abc, "abc", 80);
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    for (const Protocol protocol : both) {
      CHECK(hosts.outcomes(protocol, "192.0.2.1") ==
            join(std::vector<std::string>(5, "abc 10.22.0.1")));
      CHECK(hosts.outcomes(protocol, "2001:db8::1") ==
            join(std::vector<std::string>(5, "abc fd00::1")));
      CHECK(ask(lab.host(), protocol, "127.0.0.1", 8080) == "abc 10.22.0.1");
    }
  }
  // Only what came through a published port is masqueraded.
  CHECK(ask(lab.client(), Protocol::tcp, "10.22.0.2", 80) == "abc 192.0.2.2");
}

TEST_CASE("options: masqAll switched on and off between the ADDs of one network") {
  Hosts hosts;
  Lab& lab = hosts.lab;
  const Runtime off(lab);
  const Runtime on(lab, masq_all);
  const Service abc(hosts.abc, "abc", 80);
  const Service def(hosts.def, "def", 80);
  const auto seen = [&](std::uint16_t port) {
    return ask(lab.client(), Protocol::tcp, "192.0.2.1", port) + ", " +
           ask(lab.client(), Protocol::udp, "2001:db8::1", port) + ", " +
           ask(hosts.abc, Protocol::tcp, "192.0.2.1", port);
  };
  REQUIRE(off.add("abc", ports) == done);
  CHECK(seen(8080) == "abc 192.0.2.2, abc 2001:db8::2, abc 10.22.0.1");
  REQUIRE(on.add("def", {{9090, 80}, {9090, 80, "udp"}}) == done);
  CHECK(seen(9090) == "def 10.22.0.1, def fd00::1, def 10.22.0.1");
  // The pairs are the subnet's, as the network's last ADD wants them.
  CHECK(seen(8080) == "abc 10.22.0.1, abc fd00::1, abc 10.22.0.1");
  REQUIRE(on.del("def") == done);
  REQUIRE(off.add("def", {{9090, 80}, {9090, 80, "udp"}}) == done);
  CHECK(seen(9090) == "def 192.0.2.2, def 2001:db8::2, def 10.22.0.1");
  CHECK(seen(8080) == "abc 192.0.2.2, abc 2001:db8::2, abc 10.22.0.1");
  REQUIRE(off.del("def") == done);
  REQUIRE(off.del("abc") == done);
  CHECK(elements(lab, "hairpin-ip") == "");
  REQUIRE(off.add("def", {{9090, 80}, {9090, 80, "udp"}}) == done);
  CHECK(seen(9090) == "def 192.0.2.2, def 2001:db8::2, def 10.22.0.1");
}

TEST_CASE("options: two networks whose subnets lie in each other, whichever came first") {
  for (const bool wide_first : {true, false}) {
    CAPTURE(wide_first);
    Lab lab;
    lab.network("cni1", "10.22.128.1/24", "fd00:0:0:0:1::1/80");
    const std::string wide = lab.container("wide", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
    const std::string narrow = lab.container("narrow", "10.22.128.2/24", "fd00:0:0:0:1::2/80",
                                             {.bridge = "cni1", .hairpin = true});
    const Runtime web(lab, R"("chain":"MESOS-WEB")", "web");
    const Runtime mail(lab, R"("chain":"MESOS-MAIL")", "mail");
    if (wide_first) REQUIRE(web.add("wide", ports) == done);
    REQUIRE(mail.add("narrow", {{9090, 80}, {9090, 80, "udp"}}) == done);
    if (!wide_first) REQUIRE(web.add("wide", ports) == done);
    const Service at_wide(wide, "wide", 80);
    const Service at_narrow(narrow, "narrow", 80);
    for (const Protocol protocol : both) {
      CHECK(ask(wide, protocol, "192.0.2.1", 8080) == "wide 10.22.0.1");
      CHECK(ask(narrow, protocol, "192.0.2.1", 9090) == "narrow 10.22.128.1");
      CHECK(ask(narrow, protocol, "2001:db8::1", 9090) == "narrow fd00::1:0:0:1");
      // To wide, narrow's address looks like a neighbour's.
      CHECK(ask(narrow, protocol, "192.0.2.1", 8080) == "wide 10.22.0.1");
      CHECK(ask(lab.host(), protocol, "127.0.0.1", 9090) == "narrow 10.22.128.1");
      CHECK(ask(lab.client(), protocol, "192.0.2.1", 9090) == "narrow 192.0.2.2");
      CHECK(ask(lab.client(), protocol, "192.0.2.1", 8080) == "wide 192.0.2.2");
    }
    REQUIRE(web.del("wide") == done);
    CHECK(ask(narrow, Protocol::tcp, "192.0.2.1", 9090) == "narrow 10.22.128.1");
    CHECK(ask(narrow, Protocol::tcp, "2001:db8::1", 9090) == "narrow fd00::1:0:0:1");
    REQUIRE(mail.del("narrow") == done);
    CHECK(elements(lab, "hairpin-ip") == "");
  }
}

TEST_CASE("options: the hairpin of a /32 goes with its container, its neighbours keep theirs") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  const std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64", {.hairpin = true});
  const Runtime runtime(lab);
  const Service at_abc(abc, "abc", 80);
  const Service at_def(def, "def", 80);
  REQUIRE(runtime.add("abc", ports, {.result = result_of("10.22.0.2/32", "fd00::2/128")}) == done);
  REQUIRE(runtime.add("def", {{9090, 80, "udp"}},
                      {.result = result_of("10.22.0.3/32", "fd00::3/128")}) == done);
  CHECK(elements(lab, "hairpin-ip") ==
        "10.22.0.2 . 10.22.0.2\n127.0.0.0/8 . 10.22.0.2\n"
        "10.22.0.3 . 10.22.0.3\n127.0.0.0/8 . 10.22.0.3");
  CHECK(elements(lab, "hairpin-ip6") ==
        "fd00::2 . fd00::2\n::1 . fd00::2\nfd00::3 . fd00::3\n::1 . fd00::3");
  CHECK(ask(abc, Protocol::tcp, "192.0.2.1", 8080) == "abc 10.22.0.1");
  CHECK(ask(abc, Protocol::udp, "2001:db8::1", 8080) == "abc fd00::1");
  REQUIRE(runtime.del("abc") == done);
  CHECK(elements(lab, "hairpin-ip") == "10.22.0.3 . 10.22.0.3\n127.0.0.0/8 . 10.22.0.3");
  CHECK(elements(lab, "hairpin-ip6") == "fd00::3 . fd00::3\n::1 . fd00::3");
  CHECK(ask(def, Protocol::udp, "192.0.2.1", 9090) == "def 10.22.0.1");
  CHECK(ask(lab.host(), Protocol::udp, "127.0.0.1", 9090) == "def 10.22.0.1");
}

TEST_CASE("options: the containers behind an excluded device do not see the published ports") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab, R"("excludeDevices":["cni0"])").add("abc", ports) == done);
  const Service service(hosts.abc, "abc", 80);
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    CHECK(hosts.outcomes(Protocol::tcp, "192.0.2.1") ==
          "abc 192.0.2.2, abc 192.0.2.1, refused, refused, abc 10.23.0.2");
    CHECK(hosts.outcomes(Protocol::tcp, "2001:db8::1") ==
          "abc 2001:db8::2, abc 2001:db8::1, refused, refused, abc fd01::2");
  }
}

TEST_CASE("options: portmap's backend and mark keys are taken or refused by name") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  const auto add = [&lab](const std::string& more) {
    const RunResult result = Plugin{PLUGIN}.call(
        lab, lab.host(), "ADD", "abc",
        chained_config("web", lab.previous_result("abc"), to_json(ports), more));
    return result.status == 0 ? result.err : result.out;
  };
  const auto refused = [](const std::string& message) {
    return R"({"cniVersion":"1.0.0","code":101,"msg":")" + message + "\"}\n";
  };
  CHECK(add(R"("backend":"iptables")") ==
        refused(R"(backend: \"iptables\" is not \"nftables\", the only backend)"));
  CHECK(
      add(R"("externalSetMarkChain":"KUBE-MARK-MASQ")") ==
      refused(R"(externalSetMarkChain: \"KUBE-MARK-MASQ\" is refused: it names an iptables chain,)"
              R"( and no mark is used here)"));
  CHECK(add(R"("markMasqBit":32)") == refused(R"(markMasqBit: 32 is not in 0..31)"));
  CHECK(listing(lab.host()) == "");
  CHECK(add(R"("backend":"nftables","markMasqBit":13)") == "");
  CHECK(listing(lab.host()).find("mark set") == std::string::npos);
  const Service service(abc, "abc", 80);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(ask(abc, Protocol::udp, "192.0.2.1", 8080) == "abc 10.22.0.1");
}

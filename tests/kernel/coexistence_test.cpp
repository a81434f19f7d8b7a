// Coexistence: other tables of the host keep the first and the last word.
#include <doctest/doctest.h>

#include <array>
#include <sstream>

#include "tests/support/cni_cache.hpp"
#include "tests/support/flows.hpp"
#include "tests/support/join.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

constexpr std::array both = {Protocol::tcp, Protocol::udp};
const Mappings ports = {{8080, 80}, {8080, 80, "udp"}};

struct Hosts {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  Service at_abc{abc, "abc", 80};
  Service at_def{def, "def", 80};
};

// As a cluster's proxy has it: its services are translated at the usual priorities.
constexpr const char* cluster = R"(
table inet cluster {
	chain services {
		meta nfproto ipv4 meta l4proto { tcp, udp } th dport 8080 dnat ip to 10.22.0.3:80
		meta nfproto ipv6 meta l4proto { tcp, udp } th dport 8080 dnat ip6 to [fd00::3]:80
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump services
	}
	chain output {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump services
	}
}
)";

std::string firewall(const std::string& policy, const std::string& rules = "") {
  return "table inet firewall\ndelete table inet firewall\ntable inet firewall {\n chain forward "
         "{\n"
         "  type filter hook forward priority filter; policy " +
         policy + ";\n" + rules + " }\n}\n";
}

// The lines of our table that hold `word`, trimmed.
std::string lines_with(const Lab& lab, const std::string& word) {
  std::istringstream text(listing(lab.host()));
  std::vector<std::string> found;
  for (std::string line; std::getline(text, line);)
    if (line.find(word) != std::string::npos)
      found.push_back(line.substr(line.find_first_not_of('\t')));
  return join(found);
}

}  // namespace

TEST_CASE("coexistence: a table that translates the same port at priority dstnat wins") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab).add("abc", ports) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  nft(lab.host(), cluster);
  for (const Protocol protocol : both) {
    CHECK(ask(lab.client(), protocol, "192.0.2.1", 8080) == "def 192.0.2.2");
    CHECK(ask(lab.client(), protocol, "2001:db8::1", 8080) == "def 2001:db8::2");
    CHECK(ask(lab.host(), protocol, "192.0.2.1", 8080) == "def 192.0.2.1");
    CHECK(ask(lab.host(), protocol, "2001:db8::1", 8080) == "def 2001:db8::1");
  }
  tool(lab.host(), "nft delete table inet cluster");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(ask(lab.host(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::1");
}

TEST_CASE("coexistence: the cluster's table wins also when it was there first") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  nft(lab.host(), cluster);
  REQUIRE(Runtime(lab).add("abc", ports) == done);
  for (const Protocol protocol : both) {
    CHECK(ask(lab.client(), protocol, "192.0.2.1", 8080) == "def 192.0.2.2");
    CHECK(ask(lab.host(), protocol, "2001:db8::1", 8080) == "def 2001:db8::1");
  }
}

TEST_CASE("coexistence: what a firewall's forward policy drops stays dropped") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab).add("abc", ports) == done);
  const auto outcome = [&lab](Protocol protocol) {
    return probe(lab.client(), protocol, "192.0.2.1", 8080) + ", " +
           probe(lab.client(), protocol, "2001:db8::1", 8080);
  };
  for (const Protocol protocol : both) {
    nft(lab.host(), firewall("drop"));
    CHECK(outcome(protocol) == "timeout, timeout");
    // The host itself does not forward, and needs nobody's leave.
    CHECK(ask(lab.host(), protocol, "192.0.2.1", 8080) == "abc 192.0.2.1");
    // The usual rule for translated connections is the firewall's to have.
    nft(lab.host(), firewall("drop", "  ct status dnat accept\n  ct state established accept\n"));
    CHECK(outcome(protocol) == "abc 192.0.2.2, abc 2001:db8::2");
    nft(lab.host(), firewall("accept", "  ip daddr 10.22.0.2 drop\n"));
    CHECK(outcome(protocol) == "timeout, abc 2001:db8::2");
  }
}

TEST_CASE("coexistence: what another table drops before routing stays dropped") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab).add("abc", ports) == done);
  for (const char* priority : {"raw - 1", "raw + 1", "mangle", "dstnat + 2"}) {
    CAPTURE(priority);
    nft(lab.host(), std::string("table inet early { chain pre { type filter hook prerouting "
                                "priority ") +
                        priority + "; policy accept; iifname lan0 meta l4proto tcp drop; }; }");
    CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "timeout");
    CHECK(ask(lab.client(), Protocol::udp, "192.0.2.1", 8080) == "abc 192.0.2.2");
    tool(lab.host(), "nft delete table inet early");
  }
}

TEST_CASE("coexistence: nothing of ours accepts in a filter hook, and no mark is set") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab, example_options).add("abc", example_ports) == done);
  CHECK(lines_with(lab, "type filter") ==
        "type filter hook prerouting priority raw; policy accept;, type filter hook input priority"
        " filter; policy accept;");
  CHECK(lines_with(lab, "accept") == lines_with(lab, "; policy accept;"));
  CHECK(lines_with(lab, "drop") ==
        "iifname != \"lo\" ip daddr 127.0.0.0/8 drop, iifname != \"lo\" ip saddr 127.0.0.0/8 drop,"
        " iifname != \"lo\" ip daddr 127.0.0.0/8 ct direction original ct status ! dnat drop");
  CHECK(lines_with(lab, "mark set") == "");
  CHECK(lines_with(lab, "notrack") == "");
}

TEST_CASE(
    "coexistence: somebody's masquerade of all that is forwarded does not reach our clients") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  REQUIRE(Runtime(lab).add("abc", ports) == done);
  // As CNI's bridge plugin does with ipMasq: what leaves the containers' network.
  nft(lab.host(),
      "table inet masq { chain post { type nat hook postrouting priority srcnat; policy accept; "
      "ip saddr 10.22.0.0/16 ip daddr != 10.22.0.0/16 masquerade; }; }");
  const Service outside(lab.client(), "client", 7070);
  for (const Protocol protocol : both) {
    CHECK(ask(lab.client(), protocol, "192.0.2.1", 8080) == "abc 192.0.2.2");
    CHECK(ask(hosts.def, protocol, "192.0.2.1", 8080) == "abc 10.22.0.1");
    CHECK(ask(hosts.def, protocol, "192.0.2.2", 7070) == "client 192.0.2.1");
  }
}

TEST_CASE("coexistence: what our chain declines and another table translates later is not ours") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  const Runtime masked(lab, R"("chain":"MESOS-WEB","masqAll":true,"excludeDevices":["lan0"])");
  REQUIRE(masked.add("abc", ports) == done);
  nft(lab.host(), replaced(cluster, "priority dstnat;", "priority dstnat + 2;"));
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "def 192.0.2.2");
  CHECK(ask(lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "def 2001:db8::2");
  // Nor is its connection ended with our port.
  const std::vector<std::string> before = flows(lab, "tcp");
  REQUIRE(before.size() == 2);
  REQUIRE(ctl(lab, {"flush", "--yes"}).status == 0);
  CHECK(lost(before, flows(lab, "tcp")) == "");
}

TEST_CASE("coexistence: DEL and ADD leave other tables as they are") {
  const Hosts hosts;
  const Lab& lab = hosts.lab;
  nft(lab.host(), std::string(cluster) + firewall("accept"));
  const auto others = [&lab] {
    return tool(lab.host(), "nft list table inet cluster") +
           tool(lab.host(), "nft list table inet firewall");
  };
  const std::string before = others();
  REQUIRE(Runtime(lab).add("abc", ports) == done);
  REQUIRE(Runtime(lab).del("abc") == done);
  CHECK(others() == before);
}

// The lab itself, with the ruleset of the design loaded by nft in place of the plugin.
#include "tests/support/lab.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "tests/support/slowness.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

constexpr const char* ruleset = R"(
table inet nft-port-mapper {
	map owners {
		type ifname . mark : ipv6_addr . inet_proto . inet_service
		elements = { "k3f9a02bcd18e4f" . 0x00000000 comment "web/abc/eth0" : ::ffff:0.0.0.0 . tcp . 8080,
			     "k3f9a02bcd18e4f" . 0x00000001 comment "web/abc/eth0" : :: . tcp . 8080 }
	}

	map MESOS-WEB-ip {
		type inet_proto . inet_service : ipv4_addr . inet_service
		counter
		elements = { tcp . 8080 counter packets 0 bytes 0 : 10.22.0.2 . 80,
			     udp . 8080 counter packets 0 bytes 0 : 10.22.0.2 . 80,
			     sctp . 8080 counter packets 0 bytes 0 : 10.22.0.2 . 80 }
	}

	map MESOS-WEB-ip6 {
		type inet_proto . inet_service : ipv6_addr . inet_service
		counter
		elements = { tcp . 8080 counter packets 0 bytes 0 : fd00::2 . 80,
			     udp . 8080 counter packets 0 bytes 0 : fd00::2 . 80,
			     sctp . 8080 counter packets 0 bytes 0 : fd00::2 . 80 }
	}

	chain MESOS-WEB {
		meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th dport map @MESOS-WEB-ip
		meta nfproto ipv6 ct label set 127 dnat ip6 to meta l4proto . th dport map @MESOS-WEB-ip6
	}

	chain networks {
		jump MESOS-WEB
	}

	chain prerouting {
		type nat hook prerouting priority dstnat + 1; policy accept;
		fib daddr type local jump networks
	}

	chain output {
		type nat hook output priority -99; policy accept;
		fib daddr type local jump networks
	}
}
)";

struct Path {
  Family family;
  const char* host;       // where the port is published
  const char* client;     // whom the server must see
  const char* container;  // where it leads
};

constexpr std::array paths{Path{Family::ipv4, "192.0.2.1", "192.0.2.2", "10.22.0.2"},
                           Path{Family::ipv4, "192.0.2.11", "192.0.2.2", "10.22.0.2"},
                           Path{Family::ipv6, "2001:db8::1", "2001:db8::2", "fd00::2"}};

const char* any(Family family) {
  return family == Family::ipv4 ? "0.0.0.0" : "::";
}

}  // namespace

TEST_CASE("lab: a client reaches a published port of the host and keeps its address") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  nft(lab.host(), ruleset);
  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    const Server v4(abc, "abc", protocol, "0.0.0.0", 80);
    const Server v6(abc, "abc", protocol, "::", 80);
    for (const Path& path : paths) {
      CAPTURE(path.host);
      CHECK(ask(lab.client(), protocol, path.host, 8080) == std::string("abc ") + path.client);
      CHECK(probe(lab.client(), protocol, path.host, 8081) == "refused");
      // Routed through the host to a port of that number that is not the host's own.
      CHECK(probe(lab.client(), protocol, path.container, 8080) == "refused");
      CHECK(ask(lab.host(), protocol, path.container, 80).starts_with("abc "));
    }
  }
}

TEST_CASE("lab: SCTP packets arrive at the endpoint with a checksum that holds") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  nft(lab.host(), ruleset);
  // A source port of its own each: two flows from one port that end at one endpoint are the same
  // flow there, so the kernel would change the second one's source port.
  std::uint16_t source_port = 40000;
  for (const Path& path : paths) {
    SctpReceiver receiver(abc, path.family);
    send_raw_sctp(lab.client(), path.host, 8080, ++source_port);
    const auto packet = receiver.receive(std::chrono::seconds(5));
    REQUIRE(packet.has_value());
    CHECK(packet->to_string() == std::string(path.client) + " " + std::to_string(source_port) +
                                     " -> " + path.container + " 80");
  }
}

TEST_CASE("lab: a datagram from a fixed port is answered from the address it was sent to") {
  Lab lab;
  const Server server(lab.host(), "host", Protocol::udp, "0.0.0.0", 53);
  CHECK(ask(lab.client(), Protocol::udp, "192.0.2.11", 53, 5000) == "host 192.0.2.2");
  CHECK(ask(lab.client(), Protocol::udp, "10.22.0.1", 53, 5000) == "host 192.0.2.2");
}

TEST_CASE("lab: networks, neighbours and the host are where they should be") {
  Lab lab;
  lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  const std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  const std::string far = lab.container("far", "10.23.0.2/16", "fd01::2/64", {.bridge = "cni1"});
  for (const char* address : {"10.22.0.2", "fd00::2"}) {
    const bool v6 = std::string(address) == "fd00::2";
    const Server server(abc, "abc", Protocol::tcp, any(v6 ? Family::ipv6 : Family::ipv4), 80);
    CHECK(ask(def, Protocol::tcp, address, 80) == (v6 ? "abc fd00::3" : "abc 10.22.0.3"));
    CHECK(ask(far, Protocol::tcp, address, 80) == (v6 ? "abc fd01::2" : "abc 10.23.0.2"));
    CHECK(ask(lab.host(), Protocol::tcp, address, 80) == (v6 ? "abc fd00::1" : "abc 10.22.0.1"));
  }
  lab.bridge_netfilter(true);
  CHECK(read_sysctl(lab.host(), "net/bridge/bridge-nf-call-iptables") == "1");
  lab.bridge_netfilter(false);
  CHECK(read_sysctl(lab.host(), "net/bridge/bridge-nf-call-ip6tables") == "0");
  lab.remove("abc");
  lab.container("ghi", "10.22.0.2/16", "fd00::2/64");
  const Server server(lab.ns("ghi"), "ghi", Protocol::tcp, "10.22.0.2", 80);
  CHECK(ask(def, Protocol::tcp, "10.22.0.2", 80) == "ghi 10.22.0.3");
}

TEST_CASE("lab: nothing is left when it is gone") {
  std::string host;
  std::string abc;
  {
    Lab lab;
    host = lab.host();
    abc = lab.container("abc", "10.22.0.2/16");
    CHECK(namespace_exists(host));
    CHECK(namespace_exists(abc));
  }
  CHECK_FALSE(namespace_exists(host));
  CHECK_FALSE(namespace_exists(abc));
  CHECK_THROWS(enter_namespace(abc));
}

TEST_CASE("lab: a process gets its environment, its input and its network namespace, no more") {
  Lab lab;
  const std::string large(1 << 20, 'x');
  const RunResult echo = run({"/bin/cat"}, {.input = large, .ns = lab.client()});
  CHECK(echo.status == 0);
  CHECK(echo.out == large);
  CHECK(run({"/usr/bin/env"}, {.environment = {"A=b"}}).out == "A=b\n");
  CHECK(run({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}).status == 3);
  CHECK(run({"/bin/sh", "-c", "kill -TERM $$"}).status == 128 + 15);
  CHECK(run({"/bin/sleep", "9"}, {.time_limit = std::chrono::milliseconds(20)}).status == 128 + 9);
  CHECK_THROWS(run({"/no/such/program"}));

  const Plugin env{"/usr/bin/env"};
  CHECK(env.call(lab, lab.host(), "ADD", "abc", "", {"CNI_IFNAME=eth1", "CNI_PATH", "A=b"}).out ==
        "CNI_COMMAND=ADD\nCNI_CONTAINERID=abc\nCNI_NETNS=/proc/" + std::to_string(getpid()) +
            "/ns/net\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
            "CNI_IFNAME=eth1\nA=b\n");
}

TEST_CASE("lab: the result of a bridge plugin, as a chained plugin gets it") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const std::string sandbox = "/run/netns/" + lab.ns("abc");
  CHECK(lab.previous_result("abc") ==
        R"({"cniVersion":"1.0.0","interfaces":[{"name":"cni0"},{"name":"veth0"},)"
        R"({"name":"eth0","sandbox":")" +
            sandbox +
            R"("}],"ips":[)"
            R"({"address":"10.22.0.2/16","gateway":"10.22.0.1","interface":2},)"
            R"({"address":"fd00::2/64","gateway":"fd00::1","interface":2}],)"
            R"("routes":[{"dst":"0.0.0.0/0"}],"dns":{}})");
  CHECK(chained_config("web", "", "null", R"("snat":false)") ==
        R"({"cniVersion":"1.0.0","name":"web","type":"nft-port-mapper",)"
        R"("runtimeConfig":{"portMappings":null},"snat":false,"portWait":0})");
}

TEST_CASE("lab: a normalised listing does not depend on counters, hashes and their order") {
  const std::string left = R"(
	map owners {
		elements = { "k00000000000001" . 0x00000000 comment "web/b, c/eth0" : :: . tcp . 2,
			     "kfffffffffffff2" . 0x00000000 comment "web/a/eth0" : :: . tcp . 1 }
	}
	map m {
		elements = { tcp . 1 counter packets 12 bytes 720 comment "a" : 10.22.0.2 . 80 }
	})";
  const std::string right = R"(
	map owners {
		elements = { "k0000000000000a" . 0x00000000 comment "web/a/eth0" : :: . tcp . 1, "kfffffffffffffb" . 0x00000000 comment "web/b, c/eth0" : :: . tcp . 2 }
	}
	map m {
		elements = { tcp . 1 counter packets 0 bytes 0 comment "a" : 10.22.0.2 . 80 }
	})";
  CHECK(normalise(left) == R"(
	map owners {
		elements = { "k#1" . 0x00000000 comment "web/a/eth0" : :: . tcp . 1,
			     "k#2" . 0x00000000 comment "web/b, c/eth0" : :: . tcp . 2 }
	}
	map m {
		elements = { tcp . 1 counter packets 0 bytes 0 comment "a" : 10.22.0.2 . 80 }
	})");
  CHECK(normalise(left) == normalise(right));

  Lab lab;
  CHECK(listing(lab.host()).empty());
  nft(lab.host(), ruleset);
  const std::string once = listing(lab.host());
  CHECK(once.find("\"k3f9a02bcd18e4f\" . 0x00000001") != std::string::npos);
  nft(lab.host(), "delete table inet nft-port-mapper\n" + once);
  CHECK(normalise(listing(lab.host())) == normalise(once));
}

TEST_CASE("lab: it is made and gone in a moment") {
  const auto start = std::chrono::steady_clock::now();
  {
    Lab lab;
    lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  }
  const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  MESSAGE("a lab with one container: " << taken.count() << " ms");
  CHECK(taken < slowness() * std::chrono::seconds(5));
}

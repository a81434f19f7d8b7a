// nft-port-mapperctl trace: live packets, told to the letter; and that nothing of it stays behind.
#include <doctest/doctest.h>

#include "tests/support/comes_true.hpp"
#include "tests/support/connection.hpp"
#include "tests/support/patient.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tracing.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string waiting =
    "Waiting for a packet that begins a connection to 8080/tcp, at most 120 seconds.\n";

const std::string publishers =
    "0.0.0.0:8080/tcp is published by container abc of network web (eth0) and leads to "
    "10.22.0.2:80.\n"
    "[::]:8080/tcp is published by container abc of network web (eth0) and leads to "
    "[fd00::2]:80.\n";

const std::string translation = R"(    inet nft-port-mapper, chain prerouting (nat, priority -99)
      meta nfproto ipv4 meta l4proto . th dport @published-ip goto any-address
      chain any-address: goto networks
      chain networks: jump MESOS-WEB
      chain MESOS-WEB: meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th dport map @MESOS-WEB-ip  [accept]
    destination is now 10.22.0.2:80
)";

const std::string guard = R"(    inet nft-port-mapper, chain localnet-guard (filter, priority -300)
      no rule decides  [policy accept]
)";

const std::string request =
    "\nPacket 1: 192.0.2.2:5000 to 192.0.2.1:8080/tcp (SYN)\n\n"
    "  prerouting, from lan0\n" +
    guard + translation;

const std::string postrouting = R"(  postrouting, from lan0 to cni0
    inet nft-port-mapper, chain postrouting (nat, priority 99)
      no rule decides  [policy accept]
)";

struct Traced8080 {
  Patient patient;

  [[nodiscard]] std::string probe_once(const std::string& address = "192.0.2.1") const {
    return probe(patient.lab.client(), Protocol::tcp, address, 8080, {.source_port = 5000});
  }
  // Of a connection that is made while it is traced.
  [[nodiscard]] RunResult trace(const std::vector<std::string>& words = {"8080"}) const {
    Tracing tracing(patient.lab.host(), words);
    (void)probe_once();
    return tracing.result();
  }
};

std::string conclusion_of(const RunResult& result) {
  return result.out.substr(std::min(result.out.size(), result.out.rfind("\n\n") + 2));
}

}  // namespace

TEST_CASE("trace: a connection that is answered") {
  const Traced8080 host;
  const Server server(host.patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  const RunResult result = host.trace();
  CHECK(difference(result.out,
                   publishers + request + "  forward, from lan0 to cni0\n" + postrouting + R"(
Its answer: 10.22.0.2:80 to 192.0.2.2:5000/tcp (SYN, ACK)

  prerouting, from cni0
  forward, from cni0 to lan0
  postrouting, from cni0 to lan0
    source is now 192.0.2.1:8080

It left through cni0 to 10.22.0.2:80 (container abc).
Answered: the answer left through lan0.
)") == "");
  CHECK(result.err == waiting);
  CHECK(result.status == 0);
  CHECK(trace_table(host.patient.lab.host()) == "");
}

TEST_CASE("trace: a forward chain that drops by its policy") {
  const Traced8080 host;
  nft(host.patient.lab.host(), R"(table inet filter {
        chain ours {
          tcp dport { 443, 8080 } accept
        }
        chain forward {
          type filter hook forward priority filter; policy drop;
          ct state established,related accept
          iifname "lan0" counter jump ours
        }
      })");
  const RunResult result = host.trace();
  CHECK(difference(result.out, publishers + request + R"(  forward, from lan0 to cni0
    inet filter, chain forward (filter, priority 0)
      iifname "lan0" jump ours
      no rule decides  [policy drop]

Dropped in forward, by the policy (drop) of chain forward of table inet filter: none of its rules accepted it.
To see more: nft -a list chain inet filter forward
)") == "");
  CHECK(result.status == 1);
}

TEST_CASE("trace: a rule that drops, one that rejects, one that drops the answer") {
  const Traced8080 host;
  const Server server(host.patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  const std::string ns = host.patient.lab.host();
  nft(ns, R"(table ip raw {
        set banned { type ipv4_addr; elements = { 192.0.2.2 }
        }
        chain prerouting {
          type filter hook prerouting priority raw - 1;
          ip saddr @banned drop comment "fail2ban"
        }
      })");
  RunResult result = host.trace();
  CHECK(
      conclusion_of(result) ==
      R"(Dropped in prerouting, by a rule of chain prerouting of table ip raw: ip saddr @banned drop comment "fail2ban".
To see more: nft -a list chain ip raw prerouting
)");
  CHECK(result.status == 1);
  nft(ns, R"(delete table ip raw
      table inet filter { chain forward {
          type filter hook forward priority filter;
          ct state new reject with tcp reset
        }
      })");
  result = host.trace();
  CHECK(
      conclusion_of(result) ==
      R"(Dropped in forward, by a rule of chain forward of table inet filter: meta l4proto tcp ct state new reject.
The client was told that it is refused.
To see more: nft -a list chain inet filter forward
)");
  nft(ns, R"(delete table inet filter
      table inet filter { chain forward {
          type filter hook forward priority filter;
          iifname "cni0" ct state established drop
        }
      })");
  result = host.trace();
  CHECK(conclusion_of(result) == R"(It left through cni0 to 10.22.0.2:80 (container abc).
An answer came from 10.22.0.2:80, and was dropped in forward, by a rule of chain forward of table inet filter: iifname "cni0" ct state established drop.
To see more: nft -a list chain inet filter forward
)");
  CHECK(result.status == 1);
}

TEST_CASE("trace: nobody listens in the container, or there is no container any more") {
  Traced8080 host;
  RunResult result = host.trace();
  CHECK(conclusion_of(result) == R"(It left through cni0 to 10.22.0.2:80 (container abc).
Refused: 10.22.0.2 answered with a reset.
Nobody listens on port 80 of 10.22.0.2: the program does not run, listens on another port, or on its 127.0.0.1 alone.
)");
  CHECK(result.status == 1);
  const std::string ns = host.patient.lab.host();
  host.patient.lab.remove("abc");
  // The bridge forgets its neighbours, and who waits for them, when its last port is gone.
  const auto is_empty = [&] {
    return tool(ns, "ip link show cni0").find("state DOWN") != std::string::npos;
  };
  CHECK(comes_true(is_empty));
  result = host.trace();
  CHECK(conclusion_of(result) == R"(It left through cni0 to 10.22.0.2:80 (container abc).
Refused: 192.0.2.1 answered with ICMP "host unreachable".
Nobody has the address 10.22.0.2 on the network that it was sent to.
)");
}

TEST_CASE("trace: the container drops the packet") {
  const Traced8080 host;
  nft(host.patient.lab.ns("abc"), R"(table inet f { chain input {
      type filter hook input priority 0; policy drop;
      }
      })");
  const RunResult result = host.trace();
  CHECK(conclusion_of(result) == R"(It left through cni0 to 10.22.0.2:80 (container abc).
No answer came back: nothing is at 10.22.0.2, it drops the packet, or its answer takes another way.
To see more: nft-port-mapperctl doctor
)");
  CHECK(result.status == 1);
}

TEST_CASE("trace: a host that does not forward, and one that has no route to the container") {
  const Traced8080 host;
  write_sysctl(host.patient.lab.host(), "net/ipv4/ip_forward", "0");
  RunResult result = host.trace();
  CHECK(difference(result.out, publishers + request + R"(
Lost behind prerouting: the kernel did not let it go on to 10.22.0.2:80 (container abc).
net.ipv4.ip_forward is 0: the host forwards nothing.
To see more: nft-port-mapperctl doctor
)") == "");
  CHECK(result.status == 1);
  write_sysctl(host.patient.lab.host(), "net/ipv4/ip_forward", "1");
  tool(host.patient.lab.host(), "ip route add blackhole 10.22.0.2/32");
  result = host.trace();
  CHECK(conclusion_of(result) ==
        R"(Lost behind prerouting: the kernel did not let it go on to 10.22.0.2:80 (container abc).
No route leads there, forwarding is off on lan0, or rp_filter refuses 192.0.2.2 as a source there.
To see more: ip route get 10.22.0.2 from 192.0.2.2 iif lan0
)");
}

TEST_CASE("trace: another table's DNAT comes first") {
  const Traced8080 host;
  nft(host.patient.lab.host(), R"(table ip other { chain pre {
        type nat hook prerouting priority dstnat;
        tcp dport 8080 dnat to 10.22.0.77:81
      }
      })");
  const RunResult result = host.trace();
  CHECK(difference(result.out, publishers +
                                   "\nPacket 1: 192.0.2.2:5000 to 192.0.2.1:8080/tcp (SYN)\n\n"
                                   "  prerouting, from lan0\n" +
                                   guard + R"(    ip other, chain pre (nat, priority -100)
      tcp dport 8080 dnat  [accept]
    destination is now 10.22.0.77:81
  forward, from lan0 to cni0
)" + postrouting + R"(
Its answer: 192.0.2.1 to 192.0.2.2/icmp

  output, to lan0
  postrouting, to lan0

It left through cni0 to 10.22.0.77:81.
Chain pre of table ip other translated it to 10.22.0.77:81 before the published port's own rules were asked: they come later.
Refused: 192.0.2.1 answered with ICMP "host unreachable".
Nobody has the address 10.22.0.77 on the network that it was sent to.
To see more: nft -a list chain ip other pre
)") == "");
  CHECK(result.status == 1);
}

TEST_CASE("trace: a port that nobody publishes, with a process of the host behind it and without") {
  const Patient patient;
  const std::string none = "Nobody publishes 9090/tcp.\n";
  {
    const Server server(patient.lab.host(), "host", Protocol::tcp, "0.0.0.0", 9090);
    Tracing tracing(patient.lab.host(), {"9090"});
    CHECK(ask(patient.lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "host 192.0.2.2");
    const RunResult result = tracing.result();
    CHECK(result.out.starts_with(none));
    CHECK(conclusion_of(result) ==
          "It was delivered to this host itself, at 192.0.2.1:9090, not to a container: the host's"
          " process kernel-tests (pid " +
              std::to_string(getpid()) +
              ") listens there.\nAnswered: the answer left through lan0.\n");
    CHECK(result.status == 0);
  }
  // From the host itself, by lo: the packet has another number behind it.
  Tracing tracing(patient.lab.host(), {"9090"});
  CHECK(probe(patient.lab.host(), Protocol::tcp, "192.0.2.1", 9090, {.source_port = 5000}) ==
        "refused");
  const RunResult result = tracing.result();
  CHECK(difference(result.out, none + R"(
Packet 1: 192.0.2.1:5000 to 192.0.2.1:9090/tcp (SYN)

  output, to lo
    inet nft-port-mapper, chain output (nat, priority -99)
      no rule decides  [policy accept]
  postrouting, to lo
    inet nft-port-mapper, chain postrouting (nat, priority 99)
      no rule decides  [policy accept]
  prerouting, from lo
)" + guard + R"(  input, from lo
    inet nft-port-mapper, chain localnet-guard-input (filter, priority 0)
      no rule decides  [policy accept]

Its answer: 192.0.2.1:9090 to 192.0.2.1:5000/tcp (ACK, RST)

  output, to lo
  postrouting, to lo
  prerouting, from lo
)" + guard + R"(  input, from lo
    inet nft-port-mapper, chain localnet-guard-input (filter, priority 0)
      no rule decides  [policy accept]

It was delivered to this host itself, at 192.0.2.1:9090, not to a container; no process of the host listens there.
Refused: 192.0.2.1 answered with a reset.
Nobody listens on port 9090 of 192.0.2.1.
)") == "");
  CHECK(result.status == 1);
}

TEST_CASE("trace: UDP and IPv6, one client of two, and bridges that call iptables") {
  const Patient patient(Mappings{{5353, 53, "udp"}});
  const Service service(patient.lab.ns("abc"), "abc", 53);
  patient.lab.bridge_netfilter(true);
  Tracing tracing(patient.lab.host(), {"5353/udp", "--from=2001:db8::2"});
  CHECK(ask(patient.lab.client(), Protocol::udp, "192.0.2.1", 5353) == "abc 192.0.2.2");
  CHECK(ask(patient.lab.client(), Protocol::udp, "2001:db8::1", 5353, 5000) == "abc 2001:db8::2");
  const RunResult result = tracing.result();
  CHECK(result.err ==
        "Waiting for a packet that begins a connection to 5353/udp, from 2001:db8::2, at most 120"
        " seconds.\n");
  CHECK(result.out.find("Packet 1: [2001:db8::2]:5000 to [2001:db8::1]:5353/udp\n") !=
        std::string::npos);
  CHECK(result.out.find("    destination is now [fd00::2]:53\n") != std::string::npos);
  CHECK(result.out.find("\nIts answer: [fd00::2]:53 to [2001:db8::2]:5000/udp\n") !=
        std::string::npos);
  CHECK(conclusion_of(result) == R"(It left through cni0 to [fd00::2]:53 (container abc).
Answered: the answer left through lan0.
)");
  CHECK(result.status == 0);
}

TEST_CASE("trace: a datagram of a flow that is older meets no nat chain") {
  const Patient patient(Mappings{});
  const std::string ns = patient.lab.host();
  // The condition makes the kernel track connections.
  nft(ns,
      "table ip other { chain pre { type nat hook prerouting priority dstnat;\n"
      " ct state new counter\n }\n }");
  (void)probe(patient.lab.client(), Protocol::udp, "192.0.2.1", 5353, {.source_port = 5000});
  // As if the port had been published without the plugin's own cleaning.
  nft(ns, R"(table inet nft-port-mapper { })");
  Tracing tracing(ns, {"5353/udp", "--json"});
  (void)probe(patient.lab.client(), Protocol::udp, "192.0.2.1", 5353, {.source_port = 5000});
  const RunResult result = tracing.result();
  CHECK(result.out.find(R"("outcome":"refused")") != std::string::npos);
  CHECK(result.out.find(R"("chain":"pre")") == std::string::npos);  // not asked again
}

TEST_CASE("trace: packets of a connection that is there already are left alone") {
  const Traced8080 host;
  const Lab& lab = host.patient.lab;
  const Connection connection(lab.ns("abc"), 80, lab.client(), "192.0.2.1", 8080);
  Tracing tracing(lab.host(), {"8080"});
  CHECK(connection.works());
  tracing.signal(SIGINT);
  const RunResult result = tracing.result();
  CHECK(result.out == publishers + R"(
Nothing came: no packet that begins a connection to 8080/tcp came to an address of this host, nor did the host send one.
It is lost before: in the client's network, at another firewall, or on the way here. Packets of
connections that are older are not looked at.
)");
  CHECK(result.status == 1);
  CHECK(trace_table(lab.host()) == "");
}

TEST_CASE("trace: two packets of two, told one by one") {
  const Traced8080 host;
  const Server server(host.patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  Tracing tracing(host.patient.lab.host(), {"8080", "--count", "2"});
  for (const std::uint16_t port : std::array<std::uint16_t, 3>{5000, 5001, 5002})
    CHECK(ask(host.patient.lab.client(), Protocol::tcp, "192.0.2.1", 8080, port) == served);
  const RunResult result = tracing.result();
  CHECK(result.out.find("\nPacket 1: 192.0.2.2:5000 to") != std::string::npos);
  CHECK(result.out.find("\nPacket 2: 192.0.2.2:5001 to") != std::string::npos);
  CHECK(result.out.find("5002") == std::string::npos);
  CHECK(result.status == 0);
}

TEST_CASE("trace: a signal ends it and its table, and a killed one leaves no table") {
  const Patient patient;
  const std::string ns = patient.lab.host();
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    Tracing tracing(ns, {"8080"});
    tracing.signal(number);
    CHECK(tracing.result().status == 1);
    CHECK(trace_table(ns) == "");
  }
  Tracing tracing(ns, {"8080"});
  tracing.signal(SIGKILL);
  CHECK(tracing.result().status == 128 + SIGKILL);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!trace_table(ns).empty() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(trace_table(ns) == "");
}

TEST_CASE("trace: signals that come at its very end do not cost what it has to say") {
  const Patient patient;
  Tracing tracing(patient.lab.host(), {"8080", "--json"});
  for (const int number : {SIGSTOP, SIGTERM, SIGINT, SIGHUP, SIGCONT}) tracing.signal(number);
  const RunResult result = tracing.result();
  CHECK(result.status == 1);
  CHECK(result.out.starts_with("{"));
  CHECK(trace_table(patient.lab.host()) == "");
}

TEST_CASE(
    "trace: what chooses its packets ends after two minutes whatever becomes of the program") {
  const Patient patient;
  Tracing tracing(patient.lab.host(), {"8080"});
  const std::string listed = tool(patient.lab.host(), "nft list table inet " + tracing.table());
  CHECK(listed.find("flags owner") != std::string::npos);
  CHECK(std::regex_search(listed, std::regex("set lifetime \\{\\s+type inet_proto\\s+size 2\\s+"
                                             "timeout 2m\\s+elements = \\{ tcp "
                                             "expires 1m[0-9]+s[0-9]+ms \\}")));
  // Every rule that chooses packets asks for that element.
  std::istringstream lines(listed);
  int rules = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("goto ") == std::string::npos) continue;
    ++rules;
    CAPTURE(line);
    CHECK(line.find("@lifetime") != std::string::npos);
  }
  CHECK(rules == 5);
  tracing.signal(SIGTERM);
  CHECK(tracing.result().status == 1);
}

TEST_CASE("trace: what it cannot be asked for") {
  const Patient patient;
  const auto said = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {CTL, "trace"});
    const RunResult result = run(words, {.ns = patient.lab.host()});
    CHECK(result.out == "");
    CHECK(result.status == 2);
    return result.err.substr(0, result.err.find('\n'));
  };
  CHECK(said({}) == "nft-port-mapperctl: trace needs a port: trace 8080/tcp");
  CHECK(said({"0"}) ==
        "nft-port-mapperctl: '0' is not PORT/PROTOCOL, for example 8080/tcp; the protocols are tcp,"
        " udp and sctp");
  CHECK(said({"80", "--count", "0"}) ==
        "nft-port-mapperctl: --count: '0' is not a number from 1 to 1000");
  CHECK(said({"80", "--from", "x"}) == "nft-port-mapperctl: --from: 'x' is not an IP address");
}

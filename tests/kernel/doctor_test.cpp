// nft-port-mapperctl doctor: each finding provoked, told to the letter, mended by the command it
// prints, and shown with real traffic where that can be. Translations: doctor_translation_test.cpp.
#include <doctest/doctest.h>

#include "tests/support/patient.hpp"

using namespace portmapper;
using namespace portmapper::test;

TEST_CASE("doctor: a host where all is well") {
  const Patient patient;
  CHECK(patient.is_well());
}

TEST_CASE("doctor: without CAP_NET_ADMIN it says so and nothing else") {
  const Patient patient;
  const RunResult result =
      run({"setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", CTL, "doctor"},
          {.ns = patient.lab.host()});
  CHECK(result.out == R"(problem  CAP_NET_ADMIN is missing
         why:  without it nothing can be read or published; the other checks were skipped
         fix:  sudo nft-port-mapperctl doctor

1 problem, no notes
)");
  CHECK(result.status == 3);
}

TEST_CASE("doctor: a table of ours that the kernel lets nobody complete") {
  const Patient patient(Mappings{});
  nft(patient.lab.host(), "table inet nft-port-mapper { set owners { type ipv4_addr\n }\n }");
  patient.finds(
      {{kernel,
        R"(problem  the kernel refuses what an ADD builds: nftables refused: add map inet
         nft-port-mapper owners { type ifname . mark : ipv6_addr . inet_proto . inet_service;
         }: File exists
         why:  ports of new networks cannot be published; the table holds an object that is
               not ours; remove the table with all its ports, and the next ADD builds it
               again
         fix:  nft-port-mapperctl flush
)"},
       {table,
        R"(problem  chain any-address is missing; chain prerouting is missing; chain output is missing;
         chain postrouting is missing and 26 more
         why:  our own table is not as it should be: `check` finds this too, and what the
               kernel refuses stands in the way of a repair
)"}},
      "2 problems, no notes");
  patient.mend();
  CHECK(patient.is_well());
}

TEST_CASE("doctor: a host that forwards nothing, with ports and without") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  write_sysctl(patient.lab.host(), "net/ipv4/ip_forward", "0");
  write_sysctl(patient.lab.host(), "net/ipv6/conf/all/forwarding", "0");
  CHECK(patient.failure() == "timeout");
  patient.finds({{forwarding4, R"(problem  net.ipv4.ip_forward is 0
         why:  the host forwards no IPv4 packet, so 1 published port does not answer anybody
               but the host itself
         fix:  sysctl -w net.ipv4.ip_forward=1
         keep: net.ipv4.ip_forward=1 in /etc/sysctl.d/90-published-ports.conf; without that
               it is lost at the next boot
)"},
                 {forwarding6, R"(problem  net.ipv6.conf.all.forwarding is 0
         why:  the host forwards no IPv6 packet, so 1 published port does not answer anybody
               but the host itself
         fix:  sysctl -w net.ipv6.conf.all.forwarding=1
         keep: net.ipv6.conf.all.forwarding=1 in /etc/sysctl.d/90-published-ports.conf;
               without that it is lost at the next boot
)"}},
                "2 problems, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);

  const Patient idle(Mappings{});
  write_sysctl(idle.lab.host(), "net/ipv4/ip_forward", "0");
  idle.finds({{forwarding4, R"(note     net.ipv4.ip_forward is 0
         why:  ports published to IPv4 addresses would not answer; none is published now
         fix:  sysctl -w net.ipv4.ip_forward=1
         keep: net.ipv4.ip_forward=1 in /etc/sysctl.d/90-published-ports.conf; without that
               it is lost at the next boot
)"}},
             "no problems, 1 note");
  idle.mend();
  CHECK(idle.is_well());
}

TEST_CASE("doctor: a forward chain whose policy is drop") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table inet filter {
        chain forward {
          type filter hook forward priority filter; policy drop;
          ct state vmap { established : accept, related : accept, invalid : drop }
          oifname "docker0" accept
          tcp dport { 443, 8080 } accept
        }
      })");
  CHECK(patient.failure() == "timeout");
  patient.finds(
      {{filters,
        R"(problem  table inet filter, chain forward (handle 1): its policy drops packets to
         0.0.0.0:8080/tcp, [::]:8080/tcp
         why:  no earlier rule accepts translated connections, and connections to published
               ports are translated
         fix:  nft add rule inet filter forward ct status dnat accept
         keep: it lasts until the ruleset is loaded again; write it into /etc/nftables.conf,
               or whatever loads this table
)"}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: a forward chain that accepts what published ports need is well") {
  const std::array rules = {
      "ct status dnat accept",
      "ip daddr 10.22.0.0/16 tcp dport 1-1024 accept\n"
      "ip6 daddr fd00::/64 tcp dport != 81-90 accept",
      "oifname \"cni*\" accept",
      "oif cni0 meta l4proto . th dport { tcp . 80, udp . 53 } accept",
      "oifname . th dport { \"cni0\" . 1-100 } accept",
      "meta l4proto tcp ct original proto-dst 8080 jump ours",
  };
  const auto filter = [](const Patient& patient, const std::string& rule) {
    nft(patient.lab.host(),
        "table inet filter { chain ours { ct state new counter accept\n }\n"
        "chain forward { type filter hook forward priority filter; policy drop;\n"
        "ct state established,related counter accept\n" +
            rule + "\n }\n }");
  };
  for (const std::string rule : rules) {
    CAPTURE(rule);
    const Patient patient;
    const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
    filter(patient, rule);
    CHECK(patient.is_well());
    CHECK(patient.answer() == served);
  }
  // The test client comes by neither.
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  filter(patient, "iifname { lan0, lan1 } goto ours");
  patient.finds({{trials,
                  R"(note     no test connection tells about 0.0.0.0:8080/tcp, [::]:8080/tcp
         why:  a connection from a test client got no answer, as rules, or the network's own
               conditions, leave out its interface or address; those of the clients they let
               in, as far as is known here; the container answers the host itself, so it is
               on the way; ask from a client to be sure; see where its packets go
         fix:  nft-port-mapperctl trace 8080/tcp
)"}},
                "no problems, 1 note");
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: a rule that rejects, in a chain that is jumped to") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip fw {
        chain to-containers {
          ct state established return
          ip daddr 10.23.0.0/16 accept
          reject with tcp reset
        }
        chain forward {
          type filter hook forward priority filter + 10; policy accept;
          oifname { cni0, cni1 } jump to-containers
        }
      })");
  CHECK(patient.failure() == "refused");
  patient.finds(
      {{filters,
        with_handle(
            patient, "ip fw", "reject",
            R"(problem  table ip fw, chain to-containers, rule handle HANDLE: rejects packets to 0.0.0.0:8080/tcp
         why:  no earlier rule accepts translated connections, and connections to published
               ports are translated
         fix:  nft insert rule ip fw to-containers handle HANDLE ct status dnat accept
         keep: it lasts until the ruleset is loaded again; write it into /etc/nftables.conf,
               or whatever loads this table
)")}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: a forward chain that lets nothing come back") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip fw {
        chain forward {
          type filter hook forward priority filter; policy drop;
          oifname cni0 accept
        }
      })");
  CHECK(patient.failure() == "timeout");
  patient.finds(
      {{filters, R"(problem  table ip fw, chain forward (handle 1): its policy drops replies from
         0.0.0.0:8080/tcp
         why:  connections reach the container, but nothing comes back
         fix:  nft add rule ip fw forward ct status dnat accept
         keep: it lasts until the ruleset is loaded again; write it into /etc/nftables.conf,
               or whatever loads this table
)"}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: what depends on the client is a note, and says on what") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip fw {
        set blocked {
          type ipv4_addr
          flags interval
          elements = { 192.0.2.2-192.0.2.9 }
        }
        chain forward {
          type filter hook forward priority filter; policy accept;
          ip saddr @blocked drop
        }
      })");
  CHECK(patient.failure() == "timeout");
  patient.finds(
      {{filters,
        with_handle(
            patient, "ip fw", "@blocked",
            R"(note     table ip fw, chain forward, rule handle HANDLE: drops packets to 0.0.0.0:8080/tcp where
         ip saddr @blocked
         why:  it depends on the client, or on a condition that the doctor does not know; if
               the rule is not meant for published ports, this accepts every translated
               connection:
         fix:  nft insert rule ip fw forward handle HANDLE ct status dnat accept
         keep: it lasts until the ruleset is loaded again; write it into /etc/nftables.conf,
               or whatever loads this table
)")}},
      "no problems, 1 note");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: a condition that it does not understand is named, not guessed") {
  const Patient patient;
  nft(patient.lab.host(), R"(table ip fw {
        chain forward {
          type filter hook forward priority filter; policy drop;
          ct state established accept
          meta mark 7 accept
          limit rate 1000/second accept
        }
      })");
  patient.finds(
      {{filters,
        R"(note     table ip fw, chain forward (handle 1): its policy drops packets to 0.0.0.0:8080/tcp
         except where meta mark 0x00000007 or where limit rate 1000/second burst 5 packets
         why:  it depends on the client, or on a condition that the doctor does not know; if
               the rule is not meant for published ports, this accepts every translated
               connection:
         fix:  nft add rule ip fw forward ct status dnat accept
         keep: it lasts until the ruleset is loaded again; write it into /etc/nftables.conf,
               or whatever loads this table
)"}},
      "no problems, 1 note");
  // Behind accepts that may be true, it stays what is not known, so the note stays too.
  patient.mend();
  nft(patient.lab.host(), "insert rule ip fw forward ct status dnat accept");
  CHECK(patient.is_well());
}

TEST_CASE("doctor: the FORWARD chain of iptables, as Docker leaves it") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  for (const char* command :
       {"iptables -P FORWARD DROP", "iptables -N DOCKER",
        "iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "iptables -A FORWARD -o docker0 -j DOCKER",
        "iptables -A FORWARD -i docker0 ! -o docker0 -m comment --comment x -j ACCEPT",
        "iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "iptables -A FORWARD -p tcp -m multiport --dports 443,8000:9000 -j ACCEPT"})
    tool(patient.lab.host(), command);
  CHECK(patient.failure() == "timeout");
  patient.finds({{filters,
                  R"(problem  table ip filter, chain FORWARD (handle 1): its policy drops packets to
         0.0.0.0:8080/tcp
         why:  no earlier rule accepts translated connections, and connections to published
               ports are translated
         fix:  iptables-nft -t filter -A FORWARD -m conntrack --ctstate DNAT -j ACCEPT
         keep: it lasts until the host boots; netfilter-persistent save, or whatever loads
               your iptables rules, keeps it
)"}},
                "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
  CHECK_NOTHROW(tool(patient.lab.host(), "iptables -S FORWARD"));
}

TEST_CASE("doctor: route_localnet without the guard") {
  const Patient patient;
  nft(patient.lab.host(), "delete chain inet nft-port-mapper localnet-guard");
  patient.finds(
      {{localnet, R"(problem  route_localnet is set without the guard on cni0
         why:  neighbours on such an interface reach services on the host's 127.0.0.1
               (CVE-2020-8558)
         fix:  nft-port-mapperctl check --repair
)"},
       {table,
        R"(problem  chain localnet-guard is missing; chain localnet-guard lacks rule: iifname != "lo" ip
         daddr 127.0.0.0/8 drop; chain localnet-guard lacks rule: iifname != "lo" ip saddr
         127.0.0.0/8 drop
         why:  our own table is not as it should be: `check` finds this too, and `check
               --repair` repairs what it can
         fix:  nft-port-mapperctl check --repair
)"}},
      "2 problems, no notes");
  patient.mend();
  CHECK(patient.is_well());
}

TEST_CASE("doctor: bridge netfilter is told of, and which bridge ports lack hairpin mode") {
  const Patient patient;
  const std::string veth = patient.lab.host_interface("abc");
  patient.lab.bridge_netfilter(true);
  patient.finds(
      {{bridges, R"(note     net.bridge.bridge-nf-call-iptables and -ip6tables are 1
         why:  packets between containers of a bridge pass the forward rules too, and a
               container reaches its own published port only if its bridge port is in hairpin
               mode; the host's ::1 does not reach ports of containers on a bridge;
               kube-proxy needs this setting, this plugin does not
         fix:  sysctl -w net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0
         keep: net.bridge.bridge-nf-call-iptables=0, net.bridge.bridge-nf-call-ip6tables=0 in
               /etc/sysctl.d/90-published-ports.conf; without that it is lost at the next
               boot
)" + std::string("note     bridge port ") +
                     veth + R"( is not in hairpin mode
         why:  so web/abc/eth0 does not reach its own published ports
         fix:  bridge link set dev )" +
                     veth + R"( hairpin on
         keep: "hairpinMode": true in the configuration of the bridge plugin, for containers
               to come
)"},
       {loopback6,
        R"(problem  port [::]:8080/tcp of web/abc/eth0 is in loopback-ip6, and br_netfilter drops the
         replies behind bridge cni0: connections to ::1 hang
         why:  br_netfilter or an interface has changed since the ADD, or somebody removed
               the route
         fix:  nft-port-mapperctl check --repair
)"}},
      "1 problem, 2 notes");
  patient.mend();
  CHECK(patient.is_well());
}

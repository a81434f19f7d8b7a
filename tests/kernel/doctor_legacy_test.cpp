// nft-port-mapperctl doctor: the tables of iptables-legacy, which nf_tables does not show.
#include <doctest/doctest.h>

#include "tests/support/patient.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string keep_iptables =
    R"(         keep: it lasts until the host boots; netfilter-persistent save, or whatever loads
               your iptables rules, keeps it
)";

void iptables(const Patient& patient, const std::string& words) {
  tool(patient.lab.host(), "iptables-legacy " + words);
}

}  // namespace

TEST_CASE("doctor: iptables-legacy whose FORWARD chain drops") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  for (const char* words : {"-P FORWARD DROP", "-N DOCKER", "-A FORWARD -o docker0 -j DOCKER",
                            "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                            "-A FORWARD -p tcp -m multiport --dports 443,8000:9000 -j ACCEPT",
                            "-A FORWARD -i cni+ -m comment --comment out -j ACCEPT"})
    iptables(patient, words);
  CHECK(patient.failure() == "timeout");
  patient.finds(
      {{filters,
        R"(problem  table ip filter of iptables-legacy, chain FORWARD: its policy drops packets to
         0.0.0.0:8080/tcp
         why:  no earlier rule accepts translated connections, and connections to published
               ports are translated
         fix:  iptables-legacy -t filter -A FORWARD -m conntrack --ctstate DNAT -j ACCEPT
)" + keep_iptables}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: a rule of iptables-legacy that rejects, in a chain of its own") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  for (const char* words :
       {"-N MINE", "-A FORWARD -s 198.51.100.0/24 -j ACCEPT", "-A FORWARD -d 10.22.0.0/16 -j MINE",
        "-A MINE -p udp -j ACCEPT", "-A MINE -p tcp --dport 80 -j REJECT --reject-with tcp-reset"})
    iptables(patient, words);
  CHECK(patient.failure() == "refused");
  patient.finds(
      {{filters,
        R"(note     table ip filter of iptables-legacy, chain MINE, rule number 2: rejects packets to
         0.0.0.0:8080/tcp except where ip saddr 198.51.100.0/24
         why:  it depends on the client, or on a condition that the doctor does not know; if
               the rule is not meant for published ports, this accepts every translated
               connection:
         fix:  iptables-legacy -t filter -I MINE 2 -m conntrack --ctstate DNAT -j ACCEPT
)" + keep_iptables}},
      "no problems, 1 note");
  iptables(patient, "-D FORWARD 1");
  const RunResult result = patient.doctor();
  CHECK(result.status == 1);
  CHECK(result.out.find("problem  table ip filter of iptables-legacy, chain MINE, rule number 2:"
                        " rejects packets to\n         0.0.0.0:8080/tcp\n") != std::string::npos);
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: iptables-legacy that translates the port, and tracks it not") {
  Patient patient;
  const std::string other = patient.lab.container("other", "10.22.0.3/16");
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  const Server thief(other, "other", Protocol::tcp, "0.0.0.0", 80);
  iptables(patient,
           "-t nat -A PREROUTING -p tcp -m addrtype --dst-type LOCAL --dport 8080 -j DNAT --to"
           " 10.22.0.3:80");
  CHECK(patient.answer() == "other 192.0.2.2");
  patient.finds(
      {{translation,
        R"(problem  table ip nat of iptables-legacy, chain PREROUTING, rule number 1: translates
         0.0.0.0:8080/tcp
         why:  chain PREROUTING of that table has priority -100, ours have -99: connections
               go where that rule says, not to our container
         fix:  iptables-legacy -t nat -D PREROUTING 1
         keep: it comes back when the host boots, if it is saved: netfilter-persistent save,
               or whatever loads your iptables rules, forgets it
)"}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);

  iptables(patient, "-t raw -A PREROUTING -i lan0 -p tcp --dport 8000:8100 -j CT --notrack");
  CHECK(patient.failure() == "refused");
  patient.finds(
      {{tracking,
        R"(problem  table ip raw of iptables-legacy, chain PREROUTING, rule number 1: keeps packets to
         0.0.0.0:8080/tcp from being tracked
         why:  only tracked connections are translated, so nothing reaches the container
         fix:  iptables-legacy -t raw -I PREROUTING 1 -p tcp --dport 8080 -j ACCEPT
)" + keep_iptables}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: matches of iptables-legacy that are not understood are named, not guessed") {
  const Patient patient;
  iptables(patient, "-A FORWARD -m limit --limit 5/second -j DROP");
  const RunResult result = patient.doctor();
  CHECK(result.status == 1);
  CAPTURE(result.out);
  CHECK(result.out.find("note     table ip filter of iptables-legacy, chain FORWARD, rule number 1:"
                        " drops packets to\n         0.0.0.0:8080/tcp where -m limit\n") !=
        std::string::npos);
  CHECK(result.out.find(
            "rule number 1: drops replies from\n         0.0.0.0:8080/tcp where -m limit\n") !=
        std::string::npos);
  // The test client comes soon enough for the limit, and is dropped.
  CHECK(result.out.ends_with(
      R"(problem  0.0.0.0:8080/tcp fails: a connection from a test client got no answer
         why:  it may be what a note above tells of; the container answers the host itself,
               so it is on the way; see where its packets go
         fix:  nft-port-mapperctl trace 8080/tcp

1 problem, 2 notes
)"));
}

TEST_CASE("doctor: ip6tables-legacy concerns the ports of IPv6 alone") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  const Server server6(patient.lab.ns("abc"), "abc", Protocol::tcp, "::", 80);
  tool(patient.lab.host(), "ip6tables-legacy -A FORWARD -o cni0 -p tcp --dport 80 -j DROP");
  CHECK(probe(patient.lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "timeout");
  CHECK(patient.answer() == served);
  patient.finds(
      {{filters,
        R"(problem  table ip6 filter of iptables-legacy, chain FORWARD, rule number 1: drops packets to
         [::]:8080/tcp
         why:  no earlier rule accepts translated connections, and connections to published
               ports are translated
         fix:  ip6tables-legacy -t filter -I FORWARD 1 -m conntrack --ctstate DNAT -j ACCEPT
)" + keep_iptables}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(ask(patient.lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
}

TEST_CASE("doctor: portmap's chains in iptables-legacy stay while their container may live") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  // As portmap has them for a living container: our own's address.
  for (const char* words :
       {"-N CNI-HOSTPORT-DNAT", "-N CNI-DN-0123456789abcdef",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        "-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 9090 -j CNI-DN-0123456789abcdef",
        "-A CNI-DN-0123456789abcdef -p tcp --dport 9090 -j DNAT --to 10.22.0.2:80"})
    iptables(patient, std::string("-t nat ") + words);
  patient.finds(
      {{portmap,
        R"(note     table ip nat of iptables-legacy has chains of portmap: CNI-DN-0123456789abcdef,
         CNI-HOSTPORT-DNAT
         why:  portmap's rules are evaluated before ours: a port in one of them leads to its
               container; none of its containers is proven gone, so leave them to portmap
)"}},
      "no problems, 1 note");
  CHECK(ask(patient.lab.client(), Protocol::tcp, "192.0.2.1", 9090) == served);
}

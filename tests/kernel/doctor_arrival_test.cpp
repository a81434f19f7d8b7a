// nft-port-mapperctl doctor: what stops a packet before it is translated. Each host really fails, and
// answers again after the command that the doctor prints, where it prints one.
#include <doctest/doctest.h>

#include "tests/support/patient.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string keep_nft = R"(
         keep: it lasts until the ruleset is loaded again; write it into /etc/nftables.conf,
               or whatever loads this table
)";

struct Row {
  std::string name;
  std::string rules;
  std::string table;  // and the rule whose handle the text has
  std::string rule;
  Check check;
  std::string text;
};

// Fails with this ruleset, is told of, and works again after the cure.
void show(const Row& row) {
  CAPTURE(row.name);
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  const std::string port = patient.lab.host_interface("abc");
  nft(patient.lab.host(), replaced(row.rules, "VETH", port));
  CHECK(patient.failure() == "timeout");
  patient.finds(
      {{row.check, with_handle(patient, row.table, row.rule, replaced(row.text, "VETH", port))}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

const std::string before_us = R"(
         why:  it does so before they are translated, so nothing reaches the container
         fix:  nft insert rule TABLE CHAIN handle HANDLE tcp dport 8080 accept)";

std::string before(const std::string& table, const std::string& chain) {
  return replaced(replaced(before_us, "TABLE", table), "CHAIN", chain) + keep_nft;
}

}  // namespace

TEST_CASE("doctor: drops in raw, in mangle, at ingress and on the bridge") {
  show(
      {"raw",
       "table ip fw { chain pre { type filter hook prerouting priority raw;\n tcp dport 8080 drop\n"
       " }\n }",
       "ip fw", "drop", arrival,
       "problem  table ip fw, chain pre, rule handle HANDLE: drops packets to 0.0.0.0:8080/tcp" +
           before("ip fw", "pre")});
  show({"mangle, by the state of the connection",
        "table ip fw { chain pre { type filter hook prerouting priority mangle;\n"
        " ct state new tcp flags & (fin|syn|rst|ack) == syn tcp dport 8080 drop\n }\n }",
        "ip fw", "drop", arrival,
        "problem  table ip fw, chain pre, rule handle HANDLE: drops packets to 0.0.0.0:8080/tcp" +
            before("ip fw", "pre")});
  show({"ingress",
        "table netdev fw { chain in { type filter hook ingress device lan0 priority 0;\n"
        " ip protocol tcp tcp dport 8080 drop\n }\n }",
        "netdev fw", "drop", arrival,
        "problem  table netdev fw, chain in, rule handle HANDLE: drops packets to 0.0.0.0:8080/tcp"
        " on lan0" +
            before("netdev fw", "in")});
}

TEST_CASE("doctor: answers that are dropped before they are translated back") {
  show({"raw",
        "table ip fw { chain pre { type filter hook prerouting priority raw;\n"
        " iifname cni0 tcp sport 80 drop\n }\n }",
        "ip fw", "drop", arrival,
        R"(problem  table ip fw, chain pre, rule handle HANDLE: drops replies from 0.0.0.0:8080/tcp
         why:  connections reach the container, but nothing comes back
         fix:  nft insert rule ip fw pre handle HANDLE tcp sport 80 accept)" +
            keep_nft});
  show(
      {"the bridge's port",
       "table bridge fw { chain pre { type filter hook prerouting priority 0;\n"
       " iifname \"VETH\" ip saddr 10.22.0.2 drop\n }\n }",
       "bridge fw", "drop", arrival,
       R"(problem  table bridge fw, chain pre, rule handle HANDLE: drops replies from 0.0.0.0:8080/tcp
         why:  connections reach the container, but nothing comes back
         fix:  nft insert rule bridge fw pre handle HANDLE tcp sport 80 accept)" +
           keep_nft});
}

TEST_CASE("doctor: connections that are not tracked are not translated") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip fw {
        chain pre {
          type filter hook prerouting priority raw;
          tcp dport 8080 notrack
        }
      })");
  CHECK(patient.failure() == "refused");
  patient.finds(
      {{tracking,
        with_handle(
            patient, "ip fw", "notrack",
            R"(problem  table ip fw, chain pre, rule handle HANDLE: keeps packets to 0.0.0.0:8080/tcp from being
         tracked
         why:  only tracked connections are translated, so nothing reaches the container
         fix:  nft insert rule ip fw pre handle HANDLE tcp dport 8080 accept)") +
            keep_nft}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: answers that are not tracked are not translated back") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(),
      "table ip fw { chain pre { type filter hook prerouting priority raw;\n"
      " ip saddr 10.22.0.0/16 notrack\n }\n }");
  CHECK(patient.failure() == "timeout");
  // So are the requests of neighbours of the container, and the cure does not concern those.
  const std::string requests = with_handle(
      patient, "ip fw", "notrack",
      R"(note     table ip fw, chain pre, rule handle HANDLE: keeps packets to 0.0.0.0:8080/tcp from being
         tracked where ip saddr 10.22.0.0/16
         why:  only tracked connections are translated, so nothing reaches the container;
               whether it concerns all of them, is not known here
)");
  const std::string answers = with_handle(
      patient, "ip fw", "notrack",
      R"(problem  table ip fw, chain pre, rule handle HANDLE: keeps replies from 0.0.0.0:8080/tcp from
         being tracked
         why:  untracked replies are not translated back, so no client knows them for an
               answer
         fix:  nft insert rule ip fw pre handle HANDLE tcp sport 80 accept)");
  patient.finds({{tracking, requests + answers + keep_nft}}, "1 problem, 1 note");
  patient.mend();
  patient.finds({{tracking, requests}}, "no problems, 1 note");
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: a conntrack zone for the clients' packets alone") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  const std::string rules =
      "table ip fw { chain pre { type filter hook prerouting priority raw;\n"
      " iifname lan0 ct zone set 5\n }\n }";
  nft(patient.lab.host(), rules);
  CHECK(patient.failure() == "timeout");
  patient.finds(
      {{tracking,
        with_handle(
            patient, "ip fw", "zone",
            R"(problem  table ip fw, chain pre, rule handle HANDLE: puts packets to 0.0.0.0:8080/tcp into
         conntrack zone 5
         why:  requests are in zone 5 and replies in zone 0: a reply in another zone belongs
               to no connection, and is not translated back; what the container sends needs
               the zone that the clients' packets have
)")}},
      "1 problem, no notes");
  // As the reason says; but the test client's packets are in another zone.
  nft(patient.lab.host(), "add rule ip fw pre iifname cni0 ct zone set 5");
  patient.finds({{trials, R"(note     no test connection tells about 0.0.0.0:8080/tcp
         why:  a connection from a test client got no answer, as rules, or the network's own
               conditions, leave out its interface or address; those of the clients they let
               in, as far as is known here; the container answers the host itself, so it is
               on the way; ask from a client to be sure; see where its packets go
         fix:  nft-port-mapperctl trace 8080/tcp
)"}},
                "no problems, 1 note");
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: a rule that rewrites the port before our maps see it") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(),
      "table ip fw { chain pre { type filter hook prerouting priority raw;\n"
      " tcp dport 8080 tcp dport set 8081\n }\n }");
  CHECK(patient.failure() != served);
  patient.finds(
      {{tracking,
        with_handle(
            patient, "ip fw", "set 8081",
            R"(problem  table ip fw, chain pre, rule handle HANDLE: rewrites dport of packets to 0.0.0.0:8080/tcp
         why:  it does so before they are translated, by what it wrote
         fix:  nft insert rule ip fw pre handle HANDLE tcp dport 8080 accept)") +
            keep_nft}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: a limit on connections, and a ban, are notes without a command") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip fw {
        set banned {
          type ipv4_addr
          elements = { 192.0.2.2 }
        }
        chain pre {
          type filter hook prerouting priority mangle;
          ip saddr @banned drop
          tcp dport 8080 ct count over 20 reject
        }
      })");
  CHECK(patient.failure() == "timeout");
  const std::string rule = "note     table ip fw, chain pre, rule handle HANDLE: ";
  const std::string why = R"(
         why:  it depends on the client, or on a condition that the doctor does not know
)";
  patient.finds({{arrival, with_handle(patient, "ip fw", "@banned",
                                       rule +
                                           "drops packets to 0.0.0.0:8080/tcp where ip\n"
                                           "         saddr @banned" +
                                           why) +
                               with_handle(patient, "ip fw", "ct count",
                                           rule +
                                               "rejects packets to 0.0.0.0:8080/tcp where ct\n"
                                               "         count over 20" +
                                               why)}},
                "no problems, 2 notes");
}

TEST_CASE("doctor: rules before the translation that let published ports through are well") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table inet fw {
        chain raw {
          type filter hook prerouting priority raw;
          ip daddr 127.0.0.0/8 iifname != "lo" drop
          tcp dport 53 notrack
          ct status dnat drop
        }
        chain mangle {
          type filter hook prerouting priority mangle;
          ct state invalid drop
          tcp dport 81 drop
          tcp flags & (fin|syn) == (fin|syn) drop
          meta l4proto tcp ct state new tcp flags & (fin|syn|rst|ack) != syn drop
        }
        chain late {
          type filter hook prerouting priority -50;
          tcp dport 8080 drop
        }
      }
      table netdev fw {
        chain in {
          type filter hook ingress device cni0 priority 0;
          tcp dport 8080 drop
        }
      })");
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

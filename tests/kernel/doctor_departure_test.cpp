// nft-port-mapperctl doctor: what happens behind the translation, and networks that shut their own
// clients out.
#include <doctest/doctest.h>

#include "tests/support/patient.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string keep_nft =
    R"(         keep: it lasts until the ruleset is loaded again; write it into /etc/nftables.conf,
               or whatever loads this table
)";

}  // namespace

TEST_CASE("doctor: a postrouting chain that drops what was forwarded") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip fw {
        chain post {
          type filter hook postrouting priority mangle;
          oifname "cni0" tcp dport 80 drop
        }
      })");
  CHECK(patient.failure() == "timeout");
  patient.finds(
      {{departure,
        with_handle(
            patient, "ip fw", "drop",
            R"(problem  table ip fw, chain post, rule handle HANDLE: drops packets to 0.0.0.0:8080/tcp
         why:  it does so behind the forward chains, where they are translated already
         fix:  nft insert rule ip fw post handle HANDLE ct status dnat accept
)") + keep_nft}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: answers that are dropped when they have the host's port again") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip fw {
        chain post {
          type filter hook postrouting priority 300;
          oifname "lan0" tcp sport 8080 drop
        }
      })");
  CHECK(patient.failure() == "timeout");
  patient.finds(
      {{departure,
        with_handle(
            patient, "ip fw", "drop",
            R"(problem  table ip fw, chain post, rule handle HANDLE: drops replies from 0.0.0.0:8080/tcp
         why:  connections reach the container, but nothing comes back
         fix:  nft insert rule ip fw post handle HANDLE ct status dnat accept
)") + keep_nft}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: an egress chain and a bridge's output, towards the container") {
  struct Way {
    std::string table;
    std::string hook;
    std::string where;
  };
  for (const Way& way :
       {Way{"netdev fw", "egress device cni0", " on cni0"}, Way{"bridge fw", "output", ""}}) {
    CAPTURE(way.table);
    const Patient patient;
    const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
    nft(patient.lab.host(), "table " + way.table + " { chain out { type filter hook " + way.hook +
                                " priority 0;\n ip daddr 10.22.0.2 tcp dport 80 drop\n }\n }");
    CHECK(patient.failure() == "timeout");
    const RunResult result = patient.doctor();
    const std::string handle = handle_of(patient.lab, way.table, "drop");
    CHECK(result.status == 1);
    CHECK(result.out.ends_with("\n1 problem, no notes\n"));
    CHECK(result.out.find("problem  table " + way.table + ", chain out, rule handle " + handle +
                          ": drops packets to 0.0.0.0:8080/tcp" + way.where + "\n") !=
          std::string::npos);
    CHECK(result.out.find("fix:  nft insert rule " + way.table + " out handle " + handle +
                          " tcp dport 80 accept\n") != std::string::npos);
    patient.mend();
    CHECK(patient.is_well());
    CHECK(patient.answer() == served);
  }
}

TEST_CASE("doctor: another table's masquerade loses the client's address") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip other {
        chain post {
          type nat hook postrouting priority srcnat;
          ip saddr 10.22.0.0/16 ip daddr != 10.22.0.0/16 masquerade
          oifname "lan0" masquerade
        }
      })");
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
  nft(patient.lab.host(), "add rule ip other post counter masquerade");
  CHECK(patient.answer() == "abc 10.22.0.1");
  patient.finds(
      {{sources,
        with_handle(
            patient, "ip other", "counter packets",
            R"(note     table ip other, chain post, rule handle HANDLE: hides who connects to 0.0.0.0:8080/tcp
         why:  it masquerades what goes to the containers, so they see an address of this
               host in place of the client's; a condition on the outgoing interface (oifname)
               or the source would leave published ports alone
)")}},
      "no problems, 1 note");
}

TEST_CASE("doctor: a network whose excludeDevices name the clients' interface") {
  const Patient patient({{8080, 80}}, R"("chain":"WEB","excludeDevices":["lan0"])");
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  CHECK(patient.failure() == "refused");
  const std::string text =
      R"(problem  chain WEB leaves out what comes by lan0: clients there do not reach
         0.0.0.0:8080/tcp, [::]:8080/tcp
         why:  the interface is in the key excludeDevices of the network's configuration;
               name the container's own there, and start the network's containers again
)";
  patient.finds({{networks, text}}, "1 problem, no notes");
  // Another interface by which clients may come: then it may be meant so.
  tool(patient.lab.host(), "ip link add lan1 type veth peer name lan1-peer");
  tool(patient.lab.host(), "ip route add default via 192.0.2.2 dev lan0");
  const RunResult result = patient.doctor();
  CHECK(result.status == 0);
  CHECK(result.out.find("note     chain WEB leaves out what comes by lan0: clients there do not"
                        " reach 0.0.0.0:8080/tcp\n") != std::string::npos);
}

TEST_CASE("doctor: a network whose conditions no client of the interface meets") {
  const Patient patient(
      {{8080, 80, "tcp", "192.0.2.1"}},
      R"("chain":"WEB","conditionsV4":["iifname","cni9"],"conditionsV6":["iifname","cni9"])");
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  CHECK(patient.failure() == "refused");
  patient.finds({{networks,
                  R"(problem  chain WEB leaves out what comes by lan0: clients there do not reach
         192.0.2.1:8080/tcp
         why:  no packet that comes by it meets the key conditionsV4 of the network's
               configuration; correct it, and start the network's containers again
)"}},
                "1 problem, no notes");
}

TEST_CASE(
    "doctor: conditions on the client, and excludeDevices of the container's, are no finding") {
  const Patient patient({{8080, 80}}, R"("chain":"WEB","excludeDevices":["cni0"],)"
                                      R"("conditionsV4":["ip","saddr","192.0.2.0/24"],)"
                                      R"("conditionsV6":["ip6","saddr","2001:db8::/64"])");
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  // But the test client has another address.
  patient.finds({{trials,
                  R"(note     no test connection tells about 0.0.0.0:8080/tcp, [::]:8080/tcp
         why:  a connection from a test client was refused, as rules, or the network's own
               conditions, leave out its interface or address; those of the clients they let
               in, as far as is known here; the container answers the host itself, so it is
               on the way; ask from a client to be sure; see where its packets go
         fix:  nft-port-mapperctl trace 8080/tcp
)"}},
                "no problems, 1 note");
  CHECK(patient.answer() == served);
}

// nft-port-mapperctl doctor: other tables that take a published port, portmap's leftovers too.
#include <doctest/doctest.h>

#include "tests/support/patient.hpp"

using namespace portmapper;
using namespace portmapper::test;

TEST_CASE("doctor: other tables that translate a published port first") {
  struct Way {
    std::string name;
    std::string rules;  // of table ip other
    std::string chain;  // that translates
    std::string mend;
  };
  const std::string by_rule = "rule ip other pre handle PORT";
  const std::array ways = {
      Way{"a comparison", "chain pre { PRE fib daddr type local tcp dport 8080 dnat to SERVER\n }",
          "pre", by_rule},
      Way{"a set", "chain pre { PRE tcp dport { 80, 8000-8100 } dnat to SERVER\n }", "pre",
          by_rule},
      Way{"a map", R"(map services {
            type inet_service : ipv4_addr . inet_service
            elements = { 8080 : 10.22.0.3 . 80, 81 : 10.22.0.3 . 80 }
          }
          chain pre { PRE dnat to tcp dport map @services
          })",
          "pre", "element ip other services '{ 8080 }'"},
      Way{"a verdict map", R"(chain service { meta l4proto tcp dnat to SERVER
          }
          map services {
            type inet_proto . inet_service : verdict
            elements = { tcp . 8080 : goto service, udp . 53 : goto service }
          }
          chain pre { PRE meta l4proto . th dport vmap @services
          })",
          "service", "element ip other services '{ tcp . 8080 }'"},
      Way{"a jump", R"(chain service { meta l4proto tcp dnat to SERVER
          }
          chain pre { PRE tcp dport 8080 jump service
          })",
          "service", by_rule},
  };
  for (const Way& way : ways) {
    CAPTURE(way.name);
    Patient patient;
    const std::string other = patient.lab.container("other", "10.22.0.3/16");
    const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
    const Server thief(other, "other", Protocol::tcp, "0.0.0.0", 80);
    const std::string rules = replaced(way.rules, "SERVER", "10.22.0.3:80");
    nft(patient.lab.host(),
        "table ip other { " +
            replaced(rules, "PRE", "type nat hook prerouting priority dstnat;\n") + "\n }");
    CHECK(patient.answer() == "other 192.0.2.2");
    const std::string text = replaced(
        R"(problem  table ip other, chain CHAIN, rule handle HANDLE: translates 0.0.0.0:8080/tcp
         why:  chain pre of that table has priority -100, ours have -99: connections go where
               that rule says, not to our container
         fix:  nft delete MEND
         keep: it comes back when the ruleset is loaded again: take it out of
               /etc/nftables.conf, or whatever loads this table
)",
        "CHAIN", way.chain);
    const std::string mended = replaced(
        text, "MEND", replaced(way.mend, "PORT", handle_of(patient.lab, "ip other", "dport")));
    patient.finds({{translation, with_handle(patient, "ip other", "dnat ", mended)}},
                  "1 problem, no notes");
    patient.mend();
    CHECK(patient.is_well());
    CHECK(patient.answer() == served);
  }
}

TEST_CASE("doctor: translations that do not concern published ports") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip other {
        chain late {
          type nat hook prerouting priority -98;
          tcp dport 8080 dnat to 10.22.0.3:80
        }
        chain pre {
          type nat hook prerouting priority dstnat;
          tcp dport { 80, 8081-8090 } dnat to 10.22.0.3:80
          udp dport 8080 dnat to 10.22.0.3:80
          ip daddr 198.51.100.7 tcp dport 8080 dnat to 10.22.0.3:80
          fib daddr type != local tcp dport 8080 dnat to 10.22.0.3:80
          iifname nonesuch tcp dport 8081 redirect to :80
        }
      })");
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor: a translation at our own priority, for one address only") {
  Patient patient;
  const std::string other = patient.lab.container("other", "10.22.0.3/16");
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  const Server thief(other, "other", Protocol::tcp, "0.0.0.0", 80);
  nft(patient.lab.host(), R"(table ip other {
        chain pre {
          type nat hook prerouting priority -99;
          ip daddr 192.0.2.11 tcp dport 8080 dnat to 10.22.0.3:80
        }
      })");
  CHECK(patient.answer("192.0.2.11") == "other 192.0.2.2");
  CHECK(patient.answer("192.0.2.1") == served);
  patient.finds(
      {{translation,
        with_handle(
            patient, "ip other", "dnat ",
            R"(problem  table ip other, chain pre, rule handle HANDLE: translates 0.0.0.0:8080/tcp where ip daddr
         192.0.2.11
         why:  chain pre of that table has priority -99, ours have -99: connections go where
               that rule says, not to our container; of chains of one priority the one made
               last is asked first, and that table was made after ours
         fix:  nft delete rule ip other pre handle HANDLE
         keep: it comes back when the ruleset is loaded again: take it out of
               /etc/nftables.conf, or whatever loads this table
)")}},
      "1 problem, no notes");
  patient.mend();
  CHECK(patient.is_well());
  CHECK(patient.answer("192.0.2.11") == served);
}

TEST_CASE("doctor: what portmap left, by iptables and by nft") {
  const Patient patient;
  // In a PID namespace of our own nobody is proven gone: nothing is to be removed then.
  const bool proves = !first_mounts().empty();
  const auto why = [&proves](const std::string& command) {
    return R"(
         why:  portmap's rules are evaluated before ours: a port in one of them leads to its
               container; )" +
           (proves ? "no namespace of this host has the addresses that they lead to\n"
                     "         fix:  " +
                         command
                   : "none of its containers is proven gone, so leave them to portmap") +
           "\n";
  };
  patient.portmap("gone", 9090);
  const std::string chain =
      word_after(tool(patient.lab.host(), "nft list table ip nat"), "chain CNI-DN-");
  const std::string text =
      R"(note     table FAMILY nat has chains of portmap: CNI-DN-HASH, CNI-HOSTPORT-DNAT)" +
      why("nft 'delete rule FAMILY nat OUTPUT handle OUT; delete rule FAMILY nat PREROUTING handle "
          "PRE; flush chain FAMILY nat CNI-DN-HASH; flush chain FAMILY nat CNI-HOSTPORT-DNAT; "
          "delete chain FAMILY nat CNI-DN-HASH; delete chain FAMILY nat CNI-HOSTPORT-DNAT'");
  std::string expected;
  for (const std::string family : {"ip", "ip6"}) {
    const std::string listed = tool(patient.lab.host(), "nft -a list table " + family + " nat");
    std::string one = replaced(replaced(text, "FAMILY", family), "HASH", chain);
    const auto jump = [&listed](const std::string& base) {
      const std::string mark = "jump CNI-HOSTPORT-DNAT # handle ";
      return word_after(listed.substr(listed.find("chain " + base)), mark);
    };
    one = replaced(replaced(one, "handle OUT", "handle " + jump("OUTPUT")), "handle PRE;",
                   "handle " + jump("PREROUTING") + ";");
    expected += one;
  }
  patient.finds({{portmap, expected}}, "no problems, 2 notes");
  patient.mend();
  if (!proves) nft(patient.lab.host(), "delete table ip nat; delete table ip6 nat");
  CHECK(patient.is_well());
  CHECK(tool(patient.lab.host(), "nft list ruleset").find("CNI-") == std::string::npos);

  nft(patient.lab.host(), R"(table ip cni_hostport {
        chain hostports { tcp dport 9090 dnat to 10.22.0.9:80
        }
        chain prerouting { type nat hook prerouting priority dstnat; jump hostports
        }
      })");
  patient.finds({{portmap, "note     table ip cni_hostport is portmap's" +
                               why("nft delete table ip cni_hostport")}},
                "no problems, 1 note");
  patient.mend();
  if (!proves) nft(patient.lab.host(), "delete table ip cni_hostport");
  CHECK(patient.is_well());
}

TEST_CASE("doctor: a port that portmap still translates to a dead container") {
  const Patient patient;
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80);
  patient.portmap("gone", 8080);
  CHECK(patient.failure() != served);
  const RunResult result = patient.doctor();
  CHECK(result.status == 1);
  CHECK(result.out.find("problem  table ip nat, chain CNI-DN-") != std::string::npos);
  CHECK(result.out.ends_with("\n2 problems, 2 notes\n"));
  patient.mend();
  if (first_mounts().empty()) {  // nobody is proven dead
    CHECK(patient.failure() != served);
    return;
  }
  CHECK(patient.is_well());
  CHECK(patient.answer() == served);
}

// CHECK: it says what of an attachment is not as ADD publishes it, for every part of it.
#include <doctest/doctest.h>

#include "tests/support/checked.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string elsewhere =
    R"({"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/x"}],)"
    R"("ips":[{"address":"10.22.0.9/16","interface":0}]})";

}  // namespace

TEST_CASE("check: it succeeds after ADD, after another container's, and with operators' rules") {
  Checked checked;
  CHECK(checked.check() == "ok");
  CHECK(checked.check() == "ok");
  const Lab& lab = checked.lab;
  checked.lab.container("def", "10.22.0.3/16", "fd00::3/64");
  REQUIRE(Runtime(lab, example_options).add("def", {{9090, 80}, {9091, 80, "udp"}}) == done);
  REQUIRE(Runtime(lab, "", "mail").add("def", {{25, 25}}) == done);
  CHECK(checked.check() == "ok");
  checked.nft(
      "add table inet operators\n"
      "add set inet operators published-ip { type inet_service; }\n"
      "add chain inet operators prerouting { type nat hook prerouting priority dstnat; }\n"
      "add rule inet operators prerouting tcp dport 8080 accept\n"
      "add chain inet operators MESOS-WEB\n"
      "add rule inet operators MESOS-WEB drop\n"
      "add table ip nft-port-mapper\n"
      "add chain ip nft-port-mapper prerouting\n"
      "add rule ip nft-port-mapper prerouting drop\n");
  CHECK(checked.check() == "ok");
  REQUIRE(Runtime(lab, example_options).del("def") == done);
  CHECK(checked.check() == "ok");
  // Traffic moves counters and nothing else.
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.11", 8080) != "timeout");
  CHECK(checked.check() == "ok");
}

TEST_CASE("check: ADD again with changed ports is checked for the new ones only") {
  Checked checked;
  REQUIRE(Runtime(checked.lab, example_options).add("abc", {{8080, 80}}) == done);
  CHECK(checked.check() ==
        finding("element of 192.0.2.1:5353/udp in owners leads to [::]:8080/tcp; "
                "element of [::]:8080/tcp in owners is missing"));
  REQUIRE(Runtime(checked.lab, example_options)
              .add("abc", {{8080, 80}, {5353, 53, "udp", "192.0.2.1"}, {9090, 90, "udp", "::"}}) ==
          done);
  CHECK(checked.check() ==
        finding("element of [::]:9090/udp in owners is not in the configuration"));
}

TEST_CASE("check: a configuration without port mappings needs no table") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  for (const char* mappings : {"null", "[]"}) {
    const std::string config = chained_config("web", lab.previous_result("abc"), mappings);
    CHECK(verdict(Plugin{PLUGIN}.call(lab, lab.host(), "CHECK", "abc", config)) == "ok");
  }
  CHECK(listing(lab.host()).empty());
}

TEST_CASE("check: a network without hairpin pairs (snat false) is no question without a key") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const std::string options = R"("snat":false)";
  REQUIRE(Runtime(lab, options).add("abc", {{8080, 80}}) == done);
  const std::string config =
      chained_config("web", lab.previous_result("abc"), to_json({{8080, 80}}), options);
  CHECK(verdict(Plugin{PLUGIN}.call(lab, lab.host(), "CHECK", "abc", config)) == "ok");
}

TEST_CASE("check: an element that is gone is named") {
  check_each({
      {"delete element published-ip { tcp . 8080 }",
       "element of 0.0.0.0:8080/tcp in published-ip is missing or another's"},
      {"delete element published-hostip { 192.0.2.1 . udp . 5353 }",
       "element of 192.0.2.1:5353/udp in published-hostip is missing or another's"},
      {"delete element published-ip6 { tcp . 8080 }",
       "element of [::]:8080/tcp in published-ip6 is missing or another's"},
      {"delete element MESOS-WEB-ip { tcp . 8080 }",
       "element of 0.0.0.0:8080/tcp in MESOS-WEB-ip is missing"},
      {"delete element MESOS-WEB-hostip { 192.0.2.1 . udp . 5353 }",
       "element of 192.0.2.1:5353/udp in MESOS-WEB-hostip is missing"},
      {"delete element MESOS-WEB-ip6 { tcp . 8080 }",
       "element of [::]:8080/tcp in MESOS-WEB-ip6 is missing"},
      {"delete element owners { OWNER . 0 }", "element of 0.0.0.0:8080/tcp in owners is missing"},
      {"delete element owners { OWNER . 1 }", "element of 192.0.2.1:5353/udp in owners is missing"},
      {"delete element owners { OWNER . 2 }", "element of [::]:8080/tcp in owners is missing"},
      {"delete element hairpin-ip { 10.22.0.0/16 . 10.22.0.0/16 }",
       "element 10.22.0.0/16 . 10.22.0.0/16 is missing in hairpin-ip"},
      {"delete element hairpin-ip { 127.0.0.0/8 . 10.22.0.0/16 }",
       "element 127.0.0.0/8 . 10.22.0.0/16 is missing in hairpin-ip"},
      {"delete element hairpin-ip6 { fd00::/64 . fd00::/64 }",
       "element fd00::/64 . fd00::/64 is missing in hairpin-ip6"},
      {"flush set published-ip; flush map MESOS-WEB-ip; flush map owners", no_owners},
  });
}

TEST_CASE("check: an element that leads elsewhere is named, and where it leads") {
  check_each({
      {"delete element MESOS-WEB-ip { tcp . 8080 }; add element MESOS-WEB-ip { tcp . 8080 : "
       "10.22.0.9 . 80 }",
       "element of 0.0.0.0:8080/tcp in MESOS-WEB-ip leads to 10.22.0.9:80, not to 10.22.0.2:80"},
      {"delete element MESOS-WEB-ip { tcp . 8080 }; add element MESOS-WEB-ip { tcp . 8080 : "
       "10.22.0.2 . 81 }",
       "element of 0.0.0.0:8080/tcp in MESOS-WEB-ip leads to 10.22.0.2:81, not to 10.22.0.2:80"},
      {"delete element MESOS-WEB-hostip { 192.0.2.1 . udp . 5353 }; add element MESOS-WEB-hostip { "
       "192.0.2.1 . udp . 5353 : 10.22.0.9 . 53 }",
       "element of 192.0.2.1:5353/udp in MESOS-WEB-hostip leads to 10.22.0.9:53, not to "
       "10.22.0.2:53"},
      {"delete element MESOS-WEB-ip6 { tcp . 8080 }; add element MESOS-WEB-ip6 { tcp . 8080 : "
       "fd00::9 . 80 }",
       "element of [::]:8080/tcp in MESOS-WEB-ip6 leads to [fd00::9]:80, not to [fd00::2]:80"},
      {"delete element owners { OWNER . 1 }; add element owners { OWNER . 1 : ::ffff:192.0.2.1 . "
       "udp . 5354 }",
       "element of 192.0.2.1:5353/udp in owners leads to 192.0.2.1:5354/udp"},
      {"delete element hairpin-ip { 10.22.0.0/16 . 10.22.0.0/16 }; add element hairpin-ip { "
       "10.22.0.0/24 . 10.22.0.0/24 }",
       "element 10.22.0.0/16 . 10.22.0.0/16 is missing in hairpin-ip"},
      {"delete element hairpin-ip6 { fd00::/64 . fd00::/64 }; add element hairpin-ip6 { fd00::/80 "
       ". "
       "fd00::/64 }",
       "element fd00::/64 . fd00::/64 is missing in hairpin-ip6"},
      {"add element owners { OWNER . 3 : :: . udp . 1 }",
       "element of [::]:1/udp in owners is not in the configuration"},
  });
}

TEST_CASE("check: a prevResult with another address does not match what is published") {
  Checked checked;
  CHECK(
      checked.check(elsewhere) ==
      finding(
          "element of 0.0.0.0:8080/tcp in MESOS-WEB-ip leads to 10.22.0.2:80, not to 10.22.0.9:80; "
          "element of 192.0.2.1:5353/udp in MESOS-WEB-hostip leads to 10.22.0.2:53, not to "
          "10.22.0.9:53; element of [::]:8080/tcp in owners is not in the configuration"));
}

TEST_CASE("check: a port that another container took is missing") {
  Checked checked;
  checked.lab.container("def", "10.22.0.3/16", "fd00::3/64");
  const Runtime runtime(checked.lab, example_options);
  checked.nft(expanded(
      "delete element published-ip { tcp . 8080 }; delete element published-ip6 { tcp . 8080 }"));
  // A claim alone is not the port: what else "abc" has of it says whose it is.
  CHECK(runtime.add("def", {{8080, 80}}) ==
        conflict("def", published_by("0.0.0.0:8080/tcp", "abc") + "; " +
                            published_by("[::]:8080/tcp", "abc")));
  checked.nft(replaced(expanded("delete element MESOS-WEB-ip { tcp . 8080 }; "
                                "delete element MESOS-WEB-ip6 { tcp . 8080 }; "
                                "delete element owners { OWNER . 0 }; "
                                "delete element owners { OWNER . 2 }"),
                       "OWNER", checked.owner()));
  REQUIRE(runtime.add("def", {{8080, 80}}) == done);
  CHECK(checked.check() == finding("element of 0.0.0.0:8080/tcp in owners is missing; "
                                   "element of [::]:8080/tcp in owners is missing"));
}

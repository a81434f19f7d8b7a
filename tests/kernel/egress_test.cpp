// ipMasq: what an ADD, a DEL and ctl make of table nft-port-mapper-egress; tests/e2e/egress has the traffic.
#include <doctest/doctest.h>

#include "tests/support/runtime.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

struct Masqueraded {
  Lab lab;

  [[nodiscard]] RunResult call(const std::string& command, const std::string& container,
                               const std::string& more = R"("ipMasq":true)") const {
    return Plugin{PLUGIN}.call(lab, lab.host(), command, container,
                               chained_config("web", lab.previous_result(container), "[]", more));
  }
  [[nodiscard]] std::string listing() const {
    return run({"nft", "list", "table", "inet", "nft-port-mapper-egress"}, {.ns = lab.host()}).out;
  }
  [[nodiscard]] bool lists(const std::string& text) const {
    return listing().find(text) != std::string::npos;
  }
  [[nodiscard]] std::string ctl(std::vector<std::string> words) const {
    words.insert(words.begin(), CTL);
    return run(words, {.ns = lab.host()}).out;
  }
};

}  // namespace

TEST_CASE_FIXTURE(
    Masqueraded, "egress: ADD, CHECK and DEL of two containers, and the table goes with the last") {
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  lab.container("def", "10.22.0.3/16", "fd00::3/64");
  CHECK(call("ADD", "abc").status == 0);
  CHECK(call("ADD", "def").status == 0);
  CHECK(tool(lab.host(), "nft list tables") == "table inet nft-port-mapper-egress\n");
  CHECK(lists("10.22.0.2 comment \"web/abc/eth0\" : goto net-web-10.22.0.0-16"));
  CHECK(lists("fd00::3 comment \"web/def/eth0\" : goto net-web-fd00__-64"));
  CHECK(call("CHECK", "abc").status == 0);
  (void)tool(lab.host(), "nft flush chain inet nft-port-mapper-egress postrouting");
  const RunResult damaged = call("CHECK", "abc");
  CHECK(damaged.status == 1);
  CHECK(damaged.out.find("table inet nft-port-mapper-egress: chain postrouting is not as an ADD "
                         "builds it") != std::string::npos);
  CHECK(call("ADD", "abc").status == 0);
  CHECK(call("CHECK", "def").status == 0);
  CHECK(call("DEL", "abc", "").status == 0);
  CHECK_FALSE(lists("abc"));
  CHECK(lists("10.22.0.3 comment \"web/def/eth0\""));
  CHECK(call("DEL", "def", "").status == 0);
  CHECK(tool(lab.host(), "nft list tables") == "");
}

TEST_CASE_FIXTURE(Masqueraded, "egress: prune ends what the dead had, flush what is left") {
  lab.container("abc", "10.22.0.2/16");
  lab.container("def", "10.22.0.3/16");
  REQUIRE(call("ADD", "abc").status == 0);
  REQUIRE(call("ADD", "def").status == 0);
  lab.remove("abc");
  CHECK(ctl({"prune", "--dry-run"}) == "would end the masquerading of web/abc/eth0\n");
  CHECK(ctl({"prune"}) == "ended the masquerading of web/abc/eth0\n");
  CHECK(lists("def"));
  CHECK(ctl({"flush", "--network", "web", "--yes"}) ==
        "removed 0 published ports of network web\nended the masquerading of 1 container\n");
  REQUIRE(call("ADD", "def").status == 0);
  CHECK(ctl({"flush"}) ==
        "would end the masquerading of web/def/eth0\n"
        "would remove table inet nft-port-mapper-egress\n");
  CHECK(lists("def"));
  CHECK(ctl({"flush", "--yes"}) ==
        "there is no table inet nft-port-mapper\nremoved table inet nft-port-mapper-egress\n");
}

TEST_CASE_FIXTURE(Masqueraded,
                  "egress: a container without ipMasq is not masqueraded by what the dead left") {
  lab.container("abc", "10.22.0.2/16");
  lab.container("def", "10.22.0.3/16");
  REQUIRE(call("ADD", "abc").status == 0);
  REQUIRE(call("ADD", "def").status == 0);
  lab.remove("abc");
  lab.container("new", "10.22.0.2/16");
  CHECK(call("ADD", "new", "").status == 0);
  CHECK_FALSE(lists("10.22.0.2 "));
  CHECK(lists("10.22.0.3 comment \"web/def/eth0\""));
  // Nor by what its own ADD before wanted; who lives keeps his.
  REQUIRE(call("ADD", "new").status == 0);
  CHECK(lists("10.22.0.2 comment \"web/new/eth0\""));
  CHECK(call("ADD", "new", "").status == 0);
  CHECK_FALSE(lists("10.22.0.2 "));
  CHECK(call("DEL", "def", "").status == 0);
  CHECK(tool(lab.host(), "nft list tables") == "");
}

TEST_CASE_FIXTURE(Masqueraded,
                  "egress: the newest ADD leads an address that a dead container had") {
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(call("ADD", "abc", R"("ipMasq":true,"snatAddress":"192.0.2.1")").status == 0);
  lab.remove("abc");
  lab.container("new", "10.22.0.2/16");
  CHECK(call("ADD", "new").status == 0);
  CHECK(lists("10.22.0.2 comment \"web/new/eth0\" : goto net-web-10.22.0.0-16"));
  CHECK(call("CHECK", "new").status == 0);
}

TEST_CASE_FIXTURE(Masqueraded,
                  "egress: CHECK and ctl check tell each damage of the table, and ADD repairs it") {
  lab.container("abc", "10.22.0.2/16");
  const std::string table = "inet nft-port-mapper-egress";
  const std::string chain = table + " postrouting";
  const std::vector<std::pair<std::string, std::string>> damages = {
      {"nft add table " + table + " '{ flags dormant; }'",
       "table nft-port-mapper-egress is dormant"},
      {"nft delete chain " + chain + " && nft add chain " + chain,
       "chain postrouting has another hook or priority than"},
      {"nft delete chain " + chain + " && nft add chain " + chain +
           " '{ type nat hook postrouting priority 99; }'",
       "chain postrouting has another hook or priority than"},
      {"nft add chain " + chain + " '{ type nat hook postrouting priority 101; policy drop; }'",
       "chain postrouting has another policy than accept"},
      {"nft flush chain " + chain + " && nft delete map " + table + " sources-ip && nft add set " +
           table + " sources-ip '{ type ipv4_addr; }'",
       "set sources-ip has another type than"},
      {"nft delete map " + table + " owners && nft add map " + table +
           " owners '{ type ipv4_addr : ipv4_addr; }'",
       "set owners has another type than"},
      {"nft delete element " + table + " sources-ip '{ 10.22.0.2 }'",
       "10.22.0.2 is not masqueraded"},
      {"nft add chain " + table + " mine && nft delete element " + table +
           " sources-ip '{ 10.22.0.2 }' && nft add element " + table +
           " sources-ip '{ 10.22.0.2 : goto mine }'",
       "10.22.0.2 is led to chain mine, not to net-web-10.22.0.0-16"}};
  REQUIRE(call("ADD", "abc").status == 0);
  for (const auto& damage : damages) {
    const std::string& command = damage.first;
    const std::string& said = damage.second;
    CAPTURE(command);
    REQUIRE(run({"sh", "-c", command}, {.ns = lab.host()}).status == 0);
    const RunResult checked = call("CHECK", "abc");
    CHECK(checked.status == 1);
    CHECK(checked.out.find("table inet nft-port-mapper-egress: " + said) != std::string::npos);
    if (said.find("owners") == std::string::npos)
      CHECK(ctl({"check"}).find("table inet nft-port-mapper-egress: " + said) != std::string::npos);
    CHECK(call("ADD", "abc").status == 0);
    CHECK(call("CHECK", "abc").status == 0);
    CHECK(ctl({"check"}) == "no findings\n");
  }
}

TEST_CASE_FIXTURE(Masqueraded, "egress: a DEL does not fail for a rule that goes to its chain") {
  lab.container("abc", "10.22.0.2/16");
  lab.container("def", "10.22.0.3/24");
  REQUIRE(call("ADD", "abc").status == 0);
  REQUIRE(call("ADD", "def").status == 0);
  (void)tool(lab.host(), "nft add chain inet nft-port-mapper-egress mine");
  (void)tool(lab.host(), "nft add rule inet nft-port-mapper-egress mine jump net-web-10.22.0.0-16");
  CHECK(call("DEL", "abc", "").status == 0);
  CHECK_FALSE(lists("abc"));
  CHECK(lists("def"));
}

TEST_CASE_FIXTURE(Masqueraded,
                  "egress: snatAddress that the host lacks is noted, and is what is taken") {
  lab.container("abc", "10.22.0.2/16");
  const RunResult added =
      call("ADD", "abc",
           R"("ipMasq":true,"snatAddress":"203.0.113.99","nonMasqueradeCIDRs":["10.0.0.0/8"])");
  CHECK(added.status == 0);
  CHECK(added.err ==
        "nft-port-mapper: snatAddress: no interface of this host has 203.0.113.99 now; what leaves "
        "with "
        "it is answered once one has it\n");
  CHECK(ctl({"check"}) ==
        "note: snatAddress: no interface of this host has 203.0.113.99 now; what leaves with it is "
        "answered once one has it\nno findings\n");
  CHECK(lists("ip daddr 10.0.0.0/8 return"));
  CHECK(lists("snat ip to 203.0.113.99"));
}

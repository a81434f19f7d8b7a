// ipMasq: what is left where owners are lost, a saved ruleset is loaded, or an address gets another container.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "nft/names.hpp"
#include "tests/support/cni_cache.hpp"
#include "tests/support/first_mounts.hpp"
#include "tests/support/flows.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string kTable = "inet nft-port-mapper-egress";
const std::string kIpMasq = R"("ipMasq":true)";

// No other test has this address, whose containers may live at the same time.
struct LostMasquerade {
  Lab lab;

  LostMasquerade() { lab.container("abc", "10.22.203.2/16"); }

  [[nodiscard]] int call(const std::string& command, const std::string& container,
                         const std::string& more = kIpMasq) const {
    return Plugin{PLUGIN}
        .call(lab, lab.host(), command, container,
              chained_config("web", lab.previous_result(container), "[]", more))
        .status;
  }
  [[nodiscard]] std::string said(const std::vector<std::string>& words) const {
    std::vector<std::string> argv = {CTL};
    argv.insert(argv.end(), words.begin(), words.end());
    const RunResult result = run(in_first_mounts(argv), {.ns = lab.host()});
    return std::to_string(result.status) + "\n" + result.out + result.err;
  }
  [[nodiscard]] bool lists(const std::string& text) const {
    return tool(lab.host(), "nft list ruleset").find(text) != std::string::npos;
  }
  // Where whoever is in the first mount namespace finds the cache.
  static std::string seen(const CniCache& cache) {
    return first_mounts().empty()
               ? cache.directory()
               : "/proc/" + std::to_string(getpid()) + "/root" + cache.directory();
  }
  void lose() const { (void)tool(lab.host(), "nft flush map " + kTable + " owners"); }
  void reload() const {
    const std::string saved = tool(lab.host(), "nft list ruleset");
    test::nft(lab.host(), "flush ruleset\n" + saved);
  }
};

}  // namespace

TEST_CASE_FIXTURE(LostMasquerade,
                  "egress: what no owner entry has is told, and goes with the DEL") {
  REQUIRE(call("ADD", "abc") == 0);
  lose();
  CHECK(said({"check"}) ==
        "1\ntable " + kTable +
            ": 10.22.203.2 has no owner entry;"
            " nft-port-mapperctl restore writes it again, release CONTAINER ends it\n");
  CHECK(call("DEL", "abc", "") == 0);
  CHECK(tool(lab.host(), "nft list tables") == "");
}

TEST_CASE_FIXTURE(LostMasquerade,
                  "egress: a DEL with lost owners leaves the neighbour, whose owner is lost too") {
  lab.container("def", "10.22.203.3/16");
  REQUIRE(call("ADD", "abc") == 0);
  REQUIRE(call("ADD", "def") == 0);
  lose();
  CHECK(call("DEL", "abc", "") == 0);
  CHECK_FALSE(lists("10.22.203.2 "));
  CHECK(lists("10.22.203.3 comment \"web/def/eth0\" : goto net-web-10.22.0.0-16"));
}

TEST_CASE_FIXTURE(LostMasquerade,
                  "egress: prune ends what is left for the dead, and not for who lives") {
  REQUIRE(call("ADD", "abc") == 0);
  lose();
  CHECK(said({"prune"}).find("ended") == std::string::npos);
  CHECK(lists("10.22.203.2 "));
  lab.remove("abc");
  if (first_mounts().empty()) return;
  CHECK(said({"prune"}) == "0\nended the masquerading of web/abc/eth0\n");
  CHECK(tool(lab.host(), "nft list tables") == "");
}

TEST_CASE_FIXTURE(LostMasquerade,
                  "egress: who wants none is not masqueraded by what no owner entry has") {
  REQUIRE(call("ADD", "abc") == 0);
  lose();
  test::nft(lab.host(), "add element " + kTable + " sources-ip { 10.22.203.9 : drop }\n");
  lab.remove("abc");
  lab.container("new", "10.22.203.2/16");
  lab.container("own", "10.22.203.9/16");
  CHECK(call("ADD", "new", "") == 0);
  CHECK_FALSE(lists("10.22.203.2 "));
  CHECK(call("ADD", "own", "") == 0);
  CHECK_FALSE(lists("10.22.203.9 "));
}

TEST_CASE_FIXTURE(LostMasquerade, "egress: release ends the masquerading of a container") {
  REQUIRE(call("ADD", "abc") == 0);
  CHECK(said({"release", "abc", "--network", "mail"}).starts_with("1\n"));
  CHECK(said({"release", "abc"}) == "0\nended the masquerading of web/abc/eth0\n");
  CHECK(tool(lab.host(), "nft list tables") == "");
}

TEST_CASE_FIXTURE(LostMasquerade,
                  "egress: restore ends what a saved ruleset brought back of the dead") {
  const CniCache cache(lab, kIpMasq);
  REQUIRE(call("ADD", "abc") == 0);
  reload();
  lab.remove("abc");
  if (first_mounts().empty()) return;
  const std::string gone =
      "web/abc/eth0, which a saved ruleset brought back: its container is gone\n";
  CHECK(said({"restore", "--dry-run", "--from", seen(cache)})
            .ends_with("would end the masquerading of " + gone));
  CHECK(said({"restore", "--from", seen(cache)}).ends_with("ended the masquerading of " + gone));
  CHECK(tool(lab.host(), "nft list tables") == "");
}

TEST_CASE_FIXTURE(LostMasquerade, "egress: restore leads an address as the newest record says") {
  const CniCache cache(lab, kIpMasq);
  lab.bare("zzz");
  for (const char* container : {"zzz", "abc"}) {
    cache.write(container, cache.entry(container, {}, lab.previous_result("abc"),
                                       namespace_path(lab.ns("abc"))));
    if (std::string(container) == "abc") continue;
    const auto now = std::filesystem::last_write_time(cache.file(container));
    std::filesystem::last_write_time(cache.file(container), now - std::chrono::hours(1));
  }
  CHECK(ctl(lab, {"restore", "--from", cache.directory()}).status == 0);
  CHECK(lists("10.22.203.2 comment \"web/abc/eth0\""));
  // And where the owner entry of the older one alone is gone.
  test::nft(lab.host(), "delete element " + kTable + " owners { \"" +
                            std::string(portmapper::nft::to_string(
                                portmapper::nft::owner_hash({"web", "zzz", "eth0"}))) +
                            "\" . 0x00000000 }\n");
  CHECK(ctl(lab, {"restore", "--from", cache.directory()}).status == 0);
  CHECK(lists("comment \"web/zzz/eth0\""));
  CHECK(lists("10.22.203.2 comment \"web/abc/eth0\""));
}

TEST_CASE_FIXTURE(LostMasquerade,
                  "egress: an ADD that ends the last one leaves the nat chain to its connections") {
  REQUIRE(call("ADD", "abc") == 0);
  CHECK(call("ADD", "abc", "") == 0);
  CHECK_FALSE(lists("10.22.203.2"));
  CHECK_FALSE(lists("net-web"));
  CHECK(lists("type nat hook postrouting priority srcnat + 1"));
  CHECK(said({"check"}) == "0\nno findings\n");
  CHECK(call("DEL", "abc", "") == 0);
  CHECK(tool(lab.host(), "nft list tables") == "");
  REQUIRE(call("ADD", "abc") == 0);
  REQUIRE(call("ADD", "abc", "") == 0);
  CHECK(said({"prune"}) == "0\nremoved table " + kTable + ", which was empty\n");
  CHECK(tool(lab.host(), "nft list tables") == "");
}

TEST_CASE_FIXTURE(LostMasquerade,
                  "egress: UDP flows of an address end where it is led elsewhere, and no others") {
  lab.container("def", "10.22.203.3/16");
  REQUIRE(call("ADD", "def") == 0);
  const auto begin = [&](const char* source, const char* sport, const char* protocol) {
    (void)tool(lab.host(), std::string("conntrack -I -t 300 -s ") + source + " -d 192.0.2.2 -p " +
                               protocol + " --sport " + sport + " --dport 53" +
                               (protocol[0] == 't' ? " --state ESTABLISHED" : ""));
  };
  const auto begin_all = [&] {
    (void)tool(lab.host(), "conntrack -F");
    begin("10.22.203.2", "5000", "udp");
    begin("10.22.203.3", "5000", "udp");
    begin("10.22.203.2", "5001", "tcp");
    (void)tool(lab.host(),
               "conntrack -I -t 300 -s 10.22.203.2 -d 192.0.2.1 -p udp --sport 5002 --dport 53 "
               "--dst-nat 10.22.203.3");
    return flows(lab, "udp");
  };
  const std::string ended = "src=10.22.203.2 dst=192.0.2.2 sport=5000 dport=53";
  std::vector<std::string> before = begin_all();
  CHECK(call("ADD", "abc") == 0);
  CHECK(lost(before, flows(lab, "udp")) == ended);
  CHECK(flows(lab, "tcp").size() == 1);
  before = begin_all();
  CHECK(call("ADD", "abc") == 0);
  CHECK(lost(before, flows(lab, "udp")) == "");
  CHECK(call("ADD", "abc", R"("ipMasq":true,"snatAddress":"192.0.2.1")") == 0);
  CHECK(lost(before, flows(lab, "udp")) == ended);
  before = begin_all();
  CHECK(call("DEL", "abc", "") == 0);
  CHECK(lost(before, flows(lab, "udp")) == ended);
}

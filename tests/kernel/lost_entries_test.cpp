// Elements of which an operator's hand has deleted a part: nothing leads on for ever to where a container was.
#include <doctest/doctest.h>

#include "nft/names.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

struct LostEntries {
  Lab lab;

  LostEntries() { lab.container("d1", "10.22.0.2/16"); }

  // "STATUS OUT ERR"
  [[nodiscard]] std::string ctl(std::vector<std::string> words) const {
    words.insert(words.begin(), CTL);
    const RunResult result = run(words, {.ns = lab.host()});
    return std::to_string(result.status) + "\n" + result.out + result.err;
  }
  void lose(const std::string& index) const {
    const portmapper::nft::OwnerHash owner = portmapper::nft::owner_hash({"web", "d1", "eth0"});
    test::nft(lab.host(), "delete element inet nft-port-mapper owners { \"" +
                              std::string(portmapper::nft::to_string(owner)) + "\" . " + index +
                              " }\n");
  }
  [[nodiscard]] std::string elements() const { return normalise(listing(lab.host())); }
  [[nodiscard]] bool lists(const std::string& text) const {
    return listing(lab.host()).find(text) != std::string::npos;
  }
  [[nodiscard]] std::string gc(const std::string& valid) const {
    return verdict(Plugin{PLUGIN}.call(
        lab, lab.host(), "GC", "unused",
        R"({"cniVersion":"1.1.0","name":"web","type":"nft-port-mapper","cni.dev/valid-attachments":[)" +
            valid + "]}",
        {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"}));
  }
};

const std::string of_d1 =
    "0.0.0.0:8300/tcp (container_id: d1) has no owner: nft-port-mapperctl restore gives it back to "
    "a "
    "container that lives, check --repair removes it";

}  // namespace

TEST_CASE_FIXTURE(LostEntries, "a DEL removes the claim and target whose owner entry was deleted") {
  lab.container("def", "10.22.0.3/16");
  REQUIRE(Runtime(lab).add("def", {{9090, 90}}) == done);
  const std::string before = elements();
  for (const char* index : {"0x00000000", "0x00000001"}) {
    REQUIRE(Runtime(lab).add("d1", {{8300, 80}, {8301, 81}}) == done);
    lose(index);
    CHECK(Runtime(lab).del("d1") == done);
    CHECK(difference(elements(), before) == "");
  }
}

TEST_CASE_FIXTURE(LostEntries,
                  "prune says what a claim without an owner is, and owner, and it leads on") {
  REQUIRE(Runtime(lab).add("d1", {{8300, 80}, {8301, 81}}) == done);
  lose("0x00000000");
  CHECK(ctl({"prune"}) == "1\nleft: " + of_d1 + "\n");
  CHECK(ctl({"owner", "8300"}) == "1\nnobody publishes 8300/tcp.\nthe claim of " + of_d1 + ".\n");
  CHECK(lists("comment \"container_id: d1\" : 10.22.0.2 . 80"));
  lab.remove("d1");
  CHECK(ctl({"prune"}) == "0\nremoved web/d1/eth0 (1 port)\n");
  CHECK_FALSE(lists("d1"));
}

TEST_CASE_FIXTURE(LostEntries,
                  "GC and release end an attachment whose only owner entry was deleted") {
  const std::string d1 = R"({"containerID":"d1","ifname":"eth0"})";
  for (const bool by_gc : {true, false}) {
    CAPTURE(by_gc);
    REQUIRE(Runtime(lab).add("d1", {{8300, 80}}) == done);
    lose("0x00000000");
    CHECK(gc(d1) == "ok");
    CHECK(lists("tcp . 8300 comment"));
    if (by_gc) {
      CHECK(gc("") == "ok");
    } else {
      CHECK(ctl({"release", "d1", "--network", "mail"}).starts_with("1\n"));
      CHECK(ctl({"release", "d1"}) == "0\nreleased container_id: d1: 0.0.0.0:8300/tcp\n");
    }
    CHECK_FALSE(lists("8300"));
    CHECK_FALSE(lists("comment \"web/d1/eth0\""));
  }
}

TEST_CASE_FIXTURE(LostEntries, "GC of a network leaves another's claim without an owner") {
  REQUIRE(Runtime(lab, R"("chain":"MAIL")", "mail").add("d1", {{8300, 80}}) == done);
  test::nft(lab.host(), "flush map inet nft-port-mapper owners\n");
  CHECK(gc("") == "ok");
  CHECK(lists("tcp . 8300 comment"));
}

TEST_CASE_FIXTURE(LostEntries,
                  "127.0.0.1 reaches no port of a DEL whose record in localnet-users was flushed") {
  REQUIRE(Runtime(lab).add("d1", {{8310, 80}}) == done);
  test::nft(lab.host(), "flush map inet nft-port-mapper localnet-users\n");
  CHECK(Runtime(lab).del("d1") == done);
  CHECK_FALSE(lists("8310"));
}

TEST_CASE_FIXTURE(LostEntries,
                  "an ADD without snat hides no process on 127.0.0.1 by what was left") {
  REQUIRE(Runtime(lab, R"("chain":"MESOS-WEB","snat":false)").add("d1", {{8311, 80}}) == done);
  test::nft(lab.host(), "add element inet nft-port-mapper loopback-ip { tcp . 8310 }\n");
  REQUIRE(Runtime(lab, R"("chain":"MESOS-WEB","snat":false)").add("d1", {{8310, 80}}) == done);
  const std::string set =
      run({"nft", "list", "set", "inet", "nft-port-mapper", "loopback-ip"}, {.ns = lab.host()}).out;
  CHECK(set.find("8310") == std::string::npos);
}

TEST_CASE_FIXTURE(LostEntries, "check --repair needs one run for a claim that 127.0.0.1 reached") {
  REQUIRE(Runtime(lab).add("d1", {{8300, 80}, {8301, 81}}) == done);
  lose("0x00000000");
  CHECK(ctl({"check", "--repair"}) ==
        "0\n"
        "claim of 0.0.0.0:8300/tcp (container_id: d1) has no owner\n"
        "target of 0.0.0.0:8300/tcp in chain MESOS-WEB (container_id: d1) has no owner\n"
        "element of 0.0.0.0:8300/tcp in loopback-ip (container_id: d1) has no owner\n"
        "mended 3 of 3\n");
  CHECK(ctl({"check"}) == "0\nno findings\n");
}

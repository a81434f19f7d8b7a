// DEL: whatever is missing, what the attachment had goes, and nothing of anybody else.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "tests/support/comes_true.hpp"
#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/text.hpp"
#include "tests/support/traced.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// The design's example in a lab of its own, and a neighbour that must keep its port.
struct Example {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  Runtime runtime{lab, example_options};
  std::string only_def;

  Example() {
    REQUIRE(runtime.add("def", {{9090, 80}}) == done);
    only_def = normalise(listing(lab.host()));
    REQUIRE(runtime.add("abc", example_ports) == done);
  }
  [[nodiscard]] std::string now() const { return normalise(listing(lab.host())); }
};

RunResult del(const Lab& lab, const std::string& container, const std::string& config) {
  return Plugin{PLUGIN}.call(lab, lab.host(), "DEL", container, config, {"CNI_NETNS"});
}

void check_success(const RunResult& result) {
  CHECK(result.status == 0);
  CHECK(result.out == "");
  CHECK(result.err == "");
}

}  // namespace

TEST_CASE("del: Nomad's input, without CNI_NETNS, removes what ADD added; and again") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const std::string input = read_file(SHARED_INPUTS "/nomad-del.json");
  check_success(del(lab, "abc", input));  // before any ADD, without a table
  CHECK(listing(lab.host()).empty());
  const Runtime nomad(lab, "", "nomad");
  REQUIRE(nomad.add("abc", {{8080, 80}, {5353, 53, "udp", "192.0.2.1"}}) == done);
  CHECK(listing(lab.host()).find("elements") != std::string::npos);
  for (int repetition = 0; repetition < 2; ++repetition) {
    check_success(del(lab, "abc", input));
    CHECK(listing(lab.host()).find("elements") == std::string::npos);
  }
  nft(lab.host(), "delete table inet nft-port-mapper");
  check_success(del(lab, "abc", input));
  CHECK(listing(lab.host()).empty());
}

TEST_CASE("del: entries that ADD would refuse, and an empty CNI_NETNS, do not stop it") {
  const Example example;
  const std::string config = chained_config(
      "web", "null", R"([{"hostPort":0,"containerPort":80},{"HostPort":99999,"protocol":"icmp"}])",
      R"("chain":"MESOS-WEB")");
  check_success(
      Plugin{PLUGIN}.call(example.lab, example.lab.host(), "DEL", "abc", config, {"CNI_NETNS="}));
  CHECK(difference(example.now(), example.only_def) == "");
}

TEST_CASE("del: what ADD added goes though the configuration's ports and chain changed since") {
  const Example example;
  for (const char* more : {R"("chain":"MESOS-WEB")", R"("chain":"OTHER")", ""}) {
    CAPTURE(more);
    REQUIRE(example.runtime.add("abc", example_ports) == done);
    check_success(del(example.lab, "abc",
                      chained_config("web", example.lab.previous_result("abc"),
                                     to_json({{9090, 80}, {7070, 80}}), more)));
    CHECK(difference(example.now(), example.only_def) == "");
  }
}

TEST_CASE("del: a DEL of another network, interface or unknown container removes nothing") {
  const Example example;
  const std::string before = example.now();
  CHECK(Runtime(example.lab, "", "other").del("abc") == done);
  CHECK(example.runtime.del("ab") == done);
  check_success(Plugin{PLUGIN}.call(example.lab, example.lab.host(), "DEL", "abc",
                                    chained_config("web", "", "null", R"("chain":"MESOS-WEB")"),
                                    {"CNI_IFNAME=eth1"}));
  CHECK(difference(example.now(), before) == "");
}

TEST_CASE("del: a nested Mesos container P.C survives the DEL of P, and P that of P.C") {
  Lab lab;
  const Runtime runtime(lab);
  const std::string parent = lab.container("P", "10.22.0.2/16");
  const std::string child = lab.container("P.C", "10.22.0.3/16");
  const Server p(parent, "parent", Protocol::tcp, "0.0.0.0", 80);
  const Server c(child, "child", Protocol::tcp, "0.0.0.0", 80);
  const auto outcome = [&lab] {
    return probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) + ", " +
           probe(lab.client(), Protocol::tcp, "192.0.2.1", 8081);
  };
  for (const bool parent_first : {true, false}) {
    REQUIRE(runtime.add("P", {{8080, 80}}) == done);
    REQUIRE(runtime.add("P.C", {{8081, 80}}) == done);
    CHECK(outcome() == "parent 192.0.2.2, child 192.0.2.2");
    CHECK(runtime.del(parent_first ? "P" : "P.C") == done);
    CHECK(outcome() == (parent_first ? "refused, child 192.0.2.2" : "parent 192.0.2.2, refused"));
    CHECK(runtime.del(parent_first ? "P.C" : "P") == done);
    CHECK(outcome() == "refused, refused");
  }
}

TEST_CASE("del: elements that an operator deleted one by one are not missed") {
  const Example example;
  const std::string table = "delete element inet nft-port-mapper ";
  for (const std::string& gone : {
           std::string("published-ip { tcp . 8080 }"),
           std::string("published-ip6 { tcp . 8080 }"),
           std::string("published-hostip { 192.0.2.1 . udp . 5353 }"),
           std::string("MESOS-WEB-ip { tcp . 8080 }"),
           std::string("MESOS-WEB-hostip { 192.0.2.1 . udp . 5353 }"),
           std::string("MESOS-WEB-ip6 { tcp . 8080 }"),
           std::string("hairpin-ip { 10.22.0.0/16 . 10.22.0.0/16 }"),
       }) {
    CAPTURE(gone);
    REQUIRE(example.runtime.add("def", {{9090, 80}}) == done);
    REQUIRE(example.runtime.add("abc", example_ports) == done);
    nft(example.lab.host(), table + gone);
    CHECK(example.runtime.del("abc") == done);
    if (gone.starts_with("hairpin")) REQUIRE(example.runtime.add("def", {{9090, 80}}) == done);
    CHECK(difference(example.now(), example.only_def) == "");
  }
}

TEST_CASE("del: one owner entry that an operator deleted does not hide the others") {
  const Example example;
  // The keys as `nft list` shows them: "k3f9..." . 0x00000000, and so on.
  for (const std::string& index : {std::string("0x00000000"), std::string("0x00000001")}) {
    CAPTURE(index);
    REQUIRE(example.runtime.add("abc", example_ports) == done);
    const std::string text = listing(example.lab.host());
    const std::size_t comment = text.find(" . " + index + " comment \"web/abc/eth0\"");
    REQUIRE(comment != std::string::npos);
    const std::size_t key = text.rfind("\"k", comment);
    nft(example.lab.host(), "delete element inet nft-port-mapper owners { " +
                                text.substr(key, comment - key) + " . " + index + " }");
    CHECK(example.runtime.del("abc") == done);
    // The port of the entry that is gone is nobody's; the next ADD of it takes what is left.
    CHECK(example.now().find("web/abc/") == std::string::npos);
    REQUIRE(example.runtime.add("abc", example_ports) == done);
    REQUIRE(example.runtime.del("abc") == done);
    CHECK(difference(example.now(), example.only_def) == "");
  }
}

TEST_CASE("del: sets that an operator flushed, each of them, do not stop it") {
  for (const std::string& set :
       {std::string("published-ip"), std::string("published-hostip"), std::string("published-ip6"),
        std::string("MESOS-WEB-ip"), std::string("MESOS-WEB-hostip"), std::string("MESOS-WEB-ip6"),
        std::string("hairpin-ip"), std::string("hairpin-ip6")}) {
    CAPTURE(set);
    Lab lab;
    const Runtime runtime(lab, example_options);
    lab.container("abc", "10.22.0.2/16", "fd00::2/64");
    REQUIRE(runtime.add("abc", example_ports) == done);
    nft(lab.host(), (set.starts_with("MESOS") ? "flush map inet nft-port-mapper "
                                              : "flush set inet nft-port-mapper ") +
                        set);
    CHECK(runtime.del("abc") == done);
    CHECK(difference(normalise(listing(lab.host())), without_elements(golden_listing())) == "");
  }
}

TEST_CASE("del: after the owner entries were flushed the port blocks nobody") {
  Lab lab;
  const Runtime runtime(lab, example_options);
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  const Server server(def, "def", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(runtime.add("abc", example_ports) == done);
  nft(lab.host(), "flush map inet nft-port-mapper owners");
  CHECK(runtime.del("abc") == done);
  CHECK(runtime.add("def", {{8080, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "def 192.0.2.2");
}

TEST_CASE(
    "del: a table that was saved and loaded again, without our userdata, is emptied as well") {
  const Example example;
  const std::string saved = listing(example.lab.host());
  nft(example.lab.host(), "delete table inet nft-port-mapper\n" + saved);
  CHECK(example.runtime.del("abc") == done);
  CHECK(difference(example.now(), example.only_def) == "");
  CHECK(example.runtime.del("def") == done);
  CHECK(difference(example.now(), without_elements(golden_listing())) == "");
}

TEST_CASE("del: a table that was saved before a reboot and loaded into the new one is emptied") {
  std::string saved;
  {
    const Example example;
    saved = listing(example.lab.host());
  }
  Lab lab;
  nft(lab.host(), saved);
  CHECK(Runtime(lab, example_options).del("abc") == done);
  CHECK(Runtime(lab, example_options).del("def") == done);
  CHECK(difference(normalise(listing(lab.host())), without_elements(golden_listing())) == "");
}

TEST_CASE("del: the owner in a table that was loaded again is still named") {
  const Example example;
  const std::string saved = listing(example.lab.host());
  nft(example.lab.host(), "delete table inet nft-port-mapper\n" + saved);
  CHECK(example.runtime.add("def", {{8080, 80}}) ==
        conflict("def", published_by("0.0.0.0:8080/tcp", "abc") + "; " +
                            published_by("[::]:8080/tcp", "abc")));
  CHECK(example.runtime.add("def", {{5353, 80, "udp"}}) ==
        conflict("def", published_by("192.0.2.1:5353/udp", "abc")));
  CHECK(difference(normalise(listing(example.lab.host())), normalise(saved)) == "");
  // And the owner itself may be added again.
  CHECK(example.runtime.add("abc", example_ports) == done);
  CHECK(example.runtime.del("def") == done);
  CHECK(difference(example.now(), golden_listing()) == "");
}

TEST_CASE("del: a late DEL does not remove the port's new owner") {
  const Example example;
  const Server server(example.def, "def", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(example.runtime.del("abc") == done);
  REQUIRE(example.runtime.add("def", {{8080, 80}}) == done);
  const std::string before = example.now();
  CHECK(example.runtime.del("abc") == done);
  CHECK(difference(example.now(), before) == "");
  CHECK(ask(example.lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "def 192.0.2.2");
}

// The last close of such a socket waits for a grace period of RCU, and nobody's batch is taken meanwhile.
TEST_CASE(
    "del: its socket is left to whoever closes the next Unix socket, so that an ADD behind it need "
    "not wait") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const Traced traced;
  const auto sends_of = [&](const std::string& command) {
    const std::string config =
        chained_config("web", lab.previous_result("abc"), to_json({{8080, 80}}));
    CHECK(traced.plugin("-e trace=sendmsg").call(lab, lab.host(), command, "abc", config).status ==
          0);
    return count(traced.calls(), "SCM_RIGHTS");
  };
  (void)sends_of("ADD");  // it makes the table
  CHECK(sends_of("DEL") == 2);
  CHECK(sends_of("ADD") == 1);
  CHECK(sends_of("DEL") == 2);

  std::array<int, 2> ends{};
  REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  for (const int end : ends) close(end);
  // Of netfilter's sockets the kernel's own one stays.
  CHECK(comes_true([&lab] {
    return count(run({"cat", "/proc/net/netlink"}, {.ns = lab.host()}).out, " 12 ") == 1;
  }));
}

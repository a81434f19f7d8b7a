// portWait: a successor's ADD that comes before its predecessor's DEL gets the port all the same.
#include <doctest/doctest.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <optional>
#include <sstream>
#include <thread>

#include "lib/base/netlink.hpp"
#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/slowness.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

using Clock = std::chrono::steady_clock;

std::string waiting(int seconds, const std::string& more = R"("chain":"MESOS-WEB")") {
  return more + R"(,"portWait":)" + std::to_string(seconds);
}

// The conflict, after the time that was waited.
std::string conflict_after(const std::string& waited, const std::string& container,
                           const std::string& published) {
  return replaced(conflict(container, published), "container " + container + ":",
                  "container " + container + " after waiting " + waited + ":");
}

// How many sockets listen for changes of nf_tables (group 7), in its column of /proc/net/netlink.
std::size_t waiters(const Lab& lab) {
  std::istringstream lines(run({"cat", "/proc/net/netlink"}, {.ns = lab.host()}).out);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string socket, protocol, port, groups;
    words >> socket >> protocol >> port >> groups;
    if (protocol == "12" && groups == "00000040") ++count;
  }
  return count;
}

void until_waiting(const Lab& lab, std::size_t count = 1) {
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (waiters(lab) < count) {
    REQUIRE(Clock::now() < deadline);
    std::this_thread::yield();
  }
}

// The kernel closes a socket that was left to it (lib/base/close_deferred.hpp) a moment later.
bool nobody_waits(const Lab& lab) {
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (waiters(lab) > 0 && Clock::now() < deadline) std::this_thread::yield();
  return waiters(lab) == 0;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <typename Function>
auto begin(Function function) {
  return std::async(std::launch::async, function);
}

// Three containers of which each answers with its name.
struct Containers {
  Lab lab;
  Server a{lab.container("a", "10.22.0.2/16", "fd00::2/64"), "a", Protocol::tcp, "0.0.0.0", 80};
  Server b{lab.container("b", "10.22.0.3/16", "fd00::3/64"), "b", Protocol::tcp, "0.0.0.0", 80};
  Server c{lab.container("c", "10.22.0.4/16", "fd00::4/64"), "c", Protocol::tcp, "0.0.0.0", 80};

  [[nodiscard]] std::string answer(std::uint16_t port = 8080) const {
    return ask(lab.client(), Protocol::tcp, "192.0.2.1", port);
  }
};

}  // namespace

TEST_CASE("wait: a successor's ADD before its predecessor's DEL gets the port when that comes") {
  const Containers all;
  const Runtime now(all.lab);
  const Runtime patient(all.lab, waiting(30));
  REQUIRE(now.add("a", {{8080, 80}}) == done);
  const auto start = Clock::now();
  auto successor = begin([&] { return patient.add("b", {{8080, 80}}); });
  until_waiting(all.lab);
  CHECK(all.answer() == "a 192.0.2.2");
  // What happens to other ports and other tables is not waited for.
  REQUIRE(now.add("c", {{9090, 80}}) == done);
  REQUIRE(now.del("c") == done);
  nft(all.lab.host(), "add table inet other; delete table inet other");
  CHECK(successor.wait_for(std::chrono::milliseconds(200)) == std::future_status::timeout);
  REQUIRE(now.del("a") == done);
  CHECK(successor.get() == done);
  CHECK(seconds_since(start) < 20 * slowness());
  CHECK(all.answer() == "b 192.0.2.2");
  CHECK(nobody_waits(all.lab));
}

TEST_CASE("wait: a port on one address is waited for where another has it on any, and vice versa") {
  const Containers all;
  const Runtime now(all.lab);
  const Mappings any{{8080, 80}};
  const Mappings one{{8080, 80, "tcp", "192.0.2.1"}};
  for (const bool any_first : {true, false}) {
    REQUIRE(now.add("a", any_first ? any : one) == done);
    auto successor = begin(
        [&, any_first] { return Runtime(all.lab, waiting(30)).add("b", any_first ? one : any); });
    until_waiting(all.lab);
    REQUIRE(now.del("a") == done);
    CHECK(successor.get() == done);
    CHECK(all.answer() == "b 192.0.2.2");
    REQUIRE(now.del("b") == done);
  }
}

TEST_CASE("wait: a living owner that stays is named after the time waited, and keeps its port") {
  const Containers all;
  const Runtime now(all.lab);
  REQUIRE(now.add("a", {{8080, 80, "tcp", "192.0.2.1"}}) == done);
  const std::string before = listing(all.lab.host());
  const std::string owner = published_by("192.0.2.1:8080/tcp", "a");
  const auto start = Clock::now();
  CHECK(Runtime(all.lab, waiting(1)).add("b", {{8080, 80}}) ==
        conflict_after("1 second", "b", owner));
  CHECK(seconds_since(start) >= 1);
  CHECK(Runtime(all.lab, waiting(2)).add("b", {{8080, 80}}) ==
        conflict_after("2 seconds", "b", owner));
  const auto again = Clock::now();
  CHECK(Runtime(all.lab, waiting(0)).add("b", {{8080, 80}}) == conflict("b", owner));
  CHECK(seconds_since(again) < slowness());
  CHECK(difference(listing(all.lab.host()), before) == "");
  CHECK(all.answer() == "a 192.0.2.2");
}

TEST_CASE("wait: without portWait it is 5 seconds; an ADD that nobody refuses does not wait") {
  const Containers all;
  const Runtime by_default(all.lab, R"("chain":"MESOS-WEB","portWait":null)");
  const auto start = Clock::now();
  REQUIRE(by_default.add("a", {{8080, 80}}) == done);
  CHECK(seconds_since(start) < 5 * slowness());
  CHECK(by_default.add("b", {{8080, 80}}) ==
        conflict_after(
            "5 seconds", "b",
            published_by("0.0.0.0:8080/tcp", "a") + "; " + published_by("[::]:8080/tcp", "a")));
}

// The kernel tells nobody that a namespace has gone.
TEST_CASE("wait: an owner that dies without a DEL is noticed at the end of the time") {
  Containers all;
  const std::string dead = all.lab.container("dead", "10.22.0.9/16");
  REQUIRE(Runtime(all.lab).add("dead", {{8080, 80}}) == done);
  auto successor = begin([&] { return Runtime(all.lab, waiting(3)).add("b", {{8080, 80}}); });
  until_waiting(all.lab);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // past its second try
  all.lab.remove("dead");
  CHECK(successor.get() == done);
  CHECK(all.answer() == "b 192.0.2.2");
  CHECK(listing(all.lab.host()).find("web/dead/") == std::string::npos);
}

TEST_CASE("wait: of two that wait for one port one gets it, and the other names that one") {
  const Containers all;
  const Runtime patient(all.lab, waiting(4));
  REQUIRE(patient.add("a", {{8080, 80, "tcp", "192.0.2.1"}}) == done);
  auto b = begin([&] { return patient.add("b", {{8080, 80, "tcp", "192.0.2.1"}}); });
  auto c = begin([&] { return patient.add("c", {{8080, 80, "tcp", "192.0.2.1"}}); });
  until_waiting(all.lab, 2);
  REQUIRE(patient.del("a") == done);
  const std::string of_b = b.get();
  const std::string of_c = c.get();
  const bool is_b = of_b == done;
  const std::string winner = is_b ? "b" : "c";
  const std::string loser = is_b ? "c" : "b";
  CHECK((is_b ? of_b : of_c) == done);
  CHECK((is_b ? of_c : of_b) ==
        conflict_after("4 seconds", loser, published_by("192.0.2.1:8080/tcp", winner)));
  CHECK(all.answer() == winner + " 192.0.2.2");
}

TEST_CASE("wait: a flush of the table frees its ports as well") {
  const Containers all;
  for (const char* flush : {"flush ruleset", "delete table inet nft-port-mapper",
                            "flush map inet nft-port-mapper owners"}) {
    CAPTURE(std::string(flush));
    REQUIRE(Runtime(all.lab).add("a", {{8080, 80}}) == done);
    auto successor = begin([&] { return Runtime(all.lab, waiting(30)).add("b", {{8080, 80}}); });
    until_waiting(all.lab);
    nft(all.lab.host(), flush);
    CHECK(successor.get() == done);
    CHECK(all.answer() == "b 192.0.2.2");
    REQUIRE(Runtime(all.lab).del("b") == done);
  }
}

// A socket that overflowed drops what comes until it is empty, without another word.
TEST_CASE("wait: after events that were lost the next one is not") {
  const Lab lab;
  std::optional<Netlink> events;
  Lab::in(lab.host(), [&events] {
    Result<Netlink> opened = Netlink::open(NETLINK_NETFILTER);
    events.emplace(*std::move(opened));
    return static_cast<bool>(events->join(NFNLGRP_NFTABLES));
  });
  std::string elements = "1";
  for (int port = 2; port <= 20000; ++port) elements += "," + std::to_string(port);
  nft(lab.host(), "add table inet t; add set inet t s { type inet_service; };");
  nft(lab.host(), "add element inet t s { " + elements + " }");
  const Result<bool> lost = events->wait(Clock::now(), [](const nlmsghdr&) {});
  REQUIRE(!lost);
  CHECK(lost.error().error_number == ENOBUFS);
  nft(lab.host(), "delete table inet t");
  bool seen = false;
  const Result<bool> came =
      events->wait(Clock::now() + std::chrono::seconds(5), [&seen](const nlmsghdr& event) {
        seen = seen || event.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE);
      });
  CHECK((came && *came));
  CHECK(seen);
  CHECK_FALSE(*events->wait(Clock::now(), [](const nlmsghdr&) {}));
}

TEST_CASE("wait: a plugin that is ended meanwhile leaves nothing") {
  const Containers all;
  REQUIRE(Runtime(all.lab).add("a", {{8080, 80}}) == done);
  const std::string before = listing(all.lab.host());
  const ScratchDirectory scratch;
  for (const char* signal : {"TERM", "KILL"}) {
    scratch.script("ended", std::string("exec timeout -s ") + signal + " 1 " PLUGIN);
    const RunResult ended = Plugin{scratch.path("ended")}.call(
        all.lab, all.lab.host(), "ADD", "b",
        chained_config("web", all.lab.previous_result("b"), to_json({{8080, 80}}), waiting(30)));
    CHECK(ended.status == (signal == std::string("TERM") ? 124 : 128 + 9));
    CHECK(ended.out == "");
    CHECK(difference(listing(all.lab.host()), before) == "");
    CHECK(nobody_waits(all.lab));
  }
}

TEST_CASE("wait: the delegate's interface stays meanwhile, and goes when the port stays taken") {
  const Containers all;
  const ScratchDirectory scratch;
  scratch.script("fake", "cat >/dev/null; echo $CNI_COMMAND >>" + scratch.path("calls") +
                             "\n[ $CNI_COMMAND != ADD ] || echo '" + result_of("10.22.0.3/16") +
                             "'");
  const Plugin plugin{PLUGIN, scratch.path()};
  const auto add = [&](int seconds) {
    return plugin.call(
        all.lab, all.lab.host(), "ADD", "b",
        chained_config("web", "", to_json({{8080, 80}}),
                       waiting(seconds, R"("chain":"MESOS-WEB","delegate":{"type":"fake"})")));
  };
  REQUIRE(Runtime(all.lab).add("a", {{8080, 80, "tcp", "192.0.2.1"}}) == done);
  const RunResult refused = add(1);
  CHECK(refused.err ==
        "nft-port-mapper: " +
            conflict_after("1 second", "b", published_by("192.0.2.1:8080/tcp", "a")) + "\n");
  CHECK(read_file(scratch.path("calls")) == "ADD\nDEL\n");
  REQUIRE(nobody_waits(all.lab));
  auto successor = begin([&] { return add(30); });
  until_waiting(all.lab);
  CHECK(read_file(scratch.path("calls")) == "ADD\nDEL\nADD\n");
  REQUIRE(Runtime(all.lab).del("a") == done);
  const RunResult added = successor.get();
  CHECK(added.status == 0);
  CHECK(added.out == result_of("10.22.0.3/16") + "\n");
  CHECK(added.err == "");
  CHECK(read_file(scratch.path("calls")) == "ADD\nDEL\nADD\n");
  CHECK(all.answer() == "b 192.0.2.2");
}

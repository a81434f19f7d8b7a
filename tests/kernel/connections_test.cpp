// Connections through a published port end when it leads elsewhere: their clients learn at once.
// Nobody else's do.
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "tests/support/cni_cache.hpp"
#include "tests/support/connection.hpp"
#include "tests/support/files.hpp"
#include "tests/support/flows.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

constexpr std::uint16_t kClientPort = 5000;
const std::string kOwnChain = R"("chain":"MESOS-WEB")";
const std::string kKeep = kOwnChain + R"(,"closeConnections":false)";
// Of the client's connection to a port of the host, or of its flow.
std::string to_port(std::uint16_t number) {
  return "src=192.0.2.2 dst=192.0.2.1 sport=" + std::to_string(kClientPort) +
         " dport=" + std::to_string(number);
}

// Containers a and b publish 8080 in turn.
struct Pair {
  Pair() {  // by default the flow of an INIT lasts 3 seconds
    write_sysctl(lab.host(), "net/netfilter/nf_conntrack_sctp_timeout_cookie_wait", "60");
  }

  Lab lab;
  Runtime runtime{lab};
  std::string a = lab.container("a", "10.22.0.2/16", "fd00::2/64");
  std::string b = lab.container("b", "10.22.0.4/16", "fd00::4/64");

  // The client's connection to a port that leads to port 80 of the container.
  [[nodiscard]] Connection open(const std::string& container, std::uint16_t number = 8080) const {
    return {container, 80, lab.client(), "192.0.2.1", number, kClientPort};
  }
  // A datagram, which nobody answers.
  void datagram(std::uint16_t number) const {
    (void)probe(lab.client(), Protocol::udp, "192.0.2.1", number,
                {.source_port = kClientPort, .timeout = std::chrono::milliseconds(50)});
  }
  [[nodiscard]] std::vector<std::string> tcp() const { return flows(lab, "tcp"); }
  [[nodiscard]] std::vector<std::string> udp() const { return flows(lab, "udp"); }
};

// The container never answers, as if its address were nobody's.
void fall_silent(const std::string& ns) {
  nft(ns, "table inet t { chain in { type filter hook input priority 0; tcp dport 80 drop; }; }");
}

// Whose answer a client gets that began to connect to `address` before `replace` ran.
std::string connecting_while(const Lab& lab, const std::string& address,
                             const std::function<void()>& replace) {
  std::future<std::string> answer = std::async(std::launch::async, [&] {
    return probe(lab.client(), Protocol::tcp, address, 8080,
                 {.timeout = std::chrono::milliseconds(5500)});
  });
  while (flows(lab, "tcp").empty()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  replace();
  return answer.get();
}

// As a runtime calls GC that knows no attachment any more.
std::string gc_of_all(const Lab& lab, const std::string& more) {
  const std::string config =
      R"({"cniVersion":"1.1.0","name":"web","type":"nft-port-mapper","cni.dev/valid-attachments":[],)";
  const std::string answer =
      verdict(Plugin{PLUGIN}.call(lab, lab.host(), "GC", "unused", config + more + "}",
                                  {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"}));
  return answer == "ok" ? done : answer;
}

}  // namespace

TEST_CASE("connections: who connects while its container is replaced reaches the new one") {
  for (const char* address : {"192.0.2.1", "2001:db8::1"}) {
    CAPTURE(address);
    const Pair pair;
    const Service b(pair.b, "b", 80);
    fall_silent(pair.a);
    REQUIRE(pair.runtime.add("a", {{8080, 80}}) == done);
    const std::string answer = connecting_while(pair.lab, address, [&pair] {
      REQUIRE(pair.runtime.del("a") == done);
      REQUIRE(pair.runtime.add("b", {{8080, 80}}) == done);
    });
    CHECK(answer.substr(0, answer.find(' ')) == "b");
  }
}

TEST_CASE(
    "connections: who connects while a dead container's port is taken over reaches the new one") {
  Pair pair;
  const Service b(pair.b, "b", 80);
  fall_silent(pair.a);
  REQUIRE(pair.runtime.add("a", {{8080, 80}, {9090, 80}}) == done);
  const std::string answer = connecting_while(pair.lab, "192.0.2.1", [&pair] {
    pair.lab.remove("a");
    REQUIRE(pair.runtime.add("b", {{8080, 80}}) == done);
  });
  CHECK(answer == "b 192.0.2.2");
}

TEST_CASE("connections: after DEL the client's next byte is answered by a reset") {
  const Pair pair;
  REQUIRE(pair.runtime.add("a", {{8080, 80}, {9090, 80}}) == done);
  const Connection first = pair.open(pair.a);
  REQUIRE(first.works());
  const std::vector<std::string> before = pair.tcp();
  REQUIRE(pair.runtime.del("a") == done);
  CHECK(lost(before, pair.tcp()) == to_port(8080));
  CHECK(first.ends());

  // The port's new owner resets what it does not know.
  REQUIRE(pair.runtime.add("a", {{8080, 80}}) == done);
  const Connection second = pair.open(pair.a);
  REQUIRE(second.works());
  REQUIRE(pair.runtime.del("a") == done);
  REQUIRE(pair.runtime.add("b", {{8080, 80}}) == done);
  CHECK(second.ends());
}

TEST_CASE("connections: ADD again ends those of ports that it has no longer, of every protocol") {
  const auto lost_by = [](const Mappings& before, const Mappings& after) {
    const Pair pair;
    REQUIRE(pair.runtime.add("a", before) == done);
    const Connection stays = pair.open(pair.a, 8080);
    const Connection leaves = pair.open(pair.a, 9090);
    pair.datagram(5353);
    pair.datagram(6000);
    const std::vector<std::string> tcp = pair.tcp();
    const std::vector<std::string> udp = pair.udp();
    REQUIRE(pair.runtime.add("a", after) == done);
    const std::string gone = lost(tcp, pair.tcp()) + "; " + lost(udp, pair.udp());
    CHECK(stays.works());
    CHECK(leaves.ends());
    return gone;
  };
  const Mappings before = {{8080, 80}, {9090, 80}, {5353, 53, "udp"}, {6000, 53, "udp"}};
  CHECK(lost_by(before, {{8080, 80}, {5353, 53, "udp"}}) == to_port(9090) + "; " + to_port(6000));
  // On one address, that of the client's connections, where it was on any: its endpoint holds it still.
  CHECK(lost_by(before, {{8080, 80, "tcp", "192.0.2.1"}, {9090, 80, "tcp", "192.0.2.11"}}) ==
        to_port(9090) + "; " + to_port(5353) + ", " + to_port(6000));
}

TEST_CASE("connections: who takes over from the dead ends those of all their ports") {
  Pair pair;
  REQUIRE(pair.runtime.add("a", {{8080, 80}, {9090, 80}, {6000, 53, "udp"}}) == done);
  Connection first = pair.open(pair.a, 8080);
  Connection second = pair.open(pair.a, 9090);
  pair.datagram(6000);
  const std::vector<std::string> tcp = pair.tcp();
  const std::vector<std::string> udp = pair.udp();
  first.lose_server();
  second.lose_server();
  pair.lab.remove("a");
  REQUIRE(pair.runtime.add("b", {{8080, 80}}) == done);
  CHECK(lost(tcp, pair.tcp()) == to_port(8080) + ", " + to_port(9090));
  CHECK(lost(udp, pair.udp()) == to_port(6000));
  CHECK(first.ends());
  CHECK(second.ends());
}

TEST_CASE("connections: prune, release, GC and both flushes end those of what they remove") {
  using Command = std::function<std::string(Pair&, Connection&)>;
  const auto run_ctl = [](const Pair& pair, const std::vector<std::string>& words) {
    const RunResult result = ctl(pair.lab, words);
    return result.status == 0 && result.err.empty() ? done : result.out + result.err;
  };
  const std::array<std::pair<const char*, Command>, 5> commands = {
      {{"prune",
        [&](Pair& pair, Connection& connection) {
          connection.lose_server();
          pair.lab.remove("a");
          return run_ctl(pair, {"prune"});
        }},
       {"release",
        [&](Pair& pair, Connection&) {
          return run_ctl(pair, {"release", "a"});
        }},
       {"GC", [](Pair& pair, Connection&) { return gc_of_all(pair.lab, kOwnChain); }},
       {"flush --network",
        [&](Pair& pair, Connection&) {
          return run_ctl(pair, {"flush", "--network", "web", "--yes"});
        }},
       {"flush", [&](Pair& pair, Connection&) {
          return run_ctl(pair, {"flush", "--yes"});
        }}}};
  for (const auto& [name, command] : commands) {
    const std::string what = name;
    CAPTURE(what);
    Pair pair;
    const Connection own(pair.lab.host(), 7070, pair.lab.client(), "192.0.2.1", 7070);
    REQUIRE(pair.runtime.add("a", {{8080, 80}}) == done);
    Connection connection = pair.open(pair.a);
    const std::vector<std::string> before = pair.tcp();
    CHECK(command(pair, connection) == done);
    CHECK(lost(before, pair.tcp()) == to_port(8080));
    CHECK(connection.ends());
    CHECK(own.works());
  }
}

TEST_CASE("connections: those of processes, of other owners and of other tables go on") {
  const Pair pair;
  const Lab& lab = pair.lab;
  // Another table leads to the same endpoint, from a port of its own and from the published one.
  nft(lab.host(),
      "table ip other { chain pre { type nat hook prerouting priority dstnat; ip saddr 192.0.2.2 "
      "tcp dport 7070 dnat to 10.22.0.2:80; ip daddr 192.0.2.11 tcp dport 8080 dnat to "
      "10.22.0.2:80; }; }");
  REQUIRE(pair.runtime.add("b", {{6060, 80}}) == done);  // from now on connections have labels
  const std::array others = {
      Connection(pair.a, 80, lab.client(), "192.0.2.1", 7070),
      Connection(pair.a, 80, lab.client(), "192.0.2.11", 8080),
      Connection(pair.a, 80, lab.client(), "10.22.0.2", 80),          // routed
      pair.open(pair.b, 6060),                                        // another owner's
      Connection(lab.host(), 8080, lab.client(), "192.0.2.1", 8080),  // before it was published
      Connection(lab.client(), 8080, pair.a, "192.0.2.2", 8080)};     // from the container
  const std::vector<std::string> before = pair.tcp();
  REQUIRE(before.size() == others.size());
  const Mapping on_one = {8080, 80, "tcp", "192.0.2.11"};  // where the other table leads there too
  REQUIRE(pair.runtime.add("a", {{8080, 80}, on_one, {9090, 80}}) == done);
  REQUIRE(pair.runtime.add("a", {{8080, 80}, on_one}) == done);
  {
    const Connection ours = pair.open(pair.a);
    REQUIRE(pair.runtime.del("a") == done);
    CHECK(ours.ends());
  }
  CHECK(lost(before, pair.tcp()) == "");
  for (const Connection& other : others) CHECK(other.works());
  REQUIRE(ctl(lab, {"flush", "--yes"}).status == 0);
  CHECK(lost(before, pair.tcp()) == to_port(6060));
}

TEST_CASE("connections: another owner of the same endpoint keeps its own") {
  const Pair pair;
  const Runtime second(pair.lab, R"("chain":"SECOND")", "second");
  REQUIRE(pair.runtime.add("a", {{8080, 80}}) == done);
  REQUIRE(second.add("a", {{9090, 80}}) == done);
  const Connection first = pair.open(pair.a, 8080);
  const Connection other = pair.open(pair.a, 9090);
  REQUIRE(pair.runtime.del("a") == done);
  CHECK(first.ends());
  CHECK(other.works());
}

TEST_CASE(
    "connections: with closeConnections false those of TCP and SCTP go on, and UDP flows end") {
  const Mappings ports = {{8080, 80}, {8080, 80, "sctp"}, {5353, 53, "udp"}};
  using Command = std::function<std::string(const Pair&, const Runtime&)>;
  const std::array<std::pair<const char*, Command>, 3> commands = {
      {{"DEL", [](const Pair&, const Runtime& keeping) { return keeping.del("a"); }},
       {"ADD again",
        [](const Pair&, const Runtime& keeping) {
          return keeping.add("a", {{9090, 80}});
        }},
       {"GC", [](const Pair& pair, const Runtime&) { return gc_of_all(pair.lab, kKeep); }}}};
  for (const auto& [name, command] : commands) {
    const std::string what = name;
    CAPTURE(what);
    const Pair pair;
    const Runtime keeping(pair.lab, kKeep);
    REQUIRE(keeping.add("a", ports) == done);
    const Connection connection = pair.open(pair.a);
    send_raw_sctp(pair.lab.client(), "192.0.2.1", 8080, kClientPort);
    pair.datagram(5353);
    const std::vector<std::string> tcp = pair.tcp();
    const std::vector<std::string> sctp = flows(pair.lab, "sctp");
    const std::vector<std::string> udp = pair.udp();
    REQUIRE(sctp.size() == 1);
    CHECK(command(pair, keeping) == done);
    CHECK(lost(tcp, pair.tcp()) == "");
    CHECK(lost(sctp, flows(pair.lab, "sctp")) == "");
    CHECK(lost(udp, pair.udp()) == to_port(5353));
    CHECK(connection.works());
    // Whoever has the port now does not end them either.
    REQUIRE(keeping.del("a") == done);
    REQUIRE(keeping.add("b", ports) == done);
    CHECK(connection.works());
  }
}

TEST_CASE("connections: SCTP's flows end with DEL, and with the take-over from the dead") {
  for (const char* address : {"192.0.2.1", "2001:db8::1"}) {
    CAPTURE(address);
    Pair pair;
    const auto flow_to = [&](std::uint16_t number) {
      const std::string client = std::string(address) == "192.0.2.1" ? "192.0.2.2" : "2001:db8::2";
      return "src=" + client + " dst=" + address + " sport=5000 dport=" + std::to_string(number);
    };
    REQUIRE(pair.runtime.add("b", {{7070, 80, "sctp"}}) == done);
    for (const bool dies : {false, true}) {
      REQUIRE(pair.runtime.add("a", {{8080, 80, "sctp"}, {9090, 80, "sctp"}}) == done);
      send_raw_sctp(pair.lab.client(), address, 7070, kClientPort);
      send_raw_sctp(pair.lab.client(), address, 8080, kClientPort);
      send_raw_sctp(pair.lab.client(), address, 9090, kClientPort);
      const std::vector<std::string> before = flows(pair.lab, "sctp");
      REQUIRE(before.size() == 3);
      if (dies) {
        pair.lab.remove("a");
        REQUIRE(pair.runtime.add("b", {{7070, 80, "sctp"}, {8080, 80, "sctp"}}) == done);
      } else {
        REQUIRE(pair.runtime.del("a") == done);
      }
      CHECK(lost(before, flows(pair.lab, "sctp")) == flow_to(8080) + ", " + flow_to(9090));
    }
  }
}

TEST_CASE("connections: an ADD that leaves no port goes through no flows of TCP") {
  const Pair pair;
  // Somebody who may translate too: the kernel does not end flows of ours alone then.
  (void)tool(pair.lab.host(), "nft add table ip others");
  (void)tool(pair.lab.host(),
             "nft add chain ip others pre { type nat hook prerouting priority -150 ; }");
  const ScratchDirectory scratch;
  scratch.script("traced", "ASAN_OPTIONS=detect_leaks=0 exec strace -f -qq -e trace=sendto -o " +
                               scratch.path("calls") + " " PLUGIN);
  const auto asks = [&](const std::string& command, const Mappings& ports) {
    const RunResult result = Plugin{scratch.path("traced")}.call(
        pair.lab, pair.lab.host(), command, "a",
        chained_config("web", pair.lab.previous_result("a"), to_json(ports), kOwnChain));
    REQUIRE(result.status == 0);
    const std::string calls = read_file(scratch.path("calls"));
    std::size_t dumps = 0;
    for (std::size_t at = calls.find("MSG_CT_GET"); at != std::string::npos;
         at = calls.find("MSG_CT_GET", at + 1))
      ++dumps;
    return dumps;
  };
  CHECK(asks("ADD", {{8080, 80}, {9090, 80}}) == 0);
  CHECK(asks("ADD", {{8080, 80}, {9090, 80}, {7070, 80}}) == 0);
  CHECK(asks("ADD", {{7070, 80}}) == 2);  // one for each family
  CHECK(asks("DEL", {}) == 2);
}

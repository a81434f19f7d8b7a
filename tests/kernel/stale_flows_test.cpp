// Stale flows: UDP clients that keep their source port follow the port to its new owner; nobody
// else's flows are touched.
#include <doctest/doctest.h>

#include <array>
#include <iomanip>
#include <map>
#include <regex>
#include <sstream>

#include "tests/support/flows.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"
#include "tests/support/traced.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

constexpr std::uint16_t port = 5353;
constexpr std::uint16_t fixed = 5000;  // the source port that every client keeps
const std::string container = "10.22.0.2";

// Where a client with one fixed source port sends, and how the port is published.
struct Path {
  const char* from;          // "client", "host" or "def"
  const char* to;            // the host's address
  const char* host_address;  // hostIP
};
constexpr std::array paths = {Path{"client", "192.0.2.1", ""},
                              Path{"client", "192.0.2.11", ""},
                              Path{"client", "2001:db8::1", ""},
                              Path{"client", "192.0.2.11", "192.0.2.11"},
                              Path{"client", "2001:db8::1", "2001:db8::1"},
                              Path{"host", "192.0.2.1", ""},
                              Path{"host", "127.0.0.1", ""},
                              Path{"host", "127.0.0.9", ""},
                              Path{"host", "127.0.0.1", "127.0.0.1"},
                              Path{"host", "fd00::1", ""},
                              Path{"def", "192.0.2.1", ""},
                              Path{"def", "2001:db8::1", "2001:db8::1"}};

// Container a at 10.22.0.2 and b at 10.22.0.4 publish the port in turn; def is their neighbour.
struct Turns {
  Lab lab;
  Runtime runtime{lab};
  std::string a = lab.container("a", container + "/16", "fd00::2/64");
  std::string b = lab.container("b", "10.22.0.4/16", "fd00::4/64");
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");

  [[nodiscard]] std::string add(const std::string& name, const Path& path) const {
    return runtime.add(name, {{port, 53, "udp", path.host_address}});
  }
  // The next datagram: who answers it?
  [[nodiscard]] std::string next(const Path& path) const {
    const std::string answer = probe(lab.ns(path.from), Protocol::udp, path.to, port,
                                     {.source_port = fixed, .timeout = std::chrono::seconds(2)});
    return answer.substr(0, answer.find(' '));
  }
};

// Somebody who may translate destinations too, so that flows are looked at one by one.
void let_others_translate(const Lab& lab) {
  (void)tool(lab.host(), "nft add table ip others");
  (void)tool(lab.host(),
             "nft add chain ip others pre { type nat hook prerouting priority -150 ; }");
}

// A kernel without ctnetlink: strace turns the plugin's first request to it into one for a
// subsystem that does not exist (EINVAL from the kernel itself), or lets the system call fail.
class WithoutConntrack {
 public:
  // The calls are the same each time, so a first one in a lab of its own tells which to change.
  WithoutConntrack() {
    const Turns turns;
    let_others_translate(turns.lab);
    for (const char* command : {"ADD", "DEL"}) {
      (void)call(turns, command, "");
      std::istringstream lines(traced_.calls());
      std::string line;
      do {
        REQUIRE(std::getline(lines, line));
        ++number_[command];
      } while (line.find("NFNL_SUBSYS_CTNETLINK") == std::string::npos);
      static const std::regex length("\\[\\{nlmsg_len=(\\d+), ");
      std::smatch match;
      REQUIRE(std::regex_search(line, match, length));
      std::ostringstream bytes;  // of a number in the host's order, which is that of x86
      bytes << std::hex << std::setfill('0') << std::setw(2) << std::stoul(match[1].str());
      length_[command] = bytes.str() + "000000";
    }
  }

  [[nodiscard]] RunResult call(const Turns& turns, const std::string& command,
                               const std::string& how) const {
    std::string options = "-e trace=sendto";
    if (!how.empty())
      options += " -e inject=sendto:" + replaced(how, "LENGTH", length_.at(command)) +
                 ":when=" + std::to_string(number_.at(command));
    const Lab& lab = turns.lab;
    return traced_.plugin(options).call(
        lab, lab.host(), command, "a",
        chained_config("web", lab.previous_result("a"), to_json({{port, 53, "udp"}}),
                       R"("chain":"MESOS-WEB")"));
  }

 private:
  Traced traced_;
  std::map<std::string, int> number_;
  std::map<std::string, std::string> length_;  // of the request, as bytes
};

}  // namespace

TEST_CASE("stale flows: after DEL A and ADD B, the next datagram from the same port reaches B") {
  for (const Path& path : paths) {
    CAPTURE(path.from);
    CAPTURE(path.to);
    CAPTURE(path.host_address);
    const Turns turns;
    const Service a(turns.a, "a", 53);
    const Service b(turns.b, "b", 53);
    REQUIRE(turns.add("a", path) == done);
    REQUIRE(turns.next(path) == "a");
    REQUIRE(turns.runtime.del("a") == done);
    REQUIRE(turns.add("b", path) == done);
    CHECK(turns.next(path) == "b");
  }
}

TEST_CASE("stale flows: a client that goes on sending between DEL A and ADD B reaches B") {
  const Turns turns;
  const Service a(turns.a, "a", 53);
  const Service b(turns.b, "b", 53);
  for (const Path& path : {paths[0], paths[2], paths[6]}) {
    CAPTURE(path.to);
    REQUIRE(turns.add("a", path) == done);
    REQUIRE(turns.next(path) == "a");
    REQUIRE(turns.runtime.del("a") == done);
    CHECK(turns.next(path) == "refused");
    REQUIRE(turns.add("b", path) == done);
    CHECK(turns.next(path) == "b");
    REQUIRE(turns.runtime.del("b") == done);
  }
}

TEST_CASE("stale flows: after DEL A, the next datagram reaches a process of the host") {
  for (const Path& path : paths) {
    CAPTURE(path.from);
    CAPTURE(path.to);
    CAPTURE(path.host_address);
    const Turns turns;
    const Service a(turns.a, "a", 53);
    REQUIRE(turns.add("a", path) == done);
    REQUIRE(turns.next(path) == "a");
    REQUIRE(turns.runtime.del("a") == done);
    const Service host(turns.lab.host(), "host", port);
    CHECK(turns.next(path) == "host");
  }
}

TEST_CASE("stale flows: at the first ADD, flows of a process of the host go to the container") {
  for (const bool translating : {false, true}) {
    for (const Path& path : paths) {
      CAPTURE(translating);
      CAPTURE(path.from);
      CAPTURE(path.to);
      CAPTURE(path.host_address);
      const Turns turns;
      const Service host(turns.lab.host(), "host", port);
      const Service a(turns.a, "a", 53);
      // The kernel follows flows only where a ruleset asks for it: a firewall, or our own table.
      nft(turns.lab.host(),
          "table inet firewall { chain input { type filter hook input priority 0; "
          "ct state invalid drop; }; }");
      if (translating) REQUIRE(turns.runtime.add("b", {{6000, 53, "udp"}}) == done);
      REQUIRE(turns.next(path) == "host");
      REQUIRE(flows(turns.lab, "udp").size() == 1);
      REQUIRE(turns.add("a", path) == done);
      CHECK(turns.next(path) == "a");
    }
  }
}

TEST_CASE("stale flows: an ADD on any address ends none of those who keep the port there") {
  const Turns turns;
  const Lab& lab = turns.lab;
  const Server lan(lab.host(), "lan", Protocol::udp, "192.0.2.1", port);
  const Server stub(lab.host(), "stub", Protocol::udp, "127.0.0.53", port);
  const Server any(lab.host(), "any", Protocol::udp, "0.0.0.0", port);
  const Runtime careful(lab, R"("chain":"MESOS-WEB","excludeAddresses":["10.22.0.1"])");
  REQUIRE(careful.add("b", {{6000, 53, "udp"}}) == done);
  nft(lab.host(),
      "table ip other { chain prerouting { type nat hook prerouting priority dstnat; "
      "ip daddr 192.0.2.11 udp dport 5353 dnat to 10.22.0.4:53; }; }");
  const Service b(turns.b, "b", 53);
  const auto asked = [&](const std::string& from, const std::string& to) {
    return ask(lab.ns(from), Protocol::udp, to, port, fixed);
  };
  REQUIRE(asked("client", "192.0.2.1") == "lan 192.0.2.2");
  REQUIRE(asked("client", "192.0.2.11") == "b 192.0.2.2");
  REQUIRE(asked("host", "127.0.0.53") == "stub 127.0.0.1");
  REQUIRE(asked("def", "10.22.0.1") == "any 10.22.0.3");
  REQUIRE(asked("host", "127.0.0.9") == "any 127.0.0.1");
  const std::vector<std::string> before = flows(lab, "udp");
  REQUIRE(careful.add("a", {{port, 53, "udp"}}) == done);
  CHECK(lost(before, flows(lab, "udp")) == "src=127.0.0.1 dst=127.0.0.9 sport=5000 dport=5353");
}

TEST_CASE("stale flows: a port that moves to another port of its container takes its clients") {
  const Turns turns;
  const Service a(turns.a, "a", 53);
  const Service other(turns.a, "other", 54);
  REQUIRE(turns.add("a", paths[0]) == done);
  REQUIRE(turns.next(paths[0]) == "a");
  REQUIRE(turns.runtime.add("a", {{port, 54, "udp"}}) == done);
  CHECK(turns.next(paths[0]) == "other");
}

TEST_CASE("stale flows: of all UDP flows, ADD and DEL delete those of their ports and no others") {
  const Turns turns;
  const Lab& lab = turns.lab;
  const Service a(turns.a, "a", 53);
  const Service b(turns.b, "b", 53);
  const Service outside(lab.client(), "client", port);
  const Service host(lab.host(), "host", port);
  REQUIRE(turns.runtime.add("b", {{6000, 53, "udp"}}) == done);
  const auto fill = [&] {
    const auto datagram = [](const std::string& from, const std::string& to, std::uint16_t number) {
      return ask(from, Protocol::udp, to, number, fixed);
    };
    REQUIRE(datagram(lab.client(), "192.0.2.1", 6000) == "b 192.0.2.2");      // another owner's
    REQUIRE(datagram(lab.client(), "2001:db8::1", 6000) == "b 2001:db8::2");  // another owner's
    REQUIRE(datagram(lab.client(), container, 53) == "a 192.0.2.2");          // routed
    REQUIRE(datagram(turns.a, "192.0.2.2", port) == "client 10.22.0.2");      // from the container
    REQUIRE(datagram(turns.def, "2001:db8::2", port) == "client fd00::3");  // same number, not ours
    REQUIRE(datagram(lab.host(), "192.0.2.2", port) == "client 192.0.2.1");  // the host's own
  };
  fill();
  REQUIRE(ask(lab.client(), Protocol::udp, "192.0.2.1", port, fixed) == "host 192.0.2.2");
  REQUIRE(ask(lab.client(), Protocol::udp, "192.0.2.11", port, fixed) == "host 192.0.2.2");
  std::vector<std::string> before = flows(lab, "udp");
  REQUIRE(turns.runtime.add("a", {{port, 53, "udp", "192.0.2.1"}}) == done);
  CHECK(lost(before, flows(lab, "udp")) == "src=192.0.2.2 dst=192.0.2.1 sport=5000 dport=5353");

  REQUIRE(ask(lab.client(), Protocol::udp, "192.0.2.1", port, fixed) == "a 192.0.2.2");
  before = flows(lab, "udp");
  REQUIRE(turns.runtime.del("a") == done);
  CHECK(lost(before, flows(lab, "udp")) == "src=192.0.2.2 dst=192.0.2.1 sport=5000 dport=5353");
  fill();
}

TEST_CASE("stale flows: a DEL ends its own of TCP and UDP, and another table's to there go on") {
  const Turns turns;
  const Lab& lab = turns.lab;
  const Service a(turns.a, "a", 53);
  const std::string own = "src=192.0.2.2 dst=192.0.2.1 sport=5000 dport=5353";
  const std::string anothers = "src=192.0.2.2 dst=192.0.2.11 sport=5000 dport=5353";
  for (const bool others_translate : {false, true}) {
    CAPTURE(others_translate);
    if (others_translate) {
      let_others_translate(lab);
      for (const char* protocol : {"tcp", "udp"})
        (void)tool(lab.host(), std::string("nft add rule ip others pre ip daddr 192.0.2.11 ") +
                                   protocol + " dport 5353 dnat to " + container + ":53");
    }
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
      const std::string name(to_string(protocol));
      CAPTURE(name);
      REQUIRE(turns.runtime.add("a", {{port, 53, name, "192.0.2.1"}}) == done);
      REQUIRE(ask(lab.client(), protocol, "192.0.2.1", port, fixed) == "a 192.0.2.2");
      if (others_translate)
        REQUIRE(ask(lab.client(), protocol, "192.0.2.11", port, fixed) == "a 192.0.2.2");
      const auto has = [&](const std::string& flow) {
        return join(flows(lab, name)).find(flow) != std::string::npos;
      };
      CHECK(has(own));
      CHECK(has(anothers) == others_translate);
      REQUIRE(turns.runtime.del("a") == done);
      CHECK_FALSE(has(own));
      CHECK(has(anothers) == others_translate);
    }
  }
}

TEST_CASE("stale flows: prune ends those of many attachments, and goes through all flows once") {
  Lab lab;
  let_others_translate(lab);
  const Runtime runtime(lab);
  for (const int i : {2, 3, 4}) {
    const std::string name = std::to_string(i);
    lab.container(name, "10.22.0." + name + "/16");
    REQUIRE(runtime.add(name, {{static_cast<std::uint16_t>(5000 + i), 53, "udp"}}) == done);
    (void)probe(lab.client(), Protocol::udp, "192.0.2.1", static_cast<std::uint16_t>(5000 + i),
                {.source_port = fixed, .timeout = std::chrono::milliseconds(100)});
    lab.remove(name);
  }
  const std::vector<std::string> before = flows(lab, "udp");
  const Traced traced;
  const RunResult pruned = run({traced.ctl("-e trace=sendto"), "prune"}, {.ns = lab.host()});
  CHECK(pruned.status == 0);
  CHECK(lost(before, flows(lab, "udp")) ==
        "src=192.0.2.2 dst=192.0.2.1 sport=5000 dport=5002, "
        "src=192.0.2.2 dst=192.0.2.1 sport=5000 dport=5003, "
        "src=192.0.2.2 dst=192.0.2.1 sport=5000 dport=5004");
  const std::string calls = traced.calls();
  std::size_t dumps = 0;
  for (std::size_t at = calls.find("MSG_CT_GET"); at != std::string::npos;
       at = calls.find("MSG_CT_GET", at + 1))
    ++dumps;
  CHECK(dumps == 1);
}

TEST_CASE("stale flows: without conntrack there is a note, and ADD and DEL succeed") {
  const std::string words = "; clients of the ports may go on to where these led before\n";
  const WithoutConntrack kernel;
  // Type 0x7f00 is no subsystem of netfilter's.
  for (const auto& [how, message] :
       {std::pair("poke_enter=@arg2=LENGTH007f", "cannot list: conntrack flows: Invalid argument"),
        std::pair("error=EOPNOTSUPP", "cannot send: netlink socket: Operation not supported")}) {
    const std::string what = message;
    CAPTURE(what);
    const Turns turns;
    const Lab& lab = turns.lab;
    let_others_translate(lab);
    const Service a(turns.a, "a", 53);
    const RunResult added = kernel.call(turns, "ADD", how);
    CHECK(added.status == 0);
    CHECK(added.out == lab.previous_result("a"));
    CHECK(added.err == std::string("nft-port-mapper: ") + what + words);
    CHECK(turns.next(paths[0]) == "a");
    const RunResult deleted = kernel.call(turns, "DEL", how);
    CHECK(deleted.status == 0);
    CHECK(deleted.out == "");
    CHECK(deleted.err == std::string("nft-port-mapper: ") + what + words);
    CHECK(listing(lab.host()).find("elements") == std::string::npos);
  }
}

// Many at once: a port has exactly one owner whatever happens at the same time.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <regex>

#include "lib/app/ctl/steady_audit.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// Port to container, for IPv4 TCP ports of any address.
using Owners = std::multimap<int, std::string>;

// Every match of `pattern`: its group `port` is the port, the other of 1 and 2 the container.
Owners all_matches(const std::string& text, const std::string& pattern, std::size_t port) {
  Owners owners;
  const std::regex regex(pattern);
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match)
    owners.emplace(std::stoi((*match)[port].str()), (*match)[3 - port].str());
  return owners;
}

// What the kernel has. `tags` and `addresses` are both of the target map.
struct Table {
  explicit Table(const Lab& lab) : Table(normalise(listing(lab.host()))) {}

  Owners claims;
  Owners tags;
  Owners addresses;
  Owners entries;

 private:
  explicit Table(const std::string& text) {
    const std::string key = "[ \t]tcp \\. (\\d+) ";
    // Its elements look like those of the claims.
    const std::size_t loopback = text.find("set loopback-ip {");
    const std::string claimed = text.substr(0, loopback);
    const std::string counter = "counter packets 0 bytes 0 ";
    claims = all_matches(claimed, key + "comment \"container_id: ([^\"]+)\"", 1);
    tags = all_matches(text, key + counter + "comment \"container_id: ([^\"]+)\"", 1);
    addresses =
        all_matches(text, key + counter + "comment \"[^\"]+\" : 10\\.22\\.1\\.(\\d+) \\. 80", 1);
    entries = all_matches(
        text, "comment \"web/([^/]+)/eth0\" : ::ffff:0\\.0\\.0\\.0 \\. tcp \\. (\\d+)", 2);
  }
};

constexpr std::size_t processes = 64;

std::string name_of(std::size_t number) {
  return "c" + std::to_string(number);
}

// Containers that exist on paper only, each with an address of its own.
AddOptions on_paper(std::size_t number) {
  return {.result = result_of("10.22.1." + std::to_string(number) + "/16")};
}

void check_table(const Lab& lab, const Owners& expected) {
  const Table table(lab);
  CHECK(table.claims == expected);
  CHECK(table.tags == expected);
  CHECK(table.entries == expected);
  Owners by_address;
  for (const auto& [port, container] : expected) by_address.emplace(port, container.substr(1));
  CHECK(table.addresses == by_address);
}

void check_clean(const Lab& lab) {
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

// Whether `answer` is a refusal that names one of `processes` as the owner of `port`.
bool is_conflict(const std::string& answer, std::size_t number, int port) {
  for (std::size_t other = 0; other < processes; ++other)
    if (other != number &&
        answer == conflict(name_of(number), published_by("0.0.0.0:" + std::to_string(port) + "/tcp",
                                                         name_of(other))))
      return true;
  return false;
}

// A table, and its set that is read after the owners.
struct Reading {
  std::string table;
  std::string next_set;
};
const Reading kPorts = {nft::kTable, "published-ip"};
const Reading kSources = {nft::kEgressTable, nft::egress_sources_spec(Family::ipv4).name};

// The kernel, in which "def" has gone whenever the owners are read, and is back when the next set is: `times` times.
class Unsteady final : public Transport {
 public:
  Unsteady(Netlink netlink, const Runtime& runtime, Reading reading, int times)
      : netlink_(std::move(netlink)),
        runtime_(runtime),
        reading_(std::move(reading)),
        times_(times) {}

  Status exchange(std::span<const std::uint8_t> requests, const OnReply& on_reply) override {
    for (const Request& request : requests_in(requests)) change_before(request);
    return netlink_.exchange(requests, on_reply);
  }
  Status peek(std::span<const std::uint8_t> requests, const OnReply& on_reply,
              const IsEnough& is_enough) override {
    return netlink_.peek(requests, on_reply, is_enough);
  }

 private:
  void change_before(const Request& request) {
    if (request.name() != "GETSETELEM") return;
    const auto text = [&](std::uint16_t type) {
      return attribute_of(request.attributes(), type).text();
    };
    if (text(NFTA_SET_ELEM_LIST_TABLE) != reading_.table) return;
    const auto set = text(NFTA_SET_ELEM_LIST_SET);
    if (set == nft::kOwners && is_there_ && times_-- > 0) {
      is_there_ = false;
      REQUIRE(runtime_.del("def") == done);
    } else if (set == reading_.next_set && !is_there_) {
      is_there_ = true;
      REQUIRE(runtime_.add("def", {{9090, 80}}) == done);
    }
  }

  Netlink netlink_;
  const Runtime& runtime_;
  Reading reading_;
  int times_;
  bool is_there_ = true;
};

std::string audited(const Lab& lab, const Runtime& runtime, const Reading& reading, int times) {
  return Lab::in(lab.host(), [&] {
    Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
    REQUIRE(netlink);
    Unsteady unsteady(*std::move(netlink), runtime, reading, times);
    const Result<ctl::SteadyAudit> steady = ctl::audit_steadily(unsteady);
    REQUIRE(steady);
    std::string text;
    for (const ctl::Finding& finding : steady->audit.findings) text += to_string(finding) + "\n";
    return text;
  });
}

std::uint16_t own_port(std::size_t number) {
  return static_cast<std::uint16_t>(20000 + number);
}
std::uint16_t shared_port(std::size_t number) {
  return static_cast<std::uint16_t>(8000 + number % 8);
}

}  // namespace

TEST_CASE("race: a late DEL does not take the port from its new owner, among ten thousand ports") {
  Lab lab;
  const Runtime runtime(lab);
  for (std::size_t bulk = 0; bulk < 10; ++bulk) {
    Mappings ports;
    for (std::size_t i = 0; i < 1000; ++i)
      ports.push_back({static_cast<std::uint16_t>(10000 + bulk * 1000 + i), 80});
    REQUIRE(runtime.add(name_of(100 + bulk), ports, on_paper(100 + bulk)) == done);
  }
  const std::string a = lab.container("A", "10.22.0.2/16", "fd00::2/64");
  const std::string b = lab.container("B", "10.22.0.3/16", "fd00::3/64");
  const Server server_a(a, "A", Protocol::tcp, "0.0.0.0", 80);
  const Server server_b(b, "B", Protocol::tcp, "0.0.0.0", 80);
  const Server server_b6(b, "B", Protocol::tcp, "::", 80);
  REQUIRE(runtime.add("A", {{8080, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "A 192.0.2.2");
  REQUIRE(runtime.del("A") == done);
  REQUIRE(runtime.add("B", {{8080, 80}}) == done);
  for (int late = 0; late < 2; ++late) {
    CHECK(runtime.del("A") == done);
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "B 192.0.2.2");
    CHECK(ask(lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "B 2001:db8::2");
  }
  CHECK(runtime.add("A", {{8080, 80}}) ==
        conflict("A", published_by("0.0.0.0:8080/tcp", "B") + "; " +
                          published_by("[::]:8080/tcp", "B")));
  CHECK(runtime.add("A", {{19999, 80}}) ==
        conflict("A", published_by("0.0.0.0:19999/tcp", name_of(109))));
  for (std::size_t bulk = 0; bulk < 10; ++bulk) REQUIRE(runtime.del(name_of(100 + bulk)) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "B 192.0.2.2");
  REQUIRE(runtime.del("B") == done);
  check_clean(lab);
}

TEST_CASE("race: the first ADD of a host by 16 processes at once") {
  for (int repetition = 0; repetition < 5; ++repetition) {
    Lab lab;
    const Runtime runtime(lab, example_options);
    const auto answers = at_once(16, [&](std::size_t number) {
      return runtime.add(name_of(number), {{own_port(number), 80}}, on_paper(number));
    });
    CHECK(answers == std::vector<std::string>(16, done));
    Owners expected;
    for (std::size_t i = 0; i < 16; ++i) expected.emplace(own_port(i), name_of(i));
    check_table(lab, expected);
    CHECK(difference(without_elements(listing(lab.host())), without_elements(golden_listing())) ==
          "");
    CHECK(at_once(16, [&](std::size_t number) { return runtime.del(name_of(number)); }) ==
          std::vector<std::string>(16, done));
    check_clean(lab);
  }
}

TEST_CASE("race: of 64 processes that want the same ports and others, one has each") {
  Lab lab;
  const Runtime runtime(lab);
  for (int repetition = 0; repetition < 2; ++repetition) {
    const auto answers = at_once(processes, [&](std::size_t number) {
      return runtime.add(name_of(number), {{own_port(number), 80}, {shared_port(number), 80}},
                         on_paper(number));
    });
    Owners expected;
    for (std::size_t i = 0; i < processes; ++i) {
      if (answers[i] != done) {
        CAPTURE(answers[i]);
        CHECK(is_conflict(answers[i], i, shared_port(i)));
        continue;  // and its own port is not published either
      }
      expected.emplace(own_port(i), name_of(i));
      expected.emplace(shared_port(i), name_of(i));
    }
    for (std::size_t i = 0; i < 8; ++i) CHECK(expected.count(shared_port(i)) == 1);
    CHECK(expected.size() == 16);
    check_table(lab, expected);
    CHECK(at_once(processes, [&](std::size_t number) { return runtime.del(name_of(number)); }) ==
          std::vector<std::string>(processes, done));
    check_clean(lab);
  }
}

TEST_CASE("race: 64 processes add and delete the same ports and others again and again") {
  Lab lab;
  const Runtime runtime(lab);
  constexpr int rounds = 8;
  // The last answer of each to an ADD that no DEL followed; "bad: ..." for any other trouble.
  const auto answers = at_once(processes, [&](std::size_t number) {
    std::minstd_rand random(static_cast<unsigned>(number) + 1);
    std::string last = "none";
    for (int round = 0; round < rounds; ++round) {
      if (random() % 3 == 0) {
        last = runtime.del(name_of(number));
        if (last != done) return "bad: " + last;
        last = "none";
      } else {
        const std::string answer = runtime.add(
            name_of(number), {{own_port(number), 80}, {shared_port(number), 80}}, on_paper(number));
        if (answer == done) last = done;
        // What it has stays when an ADD of it is refused; but then nobody else can have its port.
        else if (last == done || !is_conflict(answer, number, shared_port(number)))
          return "bad: " + answer;
      }
    }
    return last;
  });
  Owners expected;
  for (std::size_t i = 0; i < processes; ++i) {
    CHECK((answers[i] == done || answers[i] == "none"));
    if (answers[i].starts_with("bad")) MESSAGE(answers[i]);
    if (answers[i] != done) continue;
    expected.emplace(own_port(i), name_of(i));
    expected.emplace(shared_port(i), name_of(i));
  }
  for (std::size_t i = 0; i < 8; ++i) CHECK(expected.count(shared_port(i)) <= 1);
  check_table(lab, expected);
  CHECK(at_once(processes, [&](std::size_t number) { return runtime.del(name_of(number)); }) ==
        std::vector<std::string>(processes, done));
  check_clean(lab);
}

TEST_CASE("race: any address and one address of a port, wanted at the same time, have one owner") {
  Lab lab;
  const Runtime runtime(lab);
  constexpr std::size_t contenders = 8;
  for (int repetition = 0; repetition < 6; ++repetition) {
    const auto answers = at_once(contenders, [&](std::size_t number) {
      const std::string address = number % 2 == 0 ? "" : "192.0.2.1";
      return runtime.add(name_of(number), {{8080, 80, "tcp", address}}, on_paper(number));
    });
    CHECK(std::count(answers.begin(), answers.end(), done) == 1);
    for (std::size_t i = 0; i < contenders; ++i) {
      if (answers[i] == done) continue;
      CAPTURE(answers[i]);
      CHECK(answers[i].starts_with("cannot publish ports of container " + name_of(i) + ": "));
    }
    for (std::size_t i = 0; i < contenders; ++i) REQUIRE(runtime.del(name_of(i)) == done);
    check_clean(lab);
  }
}

TEST_CASE("race: a dead owner's port goes to exactly one of those that want it at once") {
  Lab lab;
  const Runtime runtime(lab);
  lab.container("dead", "10.22.0.2/16");
  REQUIRE(runtime.add("dead", {{8000, 80}, {9000, 80}}) == done);
  lab.remove("dead");
  constexpr std::size_t heirs = 16;
  const auto answers = at_once(heirs, [&](std::size_t number) {
    return runtime.add(name_of(number), {{8000, 80}}, on_paper(number));
  });
  Owners expected;
  for (std::size_t i = 0; i < heirs; ++i) {
    CAPTURE(answers[i]);
    if (answers[i] == done)
      expected.emplace(8000, name_of(i));
    else
      CHECK(is_conflict(answers[i], i, 8000));
  }
  CHECK(expected.size() == 1);
  check_table(lab, expected);
}

TEST_CASE("race: the same attachment added and deleted at once leaves all of it or nothing") {
  Lab lab;
  const Runtime runtime(lab);
  for (int repetition = 0; repetition < 6; ++repetition) {
    const auto answers = at_once(8, [&](std::size_t number) {
      return number % 2 == 0 ? runtime.del("c1")
                             : runtime.add("c1", {{8000, 80}, {8001, 80}}, on_paper(1));
    });
    CHECK(answers == std::vector<std::string>(8, done));
    const Table table(lab);
    CHECK((table.claims.empty() || table.claims.size() == 2));
    check_table(lab, table.claims);
  }
}

TEST_CASE(
    "race: what ADDs and DELs look like for ten readings is no damage, and damage beside them is "
    "told") {
  Lab lab;
  const Runtime runtime(lab, R"("chain":"MESOS-WEB","ipMasq":true)");
  lab.container("abc", "10.22.0.2/16");
  lab.container("def", "10.22.0.3/16");
  REQUIRE(runtime.add("abc", {{8080, 80}}) == done);
  REQUIRE(runtime.add("def", {{9090, 80}}) == done);
  CHECK(audited(lab, runtime, kPorts, 10).empty());
  CHECK(audited(lab, runtime, kSources, 10).empty());
  const std::string damage = "port 0.0.0.0:8080/tcp of web/abc/eth0 has no claim\n";
  test::nft(lab.host(), "delete element inet nft-port-mapper published-ip { tcp . 8080 }");
  CHECK(audited(lab, runtime, kPorts, 10) == damage);
  CHECK(audited(lab, runtime, kSources, 10) == damage);
  CHECK(
      audited(lab, runtime, kPorts, 1000).starts_with(damage));  // it ends, however long they go on
}

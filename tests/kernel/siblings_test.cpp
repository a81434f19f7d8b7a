// A container on two networks: one publishes its ports, the other stands by and takes over.
#include <doctest/doctest.h>

#include "tests/support/cni_cache.hpp"
#include "tests/support/connection.hpp"
#include "tests/support/monitor.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/text.hpp"
#include "tests/support/tool.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string kDbAddress = "10.23.0.2";
const std::string kDbAddress6 = "fd01::2";

// Gives container `ns` another interface, on bridge cni1, and lets it answer from there.
void join_second_network(const Lab& lab, const std::string& ns) {
  tool(lab.host(), "ip link add db0 type veth peer name eth1 netns " + ns);
  tool(lab.host(), "ip link set db0 master cni1 up");
  for (const char* command :
       {"ip addr add 10.23.0.2/16 dev eth1", "ip addr add fd01::2/64 dev eth1 nodad",
        "ip link set eth1 up", "ip rule add from 10.23.0.2 table 100",
        "ip route add default via 10.23.0.1 table 100", "ip -6 rule add from fd01::2 table 100",
        "ip -6 route add default via fd01::1 dev eth1 table 100"})
    tool(ns, command);
}

// Container "abc" on the networks "web" and "db", each with a chain of its own.
struct TwoNetworks {
  explicit TwoNetworks(const std::string& first = "web", const std::string& second = "db")
      : web(lab, R"("chain":"WEB")", first), db(lab, R"("chain":"DB")", second) {
    lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
    ns = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
    join_second_network(lab, ns);
  }

  [[nodiscard]] std::string add_web(const Mappings& ports) const { return web.add("abc", ports); }
  [[nodiscard]] std::string add_db(const Mappings& ports) const {
    return db.add("abc", ports, {.result = second_result()});
  }
  static std::string second_result() { return result_of(kDbAddress + "/16", kDbAddress6 + "/64"); }
  [[nodiscard]] std::string check(const std::string& network, const std::string& chain,
                                  const std::string& result, const Mappings& ports) const {
    return verdict(Plugin{PLUGIN}.call(
        lab, lab.host(), "CHECK", "abc",
        chained_config(network, result, to_json(ports), R"("chain":")" + chain + "\"")));
  }
  // Who answers, from the LAN, by either family.
  [[nodiscard]] std::string answer(std::uint16_t port = 8080) const {
    const std::string v4 = ask(lab.client(), Protocol::tcp, "192.0.2.1", port);
    const std::string v6 = ask(lab.client(), Protocol::tcp, "2001:db8::1", port);
    return v4.substr(0, v4.find(' ')) + " " + v6.substr(0, v6.find(' '));
  }
  [[nodiscard]] bool holds(const std::string& text) const {
    return listing(lab.host()).find(text) != std::string::npos;
  }
  [[nodiscard]] std::string route_localnet(const std::string& device) const {
    return tool(lab.host(), "cat /proc/sys/net/ipv4/conf/" + device + "/route_localnet");
  }

  Lab lab;
  Runtime web;
  Runtime db;
  std::string ns;
};

struct Servers {
  explicit Servers(const std::string& ns)
      : web(ns, "web", Protocol::tcp, "10.22.0.2", 80),
        web6(ns, "web", Protocol::tcp, "fd00::2", 80),
        db(ns, "db", Protocol::tcp, kDbAddress, 80),
        db6(ns, "db", Protocol::tcp, kDbAddress6, 80) {}
  Server web, web6, db, db6;
};

const Mappings kPorts = {{8080, 80}};

}  // namespace

TEST_CASE("siblings: the DEL of one network hands its port to the other, in one batch") {
  const TwoNetworks two;
  const Servers servers(two.ns);
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.add_db(kPorts) == done);
  CHECK(two.answer() == "web web");
  CHECK(two.route_localnet("cni1") == "0\n");
  Monitor monitor(two.lab.host());
  REQUIRE(two.web.del("abc") == done);
  CHECK(count(monitor.stop(), "# new generation") == 1);
  CHECK(two.answer() == "db db");
  CHECK(two.route_localnet("cni1") == "1\n");
  CHECK(ask(two.lab.host(), Protocol::tcp, "127.0.0.1", 8080).starts_with("db "));
  CHECK_FALSE(two.holds("web/abc"));
  CHECK_FALSE(two.holds("10.22.0.2"));
  CHECK(ctl(two.lab, {"check"}).out == "no findings\n");

  // It comes back: now it is the one that stands by.
  REQUIRE(two.add_web(kPorts) == done);
  CHECK(two.answer() == "db db");
  REQUIRE(two.db.del("abc") == done);
  CHECK(two.answer() == "web web");
  REQUIRE(two.web.del("abc") == done);
  CHECK_FALSE(two.holds("abc"));
  CHECK(two.answer() == "refused refused");
}

TEST_CASE("siblings: ADD again and DEL of the one that stands by leave the publisher alone") {
  const TwoNetworks two;
  const Servers servers(two.ns);
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.add_db(kPorts) == done);
  const std::string both = listing(two.lab.host());
  REQUIRE(two.add_db(kPorts) == done);
  CHECK(difference(listing(two.lab.host()), both) == "");
  REQUIRE(two.add_web(kPorts) == done);
  CHECK(difference(normalise(listing(two.lab.host())), normalise(both)) == "");
  CHECK(two.answer() == "web web");
  REQUIRE(two.db.del("abc") == done);
  CHECK(two.answer() == "web web");
  CHECK_FALSE(two.holds("db/abc"));
  CHECK_FALSE(two.holds("10.23.0.2"));
  REQUIRE(two.web.del("abc") == done);
  CHECK_FALSE(two.holds("abc"));
}

TEST_CASE("siblings: ADD again without a port hands it to the one that stands by") {
  const TwoNetworks two;
  const Servers servers(two.ns);
  REQUIRE(two.add_web({{8080, 80}, {9090, 80}}) == done);
  REQUIRE(two.add_db({{8080, 80}, {9090, 80}, {7070, 80}}) == done);
  CHECK(two.answer(8080) == "web web");
  CHECK(two.answer(7070) == "db db");
  REQUIRE(two.add_web({{9090, 80}}) == done);
  CHECK(two.answer(8080) == "db db");
  CHECK(two.answer(9090) == "web web");
  REQUIRE(two.web.del("abc") == done);
  CHECK(two.answer(9090) == "db db");
  REQUIRE(two.db.del("abc") == done);
  CHECK_FALSE(two.holds("abc"));
}

TEST_CASE("siblings: UDP clients keep their flow while one stands by, and follow the promotion") {
  const TwoNetworks two;
  const Server web(two.ns, "web", Protocol::udp, "10.22.0.2", 53);
  const Server db(two.ns, "db", Protocol::udp, kDbAddress, 53);
  const Mappings ports = {{5353, 53, "udp", "192.0.2.1"}};
  const auto next = [&] { return ask(two.lab.client(), Protocol::udp, "192.0.2.1", 5353, 5000); };
  REQUIRE(two.add_web(ports) == done);
  REQUIRE(next() == "web 192.0.2.2");
  const std::string flows = tool(two.lab.host(), "conntrack -L -o id -p udp --dport 5353");
  const std::string id = flows.substr(flows.find("id="));
  REQUIRE(two.add_db(ports) == done);
  REQUIRE(two.add_db(ports) == done);
  CHECK(tool(two.lab.host(), "conntrack -L -o id -p udp --dport 5353").find(id) !=
        std::string::npos);
  CHECK(next() == "web 192.0.2.2");
  REQUIRE(two.web.del("abc") == done);
  CHECK(next() == "db 192.0.2.2");
  REQUIRE(two.add_web(ports) == done);
  REQUIRE(two.web.del("abc") == done);
  CHECK(next() == "db 192.0.2.2");
}

TEST_CASE(
    "siblings: connections go on while another stands by or leaves, and end with the promotion") {
  const TwoNetworks two;
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.add_db(kPorts) == done);
  const Connection connection(two.ns, 80, two.lab.client(), "192.0.2.1", 8080);
  REQUIRE(two.db.del("abc") == done);
  CHECK(connection.works());
  REQUIRE(two.add_db(kPorts) == done);
  CHECK(connection.works());
  REQUIRE(two.web.del("abc") == done);
  CHECK(connection.ends());
}

TEST_CASE("siblings: CHECK of both succeeds, and names what is missing of a standby") {
  const TwoNetworks two;
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.add_db(kPorts) == done);
  const auto check_db = [&] { return two.check("db", "DB", TwoNetworks::second_result(), kPorts); };
  const std::string found =
      "103 cniVersion 1.0.0: the ports of container abc are not as ADD builds them: ";
  CHECK(two.check("web", "WEB", two.lab.previous_result("abc"), kPorts) == "ok");
  CHECK(check_db() == "ok");
  nft(two.lab.host(), "flush map inet nft-port-mapper standby");
  CHECK(check_db() == found +
                          "element of 0.0.0.0:8080/tcp in standby is missing; "
                          "element of [::]:8080/tcp in standby is missing");
  REQUIRE(two.add_db(kPorts) == done);
  CHECK(check_db() == "ok");
  // As an older version's DEL, which promotes nobody.
  nft(two.lab.host(), "flush set inet nft-port-mapper published-ip");
  CHECK(check_db() == found +
                          "0.0.0.0:8080/tcp is published by nobody, and this attachment only "
                          "stands by for it");
}

TEST_CASE("siblings: list, owner and check know who stands by") {
  const TwoNetworks two;
  REQUIRE(two.add_web({{8080, 80, "tcp", "192.0.2.1"}}) == done);
  REQUIRE(two.add_db({{8080, 80, "tcp", "192.0.2.1"}}) == done);
  CHECK(ctl(two.lab, {"list"}).out ==
        "PROTO  HOST            ENDPOINT      CONTAINER  NETWORK  CONNECTIONS  STATE\n"
        "tcp    192.0.2.1:8080  10.22.0.2:80  abc        web      0            alive\n"
        "tcp    192.0.2.1:8080  10.23.0.2:80  abc        db       standby      alive\n");
  const std::string json = ctl(two.lab, {"list", "--json"}).out;
  CHECK(json.find(R"("standby":false)") < json.find(R"("standby":true)"));
  CHECK(ctl(two.lab, {"owner", "8080/tcp"}).out ==
        "192.0.2.1:8080/tcp is published by container abc of network web (eth0) and leads to "
        "10.22.0.2:80.\n"
        "for 192.0.2.1:8080/tcp stands by container abc of network db (eth0), to lead it to "
        "10.23.0.2:80.\n");
  CHECK(ctl(two.lab, {"check"}).out == "no findings\n");
  // The DEL of an older version leaves the standby element behind.
  nft(two.lab.host(), "flush map inet nft-port-mapper owners");
  REQUIRE(two.add_web({{8080, 80, "tcp", "192.0.2.1"}}) == done);
  const RunResult found = ctl(two.lab, {"check"});
  CHECK(found.out.find("standby element k") == 0);
  CHECK(found.out.find(" . 0, to 10.23.0.2:80, has no owner\n") != std::string::npos);
  CHECK(ctl(two.lab, {"check", "--repair"}).status == 0);
  CHECK(ctl(two.lab, {"check"}).out == "no findings\n");
}

TEST_CASE(
    "siblings: what an older version's DEL leaves of a standby is neither promoted nor in the "
    "way") {
  const TwoNetworks two;
  const Servers servers(two.ns);
  REQUIRE(two.add_db(kPorts) == done);
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.db.del("abc") == done);  // web is promoted
  REQUIRE(two.add_db(kPorts) == done);
  const std::string text = listing(two.lab.host());
  const std::size_t end = text.find("\" . 0x00000000 comment \"db/abc/eth0\"");
  REQUIRE(end != std::string::npos);
  const std::string hash = text.substr(end - 15, 15);
  nft(two.lab.host(), "delete element inet nft-port-mapper owners { \"" + hash +
                          "\" . 0x00000000, \"" + hash + "\" . 0x00000001 }");
  REQUIRE(two.web.del("abc") == done);
  CHECK(two.answer() == "refused refused");
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.add_db(kPorts) == done);
  CHECK(two.answer() == "web web");
  REQUIRE(two.web.del("abc") == done);
  CHECK(two.answer() == "db db");
  REQUIRE(two.db.del("abc") == done);
  CHECK_FALSE(two.holds("abc"));
}

TEST_CASE("siblings: restore brings both back, one to stand by, and a second time does nothing") {
  const TwoNetworks two;
  const Servers servers(two.ns);
  const CniCache web(two.lab, R"("chain":"WEB")", "web");
  const CniCache db(two.lab, R"("chain":"DB")", "db");
  web.write("abc", web.entry("abc", kPorts));
  db.write("abc", db.entry("abc", kPorts, TwoNetworks::second_result()));
  const auto restore = [&](const CniCache& cache) {
    const RunResult result = ctl(two.lab, {"restore", "--from", cache.directory()});
    CHECK(result.err == "");
    return result.out;
  };
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.add_db(kPorts) == done);
  const std::string before = listing(two.lab.host());
  restore(web);
  restore(db);
  CHECK(difference(listing(two.lab.host()), before) == "");
  nft(two.lab.host(), "flush ruleset");
  restore(web);
  restore(db);
  CHECK(difference(normalise(listing(two.lab.host())), normalise(before)) == "");
  CHECK(two.answer() == "web web");
  REQUIRE(two.web.del("abc") == done);
  CHECK(two.answer() == "db db");
}

TEST_CASE("siblings: names too long for a comment stand by too, and are found by their hash") {
  const std::string web(120, 'w');
  const std::string db(120, 'd');
  const TwoNetworks two(web, db);
  const Servers servers(two.ns);
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.add_db(kPorts) == done);
  CHECK(two.answer() == "web web");
  CHECK(count(ctl(two.lab, {"list", "--network", db}).out, "standby") == 2);
  CHECK(count(ctl(two.lab, {"list", "--container", "abc"}).out, "\ntcp") == 4);
  REQUIRE(two.web.del("abc") == done);
  CHECK(two.answer() == "db db");
  CHECK(two.holds("tcp . 8080 comment \"container_id: abc\""));
  REQUIRE(two.add_web(kPorts) == done);
  CHECK(ctl(two.lab, {"flush", "--network", db, "--yes"}).status == 0);
  CHECK(two.answer() == "web web");
  CHECK_FALSE(two.holds("ddd"));
}

TEST_CASE("siblings: the same ID in another namespace is a conflict") {
  TwoNetworks two;
  two.lab.container("new", "10.22.0.9/16");
  REQUIRE(two.add_web({{8080, 80, "tcp", "192.0.2.1"}}) == done);
  CHECK(
      two.db.add("abc", {{8080, 80, "tcp", "192.0.2.1"}},
                 {.result = TwoNetworks::second_result(),
                  .environment = {"CNI_NETNS=" + namespace_path(two.lab.ns("new"))}}) ==
      conflict("abc", published_by("192.0.2.1:8080/tcp", "abc") + " in another network namespace"));
}

TEST_CASE("siblings: after a listing was loaded again the DEL of one hands its port to the other") {
  const TwoNetworks two;
  const Servers servers(two.ns);
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.add_db(kPorts) == done);
  const std::string saved = listing(two.lab.host());
  nft(two.lab.host(), "flush ruleset");
  nft(two.lab.host(), saved);
  CHECK(two.answer() == "web web");
  REQUIRE(two.db.del("abc") == done);
  CHECK(two.answer() == "web web");
  CHECK_FALSE(two.holds("db/abc"));
  nft(two.lab.host(), "flush ruleset");
  nft(two.lab.host(), saved);
  REQUIRE(two.web.del("abc") == done);
  CHECK(two.answer() == "db db");
  CHECK_FALSE(two.holds("web/abc"));
}

TEST_CASE("siblings: prune of a dead container promotes nobody, and leaves nothing") {
  TwoNetworks two;
  REQUIRE(two.add_web(kPorts) == done);
  REQUIRE(two.add_db(kPorts) == done);
  two.lab.remove("abc");
  CHECK(ctl(two.lab, {"prune"}).status == 0);
  CHECK_FALSE(two.holds("abc"));
  CHECK(two.route_localnet("cni1") == "0\n");
}

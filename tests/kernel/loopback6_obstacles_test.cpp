// ::1 where something is in the way of it: a device that is down, IPv6 that is off, no ::1 on lo, a
// container that wants none, and the header that leads others to it.
#include <doctest/doctest.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "tests/support/cni_cache.hpp"
#include "tests/support/loopback_routes.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

std::string seen(const Lab& lab, const std::string& address = "::1", std::uint16_t port = 8080) {
  return probe(lab.host(), Protocol::tcp, address, port);
}

void call_ip6tables(const Lab& lab, const char* value) {
  write_sysctl(lab.host(), "net/bridge/bridge-nf-call-ip6tables", value);
}

// Containers abc and def are on bridges of their own, cni0 and cni1.
struct Bridges {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  std::string def;
  Runtime runtime{lab};
  Runtime other{lab, R"("chain":"OTHER")", "other"};

  Bridges() {
    lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
    def = lab.container("def", "10.23.0.3/16", "fd01::3/64", {.bridge = "cni1"});
    REQUIRE(runtime.add("abc", {{8080, 80}}) == done);
    REQUIRE(other.add("def", {{9090, 80}}) == done);
    REQUIRE(routes(lab) == "cni0 127, cni1 127");
  }
};

std::string is_listed(const std::string& port, const std::string& owner, const std::string& why) {
  return "port " + port + " of " + owner + " is in loopback-ip6, and " + why +
         ": connections to ::1 hang\n";
}

}  // namespace

TEST_CASE("loopback6: a device that is down or without IPv6 does not stop the mending of others") {
  const Bridges bridges;
  const Lab& lab = bridges.lab;
  const Service def(bridges.def, "def", 80);
  std::string why;
  std::string gone;
  SUBCASE("down") {
    tool(lab.host(), "ip link set cni0 down");
    why = "cni0 is down";
  }
  SUBCASE("IPv6 is off") {
    write_sysctl(lab.host(), "net/ipv6/conf/cni0/disable_ipv6", "1");
    why = "IPv6 is off on cni0";
  }
  SUBCASE("gone") {
    tool(lab.host(), "ip link del cni0");
    why = "no interface leads to its container";
    gone =
        "interface cni0, which led to attachment web/abc/eth0, is gone; start the container "
        "again\n";
  }
  tool(lab.host(), "ip -6 route del local ::1/128 dev cni1 table local");
  CHECK(ctl(lab, {"check", "--repair"}).out ==
        gone + is_listed("[::]:8080/tcp", "web/abc/eth0", why) +
            "device cni1 lacks the route of ::1: connections to ::1 hang\nmended 2 of " +
            (gone.empty() ? "2\n" : "3\n"));
  CHECK(elements6(lab, "loopback-ip6") == "tcp . 9090 comment \"container_id: def\"");
  CHECK(routes(lab) == "cni1 127");
  CHECK(seen(lab, "::1", 9090) == "def fd01::1");
  CHECK(seen(lab) == "refused");
  CHECK(ctl(lab, {"check"}).out == (gone.empty() ? "no findings\n" : gone));
  CHECK(ctl(lab, {"restore", "--from", "/nowhere"}).err.find("mended") == std::string::npos);
}

TEST_CASE("loopback6: where one device cannot be opened, the others are, and the rest is said") {
  const Bridges bridges;
  const Lab& lab = bridges.lab;
  tool(lab.host(), "ip -6 route flush table local to ::1/128 proto 127");
  const int index = std::stoi(tool(lab.host(), "ip -o link show cni0"));
  for (int i = 0; i < 8; ++i)
    tool(lab.host(), "ip -6 route add local ::1/128 dev lan0 table local metric " +
                         std::to_string(1024 + index + (i << 16)));
  const std::string findings =
      "device cni0 lacks the route of ::1: connections to ::1 hang\n"
      "device cni1 lacks the route of ::1: connections to ::1 hang\n";
  const std::string failed = "cannot add: the route of ::1 on cni0: File exists";
  SUBCASE("by check --repair") {
    const RunResult checked = ctl(lab, {"check", "--repair"});
    CHECK(checked.out == findings + "mended 1 of 2\n");
    CHECK(checked.err == "nft-port-mapperctl: " + failed + "\n");
    CHECK(checked.status == 1);
  }
  SUBCASE("by restore") {
    const std::string said = ctl(lab, {"restore", "--from", "/nowhere"}).err;
    CHECK(said.find(failed + "; the ports do not answer on the host's ::1") != std::string::npos);
  }
  const Service def(bridges.def, "def", 80);
  CHECK(seen(lab, "::1", 9090) == "def fd01::1");
  CHECK(seen(lab) == "refused");  // and does not hang
  CHECK(elements6(lab, "loopback-ip6") == "tcp . 9090 comment \"container_id: def\"");
}

TEST_CASE("loopback6: where lo has no ::1, no route takes all that is sent there") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Runtime runtime(lab);
  const Service service(abc, "abc", 80);
  write_sysctl(lab.host(), "net/ipv6/conf/lo/disable_ipv6", "1");
  REQUIRE(runtime.add("abc", {{8080, 80}}) == done);
  CHECK(runtime.add("abc", {{8080, 80}, {8081, 80, "tcp", "::1"}})
            .find("the ports do not answer on the host's ::1: lo has no ::1;"
                  " net.ipv6.conf.lo.disable_ipv6=0 and nft-port-mapperctl check --repair let"
                  " them answer") != std::string::npos);
  CHECK(routes(lab) == "");
  CHECK(seen(lab, "::1", 7000) != "timeout");
  CHECK(ctl(lab, {"check"}).out ==
        "note: port [::1]:8081/tcp of web/abc/eth0 does not answer: no interface of this host has"
        " ::1 now\nno findings\n");
  write_sysctl(lab.host(), "net/ipv6/conf/lo/disable_ipv6", "0");
  CHECK(ctl(lab, {"check", "--repair"}).out.ends_with("mended 5 of 5\n"));
  CHECK(routes(lab) == "cni0 127");
  CHECK(seen(lab) == "abc fd00::1");
  CHECK(seen(lab, "::1", 8081) == "abc fd00::1");
  // And when it loses ::1 later: the ports are not led there any more.
  write_sysctl(lab.host(), "net/ipv6/conf/lo/disable_ipv6", "1");
  CHECK(ctl(lab, {"check", "--repair"}).out.find("and lo has no ::1: connections to ::1 hang") !=
        std::string::npos);
  CHECK(elements6(lab, "loopback-ip6") == "");
  CHECK(routes(lab) == "");
  CHECK(runtime.del("abc") == done);
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("loopback6: check --repair leaves a port alone whose container wants no ::1") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  REQUIRE(Runtime(lab, R"("chain":"OTHER","snat":false)", "other").add("def", {{9090, 80}}) ==
          done);
  const auto holds = [&] {
    CHECK(ctl(lab, {"check", "--repair"}).out == "no findings\n");
    CHECK(elements6(lab, "loopback-ip6") == "tcp . 8080 comment \"container_id: abc\"");
    CHECK(seen(lab, "::1", 9090) == "refused");
  };
  const Service service(def, "def", 80);
  holds();
  // An ADD again tells what it wants, not what was missing of it.
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  holds();
  nft(lab.host(), "delete element inet nft-port-mapper loopback-ip6 { tcp . 8080 }");
  CHECK(ctl(lab, {"check", "--repair"}).out ==
        "port [::]:8080/tcp of web/abc/eth0 is missing in loopback-ip6, and ::1 can reach it by"
        " cni0\nmended 1 of 1\n");
  holds();
}

TEST_CASE(
    "loopback: who was published with snat answers on 127.0.0.1 and ::1, whatever comes later") {
  for (const bool masq_all : {false, true}) {
    CAPTURE(masq_all);
    Lab lab;
    const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
    lab.container("def", "10.22.0.3/16", "fd00::3/64");
    const Service service(abc, "abc", 80);
    const std::string chain = R"("chain":"MESOS-WEB")";
    const Runtime before(lab, chain + (masq_all ? R"(,"masqAll":true)" : ""));
    REQUIRE(before.add("abc", {{8080, 80}}) == done);
    REQUIRE(Runtime(lab, chain + R"(,"snat":false)").add("def", {{9090, 80}}) == done);
    CHECK(seen(lab, "127.0.0.1") == "abc 10.22.0.1");
    CHECK(seen(lab) == "abc fd00::1");
    CHECK(seen(lab, "127.0.0.1", 9090) == "refused");
    CHECK(ctl(lab, {"check"}).out == "no findings\n");
    CHECK(before.del("abc") == done);
    CHECK(before.del("def") == done);
    CHECK(listing(lab.host()).find("elements") == std::string::npos);
  }
}

namespace {

const std::string kOther = R"("chain":"OTHER")";

// Whether port of a container with its own service is reached by 127.0.0.1 and ::1.
void check_reached(const Lab& lab, const std::string& name, std::uint16_t port) {
  CAPTURE(name);
  CHECK(seen(lab, "127.0.0.1", port) == name + " 10.22.0.1");
  CHECK(seen(lab, "::1", port) == name + " fd00::1");
}

struct Neighbours {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  Service at_abc{abc, "abc", 80};
  Service at_def{def, "def", 80};
  Runtime web{lab};
  Runtime other{lab, kOther, "other"};
  Runtime other_masked{lab, kOther + R"(,"masqAll":true)", "other"};
  Runtime other_without{lab, kOther + R"(,"snat":false)", "other"};

  void check_end() const {
    CHECK(ctl(lab, {"check"}).out == "no findings\n");
    CHECK(web.del("abc") == done);
    CHECK(other.del("abc") == done);
    CHECK(other.del("def") == done);
    CHECK(listing(lab.host()).find("elements") == std::string::npos);
  }
};

}  // namespace

TEST_CASE(
    "hairpin: a wide pair that goes leaves what it covered for others, of its network and not") {
  const Neighbours two;
  SUBCASE("of one network, whose masqAll and then snat end") {
    REQUIRE(two.other_masked.add("abc", {{8080, 80}}) == done);
    REQUIRE(two.other.add("def", {{9090, 80}}) == done);
    check_reached(two.lab, "abc", 8080);
    check_reached(two.lab, "def", 9090);
    REQUIRE(two.other_without.add("def", {{9090, 80}}) == done);
    check_reached(two.lab, "abc", 8080);
  }
  SUBCASE("of two networks with one subnet") {
    REQUIRE(two.other_masked.add("def", {{9090, 80}}) == done);
    REQUIRE(two.web.add("abc", {{8080, 80}}) == done);
    REQUIRE(two.other_without.add("def", {{9090, 80}}) == done);
    check_reached(two.lab, "abc", 8080);
    CHECK(ask(two.def, Protocol::tcp, "10.22.0.1", 8080) == "abc 10.22.0.1");
  }
  SUBCASE("with an obstacle in the way of ::1") {
    call_ip6tables(two.lab, "1");
    REQUIRE(two.web.add("abc", {{8080, 80}}) == done);
    REQUIRE(Runtime(two.lab, R"("chain":"MESOS-WEB","snat":false)").add("def", {{9090, 80}}) ==
            done);
    call_ip6tables(two.lab, "0");
    CHECK(ctl(two.lab, {"check", "--repair"}).status == 0);
    check_reached(two.lab, "abc", 8080);
    REQUIRE(two.web.del("def") == done);
  }
  two.check_end();
}

TEST_CASE("hairpin: subnets of other lengths in one another, added again, are never refused") {
  const Neighbours two;
  const AddOptions host{.result = result_of("10.22.0.2/32", "fd00::2/128")};
  REQUIRE(two.other.add("def", {{9090, 80}}) == done);
  REQUIRE(two.web.add("abc", {{8080, 80}}, host) == done);
  check_reached(two.lab, "abc", 8080);
  SUBCASE("as it was") {
    REQUIRE(two.web.add("abc", {{8080, 80}}, host) == done);
    check_reached(two.lab, "abc", 8080);
  }
  SUBCASE("on one address, and without snat") {
    REQUIRE(two.web.add("abc", {{8080, 80, "tcp", "192.0.2.1"}}, host) == done);
    REQUIRE(
        Runtime(two.lab, R"("chain":"MESOS-WEB","snat":false)").add("abc", {{8080, 80}}, host) ==
        done);
  }
  SUBCASE("with the wider subnet") {
    REQUIRE(two.web.add("abc", {{8080, 80}}) == done);
    check_reached(two.lab, "abc", 8080);
  }
  SUBCASE("where the wider pair goes") {
    REQUIRE(two.other_without.add("def", {{9090, 80}}) == done);
    check_reached(two.lab, "abc", 8080);
  }
  two.check_end();
}

TEST_CASE("loopback6: a listing that is loaded again opens nothing to who wants no ::1") {
  const Neighbours two;
  REQUIRE(two.web.add("abc", {{8080, 80}}) == done);
  REQUIRE(two.other_without.add("def", {{9090, 80}}) == done);
  const std::string listed = listing(two.lab.host());
  nft(two.lab.host(), "flush ruleset");
  nft(two.lab.host(), listed);
  CHECK(ctl(two.lab, {"check", "--repair"}).out == "no findings\n");
  check_reached(two.lab, "abc", 8080);
  CHECK(seen(two.lab, "::1", 9090) == "refused");
  two.check_end();
}

TEST_CASE("loopback: who stays out of reach of 127.0.0.1 keeps nothing there for his neighbours") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  lab.container("def", "10.22.0.3/16");
  const Runtime reached(lab);
  const Runtime other(lab, R"("chain":"OTHER","snat":false)", "other");
  REQUIRE(reached.add("abc", {{8080, 80, "tcp", "127.0.0.1"}}) == done);
  REQUIRE(other.add("def", {{8080, 80, "tcp", "127.0.0.2"}}) == done);
  CHECK(reached.del("abc") == done);
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  CHECK(other.del("def") == done);
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

namespace {

// A datagram of container abc to `via`, which a segment routing header leads on to ::1, port 9999.
std::string segment_routed(const std::string& via) {
  std::array<std::uint8_t, 40 + 40 + 12> packet{};
  const auto put = [&packet](std::size_t at, const std::string& address) {
    const IpAddress parsed = parse_address(address);
    std::copy_n(parsed.bytes().begin(), 16, packet.begin() + static_cast<std::ptrdiff_t>(at));
  };
  packet[0] = 0x60;
  packet[5] = 40 + 12;
  packet[6] = IPPROTO_ROUTING;
  packet[7] = 64;
  put(8, "fd00::2");
  put(24, via);
  packet[40] = IPPROTO_UDP;  // behind the header of type 4: two segments, the last one first
  packet[41] = 4;
  packet[42] = 4;
  packet[43] = 1;  // segments left
  packet[44] = 1;
  put(48, "::1");
  put(64, via);
  std::uint8_t* const udp = packet.data() + 80;
  udp[0] = 0x13;
  udp[2] = 9999 >> 8;
  udp[3] = 9999 & 0xff;
  udp[5] = 12;
  std::memcpy(udp + 8, "ping", 4);
  std::uint32_t sum = IPPROTO_UDP + 12 + 1;  // of the pseudo header, whose destination is ::1
  const auto add = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; i += 2) sum += packet[i] * 256U + packet[i + 1];
  };
  add(8, 24);
  add(80, packet.size());
  while (sum >> 16U) sum = (sum & 0xffff) + (sum >> 16U);
  udp[6] = static_cast<std::uint8_t>(~sum >> 8U);
  udp[7] = static_cast<std::uint8_t>(~sum);
  return {packet.begin(), packet.end()};
}

}  // namespace

TEST_CASE("loopback6: a segment routing header leads no container to the host's ::1") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Runtime runtime(lab);
  write_sysctl(lab.host(), "net/ipv6/conf/all/seg6_enabled", "1");
  const UniqueFd service = open_socket(lab.host(), Family::ipv6, SOCK_DGRAM, 0);
  SocketAddress at(parse_address("::1"), 9999);
  REQUIRE(bind(service.get(), at.get(), at.length) == 0);
  const UniqueFd sender = open_socket(abc, Family::ipv6, SOCK_RAW, IPPROTO_RAW);
  const std::string packet = segment_routed("fd00::1");
  const auto reaches = [&] {
    SocketAddress to(parse_address("fd00::1"), 0);
    REQUIRE(sendto(sender.get(), packet.data(), packet.size(), 0, to.get(), to.length) > 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    std::array<char, 8> text{};
    return recv(service.get(), text.data(), text.size(), MSG_DONTWAIT) == 4;
  };
  // Switched on behind the ADD: check finds and closes it, and opens it again.
  REQUIRE(runtime.add("abc", {{8080, 80}}) == done);
  CHECK_FALSE(reaches());
  write_sysctl(lab.host(), "net/ipv6/conf/cni0/seg6_enabled", "1");
  CHECK(reaches());
  const std::string why = "cni0 takes segment routing headers, which would reach all of ::1";
  CHECK(ctl(lab, {"check", "--repair"}).out == is_listed("[::]:8080/tcp", "web/abc/eth0", why) +
                                                   "device cni0 has the route of ::1, and " + why +
                                                   "\nmended 2 of 2\n");
  CHECK(routes(lab) == "");
  CHECK_FALSE(reaches());
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  // On before the ADD: nothing is opened.
  CHECK(runtime.add("abc", {{8080, 80, "tcp", "::1"}})
            .find(why + "; net.ipv6.conf.cni0.seg6_enabled=0 (and rpl_seg_enabled=0) and"
                        " nft-port-mapperctl check --repair let them answer") != std::string::npos);
  CHECK(routes(lab) == "");
  CHECK_FALSE(reaches());
  write_sysctl(lab.host(), "net/ipv6/conf/cni0/seg6_enabled", "0");
  CHECK(ctl(lab, {"check", "--repair"}).status == 0);
  CHECK(routes(lab) == "cni0 127");
  CHECK_FALSE(reaches());
  // Closed also where the attachment's use of the device was lost.
  write_sysctl(lab.host(), "net/ipv6/conf/cni0/seg6_enabled", "1");
  nft(lab.host(), "flush map inet nft-port-mapper loopback-users");
  CHECK(ctl(lab, {"check", "--repair"}).status == 0);
  CHECK(routes(lab) == "");
  CHECK_FALSE(reaches());
}

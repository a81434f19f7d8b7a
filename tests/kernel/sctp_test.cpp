// SCTP: raw INIT packets through published ports, since the kernel may have no SCTP sockets.
#include <doctest/doctest.h>

#include <array>

#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

struct Path {
  const char* from;
  const char* to;
  std::uint16_t port;
  const char* arrives;  // source, and the endpoint; the source port is the sender's
};

// 8080 is published on any address, 9090 on the secondary one and the LAN's IPv6 address.
constexpr std::array paths = {Path{"client", "192.0.2.1", 8080, "192.0.2.2 -> 10.22.0.2 80"},
                              Path{"client", "10.22.0.1", 8080, "192.0.2.2 -> 10.22.0.2 80"},
                              Path{"client", "192.0.2.11", 9090, "192.0.2.2 -> 10.22.0.2 90"},
                              Path{"client", "2001:db8::1", 8080, "2001:db8::2 -> fd00::2 80"},
                              Path{"client", "2001:db8::1", 9090, "2001:db8::2 -> fd00::2 90"},
                              Path{"host", "192.0.2.1", 8080, "192.0.2.1 -> 10.22.0.2 80"},
                              Path{"host", "127.0.0.1", 8080, "10.22.0.1 -> 10.22.0.2 80"},
                              Path{"host", "fd00::1", 8080, "fd00::1 -> fd00::2 80"},
                              Path{"def", "192.0.2.1", 8080, "10.22.0.1 -> 10.22.0.2 80"},
                              Path{"def", "2001:db8::1", 8080, "fd00::1 -> fd00::2 80"}};

// The packet as it arrived, without the source port that was sent; "" when none did.
std::string received(SctpReceiver& receiver, std::uint16_t source_port,
                     std::chrono::milliseconds timeout) {
  const auto packet = receiver.receive(timeout);
  if (!packet) return "";
  return replaced(packet->to_string(), " " + std::to_string(source_port) + " -> ", " -> ");
}

}  // namespace

TEST_CASE("sctp: an INIT arrives at the endpoint, from whom the server of TCP would see") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  lab.container("def", "10.22.0.3/16", "fd00::3/64");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80, "sctp"},
                                   {9090, 90, "SCTP", "192.0.2.11"},
                                   {9090, 90, "sctp", "2001:db8::1"}}) == done);
  SctpReceiver v4(abc, Family::ipv4);
  SctpReceiver v6(abc, Family::ipv6);
  std::uint16_t source_port = 40000;
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    for (const Path& path : paths) {
      CAPTURE(path.from);
      CAPTURE(path.to);
      CAPTURE(path.port);
      send_raw_sctp(lab.ns(path.from), path.to, path.port, ++source_port);
      SctpReceiver& receiver = std::string(path.to).find(':') == std::string::npos ? v4 : v6;
      CHECK(received(receiver, source_port, std::chrono::seconds(5)) == path.arrives);
    }
  }
  CHECK(connections(lab, "MESOS-WEB-hostip", "192.0.2.11 . sctp . 9090") == "2");
}

TEST_CASE("sctp: a port of TCP, of another address or withdrawn lets no INIT through") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80, "tcp"}, {9090, 90, "sctp", "192.0.2.11"}}) == done);
  SctpReceiver v4(abc, Family::ipv4);
  send_raw_sctp(lab.client(), "192.0.2.1", 8080, 40001);
  send_raw_sctp(lab.client(), "192.0.2.1", 9090, 40002);
  CHECK(received(v4, 40001, std::chrono::milliseconds(250)) == "");
  send_raw_sctp(lab.client(), "192.0.2.11", 9090, 40003);
  CHECK(received(v4, 40003, std::chrono::seconds(5)) == "192.0.2.2 -> 10.22.0.2 90");
  REQUIRE(Runtime(lab).del("abc") == done);
  send_raw_sctp(lab.client(), "192.0.2.11", 9090, 40004);
  CHECK(received(v4, 40004, std::chrono::milliseconds(250)) == "");
}

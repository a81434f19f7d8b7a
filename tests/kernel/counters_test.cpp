// Counters: nft and nft-port-mapperctl show the new connections of every published port.
#include <doctest/doctest.h>

#include <array>
#include <map>
#include <sstream>

#include "tests/support/runtime.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// `nft-port-mapperctl list`: "tcp 0.0.0.0:8080" -> the column CONNECTIONS.
std::map<std::string, std::string> listed(const Lab& lab) {
  std::istringstream lines(tool(lab.host(), CTL " list"));
  std::string line;
  std::getline(lines, line);
  REQUIRE(line.starts_with("PROTO "));
  const std::size_t column = line.find("CONNECTIONS");
  REQUIRE(column != std::string::npos);
  std::map<std::string, std::string> counts;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string protocol, host, count;
    words >> protocol >> host;
    std::istringstream(line.substr(column)) >> count;
    counts[protocol + " " + host] = count;
  }
  return counts;
}

// A published port as nft and as ctl name it.
struct Place {
  const char* map;
  const char* element;
  const char* listed;
};
constexpr std::array places = {
    Place{"MESOS-WEB-ip", "tcp . 8080", "tcp 0.0.0.0:8080"},
    Place{"MESOS-WEB-ip", "udp . 8080", "udp 0.0.0.0:8080"},
    Place{"MESOS-WEB-ip6", "tcp . 8080", "tcp [::]:8080"},
    Place{"MESOS-WEB-ip6", "udp . 8080", "udp [::]:8080"},
    Place{"MESOS-WEB-hostip", "192.0.2.11 . tcp . 8080", "tcp 192.0.2.11:8080"},
    Place{"MESOS-WEB-hostip6", "2001:db8::1 . udp . 9090", "udp [2001:db8::1]:9090"}};

// The counts of all places, both sources asked: "3 0 1 0 0 0", and where they differ "3/2".
std::string counts(const Lab& lab) {
  const std::map<std::string, std::string> ctl = listed(lab);
  CHECK(ctl.size() == places.size());
  std::string text;
  for (const Place& place : places) {
    const std::string nft_count = connections(lab, place.map, place.element);
    const auto found = ctl.find(place.listed);
    const std::string ctl_count = found == ctl.end() ? "none" : found->second;
    text += (text.empty() ? "" : " ") + nft_count;
    if (ctl_count != nft_count) text += "/" + ctl_count;
  }
  return text;
}

}  // namespace

TEST_CASE("counters: every new connection counts once, in the map of its family and address") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  REQUIRE(Runtime(lab).add("abc", {{8080, 80},
                                   {8080, 80, "udp"},
                                   {8080, 80, "tcp", "192.0.2.11"},
                                   {9090, 80, "udp", "2001:db8::1"}}) == done);
  const Service service(abc, "abc", 80);
  const auto asks = [&](const std::string& from, Protocol protocol, const std::string& to,
                        std::uint16_t port, std::uint16_t source_port = 0) {
    REQUIRE(ask(from, protocol, to, port, source_port).starts_with("abc "));
  };
  CHECK(counts(lab) == "0 0 0 0 0 0");
  for (const std::string& from : {lab.client(), lab.host(), abc})
    asks(from, Protocol::tcp, "192.0.2.1", 8080);
  asks(lab.host(), Protocol::tcp, "127.0.0.1", 8080);
  CHECK(counts(lab) == "4 0 0 0 0 0");
  for (const std::string& from : {lab.client(), lab.host(), abc})
    asks(from, Protocol::tcp, "2001:db8::1", 8080);
  CHECK(counts(lab) == "4 0 3 0 0 0");
  // One flow, whose second datagram is no new connection.
  for (int datagram = 0; datagram < 2; ++datagram)
    asks(lab.client(), Protocol::udp, "192.0.2.1", 8080, 5000);
  asks(lab.client(), Protocol::udp, "2001:db8::1", 8080, 5000);
  CHECK(counts(lab) == "4 1 3 1 0 0");
  asks(lab.client(), Protocol::tcp, "192.0.2.11", 8080);
  asks(lab.client(), Protocol::udp, "2001:db8::1", 9090);
  asks(lab.host(), Protocol::udp, "2001:db8::1", 9090);
  CHECK(counts(lab) == "4 1 3 1 1 2");
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "refused");
  CHECK(ask(lab.client(), Protocol::tcp, "10.22.0.2", 80) == "abc 192.0.2.2");
  CHECK(counts(lab) == "4 1 3 1 1 2");
}

TEST_CASE("counters: nft list shows them beside the port") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  const Service service(abc, "abc", 80);
  REQUIRE(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(listing(lab.host())
            .find("tcp . 8080 counter packets 1 bytes 60 comment \"container_id: "
                  "abc\" : 10.22.0.2 . 80") != std::string::npos);
}

// lib/host/listeners: what the kernel is asked about sockets, and what its answers mean; and
// lib/app/host_processes: what becomes of those that listen where a port is published.
#include "lib/host/listeners.hpp"

#include <doctest/doctest.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "lib/app/host_processes.hpp"
#include "tests/support/join.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::app;
using namespace portmapper::host;
using namespace portmapper::test;

namespace {

ListenPort listen_port(Protocol protocol, int port) {
  return {protocol, *Port::from(port)};
}

struct Socket {
  std::string address;
  int port = 8080;
  int state = TCP_LISTEN;
  std::uint32_t inode = 7;
  std::optional<std::uint8_t> only_ipv6{};
};

Buffer body_of(const Socket& socket) {
  const IpAddress address = *IpAddress::parse(socket.address);
  inet_diag_msg body{};
  body.idiag_family = socket_family(address.family());
  body.idiag_state = static_cast<std::uint8_t>(socket.state);
  body.id.idiag_sport = htons(static_cast<std::uint16_t>(socket.port));
  std::memcpy(body.id.idiag_src, address.bytes().data(), address.length());
  body.idiag_inode = socket.inode;
  const auto* at = reinterpret_cast<const std::uint8_t*>(&body);
  Buffer bytes(at, at + sizeof body);
  if (!socket.only_ipv6) return bytes;
  const std::uint8_t value[] = {*socket.only_ipv6};
  const Buffer attribute = Attrs().put(INET_DIAG_SKV6ONLY, value).bytes();
  bytes.insert(bytes.end(), attribute.begin(), attribute.end());
  return bytes;
}

Replies dump_of(const std::vector<Socket>& sockets) {
  Replies all;
  for (const Socket& socket : sockets) all.message(SOCK_DIAG_BY_FAMILY, 0, 0, body_of(socket));
  return all.done(0);
}

Replies failed_dump(int error_number) {
  const int negative = -error_number;
  const auto* at = reinterpret_cast<const std::uint8_t*>(&negative);
  return Replies().message(NLMSG_DONE, NLM_F_MULTI, 0, Buffer(at, at + sizeof negative));
}

// "ADDRESS PORT/PROTOCOL INODE", "+ipv4" behind those of both families.
std::string found(FakeTransport& kernel, const std::vector<ListenPort>& ports) {
  const Result<std::vector<Listener>> listeners = find_listeners(kernel, ports);
  if (!listeners) return listeners.error().message();
  std::vector<std::string> lines;
  for (const Listener& one : *listeners)
    lines.push_back(place_of(one) + " " + std::to_string(one.inode) +
                    (one.also_ipv4 ? " +ipv4" : ""));
  return join(lines);
}

// Of a question: family, protocol, states, port.
std::string asked(const Buffer& question) {
  inet_diag_req_v2 body{};
  REQUIRE(question.size() == NLMSG_LENGTH(sizeof body));
  std::memcpy(&body, question.data() + NLMSG_HDRLEN, sizeof body);
  return std::to_string(body.sdiag_family) + " " + std::to_string(body.sdiag_protocol) + " " +
         std::to_string(body.idiag_states) + " " + std::to_string(ntohs(body.id.idiag_sport));
}

nft::PublishedPort port_of(const std::string& address, Protocol protocol = Protocol::tcp) {
  return {*IpAddress::parse(address), protocol, *Port::from(8080)};
}

Listener listener_at(const std::string& address, bool also_ipv4 = false,
                     Protocol protocol = Protocol::tcp) {
  return {listen_port(protocol, 8080), *IpAddress::parse(address), also_ipv4, 7};
}

std::string meet(const nft::PublishedPort& published, const Listener& listener,
                 const LoopbackPorts& loopback = {}) {
  const std::vector<HostProcess> all = meetings({&published, 1}, {&listener, 1}, loopback);
  if (all.empty()) return "none";
  return all.front().is_hidden ? "hidden" : "keeps";
}

}  // namespace

TEST_CASE("listeners: the kernel is asked once for each protocol and family, of one port alone") {
  FakeTransport kernel;
  CHECK(found(kernel, {listen_port(Protocol::tcp, 8080), listen_port(Protocol::tcp, 8080)}) == "");
  REQUIRE(kernel.requests.size() == 2);
  CHECK(asked(kernel.requests[0]) == "2 6 1024 8080");
  CHECK(asked(kernel.requests[1]) == "10 6 1024 8080");
  kernel.requests.clear();
  CHECK(found(kernel, {listen_port(Protocol::udp, 53), listen_port(Protocol::tcp, 81),
                       listen_port(Protocol::tcp, 80), listen_port(Protocol::sctp, 9)}) == "");
  REQUIRE(kernel.requests.size() == 6);
  CHECK(asked(kernel.requests[0]) == "2 6 1024 0");
  CHECK(asked(kernel.requests[1]) == "10 6 1024 0");
  CHECK(asked(kernel.requests[2]) == "2 17 128 53");
  CHECK(asked(kernel.requests[3]) == "10 17 128 53");
  CHECK(asked(kernel.requests[4]) == "2 132 1024 9");
  CHECK(asked(kernel.requests[5]) == "10 132 1024 9");
  kernel.requests.clear();
  CHECK(found(kernel, {}) == "");
  CHECK(kernel.requests.empty());
}

TEST_CASE("listeners: other ports and states are none; :: is 0.0.0.0 too unless it says no") {
  FakeTransport kernel;
  kernel.answers = {dump_of({{.address = "0.0.0.0"},
                             {.address = "192.0.2.1", .port = 8081, .inode = 8},
                             {.address = "192.0.2.1", .port = 9090},
                             {.address = "192.0.2.1", .state = TCP_ESTABLISHED},
                             {.address = "0.0.0.0", .port = 0}}),
                    dump_of({{.address = "::", .inode = 1},
                             {.address = "::", .inode = 2, .only_ipv6 = 0},
                             {.address = "::", .inode = 3, .only_ipv6 = 1},
                             {.address = "2001:db8::1", .inode = 4, .only_ipv6 = 0},
                             {.address = "::ffff:192.0.2.1", .inode = 5}})};
  CHECK(found(kernel, {listen_port(Protocol::tcp, 8080), listen_port(Protocol::tcp, 8081)}) ==
        "0.0.0.0:8080/tcp 7, 192.0.2.1:8081/tcp 8, [::]:8080/tcp 1 +ipv4, [::]:8080/tcp 2 +ipv4, "
        "[::]:8080/tcp 3, [2001:db8::1]:8080/tcp 4, 192.0.2.1:8080/tcp 5");
  FakeTransport udp;
  udp.answers = {dump_of({{.address = "10.22.0.1", .state = TCP_CLOSE},
                          {.address = "10.22.0.9", .state = TCP_ESTABLISHED}})};
  CHECK(found(udp, {listen_port(Protocol::udp, 8080)}) == "10.22.0.1:8080/udp 7");
}

TEST_CASE("listeners: half a message is none, and a dump that ends with an error is one") {
  FakeTransport kernel;
  Buffer half = body_of({.address = "0.0.0.0"});
  half.resize(half.size() - 4);
  Buffer of_another_family = body_of({.address = "0.0.0.0"});
  of_another_family[0] = AF_UNIX;
  kernel.answers = {Replies()
                        .message(SOCK_DIAG_BY_FAMILY, 0, 0, half)
                        .message(SOCK_DIAG_BY_FAMILY, 0, 0, of_another_family)
                        .done(0)};
  CHECK(found(kernel, {listen_port(Protocol::tcp, 8080)}) == "");
  kernel.answers = {dump_of({}), failed_dump(ENOENT)};
  CHECK(found(kernel, {listen_port(Protocol::tcp, 8080)}) ==
        "cannot list: the host's tcp sockets: No such file or directory");
  // A kernel without SCTP: nothing listens.
  kernel.answers = {failed_dump(ENOENT), failed_dump(ENOENT)};
  CHECK(found(kernel, {listen_port(Protocol::sctp, 8080)}) == "");
  kernel.answers = {Replies().error(0, EPERM)};
  CHECK(found(kernel, {listen_port(Protocol::sctp, 8080)}) ==
        "cannot list: the host's sctp sockets: Operation not permitted");
}

TEST_CASE("listeners: what becomes of a process, by what is published and where it listens") {
  struct Row {
    const char* published;
    const char* listens;
    const char* by_loopback;  // where the host's loopback reaches the port
    const char* otherwise;
  };
  constexpr Row rows[] = {
      {"0.0.0.0", "0.0.0.0", "hidden", "hidden"},
      {"0.0.0.0", "192.0.2.1", "keeps", "keeps"},
      {"0.0.0.0", "127.0.0.1", "hidden", "keeps"},
      {"0.0.0.0", "127.0.0.9", "hidden", "keeps"},
      {"0.0.0.0", "127.0.0.53", "keeps", "keeps"},
      {"0.0.0.0", "127.0.0.54", "keeps", "keeps"},
      {"0.0.0.0", "::", "none", "none"},
      {"0.0.0.0", "2001:db8::1", "none", "none"},
      {"192.0.2.1", "0.0.0.0", "hidden", "hidden"},
      {"192.0.2.1", "192.0.2.1", "hidden", "hidden"},
      {"192.0.2.1", "192.0.2.11", "none", "none"},
      {"192.0.2.1", "::", "none", "none"},
      {"127.0.0.1", "127.0.0.1", "hidden", "keeps"},
      {"127.0.0.1", "0.0.0.0", "hidden", "keeps"},
      {"127.0.0.53", "127.0.0.53", "hidden", "keeps"},
      {"::", "::", "hidden", "hidden"},
      {"::", "2001:db8::1", "keeps", "keeps"},
      {"::", "fe80::1", "keeps", "keeps"},
      {"::", "::1", "hidden", "keeps"},
      {"::", "0.0.0.0", "none", "none"},
      {"2001:db8::1", "::", "hidden", "hidden"},
      {"2001:db8::1", "2001:db8::1", "hidden", "hidden"},
      {"2001:db8::1", "2001:db8::2", "none", "none"},
  };
  const LoopbackPorts loopback = {port_of("0.0.0.0"), port_of("::")};
  for (const Row& row : rows) {
    CAPTURE(row.published);
    CAPTURE(row.listens);
    CHECK(meet(port_of(row.published), listener_at(row.listens), loopback) == row.by_loopback);
    CHECK(meet(port_of(row.published), listener_at(row.listens)) == row.otherwise);
  }
}

TEST_CASE("listeners: [::] that takes IPv4 is hidden by a port of either family") {
  CHECK(meet(port_of("0.0.0.0"), listener_at("::", true)) == "hidden");
  CHECK(meet(port_of("192.0.2.1"), listener_at("::", true)) == "hidden");
  CHECK(meet(port_of("::"), listener_at("::", true)) == "hidden");
}

TEST_CASE(
    "listeners: another port or protocol is met by nobody, SCTP is hidden on one address too") {
  CHECK(meet(port_of("0.0.0.0", Protocol::udp), listener_at("0.0.0.0")) == "none");
  Listener other = listener_at("0.0.0.0");
  other.port = listen_port(Protocol::tcp, 8081);
  CHECK(meet(port_of("0.0.0.0"), other) == "none");
  CHECK(meet(port_of("0.0.0.0", Protocol::sctp), listener_at("192.0.2.1", false, Protocol::sctp)) ==
        "hidden");
  CHECK(meet(port_of("::", Protocol::sctp), listener_at("fe80::1", false, Protocol::sctp)) ==
        "keeps");
  CHECK(meet(port_of("0.0.0.0", Protocol::sctp), listener_at("127.0.0.1", false, Protocol::sctp)) ==
        "keeps");
}

TEST_CASE("listeners: sentences name the process as a terminal may have it") {
  Listener listener = listener_at("0.0.0.0");
  CHECK(sentence({port_of("192.0.2.1"), listener, true}) ==
        "192.0.2.1:8080/tcp hides a process that cannot be seen here, which listens on "
        "0.0.0.0:8080/tcp");
  listener.process = "ev\033[2Jil\n";
  listener.pid = 812;
  CHECK(sentence({port_of("0.0.0.0"), listener, true}) ==
        "0.0.0.0:8080/tcp hides the host's process ev?[2Jil? (pid 812), which listens on "
        "0.0.0.0:8080/tcp");
  CHECK(sentence({port_of("0.0.0.0"), listener, false}) ==
        "the host's process ev?[2Jil? (pid 812) keeps 0.0.0.0:8080/tcp");
}

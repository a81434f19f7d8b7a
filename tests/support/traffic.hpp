// Server and probe: who answers at an address and port, and whom does it see.
//
//   Server server(lab.ns("abc"), "abc", Protocol::tcp, "::", 80);
//   probe(lab.client(), Protocol::tcp, "2001:db8::1", 8080);  // "abc 2001:db8::2"
//
// A server answers every connection or datagram with "<its name> <the peer's address>", from the
// address it was asked at, until it is destroyed; when its constructor returns it listens. An IPv6
// server does not serve IPv4. A probe returns that answer, or "refused", "timeout", "unreachable",
// or "error: " and the errno's text. Ports are in host byte order; port 0 lets the kernel choose.
// Errors: std::runtime_error when a socket cannot be made or bound.
// Source: tcp(7), udp(7), ip(7) IP_PKTINFO, ipv6(7) IPV6_PKTINFO.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "lib/base/ip_address.hpp"
#include "lib/base/port.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::test {

class Server {
 public:
  Server(const std::string& ns, std::string name, Protocol protocol, const std::string& address,
         std::uint16_t port);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  void serve();
  void answer_connection();
  void answer_datagram();

  std::string name_;
  Protocol protocol_;
  UniqueFd socket_;
  UniqueFd stop_;
  std::thread thread_;
};

struct ProbeOptions {
  std::uint16_t source_port = 0;
  std::string source_address{};
  std::chrono::milliseconds timeout{300};
};

std::string probe(const std::string& ns, Protocol protocol, const std::string& address,
                  std::uint16_t port, const ProbeOptions& options = {});

// A probe for where an answer is expected: it waits long enough for a busy machine.
std::string ask(const std::string& ns, Protocol protocol, const std::string& address,
                std::uint16_t port, std::uint16_t source_port = 0);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);

  SocketAddress() = default;
  SocketAddress(const IpAddress& address, std::uint16_t port);
  [[nodiscard]] IpAddress address() const;
  [[nodiscard]] std::uint16_t port() const;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

IpAddress parse_address(const std::string& text);  // throws for what is no address
// A socket of namespace `ns`; it stays there whoever uses it.
UniqueFd open_socket(const std::string& ns, Family family, int type, int protocol);

}  // namespace portmapper::test

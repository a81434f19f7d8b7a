// Connection: a TCP connection that is kept open.
//
//   const Connection connection(lab.ns("abc"), 80, lab.client(), "192.0.2.1", 8080);
//   CHECK(connection.works());
//   CHECK(connection.ends());  // the client's next byte is answered by a reset
//
// It is made from the client's namespace to the address and port, and accepted in the server's, which
// listens on `server_port` of 0.0.0.0. `source_port` 0 lets the kernel choose. Ports are in host byte
// order. Errors: a failed REQUIRE.
#pragma once

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <cerrno>
#include <string>

#include "tests/support/slowness.hpp"
#include "tests/support/traffic.hpp"

namespace portmapper::test {

class Connection {
 public:
  Connection(const std::string& server_ns, std::uint16_t server_port, const std::string& client_ns,
             const std::string& address, std::uint16_t host_port, std::uint16_t source_port = 0) {
    const UniqueFd listener = open_socket(server_ns, Family::ipv4, SOCK_STREAM, 0);
    const SocketAddress here(parse_address("0.0.0.0"), server_port);
    const int on = 1;
    REQUIRE(setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    REQUIRE(bind(listener.get(), here.get(), here.length) == 0);
    REQUIRE(listen(listener.get(), 1) == 0);
    client_ = open_socket(client_ns, Family::ipv4, SOCK_STREAM, 0);
    if (source_port != 0) {
      const SocketAddress own(parse_address("0.0.0.0"), source_port);
      REQUIRE(setsockopt(client_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
      REQUIRE(bind(client_.get(), own.get(), own.length) == 0);
    }
    const SocketAddress there(parse_address(address), host_port);
    (void)connect(client_.get(), there.get(), there.length);
    wait(listener);
    server_ = UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    REQUIRE(static_cast<bool>(server_));
  }
  // Whether bytes still pass in both directions.
  [[nodiscard]] bool works() const { return passes(client_, server_) && passes(server_, client_); }
  // Whether the client is reset when it sends.
  [[nodiscard]] bool ends() const {
    char byte = '!';
    if (send(client_.get(), &byte, 1, MSG_NOSIGNAL) != 1 || !wait(client_, 10000)) return false;
    return recv(client_.get(), &byte, 1, 0) == -1 && errno == ECONNRESET;
  }

  // The server's end is gone without a packet, as where a container dies with its namespace.
  void lose_server() {
    const int on = 1;
    REQUIRE(setsockopt(server_.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0);
    server_ = UniqueFd();
  }

 private:
  // A reset may take a lost packet's second try, on a machine that has much to do.
  static bool wait(const UniqueFd& fd, int milliseconds = 2000) {
    pollfd entry{fd.get(), POLLIN, 0};
    return poll(&entry, 1, slowness() * milliseconds) == 1;
  }
  static bool passes(const UniqueFd& from, const UniqueFd& to) {
    char byte = '!';
    return send(from.get(), &byte, 1, MSG_NOSIGNAL) == 1 && wait(to) &&
           recv(to.get(), &byte, 1, 0) == 1;
  }

  UniqueFd client_;
  UniqueFd server_;
};

}  // namespace portmapper::test

#include "tests/support/traffic.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "tests/support/namespace.hpp"
#include "tests/support/slowness.hpp"

namespace portmapper::test {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

int socket_type(Protocol protocol) {
  if (protocol == Protocol::tcp) return SOCK_STREAM;
  if (protocol == Protocol::udp) return SOCK_DGRAM;
  throw std::runtime_error("this kernel may have no SCTP sockets; see sctp.hpp");
}

void enable(const UniqueFd& fd, int level, int option) {
  const int on = 1;
  if (setsockopt(fd.get(), level, option, &on, sizeof on) != 0) fail("setsockopt");
}

bool wait_for(const UniqueFd& fd, short events, Clock::time_point deadline) {
  pollfd entry{fd.get(), events, 0};
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    const int ready = poll(&entry, 1, left < 0 ? 0 : static_cast<int>(left));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

std::string outcome(int error) {
  switch (error) {
    case ECONNREFUSED:
      return "refused";
    case ETIMEDOUT:
      return "timeout";
    case EHOSTUNREACH:
    case ENETUNREACH:
      return "unreachable";
    default:
      return std::string("error: ") + std::strerror(error);
  }
}

int pending_error(const UniqueFd& fd) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

// Turns what the kernel said of a datagram's destination into what it needs to reply from there.
void reply_from_destination(msghdr& message) {
  for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr;
       item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(item), sizeof info);
      info.ipi_spec_dst = info.ipi_addr;
      info.ipi_ifindex = 0;
      std::memcpy(CMSG_DATA(item), &info, sizeof info);
    } else if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(item), sizeof info);
      info.ipi6_ifindex = 0;
      std::memcpy(CMSG_DATA(item), &info, sizeof info);
    }
  }
}

// The rest of a stream, up to its end; a single datagram.
std::string read_answer(const UniqueFd& fd, Protocol protocol, Clock::time_point deadline) {
  std::string answer;
  std::array<char, 512> buffer{};
  while (true) {
    if (!wait_for(fd, POLLIN, deadline)) return "timeout";
    const ssize_t count = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (count < 0) return outcome(errno);
    answer.append(buffer.data(), static_cast<std::size_t>(count));
    if (count == 0 || protocol == Protocol::udp) return answer;
  }
}

}  // namespace

SocketAddress::SocketAddress(const IpAddress& address, std::uint16_t port) {
  if (address.family() == Family::ipv4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.bytes().data(), sizeof v4.sin_addr);
    std::memcpy(&storage, &v4, sizeof v4);
    length = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes().data(), sizeof v6.sin6_addr);
    std::memcpy(&storage, &v6, sizeof v6);
    length = sizeof v6;
  }
}

IpAddress SocketAddress::address() const {
  if (storage.ss_family == AF_INET) {
    return IpAddress::from_bytes(Family::ipv4,
                                 &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr);
  }
  return IpAddress::from_bytes(Family::ipv6,
                               &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
}

std::uint16_t SocketAddress::port() const {
  // At the same place in both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

IpAddress parse_address(const std::string& text) {
  const auto address = IpAddress::parse(text);
  if (!address) throw std::runtime_error(text + " is not an address");
  return *address;
}

UniqueFd open_socket(const std::string& ns, Family family, int type, int protocol) {
  return in_namespace(ns, [&] {
    UniqueFd fd(socket(family == Family::ipv4 ? AF_INET : AF_INET6,
                       type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
    if (!fd) fail("socket");
    return fd;
  });
}

Server::Server(const std::string& ns, std::string name, Protocol protocol,
               const std::string& address, std::uint16_t port)
    : name_(std::move(name)), protocol_(protocol), stop_(eventfd(0, EFD_CLOEXEC)) {
  const IpAddress local = parse_address(address);
  socket_ = open_socket(ns, local.family(), socket_type(protocol), 0);
  enable(socket_, SOL_SOCKET, SO_REUSEADDR);
  if (local.family() == Family::ipv6) enable(socket_, IPPROTO_IPV6, IPV6_V6ONLY);
  if (protocol == Protocol::udp) {
    if (local.family() == Family::ipv4) enable(socket_, IPPROTO_IP, IP_PKTINFO);
    if (local.family() == Family::ipv6) enable(socket_, IPPROTO_IPV6, IPV6_RECVPKTINFO);
  }
  const SocketAddress where(local, port);
  const std::string what = name_ + " on " + address + " port " + std::to_string(port);
  if (bind(socket_.get(), where.get(), where.length) != 0) fail("bind " + what);
  if (protocol == Protocol::tcp && listen(socket_.get(), 128) != 0) fail("listen " + what);
  thread_ = std::thread([this] { serve(); });
}

Server::~Server() {
  eventfd_write(stop_.get(), 1);
  thread_.join();
}

void Server::serve() {
  while (true) {
    std::array<pollfd, 2> fds{{{stop_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[0].revents != 0) return;
    if (protocol_ == Protocol::tcp) {
      answer_connection();
    } else {
      answer_datagram();
    }
  }
}

void Server::answer_connection() {
  SocketAddress peer;
  const UniqueFd connection(accept4(socket_.get(), peer.get(), &peer.length, SOCK_CLOEXEC));
  if (!connection) return;
  const std::string answer = name_ + " " + peer.address().to_string();
  send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
}

void Server::answer_datagram() {
  SocketAddress peer;
  std::array<char, 512> buffer{};
  alignas(cmsghdr) std::array<char, 128> control{};
  iovec data{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = peer.get();
  message.msg_namelen = peer.length;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (recvmsg(socket_.get(), &message, 0) < 0) return;
  reply_from_destination(message);
  std::string answer = name_ + " " + peer.address().to_string();
  data = {answer.data(), answer.size()};
  message.msg_flags = 0;
  sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
}

std::string probe(const std::string& ns, Protocol protocol, const std::string& address,
                  std::uint16_t port, const ProbeOptions& options) {
  const IpAddress remote = parse_address(address);
  const auto deadline = Clock::now() + slowness() * options.timeout;
  const UniqueFd fd = open_socket(ns, remote.family(), socket_type(protocol), 0);
  if (options.source_port != 0 || !options.source_address.empty()) {
    const SocketAddress local(options.source_address.empty()
                                  ? IpAddress::any(remote.family())
                                  : parse_address(options.source_address),
                              options.source_port);
    enable(fd, SOL_SOCKET, SO_REUSEADDR);
    if (bind(fd.get(), local.get(), local.length) != 0) fail("bind");
  }
  const SocketAddress to(remote, port);
  if (connect(fd.get(), to.get(), to.length) != 0 && errno != EINPROGRESS) return outcome(errno);
  if (protocol == Protocol::tcp) {
    if (!wait_for(fd, POLLOUT, deadline)) return "timeout";
    if (const int error = pending_error(fd); error != 0) return outcome(error);
  } else if (send(fd.get(), "?", 1, MSG_NOSIGNAL) < 0) {
    return outcome(errno);
  }
  return read_answer(fd, protocol, deadline);
}

std::string ask(const std::string& ns, Protocol protocol, const std::string& address,
                std::uint16_t port, std::uint16_t source_port) {
  return probe(ns, protocol, address, port,
               {.source_port = source_port, .timeout = std::chrono::seconds(5)});
}

}  // namespace portmapper::test

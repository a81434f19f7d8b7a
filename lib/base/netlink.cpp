#include "lib/base/netlink.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/base/attributes.hpp"

namespace portmapper {
namespace {

Error failed(const char* what) {
  return {ErrorKind::mapping_failed, what, "netlink socket", errno, {}};
}

// The kernel takes a request only if it fits the send buffer, 208 KiB unless enlarged.
void make_room(int socket, std::size_t size) {
  constexpr std::size_t kDefault = 200 * 1024;
  if (size <= kDefault) return;
  const int wanted = static_cast<int>(size);  // the kernel doubles it for its own overhead
  if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted) != 0)
    (void)setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
}

// The kernel puts several messages of a dump into one datagram.
void each_message(Bytes datagram, const OnReply& on_reply) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    const auto* reply = reinterpret_cast<const nlmsghdr*>(datagram.data());
    if (reply->nlmsg_len < sizeof(nlmsghdr) || reply->nlmsg_len > datagram.size()) return;
    on_reply(*reply);
    datagram =
        datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(reply->nlmsg_len), datagram.size()));
  }
}

}  // namespace

Result<Netlink> Netlink::open(int protocol) {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!socket) return failed("cannot open");
  const int on = 1;
  // Without the first, every refusal would carry the whole request; the second brings its reason.
  if (setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on) != 0 ||
      setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) != 0)
    return failed("cannot set up");
  return Netlink(std::move(socket), protocol);
}

Status Netlink::send(std::span<const std::uint8_t> requests) const {
  make_room(socket_.get(), requests.size());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent = 0;
  do {
    sent = sendto(socket_.get(), requests.data(), requests.size(), 0,
                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return failed("cannot send");
  return {};
}

Result<std::size_t> Netlink::receive(std::size_t size) {
  ssize_t received = 0;
  do {
    received = recv(socket_.get(), buffer_.get(), size, MSG_DONTWAIT | MSG_TRUNC);
  } while (received < 0 && errno == EINTR);
  if (received < 0 && errno == EAGAIN) return std::size_t{0};
  if (received < 0) return failed("cannot receive");
  if (static_cast<std::size_t>(received) > size) {
    errno = EMSGSIZE;
    return failed("cannot receive");
  }
  return static_cast<std::size_t>(received);
}

Status Netlink::exchange(std::span<const std::uint8_t> requests, const OnReply& on_reply) {
  if (const Status sent = send(requests); !sent) return sent;
  Status lost;
  for (;;) {
    const Result<std::size_t> received = receive(kBufferSize);
    if (!received && received.error().error_number == ENOBUFS && lost) {
      lost =
          received.error();  // there were more replies than fit; the first of them are still there
      continue;
    }
    if (!received) return received.error();
    if (*received == 0) return lost;
    each_message({buffer_.get(), *received}, on_reply);
  }
}

Status Netlink::glance(std::span<const std::uint8_t> requests, const OnReply& on_reply) {
  // The kernel fills a dump's datagrams up to the largest size a socket has ever read with, so a
  // new socket gets little; closing it ends the dump.
  constexpr std::size_t kLittle = 8192;
  Result<Netlink> other = open(protocol_);
  if (!other) return other.error();
  if (const Status sent = other->send(requests); !sent) return sent;
  const Result<std::size_t> received = other->receive(kLittle);
  if (!received) return received.error();
  each_message({other->buffer_.get(), *received}, on_reply);
  return {};
}

Acknowledgement acknowledgement(const nlmsghdr& reply) {
  if (reply.nlmsg_type != NLMSG_ERROR || reply.nlmsg_len < NLMSG_HDRLEN + sizeof(nlmsgerr))
    return {};
  nlmsgerr error{};
  std::memcpy(&error, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof error);
  Acknowledgement ack{.present = true, .error_number = -error.error, .reason = {}};
  if ((reply.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return ack;
  // NETLINK_CAP_ACK: only the header of our request lies before the attributes.
  const auto reason =
      Attributes(message_attributes(reply, sizeof(nlmsgerr))).find(NLMSGERR_ATTR_MSG);
  if (reason) ack.reason = reason->text();
  return ack;
}

}  // namespace portmapper

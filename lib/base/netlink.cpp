#include "lib/base/netlink.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "lib/base/attributes.hpp"
#include "lib/base/close_deferred.hpp"

namespace portmapper {
namespace {

constexpr char kSocket[] = "netlink socket";

Error failed(const char* what) {
  return mapping_failed(what, kSocket, errno);
}

Error too_long(std::size_t size) {
  const std::string bytes = std::to_string(size);
  return mapping_failed(
      "cannot send " + bytes +
          " bytes at once, which net.core.wmem_max does not allow here; sysctl -w "
          "net.core.wmem_max=" +
          bytes + " on the host does",
      kSocket, EMSGSIZE);
}

// The kernel takes a request only if it fits the send buffer, 208 KiB unless enlarged.
void make_room(int socket, std::size_t size) {
  constexpr std::size_t kDefault = 200U << 10U;
  if (size <= kDefault) return;
  const int wanted = static_cast<int>(size);  // the kernel doubles it for its own overhead
  if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted) != 0)
    (void)setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
}

// The kernel fills a dump's datagrams up to the largest size that the socket has ever read with,
// but 32 KiB. What begins small leaves most pages of it alone; lists of links can be large at once.
constexpr std::size_t kLargest = std::size_t{64} * 1024;
constexpr std::size_t kFirst = std::size_t{16} * 1024;

Error cannot_receive(int error_number) {
  errno = error_number;
  return failed("cannot receive");
}

// What was sent is not too long, and was taken.
Error cut_short(const Error& error) {
  return error.error_number == EMSGSIZE ? cannot_receive(EBADMSG) : error;
}

// The kernel puts several messages of a dump into one datagram; never a part of one.
template <typename Do>
Status each_message(Bytes bytes, const Do& act) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data());
    if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > bytes.size()) break;
    act(*message);
    bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(message->nlmsg_len), bytes.size()));
  }
  if (!bytes.empty()) return cannot_receive(EBADMSG);
  return {};
}

// Of nf_tables, whose deletions the last close of this socket would wait for.
bool deletes(const nlmsghdr& request) {
  if (request.nlmsg_type >> 8U != NFNL_SUBSYS_NFTABLES) return false;
  switch (request.nlmsg_type & 0xffU) {
    case NFT_MSG_DELTABLE:
    case NFT_MSG_DELCHAIN:
    case NFT_MSG_DELRULE:
    case NFT_MSG_DELSET:
    case NFT_MSG_DELSETELEM:
      return true;
    default:
      return false;
  }
}

// Recognises the last thing that the kernel says to some requests: it answers in their order, in a
// batch only the one that asks for an acknowledgement, outside of one every one. It does not come
// when a batch is refused before.
class LastAnswer {
 public:
  explicit LastAnswer(Bytes requests) {
    bool asks = false;
    (void)each_message(requests, [&](const nlmsghdr& request) {
      deletes_ = deletes_ || deletes(request);
      const bool this_asks = (request.nlmsg_flags & NLM_F_ACK) != 0;
      if (asks && !this_asks) return;
      asks = this_asks;
      sequence_ = request.nlmsg_seq;
      is_dump_ = !asks && (request.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    });
  }
  void see(const nlmsghdr& reply) {
    const bool is_verdict = reply.nlmsg_type == NLMSG_DONE || reply.nlmsg_type == NLMSG_ERROR;
    came_ = came_ || (reply.nlmsg_seq == sequence_ && (!is_dump_ || is_verdict));
  }
  [[nodiscard]] bool came() const { return came_; }
  [[nodiscard]] bool ends_a_dump() const { return is_dump_; }
  [[nodiscard]] bool follows_a_deletion() const { return deletes_; }

 private:
  std::uint32_t sequence_ = 0;
  bool is_dump_ = false;
  bool deletes_ = false;
  bool came_ = false;
};

Status hand_on(Bytes datagram, LastAnswer& last, const OnReply& on_reply) {
  return each_message(datagram, [&](const nlmsghdr& reply) {
    last.see(reply);
    on_reply(reply);
  });
}

}  // namespace

Error no_answer(std::string object) {
  return mapping_failed("the kernel did not answer", std::move(object));
}

Result<Netlink> Netlink::open(int protocol) {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!socket) return failed("cannot open");
  // Routes are asked for one by one, and their refusals need no words.
  if (protocol == NETLINK_ROUTE) return Netlink(std::move(socket), protocol);
  const int on = 1;
  // Without the first, every refusal would carry the whole request; the second brings its reason.
  if (setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on) != 0 ||
      setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) != 0)
    return failed("cannot set up");
  return Netlink(std::move(socket), protocol);
}

Netlink::Netlink(UniqueFd socket, int protocol)
    : socket_(std::move(socket)), protocol_(protocol), size_(kFirst) {}

Netlink::~Netlink() {
  if (socket_ && protocol_ == NETLINK_NETFILTER)
    close_deferred(std::move(socket_), has_deleted_ ? Collection::later : Collection::now);
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
  if (sent < 0 && errno == EMSGSIZE) return too_long(requests.size());
  if (sent < 0) return failed("cannot send");
  return {};
}

Result<Bytes> Netlink::receive() {
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<std::uint8_t[]>(size_);
  ssize_t received = 0;
  do {
    received = recv(socket_.get(), buffer_.get(), size_, MSG_DONTWAIT | MSG_TRUNC);
  } while (received < 0 && errno == EINTR);
  if (received < 0 && errno == EAGAIN) return Bytes();
  if (received < 0) return failed("cannot receive");
  if (static_cast<std::size_t>(received) > size_) return cannot_receive(EMSGSIZE);
  return Bytes(buffer_.get(), static_cast<std::size_t>(received));
}

void Netlink::expect_more_than(std::size_t received) {
  if (size_ == kLargest || received < size_ / 4) return;
  size_ = kLargest;
  buffer_.reset();
}

Status Netlink::exchange(std::span<const std::uint8_t> requests, const OnReply& on_reply) {
  if (const Status sent = send(requests); !sent) return sent;
  LastAnswer last(requests);
  has_deleted_ = has_deleted_ || last.follows_a_deletion();
  if (last.ends_a_dump() && protocol_ == NETLINK_ROUTE) expect_more_than(kFirst);
  Status lost;
  while (!last.came()) {
    const Result<Bytes> received = receive();
    if (!received && received.error().error_number == ENOBUFS && lost) {
      lost =
          received.error();  // there were more replies than fit; the first of them are still there
      continue;
    }
    if (!received) return cut_short(received.error());
    if (received->empty()) {
      if (lost && last.ends_a_dump()) return no_answer(kSocket);
      break;
    }
    const Status whole = hand_on(*received, last, on_reply);
    if (!whole) return whole;
    expect_more_than(received->size());
  }
  return lost;
}

Status Netlink::peek(std::span<const std::uint8_t> requests, const OnReply& on_reply,
                     const IsEnough& is_enough) {
  if (const Status sent = send(requests); !sent) return sent;
  constexpr std::size_t kLittle = 2048;  // the end of a short dump comes in a datagram of its own
  LastAnswer last(requests);
  for (;;) {
    const Result<Bytes> received = receive();
    if (!received) return received.error();
    if (received->empty()) return no_answer(kSocket);
    const Status whole = hand_on(*received, last, on_reply);
    if (!whole || last.came()) return whole;
    if (received->size() > kLittle && is_enough()) break;
    expect_more_than(received->size());
  }
  // Closing the socket ends the dump.
  Result<Netlink> other = open(protocol_);
  if (!other) return other.error();
  std::swap(socket_, other->socket_);
  return {};
}

Status Netlink::join(int group) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1U << static_cast<unsigned>(group - 1);
  if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return failed("cannot listen for events");
  return {};
}

Result<bool> Netlink::wait(std::chrono::steady_clock::time_point deadline,
                           const OnReply& on_message) {
  for (;;) {
    bool came = false;
    Status lost;
    for (;;) {
      const Result<Bytes> received = receive();
      // The kernel says so once, and drops all that comes until the socket is empty.
      if (!received &&
          (received.error().error_number == ENOBUFS || received.error().error_number == EMSGSIZE)) {
        lost = received.error();
        continue;
      }
      if (!received) return received.error();
      if (received->empty()) break;
      came = true;
      if (const Status whole = each_message(*received, on_message); !whole) return whole.error();
    }
    if (!lost) return lost.error();
    if (came) return true;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd ready{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    const int time = static_cast<int>(std::min<std::int64_t>(left.count(), INT_MAX));
    if (poll(&ready, 1, time) < 0 && errno != EINTR) return failed("cannot wait for events");
  }
}

Acknowledgement acknowledgement(const nlmsghdr& reply) {
  if (reply.nlmsg_type != NLMSG_ERROR || reply.nlmsg_len < NLMSG_HDRLEN + sizeof(nlmsgerr))
    return {};
  nlmsgerr error{};
  std::memcpy(&error, reinterpret_cast<const char*>(&reply) + NLMSG_HDRLEN, sizeof error);
  // Not -error.error: the smallest int has no opposite.
  const auto number = static_cast<int>(0U - static_cast<unsigned>(error.error));
  Acknowledgement ack{.present = true, .error_number = number, .reason = {}};
  if ((reply.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return ack;
  // NETLINK_CAP_ACK: only the header of our request lies before the attributes.
  const auto reason =
      Attributes(message_attributes(reply, sizeof(nlmsgerr))).find(NLMSGERR_ATTR_MSG);
  if (reason) ack.reason = reason->text();
  return ack;
}

std::uint8_t family_of(const nlmsghdr& message) {
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(nfgenmsg))) return NFPROTO_UNSPEC;
  return *(reinterpret_cast<const std::uint8_t*>(&message) + NLMSG_HDRLEN);  // nfgen_family
}

}  // namespace portmapper

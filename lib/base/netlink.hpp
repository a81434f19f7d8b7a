// Transport: one netlink conversation with the kernel; Netlink is the real one.
//
//   Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
//   const Status sent = netlink->exchange(requests, [](const nlmsghdr& reply) { use(reply); });
//
// The kernel answers netlink requests while they are sent, so after a send everything is there to
// be read (a dump continues with each read): exchange reads until the last request is answered or
// the socket is empty, and never waits. The headers of messages are in host byte order, their
// attributes as the protocol has them. Errors: mapping_failed with the errno of socket, setsockopt,
// sendto or recv; refusals by the kernel are replies (NLMSG_ERROR), which the caller judges, as it
// does where there is no reply. ENOBUFS: replies were lost, after those that came were handed on;
// no_answer(): a dump without its end; EBADMSG: a part of a message; EMSGSIZE: the requests are more
// than this socket may send at once, and nothing was sent. peek reads
// until it has seen enough, and no_answer() is its error for silence. A socket that has joined a multicast
// group is for waiting, not for requests; ENOBUFS or EMSGSIZE is then: messages of the group were
// lost, and those that came were handed on. Does not promise: that a reply is well-formed beyond
// its length. Source: netlink(7), kernel net/netlink/af_netlink.c.
#pragma once

#include <linux/netlink.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lib/base/attributes.hpp"
#include "lib/base/error.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper {

// Silence, which does not mean "nothing there": `object` is what the question was about.
Error no_answer(std::string object);

using OnReply = std::function<void(const nlmsghdr& reply)>;
using IsEnough = std::function<bool()>;

class Transport {
 public:
  Transport() = default;
  Transport(Transport&&) = default;
  Transport& operator=(Transport&&) = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  virtual Status exchange(std::span<const std::uint8_t> requests, const OnReply& on_reply) = 0;
  // Of a dump as many datagrams as it takes until there is enough, whatever its length.
  virtual Status peek(std::span<const std::uint8_t> requests, const OnReply& on_reply,
                      const IsEnough& is_enough) = 0;
};

class Netlink final : public Transport {
 public:
  static Result<Netlink> open(int protocol);
  Netlink(Netlink&&) = default;
  ~Netlink() override;
  Status exchange(std::span<const std::uint8_t> requests, const OnReply& on_reply) override;
  Status peek(std::span<const std::uint8_t> requests, const OnReply& on_reply,
              const IsEnough& is_enough) override;
  // From now on the messages of a multicast group, of the first 32, come, for `wait`.
  Status join(int group);
  // For an ioctl that any socket takes.
  [[nodiscard]] int descriptor() const { return socket_.get(); }
  // Hands on what there is, and waits for it until the deadline. False: nothing came until then.
  Result<bool> wait(std::chrono::steady_clock::time_point deadline, const OnReply& on_message);

 private:
  Netlink(UniqueFd socket, int protocol);
  [[nodiscard]] Status send(std::span<const std::uint8_t> requests) const;
  // The next datagram, valid until the next call; empty when there is nothing (more).
  Result<Bytes> receive();
  void expect_more_than(std::size_t received);

  UniqueFd socket_;
  int protocol_;
  bool has_deleted_ = false;  // of nf_tables
  std::size_t size_;          // of the buffer
  std::unique_ptr<std::uint8_t[]> buffer_;
};

// The errno that a reply carries: 0 for an acknowledgement, nothing for every other message.
struct Acknowledgement {
  bool present = false;
  int error_number = 0;
  std::string_view reason;  // the kernel's own words, where it has some; lives as long as the reply
};
Acknowledgement acknowledgement(const nlmsghdr& reply);

// Whose table a message of nf_tables is about: NFPROTO_INET, ...; NFPROTO_UNSPEC where it does not say.
std::uint8_t family_of(const nlmsghdr& message);

}  // namespace portmapper

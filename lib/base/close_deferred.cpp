#include "lib/base/close_deferred.hpp"

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <span>

namespace portmapper {
namespace {

constexpr std::size_t kMost = 2;

// Puts descriptors in flight to the other end of `sender`. It may fail: then they are closed as they are.
void send_descriptors(const UniqueFd& sender, std::span<const int> descriptors) {
  alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(kMost * sizeof(int))> control{};
  char nothing = 0;
  iovec content{&nothing, sizeof nothing};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  (void)sendmsg(sender.get(), &message, MSG_DONTWAIT);
}

}  // namespace

void close_deferred(UniqueFd fd, Collection collection) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return;
  UniqueFd sender(ends[0]);
  UniqueFd receiver(ends[1]);

  // The receiver is in flight to itself: nothing but the garbage collector can close it.
  send_descriptors(sender, std::array{fd.get(), receiver.get()});
  // And with the sender in flight to itself, no end is closed by what follows.
  if (collection == Collection::later) send_descriptors(receiver, std::array{sender.get()});
  // The collector starts when an end is closed: by then it must hold the last reference.
  fd.reset();
  receiver.reset();
  sender.reset();
}

}  // namespace portmapper

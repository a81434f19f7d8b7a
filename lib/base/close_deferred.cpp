#include "lib/base/close_deferred.hpp"

#include <sys/socket.h>

#include <array>
#include <cstring>

namespace portmapper {

void close_deferred(UniqueFd fd) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return;
  UniqueFd sender(ends[0]);
  UniqueFd receiver(ends[1]);

  // The receiver is in flight to itself: nothing but the garbage collector can close it.
  const std::array<int, 2> in_flight = {fd.get(), receiver.get()};
  alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(sizeof in_flight)> control{};
  char nothing = 0;
  iovec content{&nothing, sizeof nothing};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof in_flight);
  std::memcpy(CMSG_DATA(header), in_flight.data(), sizeof in_flight);
  (void)sendmsg(sender.get(), &message, MSG_DONTWAIT);
  // The collector starts when an end is closed: by then it must hold the last reference.
  fd.reset();
  receiver.reset();
  sender.reset();
}

}  // namespace portmapper

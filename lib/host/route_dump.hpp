// Route dump: all of one kind that rtnetlink has of this network namespace.
//
//   const Status status = dump_routing(RTM_GETADDR, "the host's addresses",
//                                      [](const nlmsghdr& reply) { use(reply); });
//
// Errors: mapping_failed with "cannot list", the object and the errno; EINTR when it changed
// meanwhile. Does not promise: that only messages of that kind are handed on. Source: rtnetlink(7).
#pragma once

#include <cerrno>
#include <cstdint>
#include <vector>

#include "lib/base/netlink.hpp"

namespace portmapper::host {

Status dump_routing(std::uint16_t type, const char* object, const OnReply& on_reply);
// Of the network namespace in which the socket was opened.
Status dump_routing(Transport& route, std::uint16_t type, const char* object,
                    const OnReply& on_reply);

// The same once more where it was interrupted, since an interface, address or route came or went
// meanwhile. `add` puts what a message tells into the list.
template <typename T, typename Add>
Result<std::vector<T>> dump_all(Transport& route, std::uint16_t type, const char* object,
                                const Add& add) {
  constexpr int kTries = 10;
  std::vector<T> all;
  Status status;
  for (int i = 0; i < kTries; ++i) {
    all.clear();
    status = dump_routing(route, type, object, [&](const nlmsghdr& reply) { add(reply, all); });
    if (status || status.error().error_number != EINTR) break;
  }
  if (!status) return status.error();
  return all;
}

}  // namespace portmapper::host

// Route dump: all of one kind that rtnetlink has of this network namespace.
//
//   const Status status = dump_routing(RTM_GETADDR, "the host's addresses",
//                                      [](const nlmsghdr& reply) { use(reply); });
//
// Errors: mapping_failed with "cannot list", the object and the errno; EINTR when it changed
// meanwhile. Does not promise: that only messages of that kind are handed on. Source: rtnetlink(7).
#pragma once

#include <cstdint>

#include "lib/base/netlink.hpp"

namespace portmapper::host {

Status dump_routing(std::uint16_t type, const char* object, const OnReply& on_reply);
// Of the network namespace in which the socket was opened.
Status dump_routing(Transport& route, std::uint16_t type, const char* object,
                    const OnReply& on_reply);

}  // namespace portmapper::host

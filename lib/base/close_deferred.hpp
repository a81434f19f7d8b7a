// close_deferred: gives a descriptor back without waiting for what its last close waits for.
//
//   close_deferred(std::move(netlink_socket));  // instead of letting it go out of scope
//
// The last close of a netfilter netlink socket waits until the kernel has freed all elements and
// rules deleted in its namespace before, by any process. That takes a grace period of RCU, about 10
// ms, several times the cost of an ADD or DEL. The batch has been committed and acknowledged by
// then, so nobody needs to wait. A descriptor in flight to a socket that nobody holds any more is
// closed by the kernel's own garbage collector, from Linux 6.10 on by a worker of its own. Errors:
// none; where it does not work, the descriptor is closed the ordinary way. Does not promise: that
// the socket is gone when this returns, nor that it is not. Source: kernel
// net/netfilter/nf_tables_api.c, nft_rcv_nl_event(); net/unix/garbage.c; unix(7), SCM_RIGHTS.
#pragma once

#include "lib/base/unique_fd.hpp"

namespace portmapper {

void close_deferred(UniqueFd fd);

}  // namespace portmapper

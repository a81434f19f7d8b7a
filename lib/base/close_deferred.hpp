// close_deferred: gives a netfilter netlink socket back without waiting for what its last close waits for,
// and without making others wait.
//
//   close_deferred(std::move(netlink_socket), Collection::now);  // instead of letting it go out of scope
//
// The last close of a netfilter netlink socket waits until the kernel has freed all elements and
// rules deleted in its namespace before, by any process. That takes a grace period of RCU, about 10
// ms, several times the cost of an ADD or DEL, and no batch of anybody is taken meanwhile. A descriptor
// in flight to a socket that nobody holds any more is closed by the kernel's own garbage collector, from
// Linux 6.10 on by a worker of its own, which begins whenever a Unix socket is closed, whosever.
// `now` closes one, so that the collector begins at once: right where nothing was deleted. `later`
// closes none: whoever closes the next Unix socket on this host (each client of a runtime, of D-Bus, of a
// log does, and so does `now`) makes it begin, mostly after the grace period, when nothing waits.
// Until then some kilobytes and the network namespace stay.
// Errors: none; where it does not work, the descriptor is closed the ordinary way. Does not promise: that
// the socket is gone when this returns, nor that it is not. Source: kernel
// net/netfilter/nf_tables_api.c, nft_rcv_nl_event(); net/unix/garbage.c; unix(7), SCM_RIGHTS.
#pragma once

#include "lib/base/unique_fd.hpp"

namespace portmapper {

enum class Collection { now, later };

void close_deferred(UniqueFd fd, Collection collection);

}  // namespace portmapper

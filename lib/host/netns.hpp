// What network namespace a path leads to, and from where this process sees it.
//
//   const NetworkNamespace netns = identify_netns("/run/netns/web");  // all zero: there is none
//   const Result<NetworkNamespace> record = netns_to_record(request.netns);  // as ADD records it
//   use(same_netns(netns, *record));
//
// Inode numbers are used again: where the kernel has namespace ids (Linux 6.18), those decide; else
// the cookies, which have to be read inside, with CAP_SYS_ADMIN. netns_to_record goes there and back
// with the calling thread, six system calls more, and none where there are ids.
// Errors: netns_to_record's is invalid_input with the rest of a sentence that begins with the path:
// "does not exist"; or mapping_failed: the thread could not come back, and must do nothing more. The
// others have none: what cannot be read is not there. Nothing is opened but namespaces.
// Does not promise: to be still true. Source: namespaces(7), ioctl_ns(2), name_to_handle_at(2),
// setns(2), the kernel's net/core/sock.c (SO_NETNS_COOKIE).
#pragma once

#include <string>

#include "lib/base/error.hpp"
#include "lib/base/network_namespace.hpp"

namespace portmapper::host {

NetworkNamespace identify_netns(const std::string& path);
// The same of an open namespace; `path` is left empty. Neither has the cookie.
NetworkNamespace identify_netns(int fd);

// That of the namespace which the calling thread is in; 0 where the kernel tells none.
std::uint64_t netns_cookie();

// What a container's path leads to, with who records it.
Result<NetworkNamespace> netns_to_record(const std::string& path);

// This process's own PID and mount namespace; unknown without a /proc of this PID namespace.
Observer observe();

// Whether the kernel itself says that there is no namespace with this id any more: for nobody, in
// whatever process or mount. False where it does not tell.
bool is_gone_for_good(const NetworkNamespace& netns);

// Whether the recorded namespace is gone, since `existing`, which was seen later, has its number.
bool is_number_of_another(const NetworkNamespace& recorded, const NetworkNamespace& existing);

// As far as both tell.
bool same_netns(const NetworkNamespace& a, const NetworkNamespace& b);

}  // namespace portmapper::host

// look_at_namespaces: every network namespace of this host that anybody holds, and its addresses.
//
//   const NamespaceLook look = look_at_namespaces();
//   if (look.is_complete) use(look.found);  // what is not among these is held by nobody
//
// A network namespace lives while a task is in it, a descriptor is open on it, or a mount keeps it.
// So the look goes through /proc/PID/task/TID/ns/net of all tasks; /proc/PID/fd, and that of each
// thread with descriptors of its own; and the mounts of each mount namespace that a task is in, a
// descriptor is open on or a mount keeps. It enters what it finds to read the addresses. It costs
// some microseconds a task and a descriptor: not for the ordinary case.
//
// Complete is a look that nothing was refused to: it needs CAP_SYS_PTRACE, CAP_SYS_ADMIN and
// CAP_SYS_CHROOT, a /proc of this very PID namespace, and one that hides no process. Some hosts
// protect single processes (PID 1, say) from root as well. Which network namespace such a task is
// in, its /proc/PID/net tells, and which mounts it has, its mountinfo; what descriptors it has,
// nothing: a look that lacks these alone is `all_but_descriptors`. Tasks fork,
// pass descriptors on and end while it goes on; so it is made twice, and absent is what neither round
// found. A round that was refused something, or in which a mount namespace ended before it was read,
// does not count. Without two good ones in succession after five rounds and a second the look is not
// complete.
//
// It sees what can be seen from this process's PID namespace: `from` says which, and `is_initial`
// that it is the host's first, with the mount namespace of its PID 1. It does not see what the
// kernel lists nowhere: sockets that were made in a namespace and are held outside of it,
// descriptors in flight (SCM_RIGHTS), registered with io_uring, or in a mount tree that is attached
// nowhere. No task runs in a namespace that these alone keep, so no container does; a server
// outside that has nothing of a container but its socket is told dead. This process itself is not
// looked at: what it alone holds ends with it. The path of a mount is walked only in mount
// namespaces of our own user namespace, and not through file systems that a server may leave
// hanging; a namespace that is reached by no other way is found, without its addresses.
// Errors: none; a look that was hindered is not complete. Source: proc(5), namespaces(7), setns(2),
// kcmp(2), kernel fs/nsfs.c.
#pragma once

#include <optional>
#include <vector>

#include "lib/base/ip_address.hpp"
#include "lib/base/network_namespace.hpp"

namespace portmapper::host {

struct FoundNamespace {
  NetworkNamespace netns;                             // without path; id and cookie may be missing
  bool has_task = false;                              // or had one in one of the rounds
  std::optional<std::vector<IpAddress>> addresses{};  // sorted; nothing: it could not be entered
};

struct NamespaceLook {
  bool is_complete = false;
  bool is_all_but_descriptors = false;  // complete, or lacks descriptors of protected processes
  bool is_initial = false;
  Observer from{};
  std::vector<FoundNamespace> found{};
};

NamespaceLook look_at_namespaces();

// Whether that is the host's first PID namespace, with the mount namespace of its PID 1.
bool is_initial(const Observer& observer);

}  // namespace portmapper::host

// enter_briefly: sockets that belong to another network namespace, made in there.
//
//   const Result<Inside> inside = enter_briefly(netns);
//   if (inside) use(read_interfaces(*inside->route));  // the container's, not the host's
//
// Who listens, which rules and which routes a container has can be asked of the kernel through a
// socket that was made in its namespace, from anywhere. So a thread of its own enters, opens the
// sockets and comes back at once: who is inside counts as life for others that look. Nothing of the
// container runs, and the caller's thread does not move. What can only be asked in there, `ask` asks
// on that thread; it must be brief. The namespace is entered by its recorded path, and only if it is
// the recorded one: a path may lead to another by now.
// Errors: mapping_failed with the path and errno; ESTALE where the path leads elsewhere, EPERM
// without CAP_SYS_ADMIN. Does not promise: that the namespace has a container in it.
// Source: setns(2), network_namespaces(7).
#pragma once

#include <functional>
#include <memory>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "lib/base/network_namespace.hpp"

namespace portmapper::host {

struct Inside {
  std::unique_ptr<Netlink> route;
  std::unique_ptr<Netlink> sockets;    // NETLINK_SOCK_DIAG
  std::unique_ptr<Netlink> netfilter;  // null: the kernel gave none
};

Result<Inside> enter_briefly(const NetworkNamespace& netns,
                             const std::function<void()>& ask = nullptr);

}  // namespace portmapper::host

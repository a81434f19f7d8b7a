#include "lib/host/inside.hpp"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <optional>
#include <thread>

#include "lib/base/unique_fd.hpp"
#include "lib/host/netns.hpp"
#include "lib/host/netns_addresses.hpp"

namespace portmapper::host {
namespace {

Error cannot_enter(const NetworkNamespace& netns, int error_number) {
  return mapping_failed("cannot look into", "network namespace " + netns.path, error_number);
}

std::unique_ptr<Netlink> opened(int protocol, std::optional<Error>& error) {
  Result<Netlink> socket = Netlink::open(protocol);
  if (!socket) {
    if (!error) error = socket.error();
    return nullptr;
  }
  return std::make_unique<Netlink>(std::move(*socket));
}

Result<Inside> open_sockets(const UniqueFd& fd, const NetworkNamespace& netns) {
  if (setns(fd.get(), CLONE_NEWNET) != 0) return cannot_enter(netns, errno);
  if (netns.cookie != 0) {
    NetworkNamespace here = netns;
    here.cookie = netns_cookie();
    if (is_number_of_another(netns, here)) return cannot_enter(netns, ESTALE);
  }
  std::optional<Error> error;
  std::optional<Error> ignored;
  Inside inside{opened(NETLINK_ROUTE, error), opened(NETLINK_SOCK_DIAG, error),
                opened(NETLINK_NETFILTER, ignored)};
  if (error) return *error;
  return inside;
}

}  // namespace

Result<Inside> enter_briefly(const NetworkNamespace& netns, const std::function<void()>& ask) {
  const UniqueFd fd = open_network_namespace(netns.path);
  if (!fd) return cannot_enter(netns, ENOENT);
  if (!same_netns(identify_netns(fd.get()), netns)) return cannot_enter(netns, ESTALE);
  Result<Inside> inside = cannot_enter(netns, EPERM);
  // It ends in there, and nothing else ever runs on it.
  std::thread visitor([&] {
    inside = open_sockets(fd, netns);
    if (inside && ask) ask();
  });
  visitor.join();
  return inside;
}

}  // namespace portmapper::host

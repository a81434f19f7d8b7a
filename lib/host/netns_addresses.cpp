#include "lib/host/netns_addresses.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "lib/base/unique_fd.hpp"
#include "lib/host/local_addresses.hpp"
#include "lib/host/netns.hpp"

namespace portmapper::host {
namespace {

bool is_network_namespace(int fd) {
  return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

bool are_same(int a, int b) {
  struct stat first {};
  struct stat second {};
  return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

void read_addresses_of(const std::string& path, const UniqueFd& own, NetnsAddresses& inside) {
  const UniqueFd fd = open_network_namespace(path);
  if (!fd) return;
  inside.netns = identify_netns(fd.get());
  inside.kind =
      are_same(fd.get(), own.get()) ? NetnsAddresses::Kind::ours : NetnsAddresses::Kind::another;
  if (inside.kind == NetnsAddresses::Kind::ours) return;
  Result<std::vector<IpAddress>> addresses = addresses_inside(fd.get(), own.get(), [&inside] {
    if (inside.netns.id == 0) inside.netns.cookie = netns_cookie();
  });
  if (addresses) {
    inside.addresses = std::move(*addresses);
  } else {
    inside.error = addresses.error();
    if (inside.error->object.empty()) inside.error->object = path;
  }
}

}  // namespace

UniqueFd open_network_namespace(const std::string& path) {
  const UniqueFd place(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct statfs status {};
  if (!place || fstatfs(place.get(), &status) != 0 || status.f_type != NSFS_MAGIC) return {};
  const std::string again = "/proc/self/fd/" + std::to_string(place.get());
  UniqueFd fd(open(again.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || !is_network_namespace(fd.get())) return {};
  return fd;
}

Result<std::vector<IpAddress>> addresses_inside(int netns, int own,
                                                const std::function<void()>& meanwhile) {
  if (setns(netns, CLONE_NEWNET) != 0) return mapping_failed("cannot look into", {}, errno);
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  meanwhile();
  if (setns(own, CLONE_NEWNET) != 0) return mapping_failed("cannot come back from", {}, errno);
  if (!route) return route.error();
  Result<std::vector<IpAddress>> addresses = local_addresses(*route);
  constexpr int kTries = 10;  // a dump is interrupted when an address comes or goes meanwhile
  for (int i = 1; i < kTries && !addresses && addresses.error().error_number == EINTR; ++i)
    addresses = local_addresses(*route);
  return addresses;
}

bool has_address(const NetnsAddresses& inside, const IpAddress& address) {
  return inside.kind == NetnsAddresses::Kind::another &&
         std::binary_search(inside.addresses.begin(), inside.addresses.end(), address);
}

std::map<std::string, NetnsAddresses> read_netns_addresses(const std::set<std::string>& paths) {
  std::map<std::string, NetnsAddresses> all;
  for (const std::string& path : paths) all[path];
  // Nothing else ever runs on this thread.
  std::thread visitor([&all] {
    const UniqueFd own(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    for (auto& [path, inside] : all) read_addresses_of(path, own, inside);
  });
  visitor.join();
  return all;
}

}  // namespace portmapper::host

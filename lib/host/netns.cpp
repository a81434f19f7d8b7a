#include "lib/host/netns.hpp"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "lib/base/libc.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::host {
namespace {

constexpr int kNsfsHandle = 0xf1;  // FILEID_NSFS

// What the kernel's struct nsfs_file_handle holds.
struct Handle {
  std::uint64_t id = 0;
  std::uint32_t type = 0;  // CLONE_NEWNET, ...
};

Handle handle_of(int directory, const char* path, int flags) {
  alignas(file_handle) std::array<unsigned char, sizeof(file_handle) + MAX_HANDLE_SZ> buffer{};
  auto* handle = reinterpret_cast<file_handle*>(buffer.data());
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  // Before Linux 6.18, nsfs had no handles: EOPNOTSUPP.
  if (name_to_handle_at(directory, path, handle, &mount_id, flags) != 0) return {};
  Handle found;
  if (handle->handle_bytes < sizeof found.id + sizeof found.type) return {};
  std::memcpy(&found.id, handle->f_handle, sizeof found.id);
  std::memcpy(&found.type, handle->f_handle + sizeof found.id, sizeof found.type);
  return found;
}

Handle handle_of(const std::string& path) {
  return handle_of(AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
}

Error no_network_namespace() {
  return invalid_input("is not a network namespace");
}

UniqueFd any_socket() {
  // Of the kinds of sockets, what makes and leaves the least in a namespace.
  return UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

std::uint64_t cookie_of(const UniqueFd& socket) {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (!socket || getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
    return 0;
  return cookie;
}

// One system call where two would do as well; what it does not close, its owner does.
void close_at_once(UniqueFd& first, UniqueFd& second) {
  if (second.get() != first.get() + 1) return;
  const auto number = static_cast<unsigned>(first.get());
  if (libc::close_range(number, number + 1, 0) != 0) return;
  first.release();
  second.release();
}

// 0: who may not enter does not learn it. Whoever goes on after an error does so in there.
Result<std::uint64_t> cookie_inside(const UniqueFd& netns) {
  UniqueFd own(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!own || setns(netns.get(), CLONE_NEWNET) != 0) return 0;
  UniqueFd socket = any_socket();
  const std::uint64_t cookie = cookie_of(socket);
  if (setns(own.get(), CLONE_NEWNET) != 0)
    return mapping_failed("cannot come back from", {}, errno);
  close_at_once(own, socket);
  return cookie;
}

// Asked of what is a namespace of some kind: opening it has no side effects. It is opened once, so
// number and cookie are of the same.
Status identify_inside(const std::string& path, NetworkNamespace& netns) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) != 0) return no_network_namespace();
  const Result<std::uint64_t> cookie = cookie_inside(fd);
  if (!cookie) {
    Error error = cookie.error();
    error.object = "network namespace " + path;
    return error;
  }
  // Only a network namespace has one.
  if (*cookie == 0 && ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET) return no_network_namespace();
  netns.device = status.st_dev;
  netns.inode = status.st_ino;
  netns.cookie = *cookie;
  return {};
}

}  // namespace

NetworkNamespace identify_netns(const std::string& path) {
  NetworkNamespace netns{.path = path};
  struct stat status {};
  if (path.empty() || stat(path.c_str(), &status) != 0) return netns;
  netns.device = status.st_dev;
  netns.inode = status.st_ino;
  netns.id = handle_of(path).id;
  return netns;
}

NetworkNamespace identify_netns(int fd) {
  NetworkNamespace netns;
  struct stat status {};
  if (fstat(fd, &status) != 0) return netns;
  netns.device = status.st_dev;
  netns.inode = status.st_ino;
  netns.id = handle_of(fd, "", AT_EMPTY_PATH).id;
  return netns;
}

Result<NetworkNamespace> netns_to_record(const std::string& path) {
  NetworkNamespace netns{.path = path};
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return invalid_input("does not exist");
    Error error = invalid_input("cannot be looked at");
    error.error_number = errno;
    return error;
  }
  struct stat own {};
  const bool has_proc = stat("/proc/self/ns/pid", &own) == 0;
  // All namespaces are files of one device.
  if (has_proc && own.st_dev != status.st_dev) return no_network_namespace();
  if (const Handle handle = handle_of(path); handle.id != 0) {
    if (handle.type != CLONE_NEWNET) return no_network_namespace();
    netns.device = status.st_dev;
    netns.inode = status.st_ino;
    netns.id = handle.id;
  } else if (const Status identified = identify_inside(path, netns); !identified) {
    return identified.error();
  }
  if (has_proc) netns.observer.pid_namespace = own.st_ino;
  if (stat("/proc/self/ns/mnt", &own) == 0) netns.observer.mount_namespace = own.st_ino;
  return netns;
}

std::uint64_t netns_cookie() {
  return cookie_of(any_socket());
}

Observer observe() {
  Observer observer;
  struct stat status {};
  if (stat("/proc/self/ns/pid", &status) == 0) observer.pid_namespace = status.st_ino;
  if (stat("/proc/self/ns/mnt", &status) == 0) observer.mount_namespace = status.st_ino;
  return observer;
}

bool is_gone_for_good(const NetworkNamespace& netns) {
  if (netns.id == 0) return false;
  // struct nsfs_file_handle: id, type, inode number; any file of nsfs says which file system.
  const UniqueFd own(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  struct Nsfs {
    std::uint64_t id;
    std::uint32_t type;
    std::uint32_t inode;
  };
  alignas(file_handle) std::array<unsigned char, sizeof(file_handle) + sizeof(Nsfs)> buffer{};
  auto* handle = reinterpret_cast<file_handle*>(buffer.data());
  handle->handle_bytes = sizeof(Nsfs);
  handle->handle_type = kNsfsHandle;
  const Nsfs wanted{netns.id, CLONE_NEWNET, static_cast<std::uint32_t>(netns.inode)};
  std::memcpy(handle->f_handle, &wanted, sizeof wanted);
  const UniqueFd fd(open_by_handle_at(own.get(), handle, O_RDONLY | O_CLOEXEC));
  return !fd && errno == ESTALE;
}

bool is_number_of_another(const NetworkNamespace& recorded, const NetworkNamespace& existing) {
  if (!recorded.is_known() || recorded.device != existing.device ||
      recorded.inode != existing.inode)
    return false;
  if (recorded.id != 0 && existing.id != 0) return recorded.id != existing.id;
  return recorded.cookie != 0 && existing.cookie != 0 && recorded.cookie != existing.cookie;
}

bool same_netns(const NetworkNamespace& a, const NetworkNamespace& b) {
  return a.device == b.device && a.inode == b.inode && !is_number_of_another(a, b);
}

}  // namespace portmapper::host

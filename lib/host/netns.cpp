#include "lib/host/netns.hpp"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>

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

// Asked of what is a namespace of some kind: opening it has no side effects.
bool is_network_namespace(const std::string& path, const Handle& handle) {
  if (handle.id != 0) return handle.type == CLONE_NEWNET;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  return fd && ioctl(fd.get(), NS_GET_NSTYPE) == CLONE_NEWNET;
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
  const Handle handle = handle_of(path);
  // All namespaces are files of one device.
  if ((has_proc && own.st_dev != status.st_dev) || !is_network_namespace(path, handle))
    return invalid_input("is not a network namespace");
  netns.device = status.st_dev;
  netns.inode = status.st_ino;
  netns.id = handle.id;
  if (has_proc) netns.observer.pid_namespace = own.st_ino;
  if (stat("/proc/self/ns/mnt", &own) == 0) netns.observer.mount_namespace = own.st_ino;
  return netns;
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

bool same_netns(const NetworkNamespace& a, const NetworkNamespace& b) {
  if (a.device != b.device || a.inode != b.inode) return false;
  return a.id == 0 || b.id == 0 || a.id == b.id;
}

}  // namespace portmapper::host

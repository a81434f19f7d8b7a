#include "lib/host/file_change.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string_view>

namespace portmapper::host {
namespace {

constexpr std::string_view kAcl = "system.posix_acl_access";

// RENAME_EXCHANGE of linux/fs.h, which cannot be included beside glibc's sys/mount.h.
constexpr unsigned kExchange = 1U << 1;

// Empty where there are none, or none can be read.
std::string names_of_attributes(const std::string& path) {
  const ssize_t size = llistxattr(path.c_str(), nullptr, 0);
  if (size <= 0) return {};
  std::string names(static_cast<std::size_t>(size), '\0');
  const ssize_t got = llistxattr(path.c_str(), names.data(), names.size());
  names.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return names;
}

bool copy_attribute(int fd, const std::string& path, const std::string& name) {
  const ssize_t size = lgetxattr(path.c_str(), name.c_str(), nullptr, 0);
  if (size < 0) return false;
  std::string value(static_cast<std::size_t>(size), '\0');
  const ssize_t got = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
  return got >= 0 &&
         fsetxattr(fd, name.c_str(), value.data(), static_cast<std::size_t>(got), 0) == 0;
}

// Whether the ACL is the same, if there is one.
bool copy_attributes(int fd, const std::string& path) {
  bool has_acl = true;
  const std::string names = names_of_attributes(path);  // each ends with a zero
  for (std::size_t at = 0; at < names.size();) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    const bool copied = copy_attribute(fd, path, name);
    if (name == kAcl) has_acl = copied;
  }
  return has_acl;
}

}  // namespace

bool take_attributes(int fd, const std::string& path, const struct stat& before) {
  if (fchown(fd, before.st_uid, before.st_gid) != 0) return false;
  mode_t mode = before.st_mode & 07777;
  if (!copy_attributes(fd, path)) mode &= ~static_cast<mode_t>(S_IRWXG);
  return fchmod(fd, mode) == 0;
}

int exchange_names(const std::string& one, const std::string& other) {
  // As a function of glibc it is younger than the call itself.
  return static_cast<int>(
      syscall(SYS_renameat2, AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), kExchange));
}

}  // namespace portmapper::host

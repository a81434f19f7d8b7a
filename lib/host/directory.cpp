#include "lib/host/directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "lib/base/read_all.hpp"
#include "lib/host/open_files.hpp"

namespace portmapper::host {
namespace {

Error untrusted(const std::string& path, const std::string& why) {
  return unreadable_input(path + " " + why);
}

// Anybody else who could write here could choose where host ports lead.
Status check_owner(const struct stat& status, const std::string& path) {
  if (status.st_uid != 0 && status.st_uid != geteuid())
    return untrusted(path, "belongs to user " + std::to_string(status.st_uid) + ", not to root");
  if ((status.st_mode & S_IWOTH) != 0) return untrusted(path, "is writable by everybody");
  return {};
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
}

FileState state_from(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim)};
}

EntryKind kind_of(const struct stat& status) {
  if (S_ISREG(status.st_mode)) return EntryKind::file;
  return S_ISDIR(status.st_mode) ? EntryKind::directory : EntryKind::other;
}

}  // namespace

Result<Directory> Directory::open_at(int parent, const std::string& name, int flags,
                                     const std::string& path) {
  UniqueFd fd(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
  if (!fd) return unreadable_input("cannot open", path, errno);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return unreadable_input("cannot open", path, errno);
  if (const Status trusted = check_owner(status, path); !trusted) return trusted.error();
  return Directory(std::move(fd), path);
}

Result<Directory> Directory::open(const std::string& path) {
  return open_at(AT_FDCWD, path, 0, path);
}

Result<Directory> Directory::below(const std::string& name) const {
  return open_at(fd_.get(), name, O_NOFOLLOW, path_of(name));
}

Result<std::vector<DirectoryEntry>> Directory::entries() const {
  // Of its own, since reading moves the position of an open directory.
  const int fd = openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const OpenDirectory directory(fd < 0 ? nullptr : fdopendir(fd));
  if (!directory) return unreadable_input("cannot read", path_, errno);
  std::vector<DirectoryEntry> found;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr && errno != 0) return unreadable_input("cannot read", path_, errno);
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat status {};
    if (fstatat(fd_.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // it went
    found.push_back({std::string(name), kind_of(status), state_from(status)});
    if (found.size() > kMostEntries)
      return untrusted(path_, "has more than " + std::to_string(kMostEntries) + " entries");
  }
  std::sort(found.begin(), found.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  return found;
}

FileState Directory::state_of(const std::string& name) const {
  struct stat status {};
  if (fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {};
  return state_from(status);
}

Result<std::string> Directory::read(const std::string& name, std::size_t most_bytes) const {
  const std::string path = path_of(name);
  struct stat status {};
  // Examined before it is opened: opening a device file can have side effects.
  if (fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return unreadable_input("cannot open", path, errno);
  if (!S_ISREG(status.st_mode)) return untrusted(path, "is not a regular file");
  const UniqueFd fd(
      openat(fd_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd || fstat(fd.get(), &status) != 0) return unreadable_input("cannot open", path, errno);
  if (!S_ISREG(status.st_mode)) return untrusted(path, "is not a regular file");
  if (const Status trusted = check_owner(status, path); !trusted) return trusted.error();
  Result<std::string> text = read_all(fd.get(), path, most_bytes);
  if (!text && text.error().error_number == EFBIG)
    return untrusted(path, "has more than " + std::to_string(most_bytes) + " bytes");
  return text;
}

}  // namespace portmapper::host

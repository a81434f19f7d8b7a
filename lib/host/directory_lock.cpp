#include "lib/host/directory_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <tuple>

namespace portmapper::host {
namespace {

constexpr std::chrono::milliseconds kLockPause{20};

struct LockedPlace {
  dev_t device = 0;
  ino_t inode = 0;
  std::string path;
  UniqueFd fd;

  [[nodiscard]] auto key() const { return std::tie(device, inode); }
};

using LockClock = std::chrono::steady_clock;

Status lock_place(const LockedPlace& place, LockClock::time_point limit,
                  std::chrono::milliseconds patience) {
  const int refused = lock_by(place.fd.get(), limit);
  if (refused == 0) return {};
  if (refused != EWOULDBLOCK) return mapping_failed("cannot lock", place.path, refused);
  return mapping_failed(
      "for " + std::to_string(patience.count() / 1000) + " s another process has had a lock on",
      place.path);
}

}  // namespace

int lock_by(int fd, LockClock::time_point limit) {
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK || LockClock::now() >= limit) return errno;
    std::this_thread::sleep_for(kLockPause);
  }
  return 0;
}

Result<DirectoryLock> DirectoryLock::take(const std::vector<std::string>& directories,
                                          std::chrono::milliseconds patience) {
  const LockClock::time_point limit = LockClock::now() + patience;
  std::vector<LockedPlace> places;
  for (const std::string& path : directories) {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd && (errno == ENOENT || errno == ENOTDIR)) continue;
    struct stat status {};
    if (!fd || fstat(fd.get(), &status) != 0) return mapping_failed("cannot lock", path, errno);
    places.push_back({status.st_dev, status.st_ino, path, std::move(fd)});
  }
  std::sort(places.begin(), places.end(),
            [](const LockedPlace& a, const LockedPlace& b) { return a.key() < b.key(); });
  DirectoryLock taken;
  for (std::size_t i = 0; i < places.size(); ++i) {
    // Twice the same would wait for itself.
    if (i > 0 && places[i].key() == places[i - 1].key()) continue;
    if (const Status locked = lock_place(places[i], limit, patience); !locked)
      return locked.error();
  }
  for (LockedPlace& place : places) taken.held_.push_back(std::move(place.fd));
  return taken;
}

}  // namespace portmapper::host

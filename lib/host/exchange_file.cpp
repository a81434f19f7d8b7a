#include "lib/host/exchange_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "lib/base/unique_fd.hpp"
#include "lib/base/write_all.hpp"
#include "lib/host/file_change.hpp"

namespace portmapper::host {
namespace {

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Being renamed is a change of its own.
bool is_same(FileState one, const FileState& other) {
  one.changed = other.changed;
  return one == other;
}

// Removed at the end, whichever file it is by then.
class Beside {
 public:
  explicit Beside(const std::string& path)
      : name_(directory_of(path) + "/../.nft-port-mapper.XXXXXX"),
        fd_(mkostemp(name_.data(), O_CLOEXEC)) {}
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;
  ~Beside() {
    if (fd_) unlink(name_.c_str());
  }

  // False: errno says why.
  [[nodiscard]] bool fill(std::string_view content, const std::string& path,
                          const struct stat& before) const {
    const std::array<timespec, 2> times = {before.st_atim, before.st_mtim};
    return fd_ && take_attributes(fd_.get(), path, before) && write_all(fd_.get(), content) &&
           futimens(fd_.get(), times.data()) == 0 && fsync(fd_.get()) == 0;
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
  UniqueFd fd_;
};

}  // namespace

FileState file_state(const std::string& path) {
  const Result<Directory> directory = Directory::open(directory_of(path));
  return directory ? directory->state_of(path.substr(path.rfind('/') + 1)) : FileState();
}

Result<bool> exchange_file(const std::string& path, const FileState& read,
                           std::string_view content) {
  const auto failed = [&path] { return mapping_failed("cannot replace", path, errno); };
  struct stat before {};
  if (lstat(path.c_str(), &before) != 0) {
    if (errno == ENOENT) return false;
    return failed();
  }
  if (file_state(path) != read) return false;
  const Beside beside(path);
  if (!beside.fill(content, path, before)) return failed();
  if (exchange_names(beside.name(), path) != 0) {
    if (errno == ENOENT) return false;
    return failed();
  }
  if (is_same(file_state(beside.name()), read)) return true;
  // It was written again in between; gone by now, it is not to come back.
  if (exchange_names(beside.name(), path) != 0 && errno != ENOENT) return failed();
  return false;
}

}  // namespace portmapper::host

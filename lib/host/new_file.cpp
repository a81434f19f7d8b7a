#include "lib/host/new_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "lib/base/plugin_note.hpp"
#include "lib/base/write_all.hpp"
#include "lib/host/file_change.hpp"

namespace portmapper::host {
namespace {

constexpr std::size_t kRandomCharacters = 6;  // characters, of mkostemp(3)

// By this a file is known as one that we had not finished: others end theirs in a dot and six characters too.
std::string our_mark() {
  return std::string(".") + kPluginNoteName + "-";
}

bool is_unfinished(const std::string& name) {
  const std::string ours = our_mark();
  return name.size() > 1 + ours.size() + kRandomCharacters && name.starts_with('.') &&
         name.compare(name.size() - kRandomCharacters - ours.size(), ours.size(), ours) == 0;
}

using Identity = std::pair<dev_t, ino_t>;

Identity identity_of(const struct stat& status) {
  return {status.st_dev, status.st_ino};
}
// All zero: there is no such file.
Identity identity_of(const std::string& path) {
  struct stat status {};
  (void)lstat(path.c_str(), &status);
  return identity_of(status);
}

}  // namespace

NewFile::NewFile(const std::string& directory, const std::string& name)
    : directory_(directory),
      name_(directory + "/." + name + our_mark() + std::string(kRandomCharacters, 'X')),
      fd_(mkostemp(name_.data(), O_CLOEXEC)) {}

NewFile::~NewFile() {
  if (fd_ && !stays_) unlink(name_.c_str());
}

bool NewFile::write(std::string_view content, mode_t mode) const {
  return fd_ && fchmod(fd_.get(), mode) == 0 && write_all(fd_.get(), content) &&
         fsync(fd_.get()) == 0;
}

bool NewFile::write_like(std::string_view content, const std::string& path,
                         const struct stat& before) const {
  return fd_ && take_attributes(fd_.get(), path, before) && write_all(fd_.get(), content) &&
         fsync(fd_.get()) == 0;
}

bool NewFile::take_place_of(const std::string& path) {
  if (std::rename(name_.c_str(), path.c_str()) != 0) return false;
  stays_ = true;
  sync_directory();
  return true;
}

bool NewFile::exchange_with(const std::string& path) const {
  return exchange_names(name_, path) == 0;
}

bool NewFile::give_back(const std::string& path) {
  struct stat ours {};
  stays_ = fstat(fd_.get(), &ours) != 0;
  if (stays_) return false;
  Identity placed = identity_of(ours);
  for (Identity out = identity_of(name_);;) {
    if (!exchange_with(path)) {
      stays_ = errno != ENOENT;
      return !stays_;
    }
    const Identity next = identity_of(name_);
    if (next == placed) return true;
    placed = std::exchange(out, next);
  }
}

void NewFile::sync_directory() const {
  const UniqueFd parent(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (parent) (void)fsync(parent.get());
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::vector<std::string> remove_unfinished(const std::string& directory) {
  namespace fs = std::filesystem;
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (is_unfinished(entry->path().filename().string()) &&
        fs::is_regular_file(entry->symlink_status(ignored)))
      found.push_back(entry->path().string());
  }
  std::erase_if(found, [](const std::string& path) { return unlink(path.c_str()) != 0; });
  return found;
}

}  // namespace portmapper::host

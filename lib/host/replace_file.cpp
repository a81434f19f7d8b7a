#include "lib/host/replace_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "lib/base/plugin_note.hpp"
#include "lib/base/read_all.hpp"
#include "lib/base/unique_fd.hpp"
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

// The file that is meant: behind symbolic links, where it exists.
std::string resolved(const std::string& path) {
  std::string real(PATH_MAX, '\0');
  return realpath(path.c_str(), real.data()) != nullptr ? real.c_str() : path;
}

// Removes the new file unless it has been renamed.
class NewFile {
 public:
  explicit NewFile(const std::string& path)
      : slash_(path.rfind('/') + 1),  // 0 where there is none
        name_(path.substr(0, slash_) + "." + path.substr(slash_) + our_mark() +
              std::string(kRandomCharacters, 'X')),
        fd_(mkostemp(name_.data(), O_CLOEXEC)) {}
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (fd_) unlink(name_.c_str());
  }

  explicit operator bool() const { return static_cast<bool>(fd_); }
  [[nodiscard]] const std::string& name() const { return name_; }

  // With the mode, or as the file at `path` is, if it has a state. False: errno says why.
  [[nodiscard]] bool fill(std::string_view content, mode_t mode, const std::string& path,
                          const struct stat* before) const {
    const bool is_set = before != nullptr ? take_attributes(fd_.get(), path, *before)
                                          : fchmod(fd_.get(), mode) == 0;
    return is_set && write_all(fd_.get(), content) && fsync(fd_.get()) == 0;
  }

  [[nodiscard]] bool take_place_of(const std::string& path) {
    if (std::rename(name_.c_str(), path.c_str()) != 0) return false;
    fd_.reset();
    sync_directory();
    return true;
  }

  // So that the name outlives a crash; where a file system has no such thing, it is there all the same.
  void sync_directory() const {
    const std::string directory = slash_ == 0 ? "." : name_.substr(0, slash_);
    const UniqueFd parent(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent) (void)fsync(parent.get());
  }

 private:
  std::size_t slash_;
  std::string name_;
  UniqueFd fd_;
};

// Of what is at `path`, mode and owner stay where `keeps`.
Status write_whole(const std::string& path, std::string_view content, mode_t mode, bool keeps) {
  const auto failed = [&path] { return mapping_failed("cannot write", path, errno); };
  const std::string real = keeps ? resolved(path) : path;
  struct stat before {};
  const bool exists = keeps && stat(real.c_str(), &before) == 0;
  if (keeps && !exists && errno != ENOENT) return failed();
  NewFile file(real);
  if (!file) return failed();
  if (!file.fill(content, mode, real, exists ? &before : nullptr) || !file.take_place_of(real)) {
    Error error = failed();  // before the file goes, which changes errno
    return error;
  }
  return {};
}

// Nothing: it is no regular file, or cannot be read.
std::optional<std::string> text_of(const std::string& path) {
  const UniqueFd file(
      open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  Result<std::string> text = read_all(file.get(), path);
  return text ? std::optional(*std::move(text)) : std::nullopt;
}

// What came out of the exchange is somebody's, who renamed it into place after the last look. It goes back; and if
// somebody was there again, what comes out by that, which is newer. False: errno says why.
bool give_back(const std::string& beside, const std::string& real, std::string_view ours) {
  std::optional<std::string> placed(ours);
  for (std::optional<std::string> out = text_of(beside);;) {
    if (exchange_names(beside, real) != 0) return errno == ENOENT;  // its owner removed it
    std::optional<std::string> next = text_of(beside);
    if (next == placed) return true;
    placed = std::exchange(out, std::move(next));
  }
}

}  // namespace

Status replace_file(const std::string& path, std::string_view content, mode_t mode) {
  return write_whole(path, content, mode, /*keeps=*/true);
}

Result<bool> replace_file_if(const std::string& path, std::string_view read,
                             std::string_view content) {
  const auto failed = [&path]() -> Result<bool> {
    if (errno == ENOENT) return false;
    return mapping_failed("cannot write", path, errno);
  };
  const std::string real = resolved(path);
  struct stat before {};
  if (stat(real.c_str(), &before) != 0) return failed();
  NewFile file(real);
  // Answers are made before the file goes, which changes errno.
  if (!file || !file.fill(content, 0, real, &before)) {
    Result<bool> answer = failed();
    return answer;
  }
  if (text_of(real) != read) return false;
  if (exchange_names(file.name(), real) != 0) {
    if ((errno == EINVAL || errno == ENOSYS) && file.take_place_of(real)) return true;
    Result<bool> answer = failed();
    return answer;
  }
  const bool is_done = text_of(file.name()) == read;
  if (!is_done && !give_back(file.name(), real, content)) {
    Result<bool> answer = failed();
    return answer;
  }
  file.sync_directory();
  return is_done;
}

Status put_file(const std::string& path, std::string_view content, mode_t mode) {
  return write_whole(path, content, mode, /*keeps=*/false);
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

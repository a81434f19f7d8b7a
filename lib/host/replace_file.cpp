#include "lib/host/replace_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <optional>

#include "lib/base/read_all.hpp"
#include "lib/base/unique_fd.hpp"
#include "lib/host/new_file.hpp"

namespace portmapper::host {
namespace {

// The file that is meant: behind symbolic links, where it exists.
std::string resolved(const std::string& path) {
  std::string real(PATH_MAX, '\0');
  return realpath(path.c_str(), real.data()) != nullptr ? real.c_str() : path;
}

NewFile new_file_for(const std::string& path) {
  return {directory_of(path), path.substr(path.rfind('/') + 1)};
}

// Of what is at `path`, mode and owner stay where `keeps`.
Status write_whole(const std::string& path, std::string_view content, mode_t mode, bool keeps) {
  const auto failed = [&path] { return mapping_failed("cannot write", path, errno); };
  const std::string real = keeps ? resolved(path) : path;
  struct stat before {};
  const bool exists = keeps && stat(real.c_str(), &before) == 0;
  if (keeps && !exists && errno != ENOENT) return failed();
  NewFile file = new_file_for(real);
  const bool is_written =
      exists ? file.write_like(content, real, before) : file.write(content, mode);
  if (!is_written || !file.take_place_of(real)) {
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
  NewFile file = new_file_for(real);
  // Answers are made before the file goes, which changes errno.
  if (!file.write_like(content, real, before)) {
    Result<bool> answer = failed();
    return answer;
  }
  if (text_of(real) != read) return false;
  if (!file.exchange_with(real)) {
    if ((errno == EINVAL || errno == ENOSYS) && file.take_place_of(real)) return true;
    Result<bool> answer = failed();
    return answer;
  }
  const bool is_done = text_of(file.name()) == read;
  if (!is_done && !file.give_back(real))
    return mapping_failed(
        "cannot write", path + ", of which the newer content is in " + file.name() + " now", errno);
  file.sync_directory();
  return is_done;
}

Status put_file(const std::string& path, std::string_view content, mode_t mode) {
  return write_whole(path, content, mode, /*keeps=*/false);
}

}  // namespace portmapper::host

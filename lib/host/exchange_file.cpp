#include "lib/host/exchange_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "lib/host/new_file.hpp"

namespace portmapper::host {
namespace {

std::string name_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// Being renamed is a change of its own.
bool is_same(FileState one, const FileState& other) {
  one.changed = other.changed;
  return one == other;
}

// False: errno says why.
bool fill(const NewFile& file, std::string_view content, const std::string& path,
          const struct stat& before) {
  const std::array<timespec, 2> times = {before.st_atim, before.st_mtim};
  return file.write_like(content, path, before) && futimens(file.fd(), times.data()) == 0 &&
         fsync(file.fd()) == 0;
}

}  // namespace

FileState file_state(const std::string& path) {
  const Result<Directory> directory = Directory::open(directory_of(path));
  return directory ? directory->state_of(name_of(path)) : FileState();
}

Result<std::optional<FileState>> exchange_file(const std::string& path, const FileState& read,
                                               std::string_view content) {
  using Placed = std::optional<FileState>;
  const auto failed = [](const std::string& which) {
    return mapping_failed("cannot replace", which, errno);
  };
  struct stat before {};
  if (lstat(path.c_str(), &before) != 0) {
    if (errno == ENOENT) return Placed();
    return failed(path);
  }
  if (file_state(path) != read) return Placed();
  const std::string beside = directory_of(path) + "/..";
  if (const Result<Directory> directory = Directory::open(beside); !directory)
    return directory.error();  // whoever writes there could put another file in the place of ours
  NewFile file(beside, name_of(path));
  if (!fill(file, content, path, before)) return failed(path);
  const FileState ours = file_state(file.name());
  if (!file.exchange_with(path)) {
    if (errno == ENOENT) return Placed();
    return failed(path);
  }
  if (is_same(file_state(file.name()), read)) {
    const FileState placed = file_state(path);
    return is_same(placed, ours) ? Placed(placed) : Placed();  // else it was written into at once
  }
  // It was written again in between; gone by now, it is not to come back.
  if (!file.give_back(path))
    return failed(path + ", of which the newer content is in " + file.name() + " now");
  return Placed();
}

}  // namespace portmapper::host

// Directory: files that a privileged program reads although others may have written them.
//
//   const Result<Directory> results = Directory::open("/var/lib/cni/results");
//   for (const DirectoryEntry& entry : *results->entries()) use(results->read(entry.name, 65536));
//
// Only what is reached by name from the open directory: no symbolic link is followed, nothing but
// regular files is opened (a FIFO would block, a device may have side effects), and directory and
// file must belong to root or to the caller and not be writable by everybody. Sizes are in bytes.
// The path given to `open` is the administrator's, and is followed. Errors: unreadable_input naming
// the path and why, with the errno if there was one. Does not promise: that a file is not written
// to while it is read; a FileState that was taken before and after tells. Source: openat(2),
// stat(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::host {

// Which file it is, and in which state; all zero: none.
struct FileState {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t modified = 0;  // nanoseconds since 1970
  std::int64_t changed = 0;

  [[nodiscard]] bool exists() const { return inode != 0; }
  bool operator==(const FileState&) const = default;
};

enum class EntryKind { file, directory, other };

struct DirectoryEntry {
  std::string name;
  EntryKind kind;
  FileState state;
};

class Directory {
 public:
  static constexpr std::size_t kMostEntries = 1000000;

  static Result<Directory> open(const std::string& path);
  [[nodiscard]] Result<Directory> below(const std::string& name) const;
  // Sorted by name.
  [[nodiscard]] Result<std::vector<DirectoryEntry>> entries() const;
  [[nodiscard]] FileState state_of(const std::string& name) const;
  [[nodiscard]] Result<std::string> read(const std::string& name, std::size_t most_bytes) const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  Directory(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  static Result<Directory> open_at(int parent, const std::string& name, int flags,
                                   const std::string& path);
  [[nodiscard]] std::string path_of(const std::string& name) const { return path_ + "/" + name; }

  UniqueFd fd_;
  std::string path_;
};

}  // namespace portmapper::host

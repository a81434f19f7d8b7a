// NewFile: a file that is written under a name of its own, and then takes the place of another.
//
//   NewFile file("/etc/cni/net.d", "10-flannel.conflist");
//   if (!file || !file.write("{}", 0644)) use(errno);
//   if (!file.exchange_with("/etc/cni/net.d/10-flannel.conflist")) use(errno);
//   // What came out is at file.name() now. If it is not what was to be replaced:
//   if (!file.give_back("/etc/cni/net.d/10-flannel.conflist")) use("it is in", file.name());
//
// The name begins with a dot, bears ours and has none of the endings that runtimes look for. Whatever has it at the
// end is removed, unless it took a place, or is somebody's that could not be given back. A process that is killed
// leaves its file; remove_unfinished takes such away, and whoever calls it must know that nobody else writes one
// there (lib/host/directory_lock). Errors: false, with the errno. Does not promise: that a file system can exchange
// (EINVAL, ENOSYS). Source: rename(2), RENAME_EXCHANGE; fsync(2); libcni/conf.go, ConfFiles.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/unique_fd.hpp"

namespace portmapper::host {

class NewFile {
 public:
  // In that directory, for a file of that name.
  NewFile(const std::string& directory, const std::string& name);
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();

  explicit operator bool() const { return static_cast<bool>(fd_); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int fd() const { return fd_.get(); }

  // With the mode; or with owner, mode and attributes of the file at `path`, whose state is `before`.
  [[nodiscard]] bool write(std::string_view content, mode_t mode) const;
  [[nodiscard]] bool write_like(std::string_view content, const std::string& path,
                                const struct stat& before) const;

  [[nodiscard]] bool take_place_of(const std::string& path);
  [[nodiscard]] bool exchange_with(const std::string& path) const;
  // What came out of an exchange is somebody's, who put it there after the last look. It goes back; and if somebody
  // was there again, what comes out by that, which is newer. What its owner removed meanwhile stays gone.
  [[nodiscard]] bool give_back(const std::string& path);

  // So that the names outlive a crash; where a file system has no such thing, they are there all the same.
  void sync_directory() const;

 private:
  std::string directory_;
  std::string name_;
  UniqueFd fd_;
  bool stays_ = false;
};

// "/etc/cni/net.d" of "/etc/cni/net.d/x", "." of "x".
std::string directory_of(const std::string& path);

// Removes what processes that were killed left there. The paths.
std::vector<std::string> remove_unfinished(const std::string& directory);

}  // namespace portmapper::host

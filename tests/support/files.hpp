// Files: what tests read and write on disk.
//
//   std::string golden = read_file(GOLDEN "/ruleset.nft");
//   ScratchDirectory scratch;
//   scratch.script("fake", "cat >/dev/null");  // <scratch>/fake, run by /bin/sh
//
// A scratch directory is below /tmp, readable by everybody, and goes with the object.
// Errors: std::runtime_error, std::filesystem::filesystem_error. Does not promise: to be removed
// when the process is killed.
#pragma once

#include <filesystem>
#include <string>

namespace portmapper::test {

std::string read_file(const std::filesystem::path& path);  // throws where there is none

class ScratchDirectory {
 public:
  ScratchDirectory();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  [[nodiscard]] std::string path(const std::string& name = "") const {
    return (path_ / name).string();
  }
  void script(const std::string& name, const std::string& commands) const;

 private:
  std::filesystem::path path_;
};

}  // namespace portmapper::test

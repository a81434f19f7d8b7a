// The host's first mount namespace, from which it can be proven who is gone.
//
//   run(in_first_mounts({CTL, "doctor"}), {.ns = lab.host()});
//
// The program may be another there, or none: it is reached through this process. Where we are not in
// the first PID namespace, or nobody is in that mount namespace, there is no path to it, and a
// command stays as it is. Errors: none. Source: linux/proc_ns.h, PROC_PID_INIT_INO and the first
// inode of mount namespaces.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

namespace portmapper::test {

inline std::string first_mounts() {
  struct stat status {};
  if (stat("/proc/self/ns/pid", &status) != 0 || status.st_ino != 0xEFFFFFFC) return {};
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string path = entry.path() / "ns/mnt";
    if (stat(path.c_str(), &status) == 0 && status.st_ino == 0xEFFFFFF8) return path;
  }
  return {};
}

inline std::vector<std::string> in_first_mounts(std::vector<std::string> words) {
  const std::string path = first_mounts();
  if (path.empty()) return words;
  words.front().insert(0, "/proc/" + std::to_string(getpid()) + "/root");
  words.insert(words.begin(), {"nsenter", "--mount=" + path, "--wd=/"});
  return words;
}

}  // namespace portmapper::test

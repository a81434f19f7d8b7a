// OpenDirectory and OpenFile: the owners of what opendir(3) and fopen(3) return, for reading /proc.
//
//   const OpenFile file(std::fopen("/proc/self/mountinfo", "re"));
//   const OpenDirectory directory(opendir("/proc"));
//   if (!file || !directory) return errno;
//
// Errors: an empty owner. Does not promise: to report errors of closing. Source: POSIX.
#pragma once

#include <dirent.h>

#include <cstdio>
#include <memory>

namespace portmapper::host {

struct Closing {
  void operator()(DIR* directory) const { closedir(directory); }
  void operator()(std::FILE* file) const { (void)std::fclose(file); }
};
using OpenDirectory = std::unique_ptr<DIR, Closing>;
using OpenFile = std::unique_ptr<std::FILE, Closing>;

}  // namespace portmapper::host

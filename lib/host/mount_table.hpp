// The mounts of one mount namespace, as a mountinfo file of /proc lists them.
//
//   each_mount(AT_FDCWD, "/proc/self/mountinfo", [](const Mount& mount) { use(mount.place); });
//   use(namespace_number("net:[4026532288]", "net:["));  // 4026532288
//
// Parents come before what is mounted on them, as a rule. Errors: false if the file could not be
// read to its end; a line that is no mount is left out. Source: proc(5), mountinfo.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace portmapper::host {

struct Mount {
  int number = 0;
  int parent = 0;
  std::string root;   // what of its file system; "net:[4026532288]" for a namespace
  std::string place;  // where
  std::string type;
  std::string options;  // of its file system
};

bool each_mount(int directory, const char* file, const std::function<void(const Mount&)>& visit);

// A path through it may wait for a server that never answers.
bool may_hang(std::string_view type);

// The number of a namespace of that kind; 0 for anything else.
std::uint64_t namespace_number(std::string_view text, std::string_view kind);

}  // namespace portmapper::host

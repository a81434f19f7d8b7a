#include "lib/host/netns.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

namespace portmapper {
namespace {

struct Close {
  void operator()(DIR* directory) const { closedir(directory); }
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Directory = std::unique_ptr<DIR, Close>;
using File = std::unique_ptr<std::FILE, Close>;

// The kernel's struct nsfs_file_handle begins with the namespace's id.
std::uint64_t namespace_id(const char* path) {
  alignas(file_handle) std::array<unsigned char, sizeof(file_handle) + MAX_HANDLE_SZ> buffer{};
  auto* handle = reinterpret_cast<file_handle*>(buffer.data());
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  // Before Linux 6.18, nsfs had no handles: EOPNOTSUPP.
  if (name_to_handle_at(AT_FDCWD, path, handle, &mount_id, AT_SYMLINK_FOLLOW) != 0) return 0;
  std::uint64_t id = 0;
  if (handle->handle_bytes < sizeof id) return 0;
  std::memcpy(&id, handle->f_handle, sizeof id);
  return id;
}

bool same(const NetworkNamespace& a, const NetworkNamespace& b) {
  if (a.device != b.device || a.inode != b.inode) return false;
  return a.id == 0 || b.id == 0 || a.id == b.id;
}

// The links in /proc/PID/ns cost a readlink each; only a match is looked at closer.
bool is_of_a_process(const NetworkNamespace& netns) {
  const std::string wanted = "net:[" + std::to_string(netns.inode) + "]";
  const Directory proc(opendir("/proc"));
  if (!proc) return false;
  while (const dirent* entry = readdir(proc.get())) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const std::string link = "/proc/" + std::string(entry->d_name) + "/ns/net";
    std::array<char, 64> target{};
    const ssize_t length = readlink(link.c_str(), target.data(), target.size());
    if (length > 0 && std::string_view(target.data(), static_cast<std::size_t>(length)) == wanted &&
        same(netns, identify_netns(link)))
      return true;
  }
  return false;
}

// Field `number` (from 0) of a line of /proc/self/mountinfo.
std::string_view field(std::string_view line, int number) {
  for (; number > 0; --number) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return {};
    line.remove_prefix(space + 1);
  }
  return line.substr(0, line.find(' '));
}

// mountinfo writes blanks and the like as \040.
std::string unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ec == std::errc()) {
      result += static_cast<char>(code);
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

bool is_mounted(const NetworkNamespace& netns) {
  const std::string wanted = "net:[" + std::to_string(netns.inode) + "]";
  const File mounts(std::fopen("/proc/self/mountinfo", "re"));
  if (!mounts) return false;
  std::array<char, 8192> buffer{};  // a longer line is no mount of ours
  while (std::fgets(buffer.data(), buffer.size(), mounts.get()) != nullptr) {
    const std::string_view line(buffer.data());
    if (field(line, 3) == wanted && same(netns, identify_netns(unescaped(field(line, 4)))))
      return true;
  }
  return false;
}

}  // namespace

NetworkNamespace identify_netns(const std::string& path) {
  NetworkNamespace netns{.path = path};
  struct stat status {};
  if (path.empty() || stat(path.c_str(), &status) != 0) return netns;
  netns.device = status.st_dev;
  netns.inode = status.st_ino;
  netns.id = namespace_id(path.c_str());
  return netns;
}

bool netns_exists(const NetworkNamespace& recorded, const NetworkNamespace& own) {
  if (!recorded.is_known()) return true;
  if (!recorded.path.empty() && same(recorded, identify_netns(recorded.path))) return true;
  // Its path is gone and ours has its number: the number was used again.
  if (recorded.id == 0 && recorded.inode == own.inode && recorded.path != own.path) return false;
  return is_of_a_process(recorded) || is_mounted(recorded);
}

}  // namespace portmapper

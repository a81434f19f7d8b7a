#include "lib/host/netns.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "lib/host/open_files.hpp"
#include "lib/host/sysctl.hpp"

namespace portmapper::host {
namespace {

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

// The inode number of "net:[4026532288]"; 0 for anything else.
std::uint64_t inode_of(std::string_view name) {
  constexpr std::string_view kPrefix = "net:[";
  std::uint64_t inode = 0;
  if (name.starts_with(kPrefix))
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), inode);
  return inode;
}

template <typename Visit>
void each_process(Visit visit) {
  const OpenDirectory proc(opendir("/proc"));
  if (!proc) return;
  while (const dirent* entry = readdir(proc.get())) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const std::string link = "/proc/" + std::string(entry->d_name) + "/ns/net";
    std::array<char, 64> target{};
    const ssize_t length = readlink(link.c_str(), target.data(), target.size());
    if (length > 0) visit(inode_of({target.data(), static_cast<std::size_t>(length)}), link);
  }
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

template <typename Visit>
void each_mount(Visit visit) {
  const OpenFile mounts(std::fopen("/proc/self/mountinfo", "re"));
  if (!mounts) return;
  std::array<char, 8192> buffer{};  // a longer line is no mount of ours
  while (std::fgets(buffer.data(), buffer.size(), mounts.get()) != nullptr) {
    const std::string_view line(buffer.data());
    const std::uint64_t inode = inode_of(field(line, 3));
    if (inode != 0) visit(inode, unescaped(field(line, 4)));
  }
}

bool is_at_its_path(const NetworkNamespace& recorded) {
  return !recorded.path.empty() && same(recorded, identify_netns(recorded.path));
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

NamespaceState netns_state(const NetworkNamespace& recorded, const NetworkNamespace& own) {
  if (!recorded.is_known()) return NamespaceState::unknown;
  if (is_at_its_path(recorded)) return NamespaceState::exists;
  // Its path is gone and ours has its number: the number was used again.
  if (recorded.id == 0 && recorded.inode == own.inode && recorded.path != own.path)
    return NamespaceState::gone;
  return Namespaces().state(recorded);
}

void Namespaces::look() {
  ByInode& seen = seen_.emplace();
  may_see_all_ = may_see_processes();
  // Of the processes in one namespace, one is examined more closely.
  const auto visit = [&seen](std::uint64_t inode, const std::string& path) {
    std::vector<NetworkNamespace>& known = seen[inode];
    if (!known.empty()) return;
    const NetworkNamespace netns = identify_netns(path);
    if (netns.is_known()) known.push_back(netns);
  };
  each_process(visit);
  each_mount(visit);
}

NamespaceState Namespaces::state(const NetworkNamespace& recorded) {
  if (!recorded.is_known()) return NamespaceState::unknown;
  if (is_at_its_path(recorded)) return NamespaceState::exists;
  if (!seen_) look();
  const auto found = seen_->find(recorded.inode);
  const bool is_seen = found != seen_->end() &&
                       std::any_of(found->second.begin(), found->second.end(),
                                   [&](const NetworkNamespace& n) { return same(recorded, n); });
  if (is_seen) return NamespaceState::exists;
  return may_see_all_ ? NamespaceState::gone : NamespaceState::unknown;
}

}  // namespace portmapper::host

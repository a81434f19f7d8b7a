#include "lib/host/own_plugin.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "lib/base/plugin_note.hpp"
#include "lib/base/unique_fd.hpp"

// Of this program, in memory: the linker says where.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" [[gnu::visibility("hidden")]] const ElfW(Ehdr) __ehdr_start;

namespace portmapper::host {
namespace {

constexpr std::size_t kMostNotes = 65536;  // bytes
constexpr std::size_t kMostSegments = 256;
constexpr char kPortmap[] = "portmap";

template <typename T>
std::optional<T> read_at(const UniqueFd& file, std::uint64_t offset) {
  T value{};
  const ssize_t got = pread(file.get(), &value, sizeof value, static_cast<off_t>(offset));
  return got == static_cast<ssize_t>(sizeof value) ? std::optional(value) : std::nullopt;
}

bool is_for_this_machine(const ElfW(Ehdr) & head) {
  return head.e_machine == __ehdr_start.e_machine &&
         head.e_ident[EI_CLASS] == __ehdr_start.e_ident[EI_CLASS] &&
         head.e_ident[EI_DATA] == __ehdr_start.e_ident[EI_DATA];
}

std::uint64_t aligned4(std::uint64_t length) {
  return (length + 3) & ~std::uint64_t{3};
}

bool has_our_note(const std::string& notes) {
  std::uint64_t at = 0;
  ElfW(Nhdr) head{};
  while (at + sizeof head <= notes.size()) {
    std::memcpy(&head, notes.data() + at, sizeof head);
    const std::string_view name(kPluginNoteName, sizeof kPluginNoteName);  // with its NUL
    const std::uint64_t begin = at + sizeof head;
    if (head.n_type == kPluginNoteType && head.n_namesz == name.size() &&
        std::string_view(notes).substr(begin, name.size()) == name)
      return true;
    at = begin + aligned4(head.n_namesz) + aligned4(head.n_descsz);
  }
  return false;
}

std::string read_segment(const UniqueFd& file, const ElfW(Phdr) & segment) {
  std::string bytes(std::min<std::uint64_t>(segment.p_filesz, kMostNotes), '\0');
  const ssize_t got =
      pread(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(segment.p_offset));
  bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return bytes;
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const std::string_view part = list.substr(0, list.find(':'));
    list.remove_prefix(std::min(part.size() + 1, list.size()));
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

bool is_file(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

bool is_own_plugin(const std::string& path) {
  if (!is_file(path)) return false;
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return false;
  const auto head = read_at<ElfW(Ehdr)>(file, 0);
  if (!head || std::memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
      head->e_phentsize != sizeof(ElfW(Phdr)) || !is_for_this_machine(*head))
    return false;
  for (std::size_t i = 0; i < std::min<std::size_t>(head->e_phnum, kMostSegments); ++i) {
    const auto segment = read_at<ElfW(Phdr)>(file, head->e_phoff + i * sizeof(ElfW(Phdr)));
    if (segment && segment->p_type == PT_NOTE && has_our_note(read_segment(file, *segment)))
      return true;
  }
  return false;
}

std::vector<std::string> usual_plugin_directories() {
  return {"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni", "/var/lib/rancher/k3s/data/cni",
          "/var/lib/rancher/k3s/data/current/bin"};
}

PortmapProgram find_portmap(const char* cni_path) {
  using Whose = PortmapProgram::Whose;
  PortmapProgram found;
  const bool is_told = cni_path != nullptr && *cni_path != '\0';
  for (const std::string& directory : is_told ? split(cni_path) : usual_plugin_directories()) {
    const std::string path = directory + "/" + kPortmap;
    if (!is_file(path)) continue;
    const Whose whose = is_own_plugin(path) ? Whose::ours : Whose::another;
    if (found.whose == Whose::none) {
      found = {whose, path, {}};
      if (is_told) return found;
    } else if (whose != found.whose) {
      return {Whose::unclear, found.path, path};
    }
  }
  return found;
}

}  // namespace portmapper::host

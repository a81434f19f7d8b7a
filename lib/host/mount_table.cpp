#include "lib/host/mount_table.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <vector>

#include "lib/base/unique_fd.hpp"

namespace portmapper::host {
namespace {

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

int number_of(std::string_view text) {
  int number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
void visit_line(std::string_view line, const std::function<void(const Mount&)>& visit) {
  std::vector<std::string_view> fields;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (fields.size() < 10 || fields.end() - dash < 4) return;
  visit({number_of(fields[0]), number_of(fields[1]), unescaped(fields[3]), unescaped(fields[4]),
         std::string(dash[1]), std::string(dash[3])});
}

}  // namespace

bool each_mount(int directory, const char* file, const std::function<void(const Mount&)>& visit) {
  const UniqueFd fd(openat(directory, file, O_RDONLY | O_CLOEXEC));
  if (!fd) return false;
  std::string text;
  std::array<char, 16384> part{};
  ssize_t length = 0;
  while ((length = read(fd.get(), part.data(), part.size())) > 0)
    text.append(part.data(), static_cast<std::size_t>(length));
  if (length < 0) return false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    visit_line(std::string_view(text).substr(at, end - at), visit);
    at = end + 1;
  }
  return true;
}

bool may_hang(std::string_view type) {
  constexpr std::array<std::string_view, 9> kServed = {"fuse", "nfs", "cifs",   "smb3",    "ceph",
                                                       "9p",   "afs", "autofs", "virtiofs"};
  return std::any_of(kServed.begin(), kServed.end(),
                     [type](std::string_view served) { return type.starts_with(served); });
}

std::uint64_t namespace_number(std::string_view text, std::string_view kind) {
  std::uint64_t number = 0;
  if (text.starts_with(kind))
    std::from_chars(text.data() + kind.size(), text.data() + text.size(), number);
  return number;
}

}  // namespace portmapper::host

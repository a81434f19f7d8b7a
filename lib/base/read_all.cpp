#include "lib/base/read_all.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <vector>

namespace portmapper {

Result<std::string> read_all(int fd, std::string_view object, std::size_t most_bytes) {
  const auto failed = [object](int error_number) {
    return unreadable_input("cannot read", std::string(object), error_number);
  };
  std::string text;
  // What is on the stack costs a page fault for each 4 KiB, and a request is rarely longer.
  std::array<char, 4096> little;  // NOLINT: filled by read
  std::vector<char> large;
  std::span<char> buffer(little);
  for (;;) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(errno);
    if (text.size() + static_cast<std::size_t>(count) > most_bytes) return failed(EFBIG);
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (static_cast<std::size_t>(count) < buffer.size() || !large.empty()) continue;
    large.resize(65536);
    buffer = large;
  }
}

}  // namespace portmapper

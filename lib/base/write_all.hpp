// write_all: writes a whole text to a descriptor, despite interruptions and short writes.
//
//   if (!write_all(STDOUT_FILENO, text)) return 1;  // errno says why
//
// Blocks as the descriptor does. Errors: false, with errno of write(2). Source: POSIX write(2).
#pragma once

#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace portmapper {

[[nodiscard]] inline bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace portmapper

// Reads the environment and stdin, calls lib/app, prints, exits.

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "lib/app/plugin.hpp"
#include "lib/base/write_all.hpp"

namespace {

using namespace portmapper;

constexpr std::size_t kInputLimit = 64U << 20;  // three times 65,535 port mappings take 15 MiB

Result<std::string> read_stdin() {
  std::string text;
  std::array<char, 65536> buffer;  // NOLINT: filled by read
  for (;;) {
    const ssize_t count = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return Error{ErrorKind::unreadable_input, "cannot read", "standard input", errno, {}};
    if (text.size() + static_cast<std::size_t>(count) > kInputLimit)
      return Error{ErrorKind::unreadable_input, "standard input has more than 64 MiB", {}, 0, {}};
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

int main() {
  const Outcome outcome =
      run_plugin([](const char* name) { return std::getenv(name); }, read_stdin);
  (void)write_all(STDERR_FILENO, outcome.log);
  return write_all(STDOUT_FILENO, outcome.out) ? outcome.status : 1;
}

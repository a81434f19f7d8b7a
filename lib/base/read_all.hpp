// read_all: reads everything from a descriptor, up to a limit.
//
//   Result<std::string> text = read_all(STDIN_FILENO, "standard input");
//
// Reads until the end, despite interruptions. kMostInput is 64 MiB: three times 65,535 port
// mappings take 15. Errors: unreadable_input naming the object, with errno of read(2), or EFBIG.
// Source: POSIX read(2).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "lib/base/error.hpp"

namespace portmapper {

constexpr std::size_t kMostInput = std::size_t{64} << 20;

Result<std::string> read_all(int fd, std::string_view object, std::size_t most_bytes = kMostInput);

}  // namespace portmapper

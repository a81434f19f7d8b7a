// read_all: reads everything from a descriptor, up to a limit.
//
//   Result<std::string> text = read_all(STDIN_FILENO, "standard input");
//
// Reads until the end, despite interruptions. At most 64 MiB: three times 65,535 port mappings take
// 15. Errors: unreadable_input naming the object, with errno of read(2), or EFBIG. Source: POSIX
// read(2).
#pragma once

#include <string>
#include <string_view>

#include "lib/base/error.hpp"

namespace portmapper {

Result<std::string> read_all(int fd, std::string_view object);

}  // namespace portmapper

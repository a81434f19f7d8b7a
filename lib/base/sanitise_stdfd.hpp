// sanitise_stdfd: nothing that we open gets the number 0, 1 or 2.
//
//   if (!sanitise_stdfd()) return 1;  // first of all in main; errno says why
//
// A caller may start us with some of them closed. The next socket would get that number, and output
// would be sent to the kernel. A closed one is filled with an O_PATH descriptor, which answers
// read, write and poll as a closed one does (EBADF, POLLNVAL): missing input and lost output remain
// errors, which /dev/null would hide. Errors: false, with errno of open(2). Source: open(2)
// "O_PATH"; POSIX: the lowest number is used.
#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace portmapper {

[[nodiscard]] inline bool sanitise_stdfd() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_CLOEXEC) != fd) return false;
  return true;
}

}  // namespace portmapper

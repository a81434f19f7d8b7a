// above_stderr: a descriptor that is not 0, 1 or 2.
//
//   const UniqueFd fd = above_stderr(UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC)));
//
// A runtime may start us with 0, 1 or 2 closed, and then the next descriptor gets that number. A
// pipe at 2 would get what is meant for our stderr; child's ends at 0 to 2 would overwrite one
// another when they are moved there. Errors: none comes back as none, and what cannot be moved
// (errno) too. The copy is CLOEXEC. Source: fcntl(2).
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "lib/base/unique_fd.hpp"

namespace portmapper::delegate {

inline UniqueFd above_stderr(UniqueFd fd) {
  if (!fd || fd.get() > STDERR_FILENO) return fd;
  return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

}  // namespace portmapper::delegate

// What today's glibc has and older ones, or musl, have not: the same by other means.
//
//   if (libc::close_range(5, 6, 0) != 0) use(errno);
//   const char* const words = libc::error_words(ENOENT);      // "No such file or directory"
//   const char* const name = libc::signal_abbreviation(15);   // "TERM"
//
// Where the C library has the function it is called, so that nothing changes there. Numbers are those of
// errno and of signal(7). Errors: -1 with errno, or what posix_spawn_file_actions_*() return; null for a
// number that nobody knows, and, of signals where the library has no names, for those that nothing but another
// program sends (SIGUSR1). Does not promise: a fallback for kernels before 5.11, which lack what the rest of
// this program needs too. tests/check/libc compiles every source with musl's headers.
// Source: manual pages of glibc, "VERSIONS" of each; musl's headers; kernel's uapi headers.
#pragma once

#include <linux/close_range.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string_view>

#ifndef STATX_INO  // then <sys/stat.h> has no struct statx either
#include <linux/stat.h>
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71  // on every architecture but SPARC and PA-RISC
#endif

#ifdef __GLIBC__
#define PORTMAPPER_GLIBC (__GLIBC__ * 100 + __GLIBC_MINOR__)
#else
#define PORTMAPPER_GLIBC 0
#endif

namespace portmapper::libc {

inline int close_range(unsigned first, unsigned last, unsigned flags) {
  return static_cast<int>(syscall(SYS_close_range, first, last, flags));
}

inline int file_state(int directory, const char* path, int flags, unsigned mask,
                      struct statx* state) {
  return static_cast<int>(syscall(SYS_statx, directory, path, flags, mask, state));
}

// The child keeps no descriptor from `first` on. Ours are all close-on-exec already: where the C library
// cannot do it in the child, those that somebody let us inherit become so here.
inline int add_close_from(posix_spawn_file_actions_t* actions, int first) {
#if PORTMAPPER_GLIBC >= 234
  return posix_spawn_file_actions_addclosefrom_np(actions, first);
#else
  (void)actions;
  return close_range(static_cast<unsigned>(first), ~0U, CLOSE_RANGE_CLOEXEC) == 0 ? 0 : errno;
#endif
}

inline const char* error_words(int error_number) {
#if PORTMAPPER_GLIBC >= 232
  return strerrordesc_np(error_number);
#else
  // Nobody sets a locale here, so these are the words for what the library does not know.
  const std::string_view words = std::strerror(error_number);
  const bool is_unknown =
      words.starts_with("Unknown error") || words == "No error information";  // glibc; musl
  return is_unknown ? nullptr : words.data();
#endif
}

inline const char* signal_abbreviation(int number) {
#if PORTMAPPER_GLIBC >= 232
  return sigabbrev_np(number);
#else
  switch (number) {
    case SIGHUP:
      return "HUP";
    case SIGINT:
      return "INT";
    case SIGQUIT:
      return "QUIT";
    case SIGILL:
      return "ILL";
    case SIGABRT:
      return "ABRT";
    case SIGBUS:
      return "BUS";
    case SIGFPE:
      return "FPE";
    case SIGKILL:
      return "KILL";
    case SIGSEGV:
      return "SEGV";
    case SIGPIPE:
      return "PIPE";
    case SIGALRM:
      return "ALRM";
    case SIGTERM:
      return "TERM";
    case SIGSYS:
      return "SYS";
    default:
      return nullptr;
  }
#endif
}

}  // namespace portmapper::libc

// Whether a process still runs.
//
//   kill(pid, SIGKILL);
//   CHECK_FALSE(is_running(pid));  // a moment later: killed processes take one to go
//
// kill(pid, 0) does not tell: a process that has ended is a zombie where PID 1 does not reap orphans,
// or not at once. Where it does, there is nothing left to read. Another process may have got the
// number since. Errors: none. Source: proc_pid_stat(5).
#pragma once

#include <sys/types.h>

#include <fstream>
#include <iterator>
#include <string>

namespace portmapper::test {

inline bool is_running(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string stat{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = stat.rfind(") ");  // the name may contain whatever it likes
  if (name_end == std::string::npos) return false;
  const std::string state = stat.substr(name_end + 2, 1);
  return state != "Z" && state != "X";
}

}  // namespace portmapper::test

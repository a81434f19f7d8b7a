// DirectoryLock: that one process at a time works in some directories.
//
//   const Result<DirectoryLock> lock = DirectoryLock::take({"/opt/cni/bin", "/etc/cni/net.d"});
//   if (!lock) return lock.error();
//   use(*lock);  // alone there, until it goes
//
// Of those who take such a lock only: it is advisory, on the directories themselves, so no file is needed that
// would stay. The order is that of device and inode, whoever asks: two who want the same directories never
// wait for each other. A directory that is not there is left out. It also ends with the process. Errors:
// mapping_failed naming the directory, after `patience`: whoever may read a directory can lock it, so nobody
// waits for ever. Does not promise: anything across the nodes of a network file system. Source: flock(2).
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::host {

// The exclusive lock on an open file, by `limit`: 0, or the errno; EWOULDBLOCK where another has it still.
int lock_by(int fd, std::chrono::steady_clock::time_point limit);

class DirectoryLock {
 public:
  static constexpr std::chrono::milliseconds kPatience{10000};

  static Result<DirectoryLock> take(const std::vector<std::string>& directories,
                                    std::chrono::milliseconds patience = kPatience);

 private:
  std::vector<UniqueFd> held_;
};

}  // namespace portmapper::host

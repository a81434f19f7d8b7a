// exchange_file: another program's file gets a new content, if it is still the one that was read.
//
//   const FileState state = file_state("/var/lib/cni/results/web-abc-eth0");  // then it is read
//   const auto done = exchange_file("/var/lib/cni/results/web-abc-eth0", state, "{}");
//   if (done && !*done) use("it is gone, or another by now");
//   if (done && *done) use(**done);  // the state of the new one
//
// Whoever reads the file meanwhile sees the old content or the new one. A file that its owner removes meanwhile
// is not brought back: the new one is written beside the file's directory, since the owner may read all that
// is in there (lib/host/new_file), and the two are exchanged, which the kernel refuses where either is missing. What
// came out by that is looked at, and goes back if it is not what was read. Mode, owner, extended attributes and
// time of modification stay.
// Errors: mapping_failed naming the path, with the errno: EXDEV where the directory is a file system of its
// own, EINVAL where that cannot exchange; unreadable_input where the directory above cannot be trusted; where what came out could not go back, it says where that is. Does not promise: to see who writes into the open file in the same
// moment. Source: rename(2), RENAME_EXCHANGE.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lib/base/error.hpp"
#include "lib/host/directory.hpp"

namespace portmapper::host {

Result<std::optional<FileState>> exchange_file(const std::string& path, const FileState& read,
                                               std::string_view content);
// What is at that path; all zero: nothing, or a directory that cannot be trusted.
FileState file_state(const std::string& path);

}  // namespace portmapper::host

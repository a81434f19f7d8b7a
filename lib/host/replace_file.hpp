// replace_file: a file's new content, whole or not at all.
//
//   const Status done = replace_file("/etc/cni/net.d/10-flannel.conflist", text);
//   const Result<bool> changed = replace_file_if(path, "what was read", text);
//   const Status put = put_file("/opt/cni/bin/nft-port-mapper", text, 0755);
//
// Whoever reads the file meanwhile sees the old content or the new one: it is written beside it
// (lib/host/new_file), and renamed. An
// existing file keeps its mode, owner and extended attributes (lib/host/file_change); of a symbolic link, the
// file that it leads to is replaced. A new file is the caller's, with `mode`. replace_file_if takes the place of a
// file that has the content that was `read`, and of no other: the two are exchanged, what came out by that is looked
// at, and goes back if it is another. Where it is gone, or another, it stays so, and the answer is false. put_file
// leaves nothing of what was there: neither mode nor owner, nor the link. Errors: mapping_failed naming the
// path, with the errno; nothing is left behind then, unless it says where. Does not promise: hard links; to see who writes into the
// open file; or, on a file system that cannot exchange, who renames one into place between the last look and our
// rename. Source: rename(2), fsync(2); libcni/conf.go, ConfFiles.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "lib/base/error.hpp"

namespace portmapper::host {

Status replace_file(const std::string& path, std::string_view content, mode_t mode = 0644);
Result<bool> replace_file_if(const std::string& path, std::string_view read,
                             std::string_view content);
Status put_file(const std::string& path, std::string_view content, mode_t mode);

}  // namespace portmapper::host

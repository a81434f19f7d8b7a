// File change: what replace_file and exchange_file have in common.
//
//   const int fd = 7;  // a new file
//   struct stat before {};
//   if (take_attributes(fd, "/etc/cni/net.d/10-flannel.conflist", before)) use("the new file is as the old one");
//   if (exchange_names("/etc/.new", "/etc/old") != 0) use(errno);
//
// take_attributes gives an open new file, which nobody else may open yet, the owner, the extended attributes
// (SELinux' label and the ACL are such) and the mode of the file at the path, whose state is `before`. What the
// file system does not take is left out; without its ACL, whose mask the mode has in the place of the group's
// permissions, the group gets none. exchange_names gives each of two files the other's name at once. Errors:
// false, or -1, with the errno; EINVAL where the file system cannot exchange. Does not promise: hard links, or
// flags such as chattr(1) sets. Source: xattr(7), acl(5), rename(2), RENAME_EXCHANGE.
#pragma once

#include <sys/stat.h>

#include <string>

namespace portmapper::host {

[[nodiscard]] bool take_attributes(int fd, const std::string& path, const struct stat& before);
[[nodiscard]] int exchange_names(const std::string& one, const std::string& other);

}  // namespace portmapper::host

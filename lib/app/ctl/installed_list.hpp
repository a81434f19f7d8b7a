// Installed list: a list of plugins that names ours, and what it was before.
//
//   std::vector<std::string> done;
//   const Status right = check_neighbours("/etc/cni/net.d", "/opt/cni/bin");
//   const Status put = put_entry("/etc/cni/net.d", config::Missing::refuse, done);  // in the first list there
//   const std::vector<Error> problems = take_entries("/etc/cni/net.d", done);       // of all that have a record
//
// What the list was is kept beside it, as .NAME.nft-port-mapper, which no runtime reads: only what has such a
// record is ever undone. The record comes before the list, so that a crash between them leaves nothing to
// undo, and goes where the list could not be written. A list that changes between reading and writing is
// read again. Whoever calls these has the lock of the directory. Errors: what is in the way, and what would
// be right; of several lists each its own. Does not promise: to notice who writes into the open list.
// Source: packaging/doc/kubernetes.md.
#pragma once

#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/config/list_edit.hpp"

namespace portmapper::ctl {

bool is_directory(const std::string& path);
// Of a list; a directory is its own.
std::string directory_of(const std::string& path);
// Where put_entry and take_entries write: the directory of a list, or the one that is named, and those that its lists
// are links to.
std::vector<std::string> directories_of(const std::string& path);

// Refuses a directory of plugins in which no other plugin of the list is: a runtime looks elsewhere. Where there
// is no list that could be read nothing tells; put_entry has the error.
Status check_neighbours(const std::string& path, const std::string& directory);
Status put_entry(const std::string& path, config::Missing missing, std::vector<std::string>& done);
// Whether there is such a list or directory, or was when put_entry changed it; the usual directory may be missing.
bool is_known(const std::string& path);
std::vector<Error> take_entries(const std::string& path, std::vector<std::string>& done);

}  // namespace portmapper::ctl

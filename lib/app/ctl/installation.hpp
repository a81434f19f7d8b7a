// Installation: the plugin in a runtime's directories, put there and taken away.
//
//   const Installation place{"/usr/lib/cni/nft-port-mapper", "/opt/cni/bin", "/etc/cni/net.d"};
//   std::vector<std::string> done;                     // a line each; none: it was all there
//   const Status status = put_in_place(place, done);
//   const std::vector<Error> problems = take_away(place, done);  // later
//
// The parts are in installed_plugin and installed_list; here is their order: a list never names a plugin that is
// not there. One process at a time does this in the directories (lib/host/directory_lock). Each file is
// replaced whole (lib/host/replace_file); what a process left that was killed meanwhile goes. Errors: what
// is in the way, and what would be right; taking away goes on behind each. Does not promise: that containers
// that run meanwhile are moved. Source: packaging/doc/kubernetes.md.
#pragma once

#include <string>
#include <vector>

#include "lib/app/restore/checkpoints.hpp"
#include "lib/base/error.hpp"
#include "lib/config/list_edit.hpp"

namespace portmapper::ctl {

struct Installation {
  std::string plugin;  // the file that is copied
  std::string to;      // a directory of plugins
  std::string list;    // a list, or a directory of such
  config::Missing missing = config::Missing::refuse;
  bool is_elsewhere = false;  // the list's other plugins are in another directory
  // What runtimes keep of the containers that they started.
  std::vector<restore::Source> records = restore::default_sources();
};

// What was done before an error is in `done` as well.
Status put_in_place(const Installation& place, std::vector<std::string>& done);
std::vector<Error> take_away(const Installation& place, std::vector<std::string>& done);

}  // namespace portmapper::ctl

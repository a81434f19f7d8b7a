// Installed plugin: the plugin's file in a directory of plugins, put there and taken away.
//
//   std::vector<std::string> done;
//   const Status put = put_plugin("/usr/lib/cni/nft-port-mapper", "/opt/cni/bin", done);
//   const auto users = [] { return plugin_users("/etc/cni/net.d", restore::default_sources()); };
//   const Status taken = take_plugin("/usr/lib/cni/nft-port-mapper", "/opt/cni/bin", users, done);
//
// A runtime runs it as root, so it is the caller's and of mode 0755, whatever version was there. Only our program is
// put there, known by its note (lib/host/own_plugin), and only in the place of ours: anything else would keep every
// container of the list from starting, or is somebody's. A link to our program is somebody's own installation and
// stays, if the program is on the directory's own file system; a container follows a link of the host by
// another root, and a program on another file system may be the container's own. Such a link is replaced.
// What goes is the same file that was put, and only while nothing needs it (plugin_users). Whoever
// calls these has the lock of the directory. Errors: what is in the way. Does not promise: to know
// a script that runs ours. Source: packaging/doc/kubernetes.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/app/ctl/plugin_users.hpp"
#include "lib/base/error.hpp"

namespace portmapper::ctl {

Status put_plugin(const std::string& plugin, const std::string& directory,
                  std::vector<std::string>& done);
// `users` is asked when nothing else speaks against it.
Status take_plugin(const std::string& plugin, const std::string& directory,
                   const std::function<Result<PluginUsers>()>& users,
                   std::vector<std::string>& done);

}  // namespace portmapper::ctl

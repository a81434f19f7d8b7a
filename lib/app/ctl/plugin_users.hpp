// PluginUsers: what would fail if the plugin's file were gone.
//
//   const Result<PluginUsers> users = plugin_users("/etc/cni/net.d", restore::default_sources());
//   if (users && users->reason.empty()) use(users->unknown);  // it may go
//
// In this order: a list that names the plugin, by which containers start; published ports, which a DEL has to
// close; and containers that were started with it, ports or not: libcni keeps the list that a container was
// started by, and its DEL may call every plugin of that one, as Multus calls those of its delegates. Such a
// container counts as long as its network namespace is there. What cannot be read may name it, so it is a reason
// as well; but where no runtime keeps its records here, which is so in a container without that mount, `unknown`
// says that, and the rest decides. Errors: when the directory or the kernel cannot be asked. Does not promise:
// anything of lists in other directories.
// Source: containernetworking/cni libcni/api.go, DelNetworkList and getCachedConfig.
#pragma once

#include <string>
#include <vector>

#include "lib/app/restore/checkpoints.hpp"
#include "lib/base/error.hpp"

namespace portmapper::ctl {

struct PluginUsers {
  std::string reason;   // empty: nothing that is known
  std::string unknown;  // a sentence; empty: all could be looked at
};

// `lists` is a list, or a directory of lists: all in the directory are looked at.
Result<PluginUsers> plugin_users(const std::string& lists,
                                 const std::vector<restore::Source>& records);

}  // namespace portmapper::ctl

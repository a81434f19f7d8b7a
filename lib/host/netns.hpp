// What network namespace a path leads to, and whether a recorded one still exists.
//
//   const NetworkNamespace netns = identify_netns("/run/netns/web");  // all zero: there is none
//   netns_state(netns, identify_netns("/proc/self/ns/net"));          // gone: its owner is dead
//
// A namespace lives while its path leads to it, or while any process or mount that we can see is in
// it; and when we lack the privilege to see most processes (CAP_SYS_PTRACE), since a port must not
// be taken from a container that lives. Inode numbers are used again: where the kernel has
// namespace ids (Linux 6.18), those decide; elsewhere the namespace of the caller itself (`own`) is
// not taken for a dead one that had its number. Without a record it counts as existing. Errors:
// none; what cannot be read is not there. Does not promise: to see namespaces of another mount or
// PID namespace. Source: namespaces(7), name_to_handle_at(2), proc(5) mountinfo.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/network_namespace.hpp"

namespace portmapper::host {

NetworkNamespace identify_netns(const std::string& path);
NamespaceState netns_state(const NetworkNamespace& recorded, const NetworkNamespace& own);

// The same for many recorded namespaces: processes and mounts are searched once, when the first one
// is not found by its path.
class Namespaces {
 public:
  NamespaceState state(const NetworkNamespace& recorded);

 private:
  using ByInode = std::map<std::uint64_t, std::vector<NetworkNamespace>>;
  void look();

  std::optional<ByInode> seen_;
  bool may_see_all_ = true;
};

}  // namespace portmapper::host

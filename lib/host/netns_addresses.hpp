// read_netns_addresses: which addresses are inside other network namespaces.
//
//   const auto inside = read_netns_addresses({"/run/netns/web"});
//   inside.at("/run/netns/web").addresses;   // 127.0.0.1, 10.22.0.2, ...
//   has_address(inside.at("/run/netns/web"), *IpAddress::parse("10.22.0.2"));
//
// An attachment lives as long as its address is in its namespace: a path alone may lead to another
// namespace by now, or to the host's own (that of a process whose number was used again), and a DEL
// takes the interface away before the runtime forgets the attachment. The paths come from files, so
// nothing is opened for reading but network namespaces. A separate thread enters each, to open a
// socket there, and leaves it at once: who is inside counts as life for others that look. The
// caller's thread does not move. Errors: in `error`, with the errno of setns(2) or of the dump; EPERM
// without CAP_SYS_ADMIN. Does not promise: to be still true. Source: setns(2), ioctl_ns(2).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/network_namespace.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::host {

struct NetnsAddresses {
  enum class Kind {
    none,     // the path leads to no network namespace
    ours,     // to the caller's own
    another,  // to another one, which has `addresses`
  };
  Kind kind = Kind::none;
  NetworkNamespace netns{};          // which one it is, without its path; ours without cookie
  std::vector<IpAddress> addresses;  // sorted
  std::optional<Error> error;
};

// Whether another namespace than the caller's has it.
bool has_address(const NetnsAddresses& inside, const IpAddress& address);

std::map<std::string, NetnsAddresses> read_netns_addresses(const std::set<std::string>& paths);

// Nothing for a path that leads to anything else; a device or a FIFO is not opened for that.
UniqueFd open_network_namespace(const std::string& path);

// Inside the open namespace `netns`. The calling thread goes there, and back to `own`.
// `meanwhile` is called in there.
Result<std::vector<IpAddress>> addresses_inside(
    int netns, int own, const std::function<void()>& meanwhile = [] {});

}  // namespace portmapper::host

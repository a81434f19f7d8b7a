// The host's own addresses, in this network namespace.
//
//   const Result<std::vector<IpAddress>> addresses = local_addresses();  // 127.0.0.1, ::1, ...
//   use(absent_addresses({address}));  // the address, or nothing if the host has it
//
// Errors: mapping_failed with the errno of the rtnetlink dump. Does not promise: of local_addresses,
// those that are local only by a route, such as the rest of 127.0.0.0/8 (fib calls them local all the
// same). absent_addresses asks the routes first, which know those, and the interfaces for the rest,
// which know those of a VRF. Source: rtnetlink(7), RTM_GETADDR, RTM_GETROUTE.
#pragma once

#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::host {

Result<std::vector<IpAddress>> local_addresses();
// Of the network namespace in which the socket was opened.
Result<std::vector<IpAddress>> local_addresses(Transport& route);
// Those of one device; none where it is not there.
Result<std::vector<IpAddress>> addresses_of(const std::string& device);

// Of some addresses those that no packet to this host can have, each once. Any address and those of
// 127.0.0.0/8 are always here; without others nothing is asked.
Result<std::vector<IpAddress>> absent_addresses(std::vector<IpAddress> addresses);

}  // namespace portmapper::host

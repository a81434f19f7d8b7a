// The host's own addresses, in this network namespace.
//
//   const Result<std::vector<IpAddress>> addresses = local_addresses();  // 127.0.0.1, ::1, ...
//
// Errors: mapping_failed with the errno of the rtnetlink dump. Does not promise: addresses that are
// local only by a route, such as the rest of 127.0.0.0/8 (fib calls them local all the same).
// Source: rtnetlink(7), RTM_GETADDR.
#pragma once

#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::host {

Result<std::vector<IpAddress>> local_addresses();
// Of the network namespace in which the socket was opened.
Result<std::vector<IpAddress>> local_addresses(Transport& route);

}  // namespace portmapper::host

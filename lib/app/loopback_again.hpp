// What bears on ::1 of the table and of the host, and the decision about it made again.
//
//   const Result<nft::LoopbackView> view = read_loopback_view(transport, {});
//   const Result<MendedLoopback> mended = mend_loopback(transport);  // restore
//
// Where no IPv6 port on any address or on ::1 is published, only the records are read. Errors:
// mapping_failed as nft/read/reader and lib/host/loopback_route; EINTR when a dump was interrupted by
// a change. Does not promise: to be still true. Source: packaging/doc/design.md, "Host effects".
#pragma once

#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/loopback_again.hpp"

namespace portmapper::app {

// Of ports that were read already.
Result<nft::LoopbackView> read_loopback_view(Transport& transport,
                                             std::vector<nft::LoopbackPort> ports);

// The devices that the batch of a decision has let get the route. One error for each that does not
// get it; connections to ::1 are not led there then.
std::vector<Error> add_loopback_routes(Transport& transport, const nft::LoopbackAgain& again);

struct MendedLoopback {
  std::vector<std::string> findings;
  std::vector<Error> left;  // what could not be mended of them
};
Result<MendedLoopback> mend_loopback(Transport& transport);

}  // namespace portmapper::app

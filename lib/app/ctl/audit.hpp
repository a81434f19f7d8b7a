// Audit: what of the whole table is not as it should be, and what can be mended.
//
//   Result<Audit> audit = audit_table(netlink);
//   for (const std::string& finding : audit->findings) ...
//   repair(netlink, *audit);  // one batch, refused when anything changed since
//
// Unlike CHECK, which knows one attachment's configuration, an audit knows only what the table
// itself tells: that the elements of each published port agree, that every owner lives, that
// skeleton and network chains are ours, that the guard is there where a device has route_localnet.
// Errors: mapping_failed as nft/read/reader; ERESTART from repair. Does not promise: that excluded
// devices and conditions of a chain are those of today's configuration. Source: shared design,
// section 6.
#pragma once

#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/transaction.hpp"

namespace portmapper::ctl {

struct Audit {
  std::vector<std::string> findings;
  std::size_t mendable = 0;  // how many of them `repair` mends
  nft::Transaction repair;
};

Result<Audit> audit_table(Transport& transport);

}  // namespace portmapper::ctl

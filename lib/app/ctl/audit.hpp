// Audit: what is damaged in the whole table, and what can be repaired.
//
//   const Audit audit = audit_table(contents);
//   for (const std::string& finding : audit.findings) use(finding);
//   nft::commit(transport, audit.repair);  // one batch, refused when anything changed since
//
// A pure function. Unlike CHECK, which knows one attachment's configuration, an audit knows only
// what the table itself tells: that the elements of each published port agree, that every owner
// is alive, that skeleton and network chains are ours, that the guard exists where an interface has
// route_localnet. It does not know excluded devices and conditions of today's configuration.
// Source: packaging/doc/design.md, "The commands".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lib/app/ctl/table_contents.hpp"
#include "nft/loopback_again.hpp"
#include "nft/transaction.hpp"

namespace portmapper::ctl {

struct Audit {
  std::vector<std::string> findings;
  std::vector<std::string> notes{};  // what may be as it should
  std::size_t mendable = 0;          // how many of them `repair` mends
  nft::Transaction repair;
  // route_localnet (IPv4) and the route of ::1 (IPv6), which the batch cannot set: the devices where
  // they end before it, and where route_localnet begins after it.
  std::vector<std::pair<Family, std::string>> close{};
  std::vector<std::string> open_devices{};
  nft::LoopbackAgain loopback6{};  // whose routes come after it too; `repair` has its batch
};

Audit audit_table(const TableContents& contents);

}  // namespace portmapper::ctl

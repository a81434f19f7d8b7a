// Audit: what is damaged in the whole table, and what can be repaired.
//
//   const Audit audit = audit_table(contents);
//   for (const std::string& finding : audit.findings) use(finding);
//   use(mend(transport, audit, Mending::all));  // lib/app/ctl/mending
//
// A pure function. Unlike CHECK, which knows one attachment's configuration, an audit knows only
// what the table itself tells: that the elements of each published port agree, that every owner
// is alive, that skeleton and network chains are ours, that the guard exists where an interface has
// route_localnet. It does not know excluded devices and conditions of today's configuration, unless
// contents.on_record has some of them.
// Source: packaging/doc/design.md, "The commands".
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/app/ctl/table_contents.hpp"
#include "nft/loopback_again.hpp"
#include "nft/transaction.hpp"

namespace portmapper::ctl {

struct Audit {
  std::vector<std::string> findings;
  // Which of them say that a container, or its interface, is gone; that something is nobody's; and what
  // is of the host, beside the table. The rest is damage.
  std::set<std::string> outlived{};
  std::set<std::string> nobodys{};
  std::set<std::string> of_host{};
  std::vector<std::string> notes{};  // what may be as it should
  std::size_t mendable = 0;          // how many of them `repair` and `removal` mend
  nft::Transaction repair;
  nft::Transaction removal{};  // of what is nobody's; without a generation of its own
  // route_localnet (IPv4) and the route of ::1 (IPv6), which the batch cannot set: the devices where
  // they end before it, and where route_localnet begins after it.
  std::vector<std::pair<Family, std::string>> close{};
  std::vector<std::string> open_devices{};
  nft::LoopbackAgain loopback6{};  // whose routes come after it too; `repair` has its batch
};

Audit audit_table(const TableContents& contents);

}  // namespace portmapper::ctl

// Audit: what is damaged in the whole table, and what can be repaired.
//
//   const Audit audit = audit_table(contents);
//   for (const Finding& finding : audit.findings) use(to_string(finding), finding.is_mendable);
//   use(mend(transport, audit, Mending::all));  // lib/app/ctl/mending
//
// A pure function. Unlike CHECK, which knows one attachment's configuration, an audit knows only
// what the table itself tells: that the elements of each published port agree, that every owner
// is alive, that skeleton and network chains are ours, that the guard exists where an interface has
// route_localnet. It does not know excluded devices and conditions of today's configuration, unless
// contents.on_record has some of them. Errors: none. Does not promise: to see what was read while it changed;
// steady_audit looks twice.
// Source: packaging/doc/design.md, "The commands".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lib/app/ctl/table_contents.hpp"
#include "lib/app/egress.hpp"
#include "nft/loopback_again.hpp"
#include "nft/transaction.hpp"

namespace portmapper::ctl {

struct Finding {
  enum class Kind : std::uint8_t {
    damage,
    outlived,   // a container, or its interface, is gone
    nobodys,    // an element that no owner has
    of_host,    // beside the table
    exposure,   // likewise: route_localnet without the guard
    loopback6,  // likewise: the way of ::1
    egress,     // of the table of those who are masqueraded
  };
  std::string
      thing;  // "port 0.0.0.0:8080/tcp of web/abc/eth0 has no target"; fit to be printed, as is
  std::string advice{};  // "start the container again"
  Kind kind = Kind::damage;
  bool is_mendable = false;  // by lib/app/ctl/mending

  friend bool operator==(const Finding&, const Finding&) = default;
};

std::string to_string(const Finding& finding);  // "THING; ADVICE"

struct Audit {
  std::vector<Finding> findings;
  std::vector<std::string> notes{};  // what may be as it should
  nft::Transaction repair;
  nft::Transaction removal{};  // of what is nobody's; without a generation of its own
  // route_localnet (IPv4) and the route of ::1 (IPv6), which the batch cannot set: the devices where
  // they end before it, and where route_localnet begins after it.
  std::vector<std::pair<Family, std::string>> close{};
  std::vector<std::string> open_devices{};
  nft::LoopbackAgain loopback6{};  // whose routes come after it too; `repair` has its batch

  [[nodiscard]] std::size_t mendable() const;  // how many of the findings
};

Audit audit_table(const TableContents& contents);
// What is damaged of the table of those who are masqueraded, which app::mend_masquerade mends.
void add_egress(const app::EgressAudit& egress, Audit& audit);

}  // namespace portmapper::ctl

// join: whose portmap's rules are, and whether their ports can be ours.
//
//   const std::vector<Entry> entries = join(nft::foreign::portmap_parts(others), {}, Facts{});
//   for (const Entry& entry : entries)
//     if (entry.is_taken()) use(entry.names, entry.removal);  // ours are published, then its go
//
// A pure function. Rules and a runtime's record belong together by the name of the chain, which is a hash of
// network and container, or by the container's ID and an address. They are taken over if the rules publish
// exactly what an ADD of ours would of that record, the container lives, the network's configuration of today
// names ours, no rule of others decides about its ports (lib/app/adopt/way), no process of the host would get one at
// an address of its own, and no rule that stays would get one: portmap's are asked before ours. Otherwise `reason` says why they stay. That the DEL comes to us also where a
// runtime deletes by its record is lib/app/adopt/record's. Errors: none. Does not promise: that the ports are free in our own table; restore's dry run tells, as
// Seen::problem. Source: packaging/doc/migration.md.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/app/adopt/networks.hpp"
#include "lib/app/restore/restore.hpp"
#include "lib/host/own_plugin.hpp"
#include "nft/foreign/portmap.hpp"

namespace portmapper::adopt {

struct Facts {
  Networks networks{};
  host::PortmapProgram portmap{};
};

// One container's rules, or what is known of them.
struct Entry {
  Attachment names{};   // as far as they are known
  std::string where{};  // "ip nat CNI-DN-1234, ip6 nat CNI-DN-1234"
  std::string path{};   // of its record; empty: there is none
  std::vector<nft::foreign::PortmapMapping> mappings{};
  nft::portmap::Removal removal{};
  std::string reason{};  // why it stays with portmap; empty: it is taken over

  [[nodiscard]] bool is_taken() const { return reason.empty(); }
};

// What an ADD of ours publishes, in order.
std::vector<nft::foreign::PortmapMapping> mappings_of(const nft::Plan& plan);

std::vector<Entry> join(const std::vector<nft::foreign::PortmapPart>& parts,
                        const std::vector<restore::Seen>& seen, const Facts& facts);

}  // namespace portmapper::adopt

// look: reads one section of a snapshot, from the kernel's table and from the host.
//
//   nft::Snapshot snapshot;
//   const Status read = look(transport, {.plan = &plan}, nft::Section::ruleset, snapshot);
//
// The only place where what a decision rests on is read. ruleset, installed and chain_is_empty come
// first and bring the generation with them, and so do the overlaps of several plans; what is read
// after it is no older. Errors:
// mapping_failed with object and errno; EINTR when a dump was interrupted by a change. Source:
// packaging/doc/design.md, "Read, decide, commit".
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/owner_entry.hpp"
#include "nft/read/reader.hpp"
#include "nft/snapshot.hpp"

namespace portmapper::app {

// What the command is about. Sections that are about something else need not be named.
struct Subject {
  const nft::Plan* plan = nullptr;             // overlaps, occupancy
  const nft::NetworkChain* network = nullptr;  // ruleset; without one, of the skeleton alone
  nft::OwnerHash owner{};                      // installed
  std::string chain{};                         // installed, chain_is_empty
  nft::Lost lost_ports{};                      // installed
  std::span<const nft::Plan* const> plans{};   // chain_damage; overlaps of all of them
};

Status look(Transport& transport, const Subject& subject, nft::Section section,
            nft::Snapshot& snapshot);

// What is seen of each owner's life. `addresses`: of its endpoints, as far as they are known.
using OwnerAddresses = std::map<nft::OwnerHash, std::vector<IpAddress>>;
std::map<nft::OwnerHash, LifeSigns> owners_life(const std::vector<nft::OwnerEntry>& entries,
                                                const OwnerAddresses& addresses);

}  // namespace portmapper::app

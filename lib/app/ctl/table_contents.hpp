// TableContents: everything that the table has, and what of the host bears on it.
//
//   const Result<TableContents> contents = read_table(transport);
//   contents->owners.size();  // the published ports
//
// Reads whole sets, so it costs as much as there are ports; the generation is read first, so a
// transaction that carries it is decided on nothing older. What the sets say contradicts itself where an
// ADD or a DEL came between two of them: `is_steady` tells. Errors: mapping_failed as
// nft/read/reader; EINTR when a dump was interrupted by a change. Source: packaging/doc/design.md,
// "The ruleset".
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/loopback_again.hpp"
#include "nft/owner_entry.hpp"
#include "nft/read/reader.hpp"
#include "nft/rebuilding.hpp"

namespace portmapper::ctl {

// A port has one claim, and one owner beside those that stand by; targets are by chain too.
struct TableContents {
  bool exists = false;
  std::uint32_t generation = 0;
  bool is_steady = false;  // nobody changed anything of nf_tables while this was read
  nft::RulesetDiff skeleton;
  std::vector<nft::Damage> other_types;  // sets of the skeleton that are of another type
  std::vector<std::string> chains;       // of networks
  std::map<std::string, nft::ChainDamage> chain_damage;
  nft::Rebuilding on_record{};  // of those that are damaged, as the runtimes' records have them
  std::vector<nft::OwnerEntry> owners;
  std::vector<nft::Stray> strays;            // standby elements without an owner entry
  std::map<nft::OwnerHash, LifeSigns> life;  // of the owners
  std::map<nft::PublishedPort, nft::ClaimEntry> claims;
  std::map<std::pair<std::string, nft::PublishedPort>, nft::TargetEntry> targets;
  std::map<nft::PublishedPort, std::string> loopback;  // loopback-*, any address; their comments
  std::vector<nft::ClaimEntry> unlisted_loopback;      // published before there was that set
  std::vector<nft::LocalnetUser> unlisted_users;       // whose they are
  std::vector<std::string> localnet_devices;
  std::map<nft::OwnerHash, std::string> localnet_users;
  // Who is in loopback-ip and not there, with the device that leads to him; empty: none does.
  std::map<nft::OwnerHash, std::string> lost_users;
  // Recorded in localnet-devices when somebody looked before, who sets this: a device that is open and has
  // no record may be the operator's.
  std::set<std::string> known_devices{};
  nft::LoopbackView loopback6;               // what bears on ::1
  std::vector<std::string> left_routes;      // devices with our route of ::1 and no record of it
  std::vector<std::string> exposed_devices;  // with route_localnet, where our guard is not whole
  std::vector<std::string> exposed_by_us;    // of these, beside a table, whose setting may be ours
  std::vector<std::string> closed_devices;   // of localnet_users, without route_localnet
  std::set<std::string> gone_devices;        // of localnet_users, which are no interfaces any more
  std::vector<IpAddress> absent_addresses;   // of published ports; no interface has them now
};

// Whether owners live costs a look at the host's processes and namespaces; unasked, it is unknown.
enum class Life { asked, unasked };
Result<TableContents> read_table(Transport& transport, Life life = Life::asked);

}  // namespace portmapper::ctl

// TableContents: everything that the table has, and what of the host bears on it.
//
//   const Result<TableContents> contents = read_table(transport);
//   contents->owners.size();  // the published ports
//
// Reads whole sets, so it costs as much as there are ports; the generation is read first, so a
// transaction that carries it is decided on nothing older. Errors: mapping_failed as
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

namespace portmapper::ctl {

// A port has one claim, and one owner beside those that stand by; targets are by chain too.
struct TableContents {
  bool exists = false;
  std::uint32_t generation = 0;
  nft::RulesetDiff skeleton;
  std::vector<std::string> chains;  // of networks
  std::map<std::string, nft::ChainDamage> chain_damage;
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
  nft::LoopbackView loopback6;               // what bears on ::1
  std::vector<std::string> left_routes;      // devices with our route of ::1 and no record of it
  std::vector<std::string> exposed_devices;  // with route_localnet, where our guard is not whole
  std::vector<std::string> closed_devices;   // of localnet_users, without route_localnet
  std::set<std::string> gone_devices;        // of localnet_users, which are no interfaces any more
  std::vector<IpAddress> absent_addresses;   // of published ports; no interface has them now
};

Result<TableContents> read_table(Transport& transport);

}  // namespace portmapper::ctl

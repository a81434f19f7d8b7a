// Lost claims: claims that no owner entry stands for, since somebody deleted it.
//
//   const Result<Holdings> holdings = read_holdings(transport);
//   for (const nft::ClaimEntry& claim : holdings->lost) use(claim.published);
//   use(withdrawals_of_lost(*holdings, "hostports",
//                           [](const nft::ClaimEntry&) { return true; }));
//
// A port of a lost claim leads on to its endpoint. DEL finds those of an owner that has other entries
// (nft/read/reader); of an owner that has none left, whoever knows its names. Errors: as the readers'.
// Does not promise: those of a listing that was loaded again, whose claims name no owner, to anybody
// but prune and check, which tell. Source: packaging/doc/design.md, "Claims, owners and target maps".
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/decide.hpp"
#include "nft/owner_entry.hpp"

namespace portmapper::app {

struct Holdings {
  std::vector<nft::OwnerEntry> owners{};
  std::vector<nft::ClaimEntry> lost{};
};
Result<Holdings> read_holdings(Transport& transport);
// Where the owners are known already: they are read again only if a claim has none of them.
Result<std::vector<nft::ClaimEntry>> find_lost(Transport& transport,
                                               const std::vector<nft::OwnerEntry>& owners);

// Of the owners that have no entry at all, and a lost claim that is meant. `chain`: where its target may
// be.
using IsMeant = std::function<bool(const nft::ClaimEntry&)>;
std::vector<nft::Withdrawal> withdrawals_of_lost(const Holdings& holdings, const std::string& chain,
                                                 const IsMeant& is_meant);

// Whether a claim is that of the network's attachment of this container, by one of these interfaces,
// which the claim tells by its owner's hash alone.
std::set<std::string> interface_names(const std::vector<nft::OwnerEntry>& owners);
bool is_of_network(const nft::ClaimEntry& claim, const std::string& network,
                   const std::set<std::string>& interfaces);

// "0.0.0.0:8300/tcp (container_id: d1) has no owner: ..."
std::string what_helps(const nft::ClaimEntry& claim);

}  // namespace portmapper::app

#include "lib/app/lost_claims.hpp"

#include <map>
#include <optional>
#include <utility>

#include "lib/app/retry.hpp"
#include "nft/names.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::app {
namespace {

constexpr char kUsualInterface[] = "eth0";

std::set<nft::OwnerHash> hashes_of(const std::vector<nft::OwnerEntry>& owners) {
  std::set<nft::OwnerHash> hashes;
  for (const nft::OwnerEntry& owner : owners) hashes.insert(owner.owner);
  return hashes;
}

// The claims that none of the owner entries stands for.
Result<std::vector<nft::ClaimEntry>> read_lost(Transport& transport,
                                               const std::vector<nft::OwnerEntry>& owners) {
  std::vector<nft::ClaimEntry> lost;
  std::set<std::pair<nft::PublishedPort, nft::OwnerHash>> held;
  std::set<nft::PublishedPort> ports;
  for (const nft::OwnerEntry& owner : owners) {
    held.emplace(owner.published, owner.owner);
    if (!owner.standby) ports.insert(owner.published);
  }
  for (const nft::Suffix suffix : nft::kSuffixes) {
    Result<std::vector<nft::ClaimEntry>> claims = nft::read_claim_set(transport, suffix);
    if (!claims) return claims.error();
    for (nft::ClaimEntry& claim : *claims)
      if (claim.owner ? !held.contains({claim.published, *claim.owner})
                      : !ports.contains(claim.published))
        lost.push_back(std::move(claim));
  }
  return lost;
}

Result<Holdings> read_once(Transport& transport) {
  Result<std::vector<nft::OwnerEntry>> owners = nft::read_owners(transport);
  if (!owners) return owners.error();
  Result<std::vector<nft::ClaimEntry>> lost = read_lost(transport, *owners);
  if (!lost) return lost.error();
  return Holdings{std::move(*owners), std::move(*lost)};
}

using Claim = std::pair<nft::PublishedPort, std::optional<nft::OwnerHash>>;

Claim name_of(const nft::ClaimEntry& claim) {
  return {claim.published, claim.owner};
}

}  // namespace

// While ADDs and DELs go on, what all readings found without an owner has none.
Result<Holdings> read_holdings(Transport& transport) {
  constexpr int kMostReadings = 4;
  std::optional<std::set<Claim>> lost;
  for (int reading = 1;; ++reading) {
    const Result<std::uint32_t> before = nft::read_generation(transport);
    if (!before) return before.error();
    Result<Holdings> holdings = retried([&transport] { return read_once(transport); });
    if (!holdings) return holdings.error();
    const Result<std::uint32_t> after = nft::read_generation(transport);
    if (!after) return after.error();
    if (lost)
      std::erase_if(holdings->lost, [&lost](const nft::ClaimEntry& claim) {
        return !lost->contains(name_of(claim));
      });
    if (holdings->lost.empty() || *before == *after || reading == kMostReadings) return holdings;
    lost.emplace();
    for (const nft::ClaimEntry& claim : holdings->lost) lost->insert(name_of(claim));
  }
}

Result<std::vector<nft::ClaimEntry>> find_lost(Transport& transport,
                                               const std::vector<nft::OwnerEntry>& owners) {
  Result<std::vector<nft::ClaimEntry>> lost = retried([&] { return read_lost(transport, owners); });
  if (!lost || lost->empty()) return lost;
  Result<Holdings> holdings = read_holdings(transport);
  if (!holdings) return holdings.error();
  return std::move(holdings->lost);
}

std::vector<nft::Withdrawal> withdrawals_of_lost(const Holdings& holdings, const std::string& chain,
                                                 const IsMeant& is_meant) {
  const std::set<nft::OwnerHash> known = hashes_of(holdings.owners);
  std::map<nft::OwnerHash, nft::Withdrawal> found;
  for (const nft::ClaimEntry& claim : holdings.lost)
    if (claim.owner && !known.contains(*claim.owner) && is_meant(claim))
      found.try_emplace(  // not what an ADD published meanwhile
          *claim.owner, nft::Withdrawal{.owner = *claim.owner,
                                        .chain = chain,
                                        .only = NetworkNamespace(),
                                        .seeks_lost = true});
  std::vector<nft::Withdrawal> withdrawals;
  withdrawals.reserve(found.size());
  for (auto& [owner, withdrawal] : found) withdrawals.push_back(std::move(withdrawal));
  return withdrawals;
}

std::set<std::string> interface_names(const std::vector<nft::OwnerEntry>& owners) {
  std::set<std::string> names = {kUsualInterface};
  for (const nft::OwnerEntry& owner : owners) {
    Attachment attachment;
    if (nft::parse_attachment_comment(owner.comment, attachment)) names.insert(attachment.ifname);
  }
  return names;
}

bool is_of_network(const nft::ClaimEntry& claim, const std::string& network,
                   const std::set<std::string>& interfaces) {
  const std::optional<std::string> container = nft::parse_container_comment(claim.comment);
  if (!container) return false;
  for (const std::string& interface : interfaces)
    if (claim.owner == nft::owner_hash({network, *container, interface})) return true;
  return false;
}

std::string what_helps(const nft::ClaimEntry& claim) {
  return to_string(claim.published) + " (" + claim.comment +
         ") has no owner: nft-port-mapperctl restore gives it back to a container that lives, "
         "check --repair removes it";
}

}  // namespace portmapper::app

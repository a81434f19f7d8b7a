#include "lib/app/ctl/listing.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "lib/app/look.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/local_addresses.hpp"

namespace portmapper::ctl {
namespace {

// The targets of each chain, in the order of their published ports.
using Targets = std::map<std::string, std::vector<nft::TargetEntry>>;

bool comes_before(const nft::TargetEntry& target, const nft::PublishedPort& port) {
  return target.published < port;
}

Result<Targets> all_targets(Transport& transport, const std::set<std::string>& chains) {
  Targets targets;
  for (const std::string& chain : chains) {
    std::vector<nft::TargetEntry>& all = targets[chain];
    for (const nft::Suffix suffix : nft::kSuffixes) {
      Result<std::vector<nft::TargetEntry>> entries =
          nft::read_target_map(transport, chain, suffix);
      if (!entries) return entries.error();
      std::move(entries->begin(), entries->end(), std::back_inserter(all));
    }
    std::sort(all.begin(), all.end(), [](const nft::TargetEntry& a, const nft::TargetEntry& b) {
      return a.published < b.published;
    });
  }
  return targets;
}

const nft::TargetEntry* find_in(const Targets& targets, const std::string& chain,
                                const nft::PublishedPort& port) {
  const auto of_chain = targets.find(chain);
  if (of_chain == targets.end()) return nullptr;
  const auto& all = of_chain->second;
  const auto found = std::lower_bound(all.begin(), all.end(), port, comes_before);
  return found == all.end() || port < found->published ? nullptr : &*found;
}

// Owner entries of a table that was saved and loaded again do not record their chain: any chain may
// hold it.
Result<std::set<std::string>> chains_of(Transport& transport,
                                        const std::vector<nft::OwnerEntry>& owners) {
  std::set<std::string> chains;
  for (const nft::OwnerEntry& owner : owners) chains.insert(owner.chain);
  if (chains.erase("") == 0) return chains;
  const Result<std::vector<std::string>> all = nft::read_network_chains(transport);
  if (!all) return all.error();
  chains.insert(all->begin(), all->end());
  return chains;
}

const nft::TargetEntry* find_target(const Targets& targets, nft::OwnerEntry& owner) {
  if (!owner.chain.empty()) return find_in(targets, owner.chain, owner.published);
  for (const auto& [chain, all] : targets) {
    const nft::TargetEntry* found = find_in(targets, chain, owner.published);
    if (found == nullptr) continue;
    owner.chain = chain;
    return found;
  }
  return nullptr;
}

struct Entries {
  std::vector<nft::OwnerEntry> owners;
  Targets targets;
};

Result<Entries> read_entries(Transport& transport) {
  Result<std::vector<nft::OwnerEntry>> owners = nft::read_owners(transport);
  if (!owners) return owners.error();
  const Result<std::set<std::string>> chains = chains_of(transport, *owners);
  if (!chains) return chains.error();
  Result<Targets> targets = all_targets(transport, *chains);
  if (!targets) return targets.error();
  return Entries{std::move(*owners), std::move(*targets)};
}

// What cannot be asked is not said.
void see_which_are_here(std::vector<ListedPort>& ports) {
  std::vector<IpAddress> addresses;
  addresses.reserve(ports.size());
  for (const ListedPort& port : ports) addresses.push_back(port.published.address);
  const Result<std::vector<IpAddress>> absent = host::absent_addresses(std::move(addresses));
  if (!absent || absent->empty()) return;
  for (ListedPort& port : ports)
    port.is_here = !std::binary_search(absent->begin(), absent->end(), port.published.address);
}

}  // namespace

std::string_view to_string(nft::Liveness liveness) {
  switch (liveness) {
    case nft::Liveness::alive:
      return "alive";
    case nft::Liveness::dead:
      return "dead";
    case nft::Liveness::unknown:
      break;
  }
  return "unknown";
}

Result<Listing> read_listing(Transport& transport) {
  Result<Entries> entries = app::retried([&transport] { return read_entries(transport); });
  if (!entries) return entries.error();
  auto& [owners, targets] = *entries;
  Listing listing;
  listing.owners = std::move(owners);
  app::OwnerAddresses addresses;
  listing.ports.reserve(listing.owners.size());
  for (nft::OwnerEntry& owner : listing.owners) {
    ListedPort port{.published = owner.published,
                    .endpoint = owner.standby,
                    .attachment = nft::known_parts(owner.comment),
                    .netns = owner.netns,
                    .standby = owner.standby.has_value(),
                    .network = owner.network,
                    .container = owner.container,
                    .pod = owner.pod};
    if (owner.standby) addresses[owner.owner].push_back(owner.standby->address);
    const nft::TargetEntry* target = find_target(targets, owner);
    // Not what an older version's DEL left behind, for a port that it has published since.
    if (port.standby && target != nullptr) port.standby = target->endpoint != *owner.standby;
    if (target != nullptr && !port.standby) {
      port.endpoint = target->endpoint;
      port.connections = target->connections;
      addresses[owner.owner].push_back(target->endpoint.address);
    }
    port.chain = owner.chain;
    listing.ports.push_back(std::move(port));
  }
  listing.life = app::owners_life(listing.owners, addresses);
  for (std::size_t i = 0; i < listing.ports.size(); ++i)
    listing.ports[i].owner = nft::liveness_of(listing.life.at(listing.owners[i].owner));
  see_which_are_here(listing.ports);
  std::sort(
      listing.ports.begin(), listing.ports.end(), [](const ListedPort& a, const ListedPort& b) {
        return std::tie(a.published.protocol, a.published.port, a.published.address, a.standby) <
               std::tie(b.published.protocol, b.published.port, b.published.address, b.standby);
      });
  return listing;
}

Result<std::vector<ListedPort>> list_ports(Transport& transport) {
  Result<Listing> listing = read_listing(transport);
  if (!listing) return listing.error();
  return std::move(listing->ports);
}

bool is_of_network(const ListedPort& port, const std::string& network) {
  return port.network ? *port.network == nft::network_hash(network)
                      : port.attachment.network == network;
}

bool is_of_container(const ListedPort& port, const std::string& id) {
  return port.attachment.container_id.starts_with(id) ||
         (port.container && *port.container == nft::container_hash(id));
}

}  // namespace portmapper::ctl

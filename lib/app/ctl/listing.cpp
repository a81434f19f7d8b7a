#include "lib/app/ctl/listing.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "lib/app/look.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/local_addresses.hpp"

namespace portmapper::ctl {
namespace {

// Where an owner entry's port leads.
struct Target {
  nft::Endpoint endpoint;
  std::uint64_t connections = 0;
};

struct Entries {
  std::vector<nft::OwnerEntry> owners;
  std::vector<std::optional<Target>> targets;  // of each owner entry
};

// Of the entries with those numbers, as far as the chain has them.
Status read_targets(Transport& transport, const std::string& chain,
                    const std::vector<std::size_t>& numbers, Entries& entries) {
  std::vector<nft::PublishedPort> ports;
  ports.reserve(numbers.size());
  for (const std::size_t number : numbers) ports.push_back(entries.owners[number].published);
  return nft::visit_targets(
      transport, chain, ports,
      [&](std::size_t place, const nft::Endpoint& endpoint, std::uint64_t connections) {
        entries.targets[numbers[place]] = Target{endpoint, connections};
      });
}

// Owner entries of a table that was saved and loaded again do not record their chain: any chain may
// hold it.
Status find_chains(Transport& transport, std::vector<std::size_t> numbers, Entries& entries) {
  if (numbers.empty()) return {};
  const Result<std::vector<std::string>> chains = nft::read_network_chains(transport);
  if (!chains) return chains.error();
  for (const std::string& chain : *chains) {
    if (const Status status = read_targets(transport, chain, numbers, entries); !status)
      return status;
    std::erase_if(numbers, [&](std::size_t number) {
      const bool found = entries.targets[number].has_value();
      if (found) entries.owners[number].chain = chain;
      return found;
    });
  }
  return {};
}

Result<Entries> read_entries(Transport& transport) {
  Result<std::vector<nft::OwnerEntry>> owners = nft::read_owners(transport);
  if (!owners) return owners.error();
  Entries entries{std::move(*owners), {}};
  entries.targets.resize(entries.owners.size());
  std::map<std::string, std::vector<std::size_t>> by_chain;
  for (std::size_t number = 0; number < entries.owners.size(); ++number)
    by_chain[entries.owners[number].chain].push_back(number);
  for (const auto& [chain, numbers] : by_chain) {
    const Status status = chain.empty() ? find_chains(transport, numbers, entries)
                                        : read_targets(transport, chain, numbers, entries);
    if (!status) return status.error();
  }
  return entries;
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
  for (std::size_t number = 0; number < listing.owners.size(); ++number) {
    const nft::OwnerEntry& owner = listing.owners[number];
    const std::optional<Target>& target = targets[number];
    ListedPort port{.published = owner.published,
                    .endpoint = owner.standby,
                    .attachment = nft::known_parts(owner.comment),
                    .netns = owner.netns,
                    .standby = owner.standby.has_value(),
                    .network = owner.network,
                    .container = owner.container,
                    .pod = owner.pod};
    if (owner.standby) addresses[owner.owner].push_back(owner.standby->address);
    // Not what an older version's DEL left behind, for a port that it has published since.
    if (port.standby && target) port.standby = target->endpoint != *owner.standby;
    if (target && !port.standby) {
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

#include <cerrno>
#include <map>
#include <set>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listing.hpp"
#include "lib/app/publish.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

// The devices for which an ADD may have set route_localnet: those towards ports that 127.0.0.1
// reaches.
std::set<std::string> loopback_devices(const std::vector<ListedPort>& ports) {
  std::set<IpAddress> endpoints;
  for (const ListedPort& port : ports) {
    const IpAddress& address = port.published.address;
    if (port.endpoint && address.family() == Family::ipv4 &&
        (address.is_any() || address.is_loopback()))
      endpoints.insert(port.endpoint->address);
  }
  std::set<std::string> devices;
  for (const IpAddress& endpoint : endpoints)
    if (const Result<std::string> device = host::device_towards(endpoint)) devices.insert(*device);
  return devices;
}

void reset_devices(const std::set<std::string>& devices, app::Outcome& outcome) {
  for (const std::string& device : devices) {
    const Status reset = host::disable_route_localnet(device);
    if (reset) continue;
    outcome.log += failure(reset.error()).log;
    outcome.status = kProblem;
  }
}

app::Outcome flush_all(Transport& transport) {
  const Result<std::vector<ListedPort>> ports = list_ports(transport);
  if (!ports) return failure(ports.error());
  const std::set<std::string> devices = loopback_devices(*ports);
  nft::Transaction transaction;
  transaction.operations.emplace_back(nft::DeleteTable{});
  const nft::CommitResult gone = nft::commit(transport, transaction);
  const bool was_missing = gone.refusal && gone.refusal->error_number == ENOENT;
  if (const Status status = to_status(gone, transaction); !status && !was_missing)
    return failure(status.error());
  app::Outcome outcome;
  outcome.out = was_missing ? "there is no table inet nft-port-mapper\n"
                            : "removed table inet nft-port-mapper\n";
  reset_devices(devices, outcome);
  return outcome;
}

// Owner entries of a table that was saved and loaded again do not tell their chain; the listing found
// it.
void fill_chains(std::vector<nft::OwnerEntry>& entries, const std::vector<ListedPort>& ports) {
  std::map<nft::PublishedPort, std::string> chains;
  for (const ListedPort& port : ports) chains.emplace(port.published, port.chain);
  for (nft::OwnerEntry& entry : entries)
    if (const auto chain = chains.find(entry.published);
        entry.chain.empty() && chain != chains.end())
      entry.chain = chain->second;
}

// The devices that only removed ports needed.
std::set<std::string> devices_left_alone(std::vector<ListedPort> before,
                                         const std::set<nft::PublishedPort>& removed) {
  std::set<std::string> devices = loopback_devices(before);
  std::erase_if(before, [&](const ListedPort& port) { return removed.contains(port.published); });
  for (const std::string& device : loopback_devices(before)) devices.erase(device);
  return devices;
}

// Of one network: its attachments, and its chains where nothing is left in them.
app::Outcome flush_network(Transport& transport, const std::string& network) {
  const Result<std::vector<ListedPort>> before = list_ports(transport);
  if (!before) return failure(before.error());
  Result<std::vector<nft::OwnerEntry>> entries = nft::read_owners(transport);
  if (!entries) return failure(entries.error());
  fill_chains(*entries, *before);
  std::set<std::string> chains = {nft::derived_chain(network)};
  std::vector<std::string> notes;
  std::set<nft::PublishedPort> removed;
  for (const nft::Withdrawal& withdrawal :
       nft::decide_gc(*entries, network, {}, nft::derived_chain(network))) {
    chains.insert(withdrawal.chain);
    const Result<nft::InstalledPorts> gone = app::withdraw(transport, withdrawal, notes);
    if (!gone) return failure(gone.error());
    for (const nft::InstalledPort& port : gone->ports) removed.insert(port.published);
  }
  for (const std::string& chain : chains)
    if (const Status status = app::remove_network_if_empty(transport, chain); !status)
      return failure(status.error());
  app::Outcome outcome;
  outcome.log = log_lines(notes);
  reset_devices(devices_left_alone(*before, removed), outcome);
  outcome.out =
      "removed " + std::to_string(removed.size()) + " published ports of network " + network + "\n";
  return outcome;
}

}  // namespace

app::Outcome flush(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failure(netlink.error());
  const auto network = arguments.value("--network");
  return network ? flush_network(*netlink, *network) : flush_all(*netlink);
}

}  // namespace portmapper::ctl

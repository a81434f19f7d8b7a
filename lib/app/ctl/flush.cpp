#include <cerrno>
#include <map>
#include <set>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listing.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

// The devices that ADDs opened: those of the record; and of ports that an older version published,
// which kept none, those that lead to them.
Result<std::set<std::string>> opened_devices(Transport& transport) {
  const Result<std::vector<std::string>> recorded = nft::read_localnet_devices(transport);
  if (!recorded) return recorded.error();
  std::set<std::string> devices(recorded->begin(), recorded->end());
  const Result<std::vector<nft::ClaimEntry>> unlisted = nft::read_unlisted_loopback(transport);
  if (!unlisted) return unlisted.error();
  if (unlisted->empty()) return devices;
  const Result<std::vector<ListedPort>> ports = list_ports(transport);
  if (!ports) return ports.error();
  for (const ListedPort& port : *ports) {
    if (!port.endpoint || !nft::is_reachable_by_loopback(port.published)) continue;
    const Result<host::Way> way = host::way_to(port.endpoint->address);
    if (way && way->is_attached) devices.insert(way->device);
  }
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
  const Result<std::set<std::string>> devices = opened_devices(transport);
  if (!devices) return failure(devices.error());
  app::Outcome outcome;
  reset_devices(*devices, outcome);  // while the guard is there
  nft::Transaction transaction;
  transaction.operations.emplace_back(nft::DeleteTable{});
  const nft::CommitResult gone = nft::commit(transport, transaction);
  const bool was_missing = gone.refusal && gone.refusal->error_number == ENOENT;
  if (const Status status = to_status(gone, transaction); !status && !was_missing)
    return failure(status.error());
  outcome.out = was_missing ? "there is no table inet nft-port-mapper\n"
                            : "removed table inet nft-port-mapper\n";
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

// Of one network: its attachments, and its chains where nothing is left in them.
app::Outcome flush_network(Transport& transport, const std::string& network) {
  const Result<std::vector<ListedPort>> before = list_ports(transport);
  if (!before) return failure(before.error());
  Result<std::vector<nft::OwnerEntry>> entries =
      app::retry_reading([&transport] { return nft::read_owners(transport); });
  if (!entries) return failure(entries.error());
  fill_chains(*entries, *before);
  std::set<std::string> chains = {nft::derived_chain(network)};
  std::vector<std::string> notes;
  std::size_t removed = 0;
  for (const nft::Withdrawal& withdrawal :
       nft::decide_gc(*entries, network, {}, nft::derived_chain(network))) {
    chains.insert(withdrawal.chain);
    const Result<nft::InstalledPorts> gone = app::withdraw(transport, withdrawal, notes);
    if (!gone) return failure(gone.error());
    removed += gone->ports.size();
  }
  for (const std::string& chain : chains)
    if (const Status status = app::remove_network_if_empty(transport, chain); !status)
      return failure(status.error());
  app::Outcome outcome;
  outcome.log = log_lines(notes);
  outcome.out =
      "removed " + std::to_string(removed) + " published ports of network " + network + "\n";
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

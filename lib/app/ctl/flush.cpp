#include <cerrno>
#include <map>
#include <set>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listing.hpp"
#include "lib/app/host_effects.hpp"
#include "lib/app/publish.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/commit.hpp"
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

app::Outcome flush_all(Transport& transport, const std::vector<ListedPort>& ports) {
  nft::Transaction transaction;
  transaction.operations.emplace_back(nft::DeleteTable{});
  const std::set<std::string> devices = loopback_devices(ports);
  const Status gone = nft::commit(transport, transaction);
  if (!gone && gone.error().error_number != ENOENT) return failure(gone.error());
  app::Outcome outcome;
  outcome.out =
      gone ? "removed table inet nft-port-mapper\n" : "there is no table inet nft-port-mapper\n";
  reset_devices(devices, outcome);
  return outcome;
}

app::Outcome flush_network(Transport& transport, const std::vector<ListedPort>& ports,
                           const std::string& network) {
  std::map<Attachment, std::string> attachments;  // with their chains
  std::vector<ListedPort> removed;
  std::vector<ListedPort> kept;
  for (const ListedPort& port : ports) {
    const bool is_its = port.attachment.network == network;
    (is_its ? removed : kept).push_back(port);
    if (is_its) attachments.emplace(port.attachment, port.chain);
  }
  app::Outcome outcome;
  std::set<std::string> chains = {nft::derived_chain(network)};
  std::vector<std::string> notes;
  for (const auto& [attachment, chain] : attachments) {
    chains.insert(chain);
    const Result<nft::InstalledPorts> gone =
        app::withdraw(transport, nft::owner_hash(attachment), chain);
    if (!gone) return failure(gone.error());
    app::effects_of_del(transport, *gone, notes);
  }
  for (const std::string& chain : chains)
    if (const Status status = app::remove_chain_if_empty(transport, chain); !status)
      return failure(status.error());
  std::set<std::string> devices = loopback_devices(removed);
  for (const std::string& device : loopback_devices(kept)) devices.erase(device);
  reset_devices(devices, outcome);
  outcome.out =
      "removed " + std::to_string(removed.size()) + " published ports of network " + network + "\n";
  return outcome;
}

}  // namespace

app::Outcome flush(const Arguments& arguments) {
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return failure(netlink.error());
  const Result<std::vector<ListedPort>> ports = list_ports(*netlink);
  if (!ports) return failure(ports.error());
  const auto network = arguments.value("--network");
  return network ? flush_network(*netlink, *ports, *network) : flush_all(*netlink, *ports);
}

}  // namespace portmapper::ctl

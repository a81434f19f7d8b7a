#include "lib/app/ctl/listed_processes.hpp"

#include <map>

#include "lib/app/retry.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

Result<app::LoopbackPorts> read_loopback(Transport& transport) {
  app::LoopbackPorts ports;
  for (const Family family : kFamilies) {
    const Result<std::vector<nft::ClaimEntry>> entries = nft::read_loopback_set(transport, family);
    if (!entries) return entries.error();
    for (const nft::ClaimEntry& entry : *entries) ports.insert(nft::on_any(entry.published));
  }
  return ports;
}

// A process on one address that the network of the port leaves to others.
bool may_be_spared(const app::HostProcess& process) {
  return process.is_hidden && process.published.address.is_any() &&
         !process.listener.address.is_any();
}

// Asked of the network's rules, and only where it matters.
Status spare_excluded(Transport& transport, ListedPort& port) {
  for (app::HostProcess& process : port.processes) {
    if (!may_be_spared(process)) continue;
    const auto left = app::retried(
        [&] { return nft::read_not_excluded(transport, port.chain, {process.listener.address}); });
    if (!left) return left.error();
    process.is_hidden = !left->empty();
  }
  return {};
}

}  // namespace

Status find_host_processes(Transport& transport, std::vector<ListedPort>& ports) {
  std::vector<nft::PublishedPort> published;
  published.reserve(ports.size());
  for (const ListedPort& port : ports)
    if (!port.standby) published.push_back(port.published);  // whoever publishes it has them
  const Result<std::vector<host::Listener>> listeners = app::listeners_on(published);
  if (!listeners) return listeners.error();
  if (listeners->empty()) return {};
  const Result<app::LoopbackPorts> loopback =
      app::retried([&transport] { return read_loopback(transport); });
  if (!loopback) return loopback.error();
  std::map<nft::PublishedPort, ListedPort*> places;
  for (ListedPort& port : ports)
    if (!port.standby) places.insert_or_assign(port.published, &port);
  for (app::HostProcess& process : app::host_processes(published, *listeners, *loopback))
    places.at(process.published)->processes.push_back(std::move(process));
  for (ListedPort& port : ports)
    if (const Status spared = spare_excluded(transport, port); !spared) return spared;
  return {};
}

}  // namespace portmapper::ctl

#include "lib/app/host_effects.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "lib/host/conntrack.hpp"
#include "lib/host/local_addresses.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::app {
namespace {

std::optional<host::UdpPort> udp_port(const nft::PublishedPort& published,
                                      const nft::Endpoint& endpoint) {
  if (published.protocol != Protocol::udp) return std::nullopt;
  return host::UdpPort{published.address, published.port.value(), endpoint.address,
                       endpoint.port.value()};
}

void forget_flows(Transport& transport, const std::vector<host::UdpPort>& ports, host::Stale stale,
                  std::vector<std::string>& notes) {
  if (ports.empty()) return;
  const Result<std::vector<IpAddress>> local = host::local_addresses();
  const Result<std::size_t> deleted =
      local ? host::delete_stale_flows(transport, ports, *local, stale)
            : Result<std::size_t>(local.error());
  if (!deleted)
    notes.push_back(deleted.error().message() +
                    "; UDP clients that keep their source port may go on"
                    " with the old translation for some seconds");
}

bool only_loopback(const nft::PublishedPort& port) {
  return port.address.family() == Family::ipv4 && port.address.is_loopback();
}

// Whether we answer for the device; nothing where that cannot be read.
std::optional<bool> is_recorded(Transport& transport, const std::string& device) {
  const Result<std::vector<std::string>> devices = nft::read_localnet_devices(transport);
  if (!devices) return std::nullopt;
  return std::find(devices->begin(), devices->end(), device) != devices->end();
}

Status open_loopback(Transport& transport, const nft::Plan& plan, std::vector<std::string>& notes) {
  // What it stands by for, a sibling's loopback reaches.
  if (plan.localnet_device.empty() || nft::reachable_by_loopback(plan.translations) == nullptr)
    return {};
  const Result<bool> opened = host::enable_route_localnet(plan.localnet_device);
  // What was withdrawn meanwhile must not stay open without a record.
  if (opened && *opened && is_recorded(transport, plan.localnet_device) == false)
    (void)close_unrecorded(transport, plan.localnet_device);
  if (opened) return {};
  for (const nft::Translation& translation : plan.translations)
    if (only_loopback(translation.published)) return opened.error();
  notes.push_back(opened.error().message() + "; the ports do not answer on the host's 127.0.0.1");
  return {};
}

// The record of a device that could not be closed stays; the operations keep their places, by which
// the kernel's refusal is told.
void keep_record(nft::Transaction& transaction, const std::string& device) {
  for (nft::Operation& operation : transaction.operations)
    if (nft::closed_devices({.operations = {operation}, .generation = {}}) == std::vector{device})
      std::get<nft::Elements>(operation).verb = nft::ElementVerb::add;
}

}  // namespace

void find_way_of_loopback(nft::Plan& plan) {
  if (!nft::wants_loopback(plan)) return;
  const IpAddress& container = nft::reachable_by_loopback(plan.translations)->endpoint.address;
  Result<host::Way> way = host::way_to(container);
  if (!way) return leave_loopback_out(plan, way.error().message());
  if (!way->is_attached)
    return leave_loopback_out(plan, "the route to " + container.to_string() + " by " + way->device +
                                        " is not to a neighbour there");
  plan.localnet_device = std::move(way->device);
}

nft::CommitResult commit_closing(Transport& transport, const nft::Transaction& transaction,
                                 std::vector<Error>& left_open) {
  std::optional<nft::Transaction> honest;  // where a record stays
  std::vector<std::string> devices = nft::closed_devices(transaction);
  left_open.clear();
  std::erase_if(devices, [&](const std::string& device) {
    const Status closed = host::disable_route_localnet(device);
    // One that is gone has no setting either.
    if (closed || closed.error().error_number == ENOENT) return false;
    if (!honest) honest = transaction;
    keep_record(*honest, device);
    left_open.push_back(closed.error());
    return true;
  });
  nft::CommitResult result = nft::commit(transport, honest ? *honest : transaction);
  for (const std::string& device : devices) {
    if (result.refusal) {
      (void)host::enable_route_localnet(device);
    } else if (result && is_recorded(transport, device) == false) {
      // An ADD that lost against this batch may have opened it once more.
      (void)close_unrecorded(transport, device);
    }
  }
  return result;
}

Result<bool> close_unrecorded(Transport& transport, const std::string& device) {
  const Status closed = host::disable_route_localnet(device);
  if (!closed && closed.error().error_number == ENOENT) return false;
  if (!closed) return closed.error();
  // An ADD records before it opens: whoever comes after this look opens it again himself.
  if (is_recorded(transport, device) != true) return true;
  const Result<bool> opened = host::enable_route_localnet(device);
  if (!opened) return opened.error();
  return false;
}

Status effects_of_add(Transport& transport, const nft::Plan& plan,
                      std::vector<std::string>& notes) {
  const nft::Plan* const plans[] = {&plan};
  return effects_of_adds(transport, plans, notes).front();
}

std::vector<Status> effects_of_adds(Transport& transport, std::span<const nft::Plan* const> plans,
                                    std::vector<std::string>& notes) {
  std::vector<Status> results;
  std::vector<host::UdpPort> ports;
  for (const nft::Plan* plan : plans) {
    results.push_back(open_loopback(transport, *plan, notes));
    if (!results.back()) continue;
    for (const nft::Translation& translation : plan->translations)
      if (const auto port = udp_port(translation.published, translation.endpoint))
        ports.push_back(*port);
  }
  forget_flows(transport, ports, host::Stale::leads_elsewhere, notes);
  return results;
}

void effects_of_promotion(Transport& transport, std::span<const nft::InstalledPorts> successors,
                          std::vector<std::string>& notes) {
  if (successors.empty()) return;
  std::vector<nft::Plan> plans;
  for (const nft::InstalledPorts& successor : successors) {
    nft::Plan& plan = plans.emplace_back();
    plan.localnet_device = successor.localnet_device;
    for (const nft::InstalledPort& port : successor.ports)
      plan.translations.push_back({port.published, *port.standby});
  }
  std::vector<const nft::Plan*> all;
  all.reserve(plans.size());
  for (const nft::Plan& plan : plans) all.push_back(&plan);
  for (const Status& effect : effects_of_adds(transport, all, notes))
    if (!effect) notes.push_back(effect.error().message());
}

void effects_of_dels(Transport& transport, std::span<const nft::InstalledPorts> gone,
                     std::vector<std::string>& notes) {
  std::vector<host::UdpPort> ports;
  for (const nft::InstalledPorts& installed : gone)
    for (const nft::InstalledPort& held : installed.ports) {
      if (!held.endpoint) continue;
      if (const auto port = udp_port(held.published, *held.endpoint)) ports.push_back(*port);
    }
  forget_flows(transport, ports, host::Stale::leads_there, notes);
}

}  // namespace portmapper::app

#include "lib/app/host_effects.hpp"

#include <algorithm>

#include "lib/host/conntrack.hpp"
#include "lib/host/local_addresses.hpp"
#include "lib/host/route_localnet.hpp"

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

// The hairpin pair of 127.0.0.0/8 is in the plan exactly when loopback must reach the container.
const nft::Hairpin* loopback_pair(const nft::Plan& plan) {
  const auto found = std::find_if(
      plan.hairpins.begin(), plan.hairpins.end(),
      [](const nft::Hairpin& hairpin) { return hairpin.source.contains(IpPrefix::loopback()); });
  return found == plan.hairpins.end() ? nullptr : &*found;
}

bool only_loopback(const nft::PublishedPort& port) {
  return port.address.family() == Family::ipv4 && port.address.is_loopback();
}

bool by_loopback(const nft::Translation& translation) {
  const IpAddress& address = translation.published.address;
  return address.family() == Family::ipv4 && (address.is_any() || address.is_loopback());
}

Status open_loopback(const nft::Plan& plan, std::vector<std::string>& notes) {
  const auto reachable =
      std::find_if(plan.translations.begin(), plan.translations.end(), by_loopback);
  if (loopback_pair(plan) == nullptr || reachable == plan.translations.end()) return {};
  const Result<std::string> device = host::device_towards(reachable->endpoint.address);
  const Status status = device ? host::enable_route_localnet(*device) : Status(device.error());
  if (status) return {};
  for (const nft::Translation& translation : plan.translations)
    if (only_loopback(translation.published)) return status.error();
  notes.push_back(status.error().message() + "; the ports do not answer on the host's 127.0.0.1");
  return {};
}

}  // namespace

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
    results.push_back(open_loopback(*plan, notes));
    if (!results.back()) continue;
    for (const nft::Translation& translation : plan->translations)
      if (const auto port = udp_port(translation.published, translation.endpoint))
        ports.push_back(*port);
  }
  forget_flows(transport, ports, host::Stale::leads_elsewhere, notes);
  return results;
}

void effects_of_del(Transport& transport, const nft::InstalledPorts& gone,
                    std::vector<std::string>& notes) {
  std::vector<host::UdpPort> ports;
  for (const nft::InstalledPort& held : gone.ports) {
    if (!held.endpoint) continue;
    if (const auto port = udp_port(held.published, *held.endpoint)) ports.push_back(*port);
  }
  forget_flows(transport, ports, host::Stale::leads_there, notes);
}

}  // namespace portmapper::app

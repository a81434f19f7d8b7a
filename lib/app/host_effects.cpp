#include "lib/app/host_effects.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "lib/app/host_processes.hpp"
#include "lib/app/portmap_devices.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/conntrack.hpp"
#include "lib/host/local_addresses.hpp"
#include "lib/host/loopback_route.hpp"
#include "lib/host/route_localnet.hpp"
#include "nft/read/dnat_targets.hpp"
#include "nft/read/reader.hpp"
#include "nft/read/translators.hpp"

namespace portmapper::app {
namespace {

host::HeldPort held_port(const nft::PublishedPort& published, const nft::Endpoint& endpoint) {
  return {published.protocol, published.address, published.port.value(), endpoint.address,
          endpoint.port.value()};
}

// Of ports that are no longer held, whose flows are to end.
void add_left(std::span<const nft::InstalledPorts> gone, host::PortChange& change) {
  for (const nft::InstalledPorts& installed : gone)
    for (const nft::InstalledPort& port : installed.ports)
      if (port.endpoint) change.left.push_back(held_port(port.published, *port.endpoint));
}

bool has_udp(const std::vector<host::HeldPort>& ports) {
  return std::any_of(ports.begin(), ports.end(),
                     [](const host::HeldPort& port) { return port.protocol == Protocol::udp; });
}

// What of a UDP port that is published on any address goes on as it was: what no packet to there is
// translated for, and a process of the host that has one address for itself.
class Kept {
 public:
  explicit Kept(std::span<const nft::Plan* const> plans) {
    for (const nft::Plan* plan : plans)
      for (const nft::Translation& translation : plan->translations)
        if (translation.published.address.is_any() &&
            translation.published.protocol == Protocol::udp)
          plans_[{translation.published.address.family(), translation.published.port.value()}] =
              plan;
  }
  bool operator()(const IpAddress& address, std::uint16_t port) {
    if (stays_the_hosts(address)) return true;
    const auto plan = plans_.find({address.family(), port});
    if (plan == plans_.end()) return true;
    return excludes(plan->second->chain, address) || is_served(address, port);
  }

 private:
  // Where the kernel does not tell, the benefit of the doubt is the host's.
  bool is_served(const IpAddress& address, std::uint16_t port) {
    const auto [known, is_new] = listeners_.try_emplace(port);
    if (is_new) {
      const nft::PublishedPort published{IpAddress::any(address.family()), Protocol::udp,
                                         *Port::from(port)};
      known->second = listeners_on({&published, 1});
    }
    const Result<std::vector<host::Listener>>& listeners = *known->second;
    return !listeners || std::any_of(listeners->begin(), listeners->end(),
                                     [&address](const host::Listener& listener) {
                                       return listener.address == address;
                                     });
  }

  std::map<std::pair<Family, std::uint16_t>, const nft::Plan*> plans_;
  std::map<std::uint16_t, std::optional<Result<std::vector<host::Listener>>>> listeners_;
};

// Where the rules of others lead, read once; by a socket of its own, since flows come by the other one then.
class OthersLeadTo {
 public:
  bool operator()(const IpAddress& address) {
    std::optional<Result<nft::DnatTargets>>& targets = targets_[address.family()];
    if (!targets) targets = read(address.family());
    return !*targets || !(*targets)->are_all || (*targets)->addresses.contains(address);
  }

 private:
  static Result<nft::DnatTargets> read(Family family) {
    Result<Netlink> transport = Netlink::open(NETLINK_NETFILTER);
    if (!transport) return transport.error();
    return retried([&] { return nft::read_dnat_targets(*transport, family); });
  }

  std::map<Family, std::optional<Result<nft::DnatTargets>>> targets_;
};

Result<std::size_t> delete_flows(Transport& transport, const host::PortChange& change) {
  if (change.left.empty() && change.held.empty()) return std::size_t{0};
  if (!has_udp(change.left) && !has_udp(change.held))
    return host::delete_stale_flows(transport, change, {});
  const Result<std::vector<IpAddress>> local = host::local_addresses();
  if (!local) return local.error();
  return host::delete_stale_flows(transport, change, *local);
}

void note_unless(const Result<std::size_t>& deleted, std::vector<std::string>& notes) {
  if (!deleted)
    notes.push_back(deleted.error().message() +
                    "; clients of the ports may go on to where these led before");
}

// What lets a family's loopback addresses reach containers by a device: the sysctl route_localnet, or
// the route of ::1. True: it was not there.
Result<bool> open_device(Family family, const std::string& device) {
  return family == Family::ipv4 ? host::enable_route_localnet(device)
                                : host::add_loopback_route(device);
}

Status close_device(Family family, const std::string& device) {
  return family == Family::ipv4 ? host::disable_route_localnet(device)
                                : host::remove_loopback_route(device);
}

// Whether we answer for the device; nothing where that cannot be read.
std::optional<bool> is_recorded(Transport& transport, Family family, const std::string& device) {
  const Result<std::vector<std::string>> devices = nft::read_opened_devices(transport, family);
  if (!devices) return std::nullopt;
  return std::find(devices->begin(), devices->end(), device) != devices->end();
}

void unlist_loopback6(Transport& transport, const nft::Plan& plan) {
  std::vector<nft::PublishedPort> ports;
  for (const nft::Translation& translation : plan.translations)
    if (translation.published.address.family() == Family::ipv6 &&
        nft::is_reachable_by_loopback(translation.published))
      ports.push_back(translation.published);
  app::unlist_loopback6(transport, ports);
}

Status open_loopback(Transport& transport, const nft::Plan& plan, Family family,
                     std::vector<std::string>& notes) {
  const std::string& device = nft::loopback_device(plan, family);
  // What it stands by for, a sibling's loopback reaches.
  if (device.empty() || nft::reachable_by_loopback(plan.translations, family) == nullptr) return {};
  const Result<bool> opened = open_device(family, device);
  // What was withdrawn meanwhile must not stay open without a record.
  if (opened && *opened && is_recorded(transport, family, device) == false)
    (void)close_unrecorded(transport, family, device);
  if (opened) return {};
  if (family == Family::ipv6) unlist_loopback6(transport, plan);
  for (const nft::Translation& translation : plan.translations)
    if (translation.published.address.family() == family &&
        translation.published.address.is_loopback())
      return opened.error();
  notes.push_back(opened.error().message() + "; " + nft::no_answer_by_loopback(family));
  return {};
}

Status open_loopback(Transport& transport, const nft::Plan& plan, std::vector<std::string>& notes) {
  for (const Family family : kFamilies)
    if (const Status opened = open_loopback(transport, plan, family, notes); !opened) return opened;
  return {};
}

// The record of a device that could not be closed stays; the operations keep their places, by which
// the kernel's refusal is told.
void keep_record(nft::Transaction& transaction, Family family, const std::string& device) {
  for (nft::Operation& operation : transaction.operations)
    if (nft::closed_devices({.operations = {operation}, .generation = {}}, family) ==
        std::vector{device})
      std::get<nft::Elements>(operation).verb = nft::ElementVerb::add;
}

std::string not_attached(const IpAddress& container, const std::string& device) {
  return "the route to " + container.to_string() + " by " + device + " is not to a neighbour there";
}

void find_way_of_loopback6(nft::Plan& plan, Transport& route) {
  const IpAddress& container =
      nft::reachable_by_loopback(plan.translations, Family::ipv6)->endpoint.address;
  Result<host::LoopbackWay> way = host::loopback_way_to(route, container);
  if (!way) return leave_loopback_out(plan, Family::ipv6, way.error().message());
  if (!way->is_attached)
    return leave_loopback_out(plan, Family::ipv6, not_attached(container, way->device));
  if (way->obstacle != host::LoopbackObstacle::none)
    return leave_loopback_out(plan, Family::ipv6,
                              to_string(way->obstacle, way->device) + "; " +
                                  cure_of(way->obstacle, way->device) +
                                  " and nft-port-mapperctl check --repair let them answer");
  plan.loopback6_device = std::move(way->device);
}

// `change`: what was left.
std::vector<Status> publish_effects(Transport& transport, std::span<const nft::Plan* const> plans,
                                    host::PortChange change, std::vector<std::string>& notes) {
  std::vector<Status> results;
  const bool has_left = !change.left.empty();
  for (const nft::Plan* plan : plans) {
    results.push_back(open_loopback(transport, *plan, notes));
    if (!results.back()) continue;
    for (const nft::Translation& translation : plan->translations)
      if (has_left || translation.published.protocol == Protocol::udp)
        change.held.push_back(held_port(translation.published, translation.endpoint));
  }
  note_unless(delete_flows(transport, change), notes);
  return results;
}

}  // namespace

void find_way_of_loopback(nft::Plan& plan) {
  const bool wants4 = nft::wants_loopback(plan, Family::ipv4);
  const bool wants6 = nft::wants_loopback(plan, Family::ipv6);
  if (!wants4 && !wants6) return;
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) {
    for (const Family family : kFamilies)
      if (family == Family::ipv4 ? wants4 : wants6)
        leave_loopback_out(plan, family, route.error().message());
    return;
  }
  if (wants6) find_way_of_loopback6(plan, *route);
  if (!wants4) return;
  const IpAddress& container =
      nft::reachable_by_loopback(plan.translations, Family::ipv4)->endpoint.address;
  Result<host::Way> way = host::way_to(*route, container);
  if (!way) return leave_loopback_out(plan, Family::ipv4, way.error().message());
  if (!way->is_attached)
    return leave_loopback_out(plan, Family::ipv4, not_attached(container, way->device));
  plan.localnet_device = std::move(way->device);
}

nft::CommitResult commit_closing(Transport& transport, const nft::Transaction& transaction,
                                 std::vector<Error>& left_open) {
  std::optional<nft::Transaction> honest;  // where a record stays
  std::vector<std::pair<Family, std::string>> closed;
  left_open.clear();
  const Result<std::set<std::string>> portmaps =
      portmap_devices(transport, nft::closed_devices(transaction, Family::ipv4));
  if (!portmaps) return {.refusal = {}, .failure = portmaps.error()};
  for (const Family family : kFamilies)
    for (const std::string& device : nft::closed_devices(transaction, family)) {
      // Theirs from now on: the guard stays, and no record says that we close it one day.
      if (family == Family::ipv4 && portmaps->contains(device)) continue;
      const Status status = close_device(family, device);
      // One that is gone has no setting either.
      if (status || status.error().error_number == ENOENT) {
        closed.emplace_back(family, device);
        continue;
      }
      if (!honest) honest = transaction;
      keep_record(*honest, family, device);
      left_open.push_back(status.error());
    }
  nft::CommitResult result = nft::commit(transport, honest ? *honest : transaction);
  for (const auto& [family, device] : closed) {
    if (result.refusal) {
      (void)open_device(family, device);
    } else if (result && is_recorded(transport, family, device) == false) {
      // An ADD that lost against this batch may have opened it once more.
      (void)close_unrecorded(transport, family, device);
    }
  }
  return result;
}

Result<bool> close_unrecorded(Transport& transport, Family family, const std::string& device) {
  const Status closed = close_device(family, device);
  if (!closed && closed.error().error_number == ENOENT) return false;
  if (!closed) return closed.error();
  // An ADD records before it opens: whoever comes after this look opens it again himself.
  if (is_recorded(transport, family, device) != true) return true;
  const Result<bool> opened = open_device(family, device);
  if (!opened) return opened.error();
  return false;
}

Status effects_of_add(Transport& transport, const nft::Plan& plan,
                      std::span<const nft::InstalledPorts> left, std::vector<std::string>& notes) {
  const nft::Plan* const plans[] = {&plan};
  return effects_of_adds(transport, plans, left, notes).front();
}

std::vector<Status> effects_of_adds(Transport& transport, std::span<const nft::Plan* const> plans,
                                    std::span<const nft::InstalledPorts> left,
                                    std::vector<std::string>& notes) {
  host::PortChange change{.kept = Kept(plans), .others_lead_to = OthersLeadTo()};
  add_left(left, change);
  return publish_effects(transport, plans, std::move(change), notes);
}

void unlist_loopback6(Transport& transport, std::span<const nft::PublishedPort> ports) {
  for (const nft::PublishedPort& port : ports)
    (void)nft::commit(transport, nft::loopback_removed(port));
}

void effects_of_promotion(Transport& transport, std::span<const nft::InstalledPorts> successors,
                          std::vector<std::string>& notes) {
  if (successors.empty()) return;
  std::vector<nft::Plan> plans;
  for (const nft::InstalledPorts& successor : successors) {
    nft::Plan& plan = plans.emplace_back();
    plan.localnet_device = successor.localnet_device;
    plan.loopback6_device = successor.loopback6_device;
    for (const nft::InstalledPort& port : successor.ports)
      plan.translations.push_back({port.published, *port.standby});
  }
  std::vector<const nft::Plan*> all;
  all.reserve(plans.size());
  for (const nft::Plan& plan : plans) all.push_back(&plan);
  // The ports were published before: what nobody translated since, keeps its place.
  for (const Status& effect : publish_effects(transport, all, {}, notes))
    if (!effect) notes.push_back(effect.error().message());
}

void effects_of_dels(Transport& transport, std::span<const nft::InstalledPorts> gone,
                     std::vector<std::string>& notes) {
  host::PortChange change{.only_we_translate = [&transport](Family family) {
    const Result<bool> others = nft::others_translate(transport, family);
    return others && !*others;
  }};
  add_left(gone, change);
  note_unless(delete_flows(transport, change), notes);
}

void effects_of_flush(Transport& transport, std::vector<std::string>& notes) {
  note_unless(host::delete_all_flows(transport), notes);
}

}  // namespace portmapper::app

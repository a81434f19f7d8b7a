#include "lib/app/doctor/read.hpp"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <set>

#include "lib/app/doctor/faults.hpp"
#include "lib/app/doctor/marks.hpp"
#include "lib/base/escape.hpp"
#include "lib/host/inside.hpp"
#include "lib/host/sysctl.hpp"
#include "lib/host/test_client.hpp"
#include "nft/foreign/legacy_reader.hpp"
#include "nft/foreign/reader.hpp"

namespace portmapper::doctor {
namespace {

class Surroundings {
 public:
  Surroundings(Host& host, Transport& route) : host_(host), route_(route) {}

  Status read(const std::map<std::uint64_t, NetworkNamespace>& namespaces,
              const std::optional<IpAddress>& from) {
    Result<std::vector<host::Interface>> interfaces = host::read_interfaces(route_);
    if (!interfaces) return interfaces.error();
    Result<std::vector<host::InterfaceAddress>> prefixes = host::read_interface_addresses(route_);
    if (!prefixes) return prefixes.error();
    Result<std::vector<host::DefaultRoute>> defaults = host::default_routes(route_);
    if (!defaults) return defaults.error();
    // A kernel without policy rules has none that look at marks.
    if (auto families = host::families_by_mark(route_))
      host_.families_by_mark = std::move(*families);
    host_.interfaces = std::move(*interfaces);
    host_.devices = host::outer_devices(host_.interfaces);
    host_.prefixes = std::move(*prefixes);
    read_uplinks(*defaults);
    read_advertisements(*defaults);
    host_.insides.clear();
    for (const auto& [inode, netns] : namespaces) enter(inode, netns);
    const std::vector<ClientPlace> clients = from ? place_of(*from) : all_places(*defaults);
    for (RoutedPort& port : host_.ports) find_ways(port, clients);
    read_settings();
    return {};
  }

 private:
  // By which devices clients come that are no neighbours, and what is a port of what.
  void read_uplinks(const std::vector<host::DefaultRoute>& defaults) {
    host_.default_devices.clear();
    host_.default_devices6.clear();
    for (const host::DefaultRoute& route : defaults) {
      auto& names = route.family == Family::ipv4 ? host_.default_devices : host_.default_devices6;
      const std::string name = name_of(route.device);
      if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(name);
    }
    host_.ports_of.clear();
    for (const host::Interface& port : host_.interfaces)
      if (const std::string master = name_of(port.master); !master.empty())
        host_.ports_of[master].push_back(port.name);
  }

  // What daemons make of advertisements (accept_ra 0) the kernel does not take away.
  void read_advertisements(const std::vector<host::DefaultRoute>& defaults) {
    host_.by_advertisement.clear();
    for (const host::DefaultRoute& route : defaults) {
      const host::Interface* const device = find_interface(host_.interfaces, route.device);
      if (device == nullptr || !route.by_advertisement || route.family != Family::ipv6) continue;
      auto& names = host_.by_advertisement;
      if (host::read_sysctl("net/ipv6/conf/" + device->name + "/accept_ra") == 1 &&
          std::find(names.begin(), names.end(), device->name) == names.end())
        names.push_back(device->name);
    }
  }

  void enter(std::uint64_t inode, const NetworkNamespace& netns) {
    Inside& inside = host_.insides[inode];
    inside.path = netns.path;
    nft::foreign::LegacyTables legacy;
    Result<host::Inside> sockets =
        host::enter_briefly(netns, [&legacy] { legacy = nft::foreign::read_legacy(); });
    if (!sockets) {
      inside.refusal = printable(sockets.error().message());
      return;
    }
    Result<std::vector<host::Interface>> interfaces = host::read_interfaces(*sockets->route);
    auto addresses = host::read_interface_addresses(*sockets->route);
    if (!interfaces || !addresses) {
      inside.refusal = printable((interfaces ? addresses.error() : interfaces.error()).message());
      return;
    }
    inside.interfaces = std::move(*interfaces);
    inside.addresses = std::move(*addresses);
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp}) {
      auto listeners = host::all_listeners(*sockets->sockets, protocol);
      if (!listeners) continue;
      inside.listed.insert(protocol);
      inside.listeners.insert(inside.listeners.end(), listeners->begin(), listeners->end());
    }
    if (sockets->netfilter)
      if (Result<nft::foreign::Ruleset> rules = nft::foreign::read_ruleset(*sockets->netfilter))
        inside.rules = std::move(*rules);
    inside.rules.chains.merge(legacy.chains);
    inside.unread_tables = std::move(legacy.unread);
    routes_.emplace(inode, std::move(sockets->route));
  }

  std::vector<ClientPlace> place_of(const IpAddress& client) {
    const Result<host::RouteAnswer> way = host::look_up(route_, {.to = client});
    // The host itself is nobody who comes by an interface.
    if (way && way->refusal != 0) host_.lost_client = client;
    if (!way || way->refusal != 0 || way->type != RTN_UNICAST) return {};
    host_.client = Client{client, name_of(way->device)};
    return {{client, way->device}};
  }

  std::vector<ClientPlace> all_places(const std::vector<host::DefaultRoute>& defaults) {
    std::vector<std::uint32_t> containers;
    // Where the route leads elsewhere than to the container, clients come by its interface too.
    for (const RoutedPort& port : host_.ports)
      if (link_of(host_, port).towards() == nullptr) containers.push_back(port.device.index);
    // What leads to a container by another network brings no clients either.
    for (const auto& [inode, inside] : host_.insides)
      for (const host::Interface& within : inside.interfaces)
        if (const host::Interface* const towards = link_by(host_, inside, within.index).towards())
          containers.push_back(towards->index);
    return stand_ins(host_.interfaces, host_.prefixes, defaults, containers);
  }

  [[nodiscard]] std::string name_of(std::uint32_t index) const {
    const host::Interface* const device = find_interface(host_.interfaces, index);
    return device == nullptr ? std::string() : device->name;
  }

  std::optional<Crossing> cross(Transport& route, host::RouteQuestion question,
                                const std::string& in, const Mark& mark = {}) {
    question.mark = mark.number.value_or(0);
    const Result<host::RouteAnswer> answer = host::look_up(route, question);
    if (!answer) return std::nullopt;
    Crossing crossing{.in = in, .refusal = answer->refusal, .mark = mark};
    crossing.is_local = answer->type == RTN_LOCAL;
    crossing.out = &route == &route_ ? name_of(answer->device) : std::string();
    last_device_ = answer->device;
    return crossing;
  }

  // By which interface of the host the answers arrive, when the container sends them by its own
  // interface `index`.
  [[nodiscard]] std::uint32_t arrival_of(const RoutedPort& port, std::uint32_t index) const {
    const Link link = link_by(host_, host_.insides.at(port.netns), index);
    const host::Interface* const towards = link.host_end == nullptr ? nullptr : link.towards();
    return towards == nullptr ? port.device.index : towards->index;
  }

  void find_ways(RoutedPort& port, const std::vector<ClientPlace>& clients) {
    port.ways.clear();
    if (port.published.address.is_loopback()) return;  // for the host itself alone
    for (const ClientPlace& client : clients)
      if (client.address.family() == port.endpoint.address.family()) add_way(port, client);
  }

  void add_way(RoutedPort& port, const ClientPlace& client) {
    const IpAddress& endpoint = port.endpoint.address;
    const std::string in = name_of(client.device);
    const Mark mark = mark_of(host_, port, {in, client.device}, Direction::request);
    const std::optional<Crossing> request = cross(route_,
                                                  {.to = endpoint,
                                                   .from = client.address,
                                                   .iif = client.device,
                                                   .protocol = port.published.protocol,
                                                   .dport = port.endpoint.port.value()},
                                                  in, mark);
    if (!request) return;
    Way way{.client = client.address, .request = *request};
    // Neighbours of the container are translated, so its answers go to the host.
    if (client.device != port.device.index) add_answer(port, client, way);
    port.ways.push_back(std::move(way));
  }

  void add_answer(const RoutedPort& port, const ClientPlace& client, Way& way) {
    host::RouteQuestion question{.to = client.address,
                                 .from = port.endpoint.address,
                                 .protocol = port.published.protocol,
                                 .sport = port.endpoint.port.value()};
    question.iif = port.device.index;
    if (const auto route = routes_.find(port.netns); route != routes_.end()) {
      const auto& addresses = host_.insides.at(port.netns).addresses;
      const bool is_there = std::any_of(
          addresses.begin(), addresses.end(),
          [&port](const auto& one) { return one.prefix.address == port.endpoint.address; });
      host::RouteQuestion inside = question;
      inside.iif = 0;
      if (is_there) way.back = cross(*route->second, inside, {});
      if (way.back && way.back->refusal != 0) return;
      if (way.back) question.iif = arrival_of(port, last_device_);
    }
    if (question.iif == 0) return;
    const std::string in = name_of(question.iif);
    const Mark mark = mark_of(host_, port, {in, question.iif}, Direction::answer);
    way.answer = cross(route_, question, in, mark);
  }

  void read_settings() {
    host_.settings.clear();
    const std::int64_t all = host::read_sysctl("net/ipv4/conf/all/rp_filter").value_or(0);
    for (const RoutedPort& port : host_.ports)
      for (const Way& way : port.ways) {
        add_settings(way.request.in, all);
        if (way.answer) add_settings(way.answer->in, all);
      }
  }

  // The kernel uses the higher of the interface's rp_filter and that of "all".
  void add_settings(const std::string& device, std::int64_t all) {
    if (device.empty() || host_.settings.contains(device)) return;
    DeviceSettings& settings = host_.settings[device];
    const std::string four = "net/ipv4/conf/" + device + "/";
    settings.forwards = host::read_sysctl(four + "forwarding");
    if (const auto own = host::read_sysctl(four + "rp_filter"))
      settings.rp_filter = std::max(*own, all);
    settings.forced6 = host::read_sysctl("net/ipv6/conf/" + device + "/force_forwarding");
  }

  Host& host_;
  Transport& route_;
  std::map<std::uint64_t, std::unique_ptr<Netlink>> routes_;  // of the insides
  std::uint32_t last_device_ = 0;
};

}  // namespace

Status read_surroundings(Host& host, const std::map<std::uint64_t, NetworkNamespace>& namespaces,
                         const std::optional<IpAddress>& from) {
  Result<Netlink> route = Netlink::open(NETLINK_ROUTE);
  if (!route) return route.error();
  return Surroundings(host, *route).read(namespaces, from);
}

namespace {

// By which clients come, as far as is known.
std::string entrance_of(const Host& host) {
  for (const RoutedPort& port : host.ports)
    if (!port.ways.empty()) return port.ways.front().request.in;
  return {};
}

// Where a client would send to reach a port on any address.
std::optional<IpAddress> address_for(const Host& host, Family family, const std::string& entrance) {
  std::optional<IpAddress> best;
  for (const host::InterfaceAddress& one : host.prefixes) {
    const IpAddress& address = one.prefix.address;
    const host::Interface* const device = find_interface(host.interfaces, one.index);
    if (address.family() != family || address.is_loopback() || device == nullptr ||
        device->is_loopback || IpPrefix::link_local().contains(IpPrefix::host(address)))
      continue;
    if (device->name == entrance) return address;
    if (!best) best = address;
  }
  return best;
}

bool is_absent(const Host& host, const RoutedPort& port) {
  return std::find(host.absent_ports.begin(), host.absent_ports.end(), to_string(port.published)) !=
         host.absent_ports.end();
}

// Where to try a port, in what order those of `ports` are.
struct Targets {
  std::vector<host::Destination> destinations{};
  std::vector<RoutedPort*> ports{};

  void add(RoutedPort& port, const IpAddress& address) {
    destinations.push_back({port.published.protocol, address, port.published.port});
    ports.push_back(&port);
  }
};

// `takes`: whether to try a port at all.
template <typename Predicate>
Targets published_targets(Host& host, const std::string& entrance, const Predicate& takes) {
  Targets targets;
  for (RoutedPort& port : host.ports) {
    const IpAddress& published = port.published.address;
    if (targets.ports.size() == kMostTrials) break;
    if (is_absent(host, port) || IpPrefix::link_local().contains(IpPrefix::host(published)) ||
        !takes(published))
      continue;
    const std::optional<IpAddress> address =
        published.is_any() ? address_for(host, published.family(), entrance) : published;
    if (address) targets.add(port, *address);
  }
  return targets;
}

// Policy rules, or another table for what the container sends, may know nothing of the test client.
bool finds_back(Transport& route, const RoutedPort& port, const host::TestClient& client) {
  const Result<host::RouteAnswer> answer =
      host::look_up(route, {.to = client.addresses().at(port.published.address.family()),
                            .from = port.endpoint.address,
                            .iif = port.device.index,
                            .protocol = port.published.protocol,
                            .sport = port.endpoint.port.value()});
  return !answer || (answer->refusal == 0 && answer->device == client.device().index);
}

void try_by(Host& host, const host::TestClient& client, const std::string& entrance) {
  const Targets targets = published_targets(host, entrance, [&client](const IpAddress& published) {
    return !published.is_loopback() && client.has(published.family());
  });
  std::vector<host::Answer> answers;
  client.run([&] { answers = host::attempt_all(targets.destinations); });
  for (std::size_t i = 0; i < answers.size(); ++i) targets.ports[i]->trial.outside = answers[i];
  if (Result<Netlink> route = Netlink::open(NETLINK_ROUTE))
    for (RoutedPort* port : targets.ports)
      port->trial.finds_back = finds_back(*route, *port, client);
}

}  // namespace

void try_from_host(Host& host) {
  const Targets own =
      published_targets(host, entrance_of(host), [](const IpAddress&) { return true; });
  std::vector<host::Destination> destinations = own.destinations;
  for (const RoutedPort& port : host.ports) {
    if (destinations.size() == own.ports.size() + kMostTrials) break;
    destinations.push_back({port.published.protocol, port.endpoint.address, port.endpoint.port});
  }
  const std::vector<host::Answer> answers = host::attempt_all(destinations);
  for (std::size_t i = 0; i < answers.size(); ++i)
    if (i < own.ports.size())
      own.ports[i]->trial.own = answers[i];
    else
      host.ports[i - own.ports.size()].trial.direct = answers[i];
}

void try_from_outside(Host& host) {
  if (host.ports.empty()) return;
  const std::string entrance = entrance_of(host);
  const Result<host::TestClient> client = host::TestClient::make(entrance);
  host.probe = client ? client->device().name : std::string();
  if (!client) {
    host.probe_refusal = printable(client.error().message());
    return;
  }
  host.probe_addresses = client->addresses();
  try_by(host, *client, entrance);
}

}  // namespace portmapper::doctor

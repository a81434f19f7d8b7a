#include "lib/app/doctor/faults.hpp"

#include <algorithm>
#include <cerrno>

namespace portmapper::doctor {
namespace {

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

bool is_of_interface(Fault fault) {
  return fault == Fault::filtered || fault == Fault::unforwarded;
}

bool is_lost_way(Fault fault) {
  return fault == Fault::unreachable || fault == Fault::prohibited || fault == Fault::blackhole ||
         fault == Fault::no_route;
}

// The first fault of one way; `expected` is the interface that leads to the container, if known.
FaultPlace first_fault(const Host& host, const RoutedPort& port, const Way& way,
                       const std::string& expected) {
  const std::string endpoint = port.endpoint.address.to_string();
  if (const Fault fault = fault_of(host, way.request); fault != Fault::none)
    return {fault, Leg::request, way.request.in, is_of_interface(fault) ? "" : endpoint};
  if (way.request.is_local) return {Fault::local, Leg::request, way.request.in, endpoint};
  if (!expected.empty() && way.request.out != expected &&
      port.trial.direct != host::Answer::answered)
    return {Fault::detour, Leg::request, way.request.out, endpoint};
  if (way.back && way.back->refusal != 0) {
    // rp_filter and forwarding are no matter of packets that leave.
    const Fault fault = fault_of(host, *way.back);
    return {is_of_interface(fault) ? Fault::no_route : fault, Leg::back, port.owner};
  }
  if (way.answer)
    if (const Fault fault = fault_of(host, *way.answer); fault != Fault::none)
      return {fault, Leg::answer, way.answer->in};
  return {};
}

Mark mark_at(Leg leg, const Way& way) {
  if (leg == Leg::request) return way.request.mark;
  return leg == Leg::answer && way.answer ? way.answer->mark : Mark();
}

// The test client's packets come by another interface than real ones, and its answers go to another
// address, so that those pass says nothing against what the kernel's lookup finds of real clients. Of
// programs that send packets on, the lookup does not know.
Finding::Level level_of(const Host& host, const FaultPlace& place, const Mark& mark,
                        const Trial& trial) {
  const bool is_looked_up = is_lost_way(place.fault) && mark.number;
  const bool is_of_client =
      is_looked_up || (place.leg == Leg::request && is_of_interface(place.fault));
  // With another mark they may take another way.
  if (!mark.number && trial.outside == host::Answer::untried) return Finding::Level::note;
  // Whom the operator asks about is another client.
  const bool speaks_for_all = !is_of_client && !host.client;
  if (trial.outside == host::Answer::answered && speaks_for_all) return Finding::Level::note;
  if (place.fault == Fault::detour && trial.direct == host::Answer::untried)
    return Finding::Level::note;
  return Finding::Level::problem;
}

// Without its interface there is no route: find_link_faults tells the cause.
bool is_down(const Link& link) {
  return link.host_end != nullptr &&
         (!link.host_end->is_up || (link.towards() != nullptr && !link.towards()->is_up));
}

// Empty: not known, or no port of the bridge, which find_link_faults tells.
std::string expected_device(const Host& host, const RoutedPort& port, const Link& link) {
  const host::Interface* const towards = link.towards();
  if (towards == nullptr) return {};
  const bool is_astray =
      towards == link.host_end && !port.ways.empty() &&
      std::any_of(host.interfaces.begin(), host.interfaces.end(), [&port](const auto& one) {
        return one.kind == "bridge" && one.name == port.ways.front().request.out;
      });
  return is_astray ? std::string() : towards->name;
}

}  // namespace

Fault fault_of(const Host& host, const Crossing& crossing) {
  const auto settings = host.settings.find(crossing.in);
  switch (crossing.refusal) {
    case 0:
      return Fault::none;
    case EXDEV:
      return Fault::filtered;
    case EHOSTUNREACH:
      return settings != host.settings.end() && settings->second.forwards == 0 ? Fault::unforwarded
                                                                               : Fault::unreachable;
    case EACCES:
      return Fault::prohibited;
    case EINVAL:
      return Fault::blackhole;
    default:
      return Fault::no_route;
  }
}

std::map<FaultPlace, Sufferers> sufferers_of(const Host& host) {
  std::map<FaultPlace, Sufferers> all;
  for (const RoutedPort& port : host.ports) {
    const Link link = link_of(host, port);
    if (is_down(link)) continue;
    const std::string expected = expected_device(host, port, link);
    std::map<FaultPlace, std::vector<const Way*>> ways;
    std::size_t failing = 0;
    for (const Way& way : port.ways) {
      const FaultPlace place = first_fault(host, port, way, expected);
      if (place.fault == Fault::none) continue;
      ways[place].push_back(&way);
      ++failing;
    }
    for (const auto& [place, some] : ways) {
      const Mark mark = mark_at(place.leg, *some.front());
      if (all[place].ports.empty()) all[place].mark = mark;
      Sufferers& sufferers = all[place];
      add_once(sufferers.ports, to_string(port.published));
      for (const Way* way : some) add_once(sufferers.clients, way->client.to_string());
      add_once(sufferers.endpoints, port.endpoint.address.to_string());
      if (failing == port.ways.size() &&
          level_of(host, place, mark, port.trial) == Finding::Level::problem)
        sufferers.level = Finding::Level::problem;
      sufferers.expected = expected;
      sufferers.owner = port.owner;
      sufferers.netns = port.netns;
    }
  }
  return all;
}

std::string packets_of(const FaultPlace& place, const Sufferers& sufferers) {
  const std::string ports = some_of(sufferers.ports);
  const std::string who = place.leg == Leg::request ? " from " : " to ";
  const std::string kind = place.leg == Leg::request ? "requests to " : "replies of ";
  return kind + ports +
         (sufferers.level == Finding::Level::problem
              ? ""
              : who + "clients such as " + some_of(sufferers.clients));
}

const host::Interface* Link::towards() const {
  if (master == nullptr || master->kind == "vrf") return host_end;
  return master->kind == "bridge" ? master : nullptr;
}

Link link_by(const Host& host, const Inside& inside, std::uint32_t index) {
  Link found{.inside = &inside, .within = find_interface(inside.interfaces, index)};
  if (found.within == nullptr || found.within->kind != "veth") return found;
  const host::Interface* const end = find_interface(host.interfaces, found.within->peer);
  // Numbers of another namespace may be those of something else here: the pair names each other.
  if (end == nullptr || end->kind != "veth" || end->peer != found.within->index) return found;
  found.host_end = end;
  found.master = find_interface(host.interfaces, end->master);
  return found;
}

Link link_of(const Host& host, const RoutedPort& port) {
  Link found;
  const auto inside = host.insides.find(port.netns);
  if (inside == host.insides.end() || !inside->second.refusal.empty()) return found;
  found.inside = &inside->second;
  const auto address = std::find_if(found.inside->addresses.begin(), found.inside->addresses.end(),
                                    [&port](const host::InterfaceAddress& one) {
                                      return one.prefix.address == port.endpoint.address;
                                    });
  if (address == found.inside->addresses.end()) return found;
  return link_by(host, *found.inside, address->index);
}

}  // namespace portmapper::doctor

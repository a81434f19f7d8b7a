// The checks of lib/app/doctor/doctor that judge routes and interfaces on the way to a container.

#include <algorithm>
#include <map>

#include "lib/app/doctor/doctor.hpp"
#include "lib/app/doctor/faults.hpp"
#include "lib/app/doctor/marks.hpp"

namespace portmapper::doctor {
namespace {

using Level = Finding::Level;

std::string kind_of(Fault fault) {
  if (fault == Fault::unreachable) return "an unreachable route";
  if (fault == Fault::prohibited) return "a prohibit route";
  return fault == Fault::blackhole ? "a blackhole route" : "no route";
}

// "; cni0, other0 both have 10.22.0.0/16"
std::string shared_subnet(const Host& host, const std::string& endpoint) {
  const std::optional<IpAddress> address = IpAddress::parse(endpoint);
  std::vector<std::string> devices;
  IpPrefix prefix;
  for (const host::InterfaceAddress& one : host.prefixes) {
    const host::Interface* const device = find_interface(host.interfaces, one.index);
    if (device == nullptr || !address || one.prefix.is_host() || !one.prefix.contains(*address))
      continue;
    if (std::find(devices.begin(), devices.end(), device->name) != devices.end()) continue;
    devices.push_back(device->name);
    prefix = one.prefix.network();
  }
  if (devices.size() < 2) return {};
  return "; " + some_of(devices) + " both have addresses of " + prefix.to_string();
}

// "`ip route get 10.22.0.2 from 192.0.2.2 iif eth0` shows it, ..."
std::string how_to_see(const FaultPlace& place, const Sufferers& sufferers) {
  const bool is_request = place.leg == Leg::request;
  const Mark& mark = sufferers.mark;
  std::string text = "`ip route get " + (is_request ? place.endpoint : sufferers.clients.front()) +
                     " from " +
                     (is_request ? sufferers.clients.front() : sufferers.endpoints.front()) +
                     " iif " + place.device;
  if (mark.number.value_or(0) != 0) text += " mark " + std::to_string(*mark.number);
  text += "` shows it, `ip rule` the rules";
  if (mark.by.empty() || mark.number == std::uint32_t{0}) return text;
  if (!mark.number)
    return text + "; " + mark.by +
           " may mark them, and with what is not known here: some rules of"
           " `ip rule` look at marks";
  return text + "; " + mark.by + " gives them that mark";
}

Finding lost_request(const Host& host, const FaultPlace& place, const Sufferers& sufferers) {
  Finding finding{.level = sufferers.level, .what = {}};
  const std::string ports = some_of(sufferers.ports);
  finding.ports = sufferers.ports;
  if (place.fault == Fault::local) {
    finding.what = "this host itself has " + place.endpoint + ", where " + ports + " leads";
    finding.why =
        "connections end at the host instead of the container; two interfaces must not"
        " have one address";
  } else if (place.fault == Fault::detour) {
    finding.what = "packets to " + place.endpoint + ", where " + ports + " leads, leave by " +
                   place.device + ", and the container is behind " + sufferers.expected;
    finding.why = "the container never sees them" + shared_subnet(host, place.endpoint) +
                  "; `ip route get " + place.endpoint + "` shows the route, `ip rule` the rules";
  } else {
    finding.what =
        kind_of(place.fault) + " leads to " + place.endpoint + ", where " + ports + " leads";
    finding.why =
        "the host drops " + packets_of(place, sufferers) + "; " + how_to_see(place, sufferers);
  }
  return finding;
}

Finding lost_answer(const FaultPlace& place, const Sufferers& sufferers) {
  Finding finding{.level = sufferers.level, .what = {}};
  finding.ports = sufferers.ports;
  finding.what = kind_of(place.fault) + " leads from " + some_of(sufferers.endpoints) +
                 " to clients such as " + some_of(sufferers.clients);
  finding.why = "requests reach the container, and the host drops " +
                packets_of(place, {.level = Level::problem, .ports = sufferers.ports}) + "; " +
                how_to_see(place, sufferers);
  return finding;
}

// What keeps frames from passing one container's cable.
struct LinkFault {
  Level level = Level::problem;
  std::string what;
  std::string why;
  std::string command{};
  auto operator<=>(const LinkFault&) const = default;
};

LinkFault down(const std::string& what, const host::Interface& interface) {
  return {Level::problem, what + " is down", "nothing passes an interface that is down",
          is_plain(interface.name) ? "ip link set " + interface.name + " up" : ""};
}

std::optional<LinkFault> broken_link(const Host& host, const RoutedPort& port, const Link& link) {
  const host::Interface& end = *link.host_end;
  const std::string name = end.name + ", the host's end of the link to " + port.owner + ",";
  if (link.master != nullptr && link.master->kind == "bridge" && !link.master->is_up)
    return down("bridge " + link.master->name, *link.master);
  if (!end.is_up) return down(name, end);
  if (end.port && !end.port->forwards && end.has_carrier)
    return LinkFault{Level::problem, name + " is a port of a bridge that does not forward",
                     "the bridge drops what comes from there and what goes there",
                     is_plain(end.name) ? "bridge link set dev " + end.name + " state 3" : ""};
  if (link.master != nullptr || port.ways.empty()) return std::nullopt;
  const auto bridge =
      std::find_if(host.interfaces.begin(), host.interfaces.end(), [&](const auto& one) {
        return one.kind == "bridge" && one.name == port.ways.front().request.out;
      });
  if (bridge == host.interfaces.end() || port.trial.direct == host::Answer::answered)
    return std::nullopt;
  const bool is_safe = is_plain(end.name) && is_plain(bridge->name);
  return LinkFault{port.trial.direct == host::Answer::untried ? Level::note : Level::problem,
                   name + " is not a port of bridge " + bridge->name,
                   "the route leads to the bridge, not to it",
                   is_safe ? "ip link set " + end.name + " master " + bridge->name : ""};
}

// A veth end drops frames that are longer than it takes, without a message; the segments of TCP
// that the card would cut (GSO) excepted.
std::optional<LinkFault> narrow_link(const RoutedPort& port, const Link& link) {
  const host::Interface& end = *link.host_end;
  const host::Interface& within = *link.within;
  const bool is_bridged = link.master != nullptr && link.master->kind == "bridge";
  const host::Interface& narrowest = is_bridged && link.master->mtu < end.mtu ? *link.master : end;
  const host::Interface& widest = is_bridged ? *link.master : end;
  const bool narrows_answers = narrowest.mtu < within.mtu;
  if (!narrows_answers && widest.mtu <= within.mtu) return std::nullopt;
  const std::string inner =
      within.name + " of " + port.owner + " takes " + std::to_string(within.mtu) + " bytes, ";
  const host::Interface& other = narrows_answers ? narrowest : widest;
  return LinkFault{Level::note, inner + other.name + " of the host " + std::to_string(other.mtu),
                   "they are ends of one link, and what is longer than the smaller MTU is dropped"
                   " there without a message: short answers arrive, long ones may not; give both"
                   " the same MTU"};
}

}  // namespace

std::vector<Finding> find_lost_ways(const Host& host) {
  std::vector<Finding> findings;
  if (host.lost_client) {
    const std::string client = host.lost_client->to_string();
    findings.push_back({Level::problem, "no route leads to " + client,
                        "whatever is answered to that client, the host drops; `ip route get " +
                            client + "` shows the route, `ip rule` the rules"});
  }
  for (const auto& [place, sufferers] : sufferers_of(host)) {
    if (place.fault == Fault::filtered || place.fault == Fault::unforwarded) continue;
    if (place.leg == Leg::request) findings.push_back(lost_request(host, place, sufferers));
    if (place.leg == Leg::answer) findings.push_back(lost_answer(place, sufferers));
  }
  for (Finding& finding : find_unknown_marks(host)) findings.push_back(std::move(finding));
  return findings;
}

std::vector<Finding> find_link_faults(const Host& host) {
  std::map<LinkFault, std::vector<std::string>> faults;
  for (const RoutedPort& port : host.ports) {
    const Link link = link_of(host, port);
    if (link.host_end == nullptr) continue;
    std::optional<LinkFault> fault = broken_link(host, port, link);
    if (!fault) fault = narrow_link(port, link);
    if (fault) faults[*fault].push_back(to_string(port.published));
  }
  std::vector<Finding> findings;
  for (const auto& [fault, ports] : faults) {
    Finding finding{fault.level, fault.what, fault.why + "; it concerns " + some_of(ports)};
    finding.command = fault.command;
    if (!fault.command.empty())
      finding.keep =
          "whatever sets up this interface must do that too; this lasts until it does"
          " so again";
    finding.ports = ports;
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace portmapper::doctor

// The check of lib/app/doctor/doctor that judges what is inside the containers' namespaces.

#include <linux/netfilter.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "lib/app/doctor/cures.hpp"
#include "lib/app/doctor/faults.hpp"
#include "lib/app/doctor/packets.hpp"
#include "nft/foreign/walk.hpp"
#include "nft/netlink_message.hpp"

namespace portmapper::doctor {
namespace {

using Level = Finding::Level;
namespace foreign = nft::foreign;

// The same for several ports of a container.
struct Trouble {
  Level level = Level::problem;
  std::string what;
  std::string why;
  std::string command{};
  std::string keep{};
  auto operator<=>(const Trouble&) const = default;
};

std::string in_namespace(const Inside& inside, const std::string& command) {
  return is_plain(inside.path.substr(std::min<std::size_t>(inside.path.size(), 1)))
             ? "nsenter --net=" + inside.path + " " + command
             : "";
}

constexpr char kUntilItEnds[] =
    "it lasts as long as the container; the plugin that set up its interface must do it right";

std::optional<Trouble> wrong_interface(const RoutedPort& port, const Link& link) {
  const Inside& inside = *link.inside;
  const std::string address = port.endpoint.address.to_string();
  const bool is_there =
      std::any_of(inside.addresses.begin(), inside.addresses.end(),
                  [&port](const auto& one) { return one.prefix.address == port.endpoint.address; });
  if (!is_there)
    return Trouble{Level::problem, "container " + port.owner + " does not have " + address,
                   "its ports lead there, and nobody takes what comes; somebody removed the address"
                   " or the interface: start the container again"};
  const host::Interface* const within = link.within;
  if (within == nullptr || within->is_up) return std::nullopt;
  return Trouble{
      Level::problem, "interface " + within->name + " of container " + port.owner + " is down",
      "it has " + address + ", and nothing passes an interface that is down",
      is_plain(within->name) ? in_namespace(inside, "ip link set " + within->name + " up") : "",
      kUntilItEnds};
}

// The host's address in the endpoint's subnet: a gateway that would do.
std::string gateway_of(const Host& host, const RoutedPort& port) {
  for (const host::InterfaceAddress& one : host.prefixes) {
    const host::Interface* const device = find_interface(host.interfaces, one.index);
    if (device != nullptr && device->name == port.device.name && !one.prefix.is_host() &&
        one.prefix.contains(port.endpoint.address))
      return one.prefix.address.to_string();
  }
  return {};
}

std::optional<Trouble> no_way_back(const Host& host, const RoutedPort& port, const Link& link) {
  std::vector<std::string> clients;
  std::size_t asked = 0;
  for (const Way& way : port.ways) {
    asked += way.back ? 1 : 0;
    if (way.back && way.back->refusal != 0) clients.push_back(way.client.to_string());
  }
  if (clients.empty()) return std::nullopt;
  const std::string gateway = gateway_of(host, port);
  Trouble trouble{
      clients.size() == asked ? Level::problem : Level::note,
      "container " + port.owner + " has no route back to clients such as " + some_of(clients),
      "requests reach it, and its replies go nowhere; it needs a default route"};
  if (gateway.empty()) return trouble;
  trouble.command = in_namespace(*link.inside, "ip route add default via " + gateway);
  trouble.keep = kUntilItEnds;
  return trouble;
}

// As the rules in there see it: nothing is translated.
foreign::Packet packet_inside(const RoutedPort& port, const Link& link, bool is_answer) {
  const nft::PublishedPort own{port.endpoint.address, port.published.protocol, port.endpoint.port};
  foreign::Packet packet = is_answer ? leaving_packet(own) : arriving_packet(own, {});
  if (link.within != nullptr)
    set_passage(packet, {link.within->name, link.within->index}, is_answer);
  return packet;
}

bool is_of(const foreign::Chain& chain, Family family, std::uint32_t hook) {
  return chain.hook && chain.hook->number == hook &&
         (chain.table.family == NFPROTO_INET || chain.table.family == nft::protocol_family(family));
}

// A service mesh, for instance, sends the port to a proxy of its own.
bool translates_inside(const RoutedPort& port, const Link& link) {
  const foreign::Ruleset& rules = link.inside->rules;
  return std::any_of(rules.chains.begin(), rules.chains.end(), [&](const auto& one) {
    if (!is_of(one.second, port.endpoint.address.family(), NF_INET_PRE_ROUTING) ||
        one.second.hook->type != "nat")
      return false;
    const auto ends = walk(rules, one.second, packet_inside(port, link, false));
    return std::any_of(ends.begin(), ends.end(), [](const foreign::End& end) {
      return end.kind == foreign::Verdict::Kind::translate;
    });
  });
}

bool eats_inside(const foreign::End& end) {
  return end.kind == foreign::Verdict::Kind::drop || end.kind == foreign::Verdict::Kind::reject;
}

std::optional<Trouble> own_chain(const RoutedPort& port, const Link& link,
                                 const foreign::Chain& chain) {
  const Family family = port.endpoint.address.family();
  const bool is_answer = is_of(chain, family, NF_INET_LOCAL_OUT);
  if (!is_answer && !is_of(chain, family, NF_INET_LOCAL_IN)) return std::nullopt;
  // NAT chains see the first packet of a connection alone.
  if (chain.hook->type == "nat") return std::nullopt;
  const auto ends = walk(link.inside->rules, chain, packet_inside(port, link, is_answer));
  const auto end = std::find_if(ends.begin(), ends.end(), eats_inside);
  if (end == ends.end()) return std::nullopt;
  const bool is_certain = end == ends.end() - 1 && std::all_of(ends.begin(), end, eats_inside);
  const std::string verb = end->kind == foreign::Verdict::Kind::drop ? "drop" : "reject";
  const std::string rule = end->handle == 0 ? "table " + to_string(chain.table) + ", chain " +
                                                  end->chain + ", its policy"
                                            : place(chain.table, end->chain, end->handle);
  return Trouble{is_certain ? Level::problem : Level::note,
                 "container " + port.owner + " has rules of its own that " + verb +
                     (is_certain ? " " : " some ") +
                     (is_answer ? "replies from " : "connections to ") + to_string(port.endpoint),
                 rule + ": whoever runs the container must accept the port there"};
}

// The one that is certain, if there is one.
std::optional<Trouble> own_rules(const RoutedPort& port, const Link& link) {
  std::optional<Trouble> found;
  for (const auto& [name, chain] : link.inside->rules.chains) {
    std::optional<Trouble> trouble = own_chain(port, link, chain);
    if (trouble && (!found || (found->level == Level::note && trouble->level == Level::problem)))
      found = std::move(trouble);
  }
  return found;
}

bool serves(const host::Listener& listener, const RoutedPort& port) {
  const IpAddress& address = port.endpoint.address;
  if (listener.port != host::ListenPort{port.published.protocol, port.endpoint.port}) return false;
  if (listener.address == address) return true;
  if (!listener.address.is_any()) return false;
  return listener.address.family() == address.family() || listener.also_ipv4;
}

std::string where(const host::Listener& listener) {
  const nft::Endpoint endpoint{listener.address, listener.port.port};
  return to_string(endpoint) + "/" + std::string(to_string(listener.port.protocol));
}

bool is_refused(host::Answer answer) {
  return answer == host::Answer::refused || answer == host::Answer::unreachable;
}

// Nobody serves the endpoint: who comes nearest to it.
Trouble nobody_listens(const RoutedPort& port, const Inside& inside) {
  const std::string endpoint =
      to_string(port.endpoint) + "/" + std::string(to_string(port.published.protocol));
  Trouble trouble{Level::problem, "nobody listens on " + endpoint + " in container " + port.owner,
                  "connections are refused"};
  std::vector<std::string> here;
  std::vector<std::string> others;
  bool has_other_family = false;
  for (const host::Listener& listener : inside.listeners) {
    if (listener.port.protocol != port.published.protocol) continue;
    const bool is_same = listener.port.port == port.endpoint.port;
    (is_same ? here : others).push_back(where(listener));
    has_other_family =
        has_other_family || (is_same && !listener.address.is_loopback() &&
                             listener.address.family() != port.endpoint.address.family());
  }
  for (std::vector<std::string>* list : {&here, &others}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  if (has_other_family) {
    // Where nobody tried, a server of one family alone may be meant so.
    const bool is_tried = is_refused(port.trial.outside) || is_refused(port.trial.direct);
    trouble.level = is_tried ? Level::problem : Level::note;
    trouble.why +=
        "; it listens on " + some_of(here) + ", so clients of the other family are served";
  } else if (!here.empty()) {
    trouble.why += "; it listens on " + some_of(here) +
                   " alone: let the program listen on any address (0.0.0.0 or ::)";
  } else if (!others.empty()) {
    trouble.why += "; it listens on " + some_of(others) +
                   ": publish that port, or let the program listen on this one";
  } else {
    trouble.why += "; it listens on nothing by " + std::string(to_string(port.published.protocol)) +
                   ": its program has not started, or has ended";
  }
  return trouble;
}

std::optional<Trouble> not_read(const RoutedPort& port, const Inside& inside) {
  if (inside.unread_tables.empty()) return std::nullopt;
  return Trouble{
      Level::note,
      "container " + port.owner +
          " has tables of iptables-legacy that could not be read: " + some_of(inside.unread_tables),
      "what their rules do with its packets is not known here"};
}

std::optional<Trouble> trouble_of(const Host& host, const RoutedPort& port) {
  const Link link = link_of(host, port);
  if (link.inside == nullptr || port.trial.works()) return std::nullopt;
  if (auto found = wrong_interface(port, link)) return found;
  if (auto found = no_way_back(host, port, link)) return found;
  if (auto found = own_rules(port, link)) return found;
  const Inside& inside = *link.inside;
  if (!inside.listed.contains(port.published.protocol) || port.trial.has_server() ||
      translates_inside(port, link) ||
      std::any_of(inside.listeners.begin(), inside.listeners.end(),
                  [&port](const auto& listener) { return serves(listener, port); }))
    return not_read(port, inside);
  return nobody_listens(port, inside);
}

// Of those whom nobody could look into.
std::vector<Finding> not_entered(const Host& host) {
  std::map<std::string, std::vector<std::string>> owners;
  for (const RoutedPort& port : host.ports) {
    const auto inside = host.insides.find(port.netns);
    if (inside == host.insides.end() || inside->second.refusal.empty()) continue;
    std::vector<std::string>& some = owners[inside->second.refusal];
    if (std::find(some.begin(), some.end(), port.owner) == some.end()) some.push_back(port.owner);
  }
  std::vector<Finding> findings;
  findings.reserve(owners.size());
  for (const auto& [refusal, some] : owners)
    findings.push_back({Level::note, "nobody could look into " + some_of(some),
                        refusal + "; so it is not known who listens there, and whether its replies"
                                  " find back"});
  return findings;
}

}  // namespace

std::vector<Finding> find_container_faults(const Host& host) {
  std::map<Trouble, std::vector<std::string>> troubles;
  for (const RoutedPort& port : host.ports)
    if (const auto trouble = trouble_of(host, port))
      troubles[*trouble].push_back(to_string(port.published));
  std::vector<Finding> findings;
  for (const auto& [trouble, ports] : troubles) {
    Finding finding{trouble.level, trouble.what, trouble.why + "; it concerns " + some_of(ports),
                    trouble.command};
    if (!trouble.command.empty()) finding.keep = trouble.keep;
    finding.ports = ports;
    findings.push_back(std::move(finding));
  }
  for (Finding& finding : not_entered(host)) findings.push_back(std::move(finding));
  return findings;
}

}  // namespace portmapper::doctor

#include "lib/app/host_processes.hpp"

#include <algorithm>
#include <map>

#include "lib/base/escape.hpp"
#include "nft/ruleset.hpp"

namespace portmapper::app {
namespace {

constexpr std::size_t kProcessesNamed = 8;

enum class Meeting { none, keeps, hidden };

bool listens_in(const host::Listener& listener, Family family) {
  return listener.address.family() == family || (family == Family::ipv4 && listener.also_ipv4);
}

Meeting meeting_of(const nft::PublishedPort& published, const host::Listener& listener,
                   const LoopbackPorts& loopback) {
  if (!listens_in(listener, published.address.family())) return Meeting::none;
  const bool on_any = listener.address.is_any();
  if (!published.address.is_any() && !on_any && published.address != listener.address)
    return Meeting::none;
  // Where both are.
  const IpAddress& shared = published.address.is_any() ? listener.address : published.address;
  if (shared.is_loopback() && !loopback.contains(nft::on_any(published))) return Meeting::keeps;
  if (!published.address.is_any() || on_any) return Meeting::hidden;
  if (stays_the_hosts(shared)) return Meeting::keeps;
  // To the host's loopback only the host connects, and of a packet that leaves the kernel finds the
  // sender's socket, not the receiver's.
  if (shared.is_loopback() || published.protocol == Protocol::sctp) return Meeting::hidden;
  return Meeting::keeps;
}

// Where the plan's network leaves addresses to others, a process keeps them whatever it is.
void spare_excluded(const nft::Plan& plan, std::vector<HostProcess>& all) {
  for (HostProcess& process : all) {
    const bool is_its = std::any_of(
        plan.translations.begin(), plan.translations.end(),
        [&process](const nft::Translation& one) { return one.published == process.published; });
    if (is_its && process.published.address.is_any() &&
        excludes(plan.chain, process.listener.address))
      process.is_hidden = false;
  }
}

// One for each listener: a socket on [::] may meet a port of both families.
std::vector<HostProcess> hidden_once(const std::vector<HostProcess>& all) {
  std::vector<HostProcess> hidden;
  for (const HostProcess& process : all) {
    const bool is_known = std::any_of(
        hidden.begin(), hidden.end(),
        [&process](const HostProcess& other) { return other.listener == process.listener; });
    if (process.is_hidden && !is_known) hidden.push_back(process);
  }
  return hidden;
}

std::string hides(const HostProcess& process, const char* verb) {
  return to_string(process.published) + " " + verb + " " + name_of(process.listener) +
         ", which listens on " + place_of(process.listener);
}

Error refusal(const nft::Plan& plan, const std::vector<HostProcess>& hidden) {
  std::string text;
  for (std::size_t i = 0; i < std::min(hidden.size(), kProcessesNamed); ++i)
    text += (i == 0 ? "" : "; ") + hides(hidden[i], "would hide");
  if (hidden.size() > kProcessesNamed)
    text += "; and " + std::to_string(hidden.size() - kProcessesNamed) + " more";
  return {ErrorKind::port_taken,
          "cannot publish ports of container " + plan.attachment.container_id,
          text + "; let it listen on another address or port, or choose another host port"};
}

}  // namespace

bool stays_the_hosts(const IpAddress& address) {
  const auto stubs = nft::resolver_stubs();
  return IpPrefix::link_local().contains(address) ||
         std::find(stubs.begin(), stubs.end(), address) != stubs.end();
}

LoopbackPorts reached_by_loopback(std::span<const nft::Plan* const> plans) {
  LoopbackPorts ports;
  for (const nft::Plan* plan : plans)
    for (const nft::Translation& translation : plan->translations) {
      const nft::PublishedPort& port = translation.published;
      if (!nft::loopback_device(*plan, port.address.family()).empty() &&
          nft::is_reachable_by_loopback(port))
        ports.insert(nft::on_any(port));
    }
  return ports;
}

Result<std::vector<host::Listener>> listeners_on(std::span<const nft::PublishedPort> ports) {
  if (ports.empty()) return std::vector<host::Listener>();
  std::vector<host::ListenPort> wanted;
  wanted.reserve(ports.size());
  for (const nft::PublishedPort& port : ports) wanted.push_back({port.protocol, port.port});
  Result<Netlink> sockets = Netlink::open(NETLINK_SOCK_DIAG);
  if (!sockets) return sockets.error();
  return host::find_listeners(*sockets, wanted);
}

std::vector<HostProcess> meetings(std::span<const nft::PublishedPort> ports,
                                  std::span<const host::Listener> listeners,
                                  const LoopbackPorts& loopback) {
  std::multimap<host::ListenPort, const host::Listener*> by_port;
  for (const host::Listener& listener : listeners) by_port.emplace(listener.port, &listener);
  std::vector<HostProcess> all;
  for (const nft::PublishedPort& port : ports) {
    const auto [first, last] = by_port.equal_range({port.protocol, port.port});
    for (auto one = first; one != last; ++one) {
      const Meeting meeting = meeting_of(port, *one->second, loopback);
      if (meeting == Meeting::none) continue;
      all.push_back({port, *one->second, meeting == Meeting::hidden});
    }
  }
  return all;
}

std::vector<HostProcess> host_processes(std::span<const nft::PublishedPort> ports,
                                        std::span<const host::Listener> listeners,
                                        const LoopbackPorts& loopback) {
  std::vector<HostProcess> all = meetings(ports, listeners, loopback);
  std::vector<host::Listener> named;
  named.reserve(all.size());
  for (const HostProcess& process : all) named.push_back(process.listener);
  host::name_processes(named);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].listener = std::move(named[i]);
  std::erase_if(all,
                [](const HostProcess& process) { return process.listener.process == "conmon"; });
  return all;
}

std::string name_of(const host::Listener& listener) {
  if (listener.pid == 0) return "a process that cannot be seen here";
  return "the host's process " + printable(listener.process) + " (pid " +
         std::to_string(listener.pid) + ")";
}

std::string place_of(const host::Listener& listener) {
  return to_string(
      nft::PublishedPort{listener.address, listener.port.protocol, listener.port.port});
}

std::string sentence(const HostProcess& process) {
  if (process.is_hidden) return hides(process, "hides");
  return name_of(process.listener) + " keeps " + place_of(process.listener);
}

Result<std::vector<HostProcess>> hidden_by(std::span<const nft::Plan* const> plans) {
  std::vector<nft::PublishedPort> ports;
  for (const nft::Plan* plan : plans)
    for (const nft::Translation& translation : plan->translations)
      ports.push_back(translation.published);
  const Result<std::vector<host::Listener>> listeners = listeners_on(ports);
  if (!listeners) return listeners.error();
  if (listeners->empty()) return std::vector<HostProcess>();
  std::vector<HostProcess> all = host_processes(ports, *listeners, reached_by_loopback(plans));
  for (const nft::Plan* plan : plans) spare_excluded(*plan, all);
  return hidden_once(all);
}

std::vector<std::string> notes_on(const Result<std::vector<HostProcess>>& hidden) {
  if (!hidden)
    return {hidden.error().message() + "; whether a port hides a process of the host is unknown"};
  std::vector<std::string> notes;
  for (const HostProcess& process : *hidden) notes.push_back(sentence(process));
  return notes;
}

Result<std::vector<std::string>> notes_on_listeners(const nft::Plan& plan,
                                                    config::HostListeners wish) {
  if (wish == config::HostListeners::hidden) return std::vector<std::string>();
  const nft::Plan* const plans[] = {&plan};
  const Result<std::vector<HostProcess>> hidden = hidden_by(plans);
  if (wish == config::HostListeners::noted) return notes_on(hidden);
  if (!hidden) return hidden.error();
  if (!hidden->empty()) return refusal(plan, *hidden);
  return std::vector<std::string>();
}

}  // namespace portmapper::app

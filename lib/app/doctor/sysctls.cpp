// The checks of lib/app/doctor/doctor that judge sysctls: each says what depends on it, and sets
// nothing that would take away more than it gives.

#include <algorithm>
#include <cerrno>
#include <map>

#include "lib/app/doctor/doctor.hpp"
#include "lib/app/doctor/faults.hpp"

namespace portmapper::doctor {
namespace {

// What the host itself alone reaches is not forwarded.
bool needs_forwarding(const RoutedPort& port, Family family) {
  return port.endpoint.address.family() == family && !port.published.address.is_loopback();
}

std::vector<std::string> names_of(const Host& host, Family family) {
  std::vector<std::string> names;
  for (const RoutedPort& port : host.ports)
    if (needs_forwarding(port, family)) names.push_back(to_string(port.published));
  return names;
}

// Of one family, for everybody.
Finding of_forwarding(const Host& host, Family family, const std::string& sysctl) {
  const std::vector<std::string> ports = names_of(host, family);
  const std::string name = family == Family::ipv4 ? "IPv4" : "IPv6";
  Finding finding{ports.empty() ? Finding::Level::note : Finding::Level::problem, sysctl + " is 0"};
  finding.why =
      ports.empty()
          ? "ports published to " + name + " addresses would not answer; none is published now"
          : "the host forwards no " + name + " packet, so " + std::to_string(ports.size()) +
                (ports.size() == 1 ? " published port does" : " published ports do") +
                " not answer anybody but the host itself";
  finding.ports = ports;
  return finding;
}

void cure(Finding& finding, const std::vector<std::string>& assignments) {
  Setting all = setting(assignments);
  finding.command = std::move(all.command);
  finding.keep = std::move(all.keep);
}

// Linux 6.17 has a sysctl that lets single interfaces forward IPv6.
bool is_forced(const Host& host, const std::string& device) {
  const auto found = host.settings.find(device);
  return found != host.settings.end() && found->second.forced6.value_or(0) != 0;
}

bool passes_forced(const Host& host, const RoutedPort& port) {
  return !port.ways.empty() && std::all_of(port.ways.begin(), port.ways.end(), [&](const Way& way) {
    return is_forced(host, way.request.in) && (!way.answer || is_forced(host, way.answer->in));
  });
}

// The interfaces decide, the sysctl for all of them only sets them.
bool is_forwarded4(const Host& host, const RoutedPort& port) {
  return !port.ways.empty() &&
         std::none_of(port.ways.begin(), port.ways.end(), [&](const Way& way) {
           return fault_of(host, way.request) == Fault::unforwarded ||
                  (way.answer && fault_of(host, *way.answer) == Fault::unforwarded);
         });
}

template <typename Passes>
bool all_pass(const Host& host, Family family, Passes passes) {
  bool is_any = false;
  for (const RoutedPort& port : host.ports) {
    if (!needs_forwarding(port, family)) continue;
    is_any = true;
    if (!passes(host, port)) return false;
  }
  return is_any;
}

// RFC 4861 lets a router ignore other routers, and so does the kernel: it drops the routes that it
// heard of the moment that it begins to forward, unless accept_ra is 2.
std::vector<Finding> find_unforwarded6(const Host& host) {
  const std::string sysctl = "net.ipv6.conf.all.forwarding";
  if (host.forwards6.value_or(1) != 0 || all_pass(host, Family::ipv6, passes_forced)) return {};
  Finding finding = of_forwarding(host, Family::ipv6, sysctl);
  std::vector<std::string> assignments;
  for (const std::string& device : host.by_advertisement)
    assignments.push_back(sysctl_of("net.ipv6.conf", device, "accept_ra") + "=2");
  assignments.push_back(sysctl + "=1");
  cure(finding, assignments);
  if (!host.by_advertisement.empty())
    finding.why += "; " + some_of(host.by_advertisement) +
                   (host.by_advertisement.size() == 1 ? " has" : " have") +
                   " the default route from router advertisements, which a host that forwards"
                   " ignores unless accept_ra is 2: that must be set first, or the route is lost";
  return {finding};
}

// What of the bridges' ports does not send back what a container sends to its own published port.
std::vector<Finding> without_hairpin(const Host& host) {
  std::map<std::string, std::vector<std::string>> ends;
  for (const RoutedPort& port : host.ports) {
    const Link link = link_of(host, port);
    if (link.host_end == nullptr || !link.host_end->port || link.host_end->port->hairpin) continue;
    std::vector<std::string>& owners = ends[link.host_end->name];
    if (std::find(owners.begin(), owners.end(), port.owner) == owners.end())
      owners.push_back(port.owner);
  }
  std::vector<Finding> findings;
  findings.reserve(ends.size());
  for (const auto& [end, owners] : ends)
    findings.push_back({Finding::Level::note, "bridge port " + end + " is not in hairpin mode",
                        "so " + some_of(owners) + " does not reach its own published ports",
                        is_plain(end) ? "bridge link set dev " + end + " hairpin on" : "",
                        "\"hairpinMode\": true in the configuration of the bridge plugin, for "
                        "containers to come"});
  return findings;
}

}  // namespace

std::vector<Finding> find_bridge_calls(const Host& host) {
  const bool calls = host.bridge_calls.value_or(0) == 1;
  const bool calls6 = host.bridge_calls6.value_or(0) == 1;
  if (!calls && !calls6) return {};
  const std::string key = "net.bridge.bridge-nf-call-";
  std::vector<std::string> off;
  if (calls) off.push_back(key + "iptables=0");
  if (calls6) off.push_back(key + "ip6tables=0");
  Finding finding{
      Finding::Level::note,
      key +
          (calls && calls6 ? "iptables and -ip6tables are"
                           : std::string(calls ? "iptables" : "ip6tables") + " is") +
          " 1",
      "packets between containers of a bridge pass the forward rules too, and a container"
      " reaches its own published port only if its bridge port is in hairpin mode;" +
          std::string(calls6 ? " the host's ::1 does not reach ports of containers on a bridge;"
                             : "") +
          " kube-proxy needs this setting, this plugin does not"};
  cure(finding, off);
  std::vector<Finding> findings = without_hairpin(host);
  findings.insert(findings.begin(), std::move(finding));
  return findings;
}

std::vector<Finding> find_full_conntrack(const Host& host) {
  constexpr std::int64_t kNearlyFull = 90;  // per cent
  if (!host.connections || host.most_connections.value_or(0) <= 0) return {};
  if (*host.connections * 100 < *host.most_connections * kNearlyFull) return {};
  const bool is_full =
      *host.connections >= *host.most_connections &&
      (host.ports.empty() || !std::all_of(host.ports.begin(), host.ports.end(),
                                          [](const auto& port) { return port.trial.works(); }));
  Finding finding{is_full ? Finding::Level::problem : Finding::Level::note,
                  "the conntrack table is " + std::string(is_full ? "full: " : "nearly full: ") +
                      std::to_string(*host.connections) + " of " +
                      std::to_string(*host.most_connections),
                  "when it is full the kernel drops new connections, including those to published"
                  " ports"};
  cure(finding, {"net.netfilter.nf_conntrack_max=" + std::to_string(*host.most_connections * 2)});
  if (is_full)
    for (const RoutedPort& port : host.ports) finding.ports.push_back(to_string(port.published));
  return {finding};
}

std::string sysctl_of(const std::string& group, const std::string& device, const std::string& key) {
  const std::string dotted = group + "." + device + "." + key;
  if (device.find('.') == std::string::npos) return dotted;
  // sysctl(8) takes '/' for '.', which a device's name may have.
  std::string path = group;
  std::replace(path.begin(), path.end(), '.', '/');
  return path + "/" + device + "/" + key;
}

Setting setting(const std::vector<std::string>& assignments) {
  std::string words;
  std::string lines;
  for (const std::string& assignment : assignments) {
    const std::string name = assignment.substr(0, assignment.find('='));
    if (!is_plain(name)) return {};
    words += " " + assignment;
    lines += (lines.empty() ? "" : ", ") + assignment;
  }
  return {"sysctl -w" + words,
          lines +
              " in /etc/sysctl.d/90-published-ports.conf; without that it is lost at the next"
              " boot"};
}

std::vector<Finding> find_unforwarded(const Host& host, Family family) {
  if (family == Family::ipv6) return find_unforwarded6(host);
  if (host.forwards.value_or(1) == 0) {
    if (all_pass(host, Family::ipv4, is_forwarded4)) return {};
    Finding finding = of_forwarding(host, Family::ipv4, "net.ipv4.ip_forward");
    cure(finding, {"net.ipv4.ip_forward=1"});
    return {finding};
  }
  std::vector<Finding> findings;
  for (const auto& [place, sufferers] : sufferers_of(host)) {
    if (place.fault != Fault::unforwarded) continue;
    Finding finding{sufferers.level, sysctl_of("net.ipv4.conf", place.device, "forwarding") +
                                         " is 0, while other interfaces forward"};
    finding.why =
        "the host forwards nothing that arrives there, so it drops " + packets_of(place, sufferers);
    finding.ports = sufferers.ports;
    cure(finding, {sysctl_of("net.ipv4.conf", place.device, "forwarding") + "=1"});
    findings.push_back(std::move(finding));
  }
  return findings;
}

std::vector<Finding> find_filtered(const Host& host) {
  constexpr std::int64_t kStrict = 1;
  std::vector<Finding> findings;
  for (const auto& [place, sufferers] : sufferers_of(host)) {
    if (place.fault != Fault::filtered) continue;
    const auto found = host.settings.find(place.device);
    const std::string source =
        some_of(place.leg == Leg::request ? sufferers.clients : sufferers.endpoints);
    const bool is_strict =
        found != host.settings.end() && found->second.rp_filter.value_or(0) == kStrict;
    Finding finding{sufferers.level,
                    "rp_filter of " + place.device + " drops " + packets_of(place, sufferers)};
    finding.ports = sufferers.ports;
    if (is_strict) {
      finding.why = "it is strict: it demands that the route to " + source +
                    ", where they come from, leads through the same interface, and it does not";
      cure(finding, {sysctl_of("net.ipv4.conf", place.device, "rp_filter") + "=2"});
    } else {
      finding.why = "there is no route to " + source + ", where they come from; the host needs one";
    }
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace portmapper::doctor

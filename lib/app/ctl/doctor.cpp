#include "lib/app/doctor/doctor.hpp"

#include <net/if.h>

#include <algorithm>
#include <map>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listing.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/devices.hpp"
#include "lib/host/local_addresses.hpp"
#include "lib/host/route_localnet.hpp"
#include "lib/host/sysctl.hpp"
#include "nft/foreign/reader.hpp"
#include "nft/names.hpp"

namespace portmapper {
namespace {

std::vector<RoutedPort> routed(const std::vector<ListedPort>& ports) {
  std::map<IpAddress, std::string> devices;
  std::vector<RoutedPort> result;
  for (const ListedPort& port : ports) {
    if (!port.endpoint) continue;  // `check` reports that
    const auto [device, is_new] = devices.try_emplace(port.endpoint->address);
    if (is_new)
      if (const Result<std::string> found = device_towards(port.endpoint->address))
        device->second = *found;
    result.push_back(
        {port.published, *port.endpoint, {device->second, if_nametoindex(device->second.c_str())}});
  }
  return result;
}

// The kernel goes by the higher of the device's value and that of "all".
std::vector<std::string> strict_devices(const std::vector<RoutedPort>& ports) {
  constexpr std::int64_t kStrict = 1;
  std::vector<std::string> devices;
  for (const RoutedPort& port : ports)
    if (!port.device.name.empty() && port.endpoint.address.family() == Family::ipv4)
      devices.push_back(port.device.name);
  std::sort(devices.begin(), devices.end());
  devices.erase(std::unique(devices.begin(), devices.end()), devices.end());
  const std::int64_t all = read_sysctl("net/ipv4/conf/all/rp_filter").value_or(0);
  std::erase_if(devices, [all](const std::string& device) {
    const auto own = read_sysctl("net/ipv4/conf/" + device + "/rp_filter");
    return std::max(own.value_or(0), all) != kStrict;
  });
  return devices;
}

void read_network(Host& host) {
  host.forwards = read_sysctl("net/ipv4/ip_forward");
  host.forwards6 = read_sysctl("net/ipv6/conf/all/forwarding");
  host.bridge_calls = read_sysctl("net/bridge/bridge-nf-call-iptables");
  host.bridge_calls6 = read_sysctl("net/bridge/bridge-nf-call-ip6tables");
  host.connections = read_sysctl("net/netfilter/nf_conntrack_count");
  host.most_connections = read_sysctl("net/netfilter/nf_conntrack_max");
  host.localnet_devices = devices_with_route_localnet();
}

Status read_tables(Transport& transport, Host& host) {
  const Result<std::vector<ListedPort>> ports = list_ports(transport);
  if (!ports) return ports.error();
  Result<std::vector<IpAddress>> addresses = local_addresses();
  if (!addresses) return addresses.error();
  Result<std::vector<Device>> devices = outer_devices();
  if (!devices) return devices.error();
  const Result<bool> table = has_table(transport);
  if (!table) return table.error();
  const Result<bool> guarded = has_guard(transport);
  if (!guarded) return guarded.error();
  Result<ForeignRuleset> others = read_foreign(transport);
  if (!others) return others.error();
  host.ports = routed(*ports);
  host.addresses = std::move(*addresses);
  host.devices = std::move(*devices);
  host.has_table = *table;
  host.is_guarded = *guarded;
  host.others = std::move(*others);
  host.strict_devices = strict_devices(host.ports);
  return {};
}

Outcome report(const Host& host) {
  const std::vector<Finding> findings = diagnose(host);
  Outcome outcome;
  outcome.out = format(findings);
  const bool has_problem = std::any_of(findings.begin(), findings.end(), [](const Finding& f) {
    return f.level == Finding::Level::problem;
  });
  outcome.status = has_problem ? kProblem : 0;
  return outcome;
}

}  // namespace

Outcome ctl_doctor(const CtlArguments&) {
  Host host;
  host.may_administer = may_administer_network();
  if (!host.may_administer) return report(host);
  read_network(host);
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return ctl_failure(netlink.error());
  const Status rehearsed = rehearse(*netlink, NetworkChain{kSharedChain, {}});
  if (!rehearsed) host.refusal = rehearsed.error().message();
  for (Retry retry; retry.again();) {
    const Status read = read_tables(*netlink, host);
    if (read) return report(host);
    if (!is_moved(read.error().error_number)) return ctl_failure(read.error());
  }
  return ctl_failure(Retry::exhausted());
}

}  // namespace portmapper

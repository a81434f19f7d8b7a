#include "lib/app/doctor/doctor.hpp"

#include <net/if.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "lib/app/ctl/commands.hpp"
#include "lib/app/ctl/listed_processes.hpp"
#include "lib/app/ctl/listing.hpp"
#include "lib/app/ctl/missing.hpp"
#include "lib/app/ctl/service.hpp"
#include "lib/app/ctl/steady_audit.hpp"
#include "lib/app/doctor/read.hpp"
#include "lib/app/exposure.hpp"
#include "lib/app/publish.hpp"
#include "lib/app/retry.hpp"
#include "lib/base/escape.hpp"
#include "lib/host/ipvs.hpp"
#include "lib/host/life_signs.hpp"
#include "lib/host/local_addresses.hpp"
#include "lib/host/route_localnet.hpp"
#include "lib/host/sysctl.hpp"
#include "nft/foreign/legacy_reader.hpp"
#include "nft/foreign/reader.hpp"
#include "nft/names.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::ctl {
namespace {

// What the operator asks about.
struct Complaint {
  std::optional<Service> service;
  std::optional<IpAddress> from;
  bool probes = true;

  [[nodiscard]] bool is_about(const nft::PublishedPort& port) const {
    return (!service || answers(*service, port)) &&
           (!from || from->family() == port.address.family());
  }
};

Result<Complaint> parse_complaint(const Arguments& arguments) {
  Complaint complaint;
  complaint.probes = !arguments.has("--no-probe");
  if (!arguments.words.empty()) {
    const Result<Service> service = parse_service(arguments.words.front());
    if (!service) return service.error();
    complaint.service = *service;
  }
  if (const auto from = arguments.value("--from")) {
    const Result<IpAddress> client = parse_client(*from);
    if (!client) return client.error();
    complaint.from = *client;
  }
  return complaint;
}

using Namespaces = std::map<std::uint64_t, NetworkNamespace>;

// The best of its numbers. None is another's of another kind: ids are counted from 1, inode numbers
// from 0xf0000000, and cookies here from the top.
std::uint64_t number_of(const NetworkNamespace& netns) {
  if (netns.id != 0) return netns.id;
  return netns.cookie != 0 ? ~netns.cookie : netns.inode;
}

std::vector<doctor::RoutedPort> routed(const std::vector<ListedPort>& ports,
                                       const Complaint& complaint, Namespaces& namespaces) {
  std::map<IpAddress, std::string> devices;
  std::vector<doctor::RoutedPort> result;
  for (const ListedPort& port : ports) {
    if (!port.endpoint || port.standby) continue;  // `check` reports the former
    if (!complaint.is_about(port.published)) continue;
    const auto [device, is_new] = devices.try_emplace(port.endpoint->address);
    if (is_new)
      if (const Result<host::Way> way = host::way_to(port.endpoint->address))
        device->second = way->device;
    doctor::RoutedPort found{port.published, *port.endpoint};
    found.device = {device->second, if_nametoindex(device->second.c_str())};
    found.chain = port.chain;
    found.owner = printable(nft::attachment_comment(port.attachment));
    if (!port.netns.path.empty() && port.netns.is_known()) {
      found.netns = number_of(port.netns);
      namespaces.emplace(found.netns, port.netns);
    }
    result.push_back(std::move(found));
  }
  return result;
}

std::vector<std::string> absent_ports(const std::vector<ListedPort>& ports) {
  std::vector<std::string> absent;
  for (const ListedPort& port : ports)
    if (!port.is_here && !port.standby) absent.push_back(to_string(port.published));
  return absent;
}

bool has_family(const std::vector<IpAddress>& addresses, Family family) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [family](const IpAddress& address) { return address.family() == family; });
}

// Ports that take what is sent to the services of the cluster, whose addresses are this host's.
Status read_service_ports(Transport& transport, const std::vector<ListedPort>& ports,
                          doctor::Host& host) {
  host.service_ports.clear();
  host.taken_services.clear();
  if (!host::has_ipvs_device()) return {};
  Result<std::vector<IpAddress>> services = host::addresses_of(host::kIpvsDevice);
  if (!services) return services.error();
  std::erase_if(*services, [](const IpAddress& address) {  // the kernel's own, which no rule sees
    return IpPrefix::link_local().contains(IpPrefix::host(address));
  });
  std::map<std::string, std::vector<IpAddress>> taken;  // by chain
  for (const ListedPort& port : ports) {
    if (!port.published.address.is_any() || port.standby || port.chain.empty()) continue;
    const auto [chain, is_new] = taken.try_emplace(port.chain);
    if (is_new) {
      Result<std::vector<IpAddress>> left =
          nft::read_not_excluded(transport, port.chain, *services);
      if (!left) return left.error();
      chain->second = std::move(*left);
    }
    if (!has_family(chain->second, port.published.address.family())) continue;
    host.service_ports.push_back(to_string(port.published));
    host.taken_services.insert(chain->second.begin(), chain->second.end());
  }
  return {};
}

void read_network(doctor::Host& host) {
  host.forwards = host::read_sysctl("net/ipv4/ip_forward");
  host.forwards6 = host::read_sysctl("net/ipv6/conf/all/forwarding");
  host.bridge_calls = host::read_sysctl("net/bridge/bridge-nf-call-iptables");
  host.bridge_calls6 = host::read_sysctl("net/bridge/bridge-nf-call-ip6tables");
  host.connections = host::read_sysctl("net/netfilter/nf_conntrack_count");
  host.most_connections = host::read_sysctl("net/netfilter/nf_conntrack_max");
}

// The rules of others, and of our own table as anybody would read them.
Status read_rules(Transport& transport, doctor::Host& host) {
  Result<nft::foreign::Ruleset> others = nft::foreign::read_ruleset(transport);
  if (!others) return others.error();
  Result<nft::foreign::Ruleset> own = nft::foreign::read_own_ruleset(transport);
  if (!own) return own.error();
  auto handles = nft::foreign::read_table_handles(transport);
  if (!handles) return handles.error();
  nft::foreign::LegacyTables legacy = nft::foreign::read_legacy();
  others->chains.merge(legacy.chains);
  host.others = std::move(*others);
  host.own = std::move(*own);
  host.table_handles = std::move(*handles);
  host.unread_tables = std::move(legacy.unread);
  return {};
}

// Which of the addresses that portmap translates to no namespace has, as far as that can be proven.
std::set<IpAddress> gone_targets(const nft::foreign::Ruleset& others) {
  const std::set<IpAddress> targets = doctor::portmap_targets(others);
  std::vector<host::LifeTrace> traces;
  traces.reserve(targets.size());
  for (const IpAddress& target : targets) traces.push_back({{}, {target}});
  std::set<IpAddress> gone;
  if (traces.empty()) return gone;  // a look at the whole host costs something
  const std::vector<LifeSigns> signs = host::find_life(traces);
  for (std::size_t i = 0; i < traces.size(); ++i)
    if (signs[i].addresses == AddressState::nowhere) gone.insert(traces[i].addresses.front());
  return gone;
}

// What `check` finds of our own table, apart from what is said of route_localnet and of ::1.
Status read_own_table(Transport& transport, doctor::Host& host) {
  Result<SteadyAudit> steady = audit_steadily(transport);
  if (!steady) return steady.error();
  host.has_table = steady->contents.exists;
  host.exposed_devices = std::move(steady->contents.exposed_devices);
  host.loopback6.clear();
  host.damage.clear();
  host.is_mendable = false;
  for (const Finding& finding : steady->audit.findings) {
    if (finding.kind == Finding::Kind::exposure) continue;  // told by itself
    const bool is_of_loopback6 = finding.kind == Finding::Kind::loopback6;
    (is_of_loopback6 ? host.loopback6 : host.damage).push_back(to_string(finding));
    host.is_mendable = host.is_mendable || (finding.is_mendable && !is_of_loopback6);
  }
  return {};
}

Status read_tables(Transport& transport, const Complaint& complaint, doctor::Host& host) {
  Result<std::vector<ListedPort>> ports = list_ports(transport);
  if (!ports) return ports.error();
  if (const Status found = find_host_processes(transport, *ports); !found) return found;
  Result<std::vector<IpAddress>> addresses = host::local_addresses();
  if (!addresses) return addresses.error();
  if (const Status read = read_own_table(transport, host); !read) return read;
  if (const Status read = read_rules(transport, host); !read) return read;
  host.gone = gone_targets(host.others);
  Namespaces namespaces;
  host.ports = routed(*ports, complaint, namespaces);
  host.processes.clear();
  for (const ListedPort& port : *ports)
    host.processes.insert(host.processes.end(), port.processes.begin(), port.processes.end());
  host.addresses = std::move(*addresses);
  host.absent_ports = absent_ports(*ports);
  if (const Status read = doctor::read_surroundings(host, namespaces, complaint.from); !read)
    return read;
  return read_service_ports(transport, *ports, host);
}

std::map<nft::PublishedPort, std::uint64_t> count_connections(Transport& transport) {
  std::map<nft::PublishedPort, std::uint64_t> counts;
  const Result<std::vector<ListedPort>> ports = list_ports(transport);
  if (!ports) return counts;
  for (const ListedPort& port : *ports)
    if (!port.standby) counts[port.published] = port.connections;
  return counts;
}

// Our rule counts each connection that it translates.
void try_connections(Transport& transport, doctor::Host& host) {
  doctor::try_from_host(host);
  const std::map<nft::PublishedPort, std::uint64_t> before = count_connections(transport);
  doctor::try_from_outside(host);
  const std::map<nft::PublishedPort, std::uint64_t> after = count_connections(transport);
  for (doctor::RoutedPort& port : host.ports) {
    const auto one = before.find(port.published);
    const auto other = after.find(port.published);
    if (one != before.end() && other != after.end())
      port.trial.was_taken = one->second != other->second;
  }
}

Status finish(Transport& transport, const Complaint& complaint, doctor::Host& host) {
  const Result<std::vector<Missing>> all = find_missing(transport);
  if (!all) return all.error();
  host.missing.clear();
  host.unmasqueraded.clear();
  for (const Missing& missing : *all) {
    if (missing.ports.empty() && complaint.service == std::nullopt)
      host.unmasqueraded.push_back(printable(nft::attachment_comment(missing.attachment)));
    if (std::any_of(missing.ports.begin(), missing.ports.end(),
                    [&complaint](const auto& port) { return complaint.is_about(port); }))
      host.missing.push_back(printable(nft::attachment_comment(missing.attachment)));
  }
  if (complaint.probes) try_connections(transport, host);
  return {};
}

app::Outcome report(const doctor::Host& host, const Arguments& arguments) {
  const std::vector<doctor::Finding> findings = doctor::diagnose(host);
  app::Outcome outcome;
  outcome.out = arguments.has("--json") ? doctor::format_json(findings)
                                        : doctor::format(findings, arguments.screen.has_colours);
  const bool has_problem = std::any_of(
      findings.begin(), findings.end(),
      [](const doctor::Finding& f) { return f.level == doctor::Finding::Level::problem; });
  outcome.status = has_problem ? kProblem : 0;
  if (!host.may_administer) outcome.status = kCouldNotLook;
  return outcome;
}

}  // namespace

app::Outcome doctor(const Arguments& arguments) {
  const Result<Complaint> complaint = parse_complaint(arguments);
  if (!complaint) return wrong_usage(complaint.error().message());
  doctor::Host host;
  if (complaint->service)
    host.asked = to_string(*complaint->service) +
                 (complaint->from ? " for clients as " + complaint->from->to_string() : "");
  host.may_administer = host::may_administer_network();
  if (!host.may_administer) return report(host, arguments);
  read_network(host);
  Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return could_not_look(netlink.error());
  const Status tried = app::try_network(*netlink, nft::NetworkChain{nft::kSharedChain, {}});
  if (!tried) host.refusal = tried.error().message();
  for (app::Retry retry; retry.again();) {
    Status read = read_tables(*netlink, *complaint, host);
    if (read) read = finish(*netlink, *complaint, host);
    if (read) return report(host, arguments);
    if (!app::changed_concurrently(read.error().error_number)) return could_not_look(read.error());
  }
  return could_not_look(app::Retry::exhausted());
}

}  // namespace portmapper::ctl

// Doctor: finds what prevents published ports of this host from working.
//
//   Host host;                                   // ctl::doctor reads it
//   std::vector<Finding> findings = diagnose(host);
//   format(findings);
//   // problem  net.ipv4.ip_forward is 0
//   //          why:  the host forwards nothing, so 2 published ports do not answer
//   //          fix:  sysctl -w net.ipv4.ip_forward=1
//   //          keep: net.ipv4.ip_forward=1 in /etc/sysctl.d/90-published-ports.conf; ...
//
// The diagnosis is a pure function of Host, which holds everything that was read (way: the host's
// routes and interfaces; container: what is in its namespace; trial: what a real connection came
// to). A problem prevents a published port from working, or makes it dangerous; a note may do so,
// depending on facts that are not known here. A port that a test connection fails at is in a finding
// at least, if only in one that says that nothing explains it. A command is printed only if every
// name in it is plain, since anybody may have chosen names in the kernel; `keep` says where its
// effect is to be kept, if it does not last. No command takes from a living program what it made.
// Errors: none. Does not examine anything outside this host, or clients behind the container's own
// interface.
// Source: packaging/doc/design.md, "Why each chain sits where it does"; kernel ip-sysctl.rst.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/app/doctor/container.hpp"
#include "lib/app/doctor/trial.hpp"
#include "lib/app/doctor/way.hpp"
#include "lib/app/host_processes.hpp"
#include "lib/base/ip_address.hpp"
#include "lib/host/interfaces.hpp"
#include "nft/foreign/foreign.hpp"
#include "nft/published_port.hpp"

namespace portmapper::doctor {

struct Finding {
  enum class Level : std::uint8_t { ok, note, problem };
  Level level = Level::ok;
  std::string what;
  std::string why{};
  std::string command{};
  std::string keep{};                // whether the command lasts, and where to put it
  std::vector<std::string> ports{};  // that do not work because of it, as nft::to_string has them
  std::string check{};               // that found it, such as "forwarding": diagnose sets it
  bool is_alike = false;             // for all clients, where it depends on what is not known
};

struct RoutedPort {
  nft::PublishedPort published;
  nft::Endpoint endpoint;
  host::Device device{};    // towards the endpoint; without a name: there is no route
  std::string chain{};      // of its network; empty: not known
  std::string owner{};      // "web/abc/eth0"
  std::uint64_t netns = 0;  // a number for Host::insides; 0: none is recorded
  std::vector<Way> ways{};  // one a client
  Trial trial{};
};

// Who is asked about, where the operator names one.
struct Client {
  IpAddress address;
  std::string device{};  // by which its packets come; empty: there is no route
};

struct Host {
  bool may_administer = true;
  std::string refusal{};  // the kernel's, of what an ADD builds; empty: none
  std::vector<RoutedPort> ports{};
  std::vector<app::HostProcess> processes{};  // that listen where a port is published
  std::vector<IpAddress> addresses{};
  std::vector<host::Device> devices{};                         // but lo, where nothing is forwarded
  std::map<std::string, std::vector<std::string>> ports_of{};  // of bridges, bonds, VRFs
  std::vector<std::string> default_devices{};                  // of IPv4's default routes
  std::vector<std::string> default_devices6{};
  std::optional<Client> client{};
  std::optional<IpAddress> lost_client{};    // named by the operator: no way leads there
  std::optional<std::int64_t> forwards{};    // net.ipv4.ip_forward
  std::optional<std::int64_t> forwards6{};   // net.ipv6.conf.all.forwarding
  nft::foreign::Ruleset others{};            // of iptables-legacy too
  std::vector<std::string> unread_tables{};  // of iptables-legacy
  nft::foreign::Ruleset own{};
  std::set<Family> families_by_mark{};                             // whose ip rules look at marks
  std::map<nft::foreign::TableId, std::uint64_t> table_handles{};  // in the order of their making
  std::set<IpAddress> gone{};  // of portmap's targets, those that proven nobody has
  bool has_table = false;
  std::vector<std::string> exposed_devices{};        // route_localnet without the guard
  std::vector<std::string> loopback6{};              // what is wrong about ::1, as `check` says it
  std::optional<std::int64_t> bridge_calls{};        // net.bridge.bridge-nf-call-iptables
  std::optional<std::int64_t> bridge_calls6{};       // and -ip6tables
  std::map<std::string, DeviceSettings> settings{};  // of the devices that packets come by
  std::vector<host::Interface> interfaces{};
  std::vector<host::InterfaceAddress> prefixes{};
  std::map<std::uint64_t, Inside> insides{};    // by RoutedPort::netns
  std::vector<std::string> by_advertisement{};  // whose IPv6 default route forwarding would end
  std::vector<std::string> damage{};            // of our own table, as `check` says it
  bool is_mendable = false;                     // some of that, by check --repair
  std::vector<std::string> missing{};           // attachments that `restore` would publish
  std::vector<std::string> unmasqueraded{};     // or masquerade
  std::string asked{};                          // "8080/tcp"; empty: all ports
  std::optional<std::string> probe{};           // device of the test client; nothing: none was made
  std::map<Family, IpAddress> probe_addresses{};
  std::string probe_refusal{};               // why it could not be made
  std::vector<std::string> absent_ports{};   // on an address that no interface has now
  std::vector<std::string> service_ports{};  // on any address, the cluster's services' too
  std::set<IpAddress> taken_services{};      // the addresses of those
  std::optional<std::int64_t> connections{};
  std::optional<std::int64_t> most_connections{};
};

std::vector<Finding> diagnose(const Host& host);
std::string format(const std::vector<Finding>& findings, bool has_colours = false);
// For programs, as schemas/doctor.schema.json says.
std::string format_json(const std::vector<Finding>& findings);

// The checks that read rules, each with its findings; none if there is no problem.
std::vector<Finding> find_arrival_drops(const Host& host);
std::vector<Finding> find_untracked(const Host& host);
std::vector<Finding> find_forward_drops(const Host& host);
std::vector<Finding> find_departure_drops(const Host& host);
std::vector<Finding> find_earlier_translations(const Host& host);
std::vector<Finding> find_lost_sources(const Host& host);
std::vector<Finding> find_shut_out(const Host& host);
std::vector<Finding> find_portmap_leftovers(const Host& host);
std::vector<Finding> find_unread_tables(const Host& host);
// Where portmap's rules lead, whether the containers are alive or not.
std::set<IpAddress> portmap_targets(const nft::foreign::Ruleset& others);

// The checks of sysctls, of the packets' way, of the containers, and of our own table.
std::vector<Finding> find_bridge_calls(const Host& host);
std::vector<Finding> find_full_conntrack(const Host& host);
std::vector<Finding> find_damage(const Host& host);
std::vector<Finding> find_missing(const Host& host);
std::vector<Finding> find_unforwarded(const Host& host, Family family);
std::vector<Finding> find_filtered(const Host& host);
std::vector<Finding> find_lost_ways(const Host& host);
std::vector<Finding> find_link_faults(const Host& host);
std::vector<Finding> find_container_faults(const Host& host);
// Ports that a test connection fails at, and that no problem of `known` explains.
std::vector<Finding> find_unexplained(const Host& host, const std::vector<Finding>& known);

// "0.0.0.0:8080/tcp, [::]:8080/tcp and 3 more"
std::string some_of(const std::vector<std::string>& names, std::string_view separator = ", ");
// Whether a name can be in a command without quotes.
bool is_plain(std::string_view name);
// The command that sets a sysctl of a device ("net.ipv4.conf.eth0.rp_filter=2"), and where it is to
// be kept. Without a device's plain name: no command.
struct Setting {
  std::string command;
  std::string keep;
};
Setting setting(const std::vector<std::string>& assignments);
std::string sysctl_of(const std::string& group, const std::string& device, const std::string& key);

}  // namespace portmapper::doctor

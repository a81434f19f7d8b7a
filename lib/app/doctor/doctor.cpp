#include "lib/app/doctor/doctor.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "lib/app/columns.hpp"
#include "lib/base/counted.hpp"
#include "lib/host/ipvs.hpp"
#include "lib/json/writer.hpp"

namespace portmapper::doctor {
namespace {

using Findings = std::vector<Finding>;
using Level = Finding::Level;

Findings check_privileges(const Host& host) {
  if (host.may_administer) return {};
  return {{Level::problem, "CAP_NET_ADMIN is missing",
           "without it nothing can be read or published; the other checks were skipped",
           "sudo nft-port-mapperctl doctor"}};
}

Findings check_kernel(const Host& host) {
  if (host.refusal.empty()) return {};
  Finding finding{Level::problem, "the kernel refuses what an ADD builds: " + host.refusal,
                  "no port can be published; nf_tables or one of its modules may be missing",
                  "modprobe -a nf_tables nft_chain_nat nft_ct nft_fib_inet nft_nat nft_masq"};
  if (host.has_table) {
    finding.why =
        "ports of new networks cannot be published; the table holds an object that is not"
        " ours; remove the table with all its ports, and the next ADD builds it again";
    finding.command = "nft-port-mapperctl flush";
  }
  return {finding};
}

Findings check_forwarding4(const Host& host) {
  return find_unforwarded(host, Family::ipv4);
}

Findings check_forwarding6(const Host& host) {
  return find_unforwarded(host, Family::ipv6);
}

Findings check_listeners(const Host& host) {
  std::set<std::string> hidden;
  std::set<std::string> keeping;
  for (const app::HostProcess& process : host.processes) {
    const std::string who = app::name_of(process.listener);
    const std::string where = app::place_of(process.listener);
    if (process.is_hidden)
      hidden.insert(who + " on " + where);
    else if (!process.listener.address.is_loopback())  // there it is in nobody's way
      keeping.insert(who + " keeps " + where);
  }
  Findings findings;
  if (!hidden.empty())
    findings.push_back({Level::note, "hidden: " + some_of({hidden.begin(), hidden.end()}),
                        "a container's port is published there, so connections go to the container"
                        " and not to the process; let it listen on an address of its own, or"
                        " publish the port on another address"});
  if (!keeping.empty())
    findings.push_back({Level::note, some_of({keeping.begin(), keeping.end()}),
                        "a container publishes the port on any address; connections to this one go"
                        " to the process, but for the host's own; publish the port on this address"
                        " if the container is to have it"});
  return findings;
}

Findings check_guard(const Host& host) {
  if (host.exposed_devices.empty()) return {};
  return {{Level::problem,
           "route_localnet is set without the guard on " + some_of(host.exposed_devices),
           "neighbours on such an interface reach services on the host's 127.0.0.1"
           " (CVE-2020-8558)",
           "nft-port-mapperctl check --repair"}};
}

Findings check_loopback6(const Host& host) {
  Findings findings;
  for (const std::string& text : host.loopback6)
    findings.push_back(
        {Level::problem, text,
         "br_netfilter or an interface has changed since the ADD, or somebody removed"
         " the route",
         "nft-port-mapperctl check --repair"});
  return findings;
}

Findings check_addresses(const Host& host) {
  if (host.absent_ports.empty()) return {};
  return {{Level::note,
           "no interface of this host has the address of " + some_of(host.absent_ports),
           "such a port answers once an interface has its address, as a virtual IP that is at"
           " another host now"}};
}

Findings check_services(const Host& host) {
  if (host.service_ports.empty()) return {};
  std::vector<std::string> services;
  for (const IpAddress& service : host.taken_services) services.push_back(service.to_string());
  return {{Level::problem,
           some_of(host.service_ports) + " take the connections to the cluster's services " +
               some_of(services),
           std::string(host::kIpvsDevice) +
               " makes every service address one of this host (CVE-2019-9946); name the cluster's"
               " service prefixes in the key excludeAddresses of the network's configuration, and"
               " start its containers again"}};
}

struct Check {
  std::string_view well;  // "NAME: ", and what is said when there is nothing to find
  Findings (*run)(const Host& host);

  // Programs read it: it stays, whatever else the text says.
  [[nodiscard]] std::string name() const { return std::string(well.substr(0, well.find(": "))); }
};

constexpr std::array kChecks = {
    Check{"privileges: CAP_NET_ADMIN is present", check_privileges},
    Check{"kernel: accepts everything that an ADD builds (inet NAT, concatenations, generation)",
          check_kernel},
    Check{"forwarding: IPv4 packets are forwarded", check_forwarding4},
    Check{"forwarding: IPv6 packets are forwarded", check_forwarding6},
    Check{"arrival: no rule drops packets before their translation", find_arrival_drops},
    Check{"tracking: no rule keeps connections from being tracked", find_untracked},
    Check{"filters: no forward chain drops packets to published ports", find_forward_drops},
    Check{"departure: no rule drops packets behind the forward chains", find_departure_drops},
    Check{"translation: no other table translates a published port first",
          find_earlier_translations},
    Check{"sources: no other table hides the clients' addresses", find_lost_sources},
    Check{"networks: their devices and conditions let clients in", find_shut_out},
    Check{"portmap: left nothing behind", find_portmap_leftovers},
    Check{"iptables-legacy: has no table that cannot be read", find_unread_tables},
    Check{"listeners: no process of the host listens where a port is published", check_listeners},
    Check{"route_localnet: not set without the guard", check_guard},
    Check{"br_netfilter: bridges do not pass frames to the IP rules", find_bridge_calls},
    Check{"::1: reaches the published ports that it can reach", check_loopback6},
    Check{"addresses: the host has those of all published ports", check_addresses},
    Check{"services: ports on any address leave those of the cluster alone", check_services},
    Check{"rp_filter: drops no packet of a published port", find_filtered},
    Check{"conntrack: the table has room", find_full_conntrack},
    Check{"table: `check` finds nothing in it", find_damage},
    Check{"records: no living container's ports are missing", find_missing},
    Check{"links: bridges and veth pairs are up, with one MTU", find_link_faults},
    Check{"routes: lead to every container, and back to its clients", find_lost_ways},
    Check{"containers: have their address, a route back and somebody who listens",
          find_container_faults},
};

// What the checks leave unexplained; without a test client there is nothing to say.
constexpr Check kProbe{"probe: test connections to the published ports show no other failure",
                       nullptr};

std::string_view to_string(Level level) {
  if (level == Level::ok) return "ok";
  return level == Level::note ? "note" : "problem";
}

// Lines of at most `width`, broken at blanks.
std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = text.size();
    if (end - at > width) {
      const std::size_t before = text.rfind(' ', at + width);
      const std::size_t behind = text.find(' ', at + width);
      end = before != std::string::npos && before > at ? before : std::min(behind, text.size());
    }
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

app::Colour colour_of(Level level) {
  if (level == Level::problem) return app::Colour::red;
  return level == Level::note ? app::Colour::yellow : app::Colour::none;
}

constexpr std::size_t kWidth = 84;

void add_text(std::vector<app::Row>& rows, std::string label, const std::string& text) {
  for (const std::string& line : wrapped(text, kWidth - label.size())) {
    rows.push_back({"", label + line});
    label.assign(label.size(), ' ');
  }
}

void add_rows(std::vector<app::Row>& rows, const Finding& finding, bool has_colours) {
  // As wide as the longest, so that the columns do not depend on the findings.
  std::string head(to_string(finding.level));
  head.resize(to_string(Level::problem).size(), ' ');
  for (const std::string& line : wrapped(finding.what, kWidth)) {
    rows.push_back({{head, has_colours ? colour_of(finding.level) : app::Colour::none}, line});
    head.clear();
  }
  add_text(rows, "why:  ", finding.why);
  // On one line, to be copied.
  if (!finding.command.empty()) rows.push_back({"", "fix:  " + finding.command});
  if (!finding.keep.empty()) add_text(rows, "keep: ", finding.keep);
}

}  // namespace

std::vector<Finding> diagnose(const Host& host) {
  std::vector<Finding> findings;
  const auto add = [&findings](const std::string& check, Findings found) {
    for (Finding& finding : found) {
      finding.check = check;
      findings.push_back(std::move(finding));
    }
  };
  for (const Check& check : kChecks) {
    Findings found = check.run(host);
    if (found.empty()) found.push_back({Level::ok, std::string(check.well)});
    add(check.name(), std::move(found));
    if (!host.may_administer) return findings;
  }
  Findings unexplained = find_unexplained(host, findings);
  if (unexplained.empty() && host.probe)
    unexplained.push_back({Level::ok, std::string(kProbe.well)});
  add(kProbe.name(), std::move(unexplained));
  return findings;
}

std::string format(const std::vector<Finding>& findings, bool has_colours) {
  std::vector<app::Row> rows;
  std::size_t problems = 0;
  std::size_t notes = 0;
  for (const Finding& finding : findings) {
    add_rows(rows, finding, has_colours);
    if (finding.level == Level::problem) ++problems;
    if (finding.level == Level::note) ++notes;
  }
  return app::format_columns(std::move(rows)) + "\n" + counted_or_no(problems, "problem") + ", " +
         counted_or_no(notes, "note") + "\n";
}

std::string format_json(const std::vector<Finding>& findings) {
  json::Writer out;
  out.begin_array();
  for (const Finding& finding : findings) {
    out.begin_object()
        .member("check", finding.check)
        .member("level", to_string(finding.level))
        .member("what", finding.what);
    if (!finding.why.empty()) out.member("why", finding.why);
    if (!finding.command.empty()) out.member("fix", finding.command);
    if (!finding.keep.empty()) out.member("keep", finding.keep);
    if (!finding.ports.empty()) {
      out.key("ports").begin_array();
      for (const std::string& port : finding.ports) out.string(port);
      out.end_array();
    }
    out.end_object();
  }
  out.end_array();
  return std::move(out).text() + "\n";
}

std::string some_of(const std::vector<std::string>& names, std::string_view separator) {
  constexpr std::size_t kMost = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i)
    text.append(i == 0 ? "" : separator).append(names[i]);
  if (names.size() > kMost) text += " and " + std::to_string(names.size() - kMost) + " more";
  return text;
}

bool is_plain(std::string_view name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && is_word(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return is_word(c) || c == '-' || c == '.' || c == ':' || c == '/';
         });
}

}  // namespace portmapper::doctor

#include "lib/app/doctor/cures.hpp"

#include <linux/netfilter.h>

#include <algorithm>
#include <array>
#include <set>

namespace portmapper::doctor {
namespace {

using nft::foreign::Chain;
using nft::foreign::Ruleset;
using nft::foreign::TableId;

// Whether a table has a chain that its program names so.
bool has_chain(const Ruleset& others, const TableId& table, std::string_view prefix) {
  return std::any_of(others.chains.begin(), others.chains.end(), [&](const auto& entry) {
    return entry.first.first == table && entry.second.name.starts_with(prefix);
  });
}

// As iptables counts, from 1.
std::size_t number_of(const Ruleset& others, const Chain& base, const std::string& chain,
                      std::uint64_t handle) {
  const auto found = others.chains.find({base.table, chain});
  if (found == others.chains.end()) return 1;
  const std::vector<nft::foreign::Rule>& rules = found->second.rules;
  const auto rule =
      std::find_if(rules.begin(), rules.end(),
                   [handle](const nft::foreign::Rule& one) { return one.handle == handle; });
  return static_cast<std::size_t>(rule - rules.begin()) + 1;
}

}  // namespace

std::string place(const TableId& table, const std::string& chain, std::uint64_t rule) {
  return "table " + to_string(table) + ", chain " + chain + ", rule " +
         (table.is_legacy ? "number " : "handle ") + std::to_string(rule);
}

bool are_plain(const TableId& table, const std::string& chain) {
  return is_plain(table.name) && is_plain(chain);
}

std::string joined(const std::vector<std::string>& texts, const char* between) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : between) + text;
  return all;
}

std::string_view keeper_of(const TableId& table, std::string_view chain) {
  struct Sign {
    std::string_view table;  // its whole name; empty: any
    std::string_view chain;  // how its name begins
    std::string_view keeper;
  };
  constexpr std::array kSigns = {Sign{"kube-proxy", "", "kube-proxy"},
                                 Sign{"", "KUBE-", "kube-proxy"},
                                 Sign{"", "DOCKER", "Docker"},
                                 Sign{"docker-bridges", "", "Docker"},
                                 Sign{"netavark", "", "netavark"},
                                 Sign{"", "NETAVARK-", "netavark"},
                                 Sign{"cni_hostport", "", "portmap"},
                                 Sign{"", "CNI-", "portmap"},
                                 Sign{"io.systemd.nat", "", "systemd"},
                                 Sign{"", "LIBVIRT_", "libvirt"},
                                 Sign{"firewalld", "", "firewalld"},
                                 Sign{"incus", "", "Incus"},
                                 Sign{"lxd", "", "LXD"}};
  const auto* const found = std::find_if(kSigns.begin(), kSigns.end(), [&](const Sign& sign) {
    return sign.table.empty() ? chain.starts_with(sign.chain) : sign.table == table.name;
  });
  return found == kSigns.end() ? std::string_view() : found->keeper;
}

bool is_of_iptables(const Chain& base) {
  constexpr std::array kTables = {"filter", "nat", "mangle", "raw", "security"};
  constexpr std::array kChains = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};
  if (base.table.is_legacy) return true;
  return (base.table.family == NFPROTO_IPV4 || base.table.family == NFPROTO_IPV6) &&
         std::find(kTables.begin(), kTables.end(), base.table.name) != kTables.end() &&
         std::find(kChains.begin(), kChains.end(), base.name) != kChains.end();
}

std::string iptables_of(const TableId& table) {
  // Without it, the command is of the variant that the host prefers.
  const std::string variant = table.is_legacy ? "-legacy" : "-nft";
  return (table.family == NFPROTO_IPV6 ? "ip6tables" : "iptables") + variant + " -t " + table.name;
}

std::string accept_command(const Ruleset& others, const Chain& base, const std::string& chain,
                           std::uint64_t handle, const Wording& match) {
  if (!are_plain(base.table, base.name) || !is_plain(chain)) return {};
  if (is_of_iptables(base)) {
    if (match.iptables.empty()) return {};
    const std::string position =
        handle == 0 ? " -A " + chain
                    : " -I " + chain + " " + std::to_string(number_of(others, base, chain, handle));
    return iptables_of(base.table) + position + " " + match.iptables + " -j ACCEPT";
  }
  if (match.nft.empty()) return {};
  const std::string where = to_string(base.table) + " " + chain;
  return (handle == 0 ? "nft add rule " + where
                      : "nft insert rule " + where + " handle " + std::to_string(handle)) +
         " " + match.nft + " accept";
}

Wording translated_match() {
  return {"ct status dnat", "-m conntrack --ctstate DNAT"};
}

Wording port_match(const std::vector<const RoutedPort*>& ports, bool is_answer, bool by_host_port) {
  constexpr std::size_t kMost = 15;  // of multiport
  std::set<std::uint16_t> numbers;
  std::set<std::string> protocols;
  for (const RoutedPort* port : ports) {
    numbers.insert((by_host_port ? port->published.port : port->endpoint.port).value());
    protocols.insert(std::string(to_string(port->published.protocol)));
  }
  if (numbers.empty() || numbers.size() > kMost || protocols.size() != 1) return {};
  std::vector<std::string> texts;
  texts.reserve(numbers.size());
  for (const std::uint16_t number : numbers) texts.push_back(std::to_string(number));
  const std::string& protocol = *protocols.begin();
  const std::string word = is_answer ? "sport" : "dport";
  if (texts.size() == 1)
    return {protocol + " " + word + " " + texts.front(),
            "-p " + protocol + " --" + word + " " + texts.front()};
  return {protocol + " " + word + " '{ " + joined(texts, ", ") + " }'",
          "-p " + protocol + " -m multiport --" + word + "s " + joined(texts, ",")};
}

std::string keep_of(const Ruleset& others, const Chain& base, Change change) {
  const bool is_iptables = is_of_iptables(base);
  if (change == Change::removed)
    return is_iptables
               ? "it comes back when the host boots, if it is saved: netfilter-persistent save, or"
                 " whatever loads your iptables rules, forgets it"
               : "it comes back when the ruleset is loaded again: take it out of "
                 "/etc/nftables.conf,"
                 " or whatever loads this table";
  if (base.table.name == "firewalld")
    return "firewalld forgets it when it is reloaded; StrictForwardPorts=no in"
           " /etc/firewalld/firewalld.conf, or a policy of its own, lasts";
  if (has_chain(others, base.table, base.table.family == NFPROTO_IPV6 ? "ufw6-" : "ufw-"))
    return std::string("ufw forgets it when it is reloaded; the rule lasts in /etc/ufw/before") +
           (base.table.family == NFPROTO_IPV6 ? "6" : "") + ".rules";
  if (is_iptables)
    return "it lasts until the host boots; netfilter-persistent save, or whatever loads your"
           " iptables rules, keeps it";
  return "it lasts until the ruleset is loaded again; write it into /etc/nftables.conf, or whatever"
         " loads this table";
}

}  // namespace portmapper::doctor

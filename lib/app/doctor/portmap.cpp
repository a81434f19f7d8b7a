// The checks of lib/app/doctor/doctor for what portmap (the CNI project's plugin) has in nf_tables and
// in iptables-legacy, and for tables of the latter that cannot be judged.

#include "nft/foreign/portmap.hpp"

#include <algorithm>
#include <map>

#include "lib/app/doctor/cures.hpp"

namespace portmapper::doctor {
namespace {

using nft::foreign::Chain;
using nft::foreign::Rule;
using nft::foreign::Ruleset;
using nft::foreign::TableId;
using Kind = nft::foreign::Verdict::Kind;

// One container's rules: a chain of its own, or in portmap's table the rules one by one.
bool is_of_one_container(const Chain& chain) {
  return chain.table.name == nft::portmap::kTable ||
         (chain.name.starts_with(nft::portmap::kContainerChains) &&
          !chain.name.starts_with("CNI-DN-MASQ"));
}

struct Leftovers {
  std::vector<std::string> chains{};  // all of portmap's in the table
  std::vector<std::string> dead{};    // chains of containers that are gone
  std::vector<std::pair<std::string, std::uint64_t>> dead_rules{};  // in portmap's own table
  std::size_t others = 0;  // containers, or rules, that live or of which nobody can say

  // What all containers share is left, as after portmap's last DEL, or after adopt.
  [[nodiscard]] bool is_unused() const { return others == 0 && dead.empty() && dead_rules.empty(); }
};

bool is_translation(const Rule& rule) {
  return rule.verdict.kind == Kind::translate;
}

// A rule without a target that can be read may lead to anybody.
bool is_dead(const Host& host, const Rule& rule) {
  return rule.target && host.gone.contains(*rule.target);
}

void sort_out(const Host& host, const Chain& chain, Leftovers& leftovers) {
  leftovers.chains.push_back(chain.name);
  if (!is_of_one_container(chain)) return;
  const auto living = static_cast<std::size_t>(std::count_if(
      chain.rules.begin(), chain.rules.end(),
      [&host](const Rule& rule) { return is_translation(rule) && !is_dead(host, rule); }));
  if (chain.table.name == nft::portmap::kTable) {
    leftovers.others += living;
    for (const Rule& rule : chain.rules)
      if (is_translation(rule) && is_dead(host, rule))
        leftovers.dead_rules.emplace_back(chain.name, rule.handle);
    return;
  }
  const bool has_any = std::any_of(chain.rules.begin(), chain.rules.end(), is_translation);
  if (living == 0 && has_any)
    leftovers.dead.push_back(chain.name);
  else
    ++leftovers.others;
}

// Rules that jump to one of the chains, but for those in these chains themselves.
std::vector<std::pair<std::string, std::uint64_t>> jumps_to(
    const Ruleset& all, const TableId& table, const std::vector<std::string>& chains) {
  const auto is_one = [&chains](const std::string& name) {
    return std::find(chains.begin(), chains.end(), name) != chains.end();
  };
  std::vector<std::pair<std::string, std::uint64_t>> jumps;
  for (const auto& [name, chain] : all.chains) {
    if (name.first != table || is_one(chain.name)) continue;
    for (const Rule& rule : chain.rules)
      if (!rule.verdict.chain.empty() && is_one(rule.verdict.chain))
        jumps.emplace_back(chain.name, rule.handle);
  }
  return jumps;
}

// One batch: nft refuses to delete a chain that something jumps to.
std::string cleaning(const Ruleset& all, const TableId& table,
                     const std::vector<std::string>& chains) {
  const std::string where = to_string(table) + " ";
  std::string text;
  for (const auto& [chain, handle] : jumps_to(all, table, chains)) {
    if (!is_plain(chain)) return {};
    text += "delete rule " + where + chain + " handle " + std::to_string(handle) + "; ";
  }
  for (const char* verb : {"flush chain ", "delete chain "})
    for (const std::string& chain : chains) {
      if (!are_plain(table, chain)) return {};
      text.append(verb).append(where).append(chain).append("; ");
    }
  text.resize(text.size() - 2);
  return "nft '" + text + "'";
}

// Rules have numbers there: those behind a rule move up when it goes, so the last goes first.
std::string legacy_cleaning(const Ruleset& all, const TableId& table,
                            const std::vector<std::string>& chains) {
  const std::string iptables = iptables_of(table);
  auto jumps = jumps_to(all, table, chains);
  std::sort(jumps.begin(), jumps.end(), std::greater<>());
  std::vector<std::string> steps;
  for (const auto& [chain, number] : jumps) {
    if (!is_plain(chain)) return {};
    steps.push_back(iptables + " -D " + chain + " " + std::to_string(number));
  }
  for (const char* option : {" -F ", " -X "})
    for (const std::string& chain : chains) {
      if (!are_plain(table, chain)) return {};
      steps.push_back(iptables + option + chain);
    }
  return joined(steps, " && ");
}

std::string cleaning_of(const Host& host, const TableId& table, const Leftovers& leftovers) {
  const bool is_nobodys = leftovers.others == 0;
  if (leftovers.is_unused())
    return table.is_legacy ? legacy_cleaning(host.others, table, leftovers.chains)
           : table.name == nft::portmap::kTable ? "nft delete table " + to_string(table)
                                                : cleaning(host.others, table, leftovers.chains);
  if (table.name == nft::portmap::kTable && !table.is_legacy) {
    if (is_nobodys && !leftovers.dead_rules.empty()) return "nft delete table " + to_string(table);
    std::vector<std::string> steps;
    for (const auto& [chain, handle] : leftovers.dead_rules) {
      if (!is_plain(chain)) return {};
      steps.push_back("delete rule " + to_string(table) + " " + chain + " handle " +
                      std::to_string(handle));
    }
    return steps.empty() ? std::string() : "nft '" + joined(steps, "; ") + "'";
  }
  if (leftovers.dead.empty()) return {};
  const std::vector<std::string>& chains = is_nobodys ? leftovers.chains : leftovers.dead;
  return table.is_legacy ? legacy_cleaning(host.others, table, chains)
                         : cleaning(host.others, table, chains);
}

Finding finding_of_leftovers(const Host& host, const TableId& table, const Leftovers& leftovers) {
  Finding finding{.level = Finding::Level::note, .what = {}};
  finding.what =
      table.name == nft::portmap::kTable
          ? "table " + to_string(table) + " is portmap's"
          : "table " + to_string(table) + " has chains of portmap: " + some_of(leftovers.chains);
  finding.why =
      "portmap's rules are evaluated before ours: a port in one of them leads to its"
      " container; ";
  const std::size_t dead = leftovers.dead.size() + leftovers.dead_rules.size();
  if (leftovers.is_unused())
    finding.why =
        "it has no container's rules, so it does nothing: if no configuration says"
        " portmap any more, it can go";
  else if (dead == 0)
    finding.why += "none of its containers is proven gone, so leave them to portmap";
  else if (leftovers.others == 0)
    finding.why += "no namespace of this host has the addresses that they lead to";
  else
    finding.why += "no namespace of this host has the addresses that " + std::to_string(dead) +
                   " of them lead" + (dead == 1 ? "s" : "") + " to; the others stay";
  finding.command = cleaning_of(host, table, leftovers);
  return finding;
}

}  // namespace

std::vector<Finding> find_portmap_leftovers(const Host& host) {
  std::map<TableId, Leftovers> found;
  for (const auto& [name, chain] : host.others.chains)
    if (name.first.name == nft::portmap::kTable || nft::foreign::is_portmap_chain(chain.name))
      sort_out(host, chain, found[name.first]);
  std::vector<Finding> findings;
  findings.reserve(found.size());
  for (const auto& [table, leftovers] : found)
    findings.push_back(finding_of_leftovers(host, table, leftovers));
  return findings;
}

std::set<IpAddress> portmap_targets(const Ruleset& others) {
  std::set<IpAddress> targets;
  for (const auto& [name, chain] : others.chains) {
    if (name.first.name != nft::portmap::kTable && !nft::foreign::is_portmap_chain(chain.name))
      continue;
    for (const Rule& rule : chain.rules)
      if (rule.target) targets.insert(*rule.target);
  }
  return targets;
}

std::vector<Finding> find_unread_tables(const Host& host) {
  if (host.unread_tables.empty()) return {};
  return {{Finding::Level::note,
           "iptables-legacy has tables that could not be read: " + some_of(host.unread_tables),
           "packets of published ports pass their rules too, and what these do is not known here:"
           " iptables-legacy-save and ip6tables-legacy-save show them"}};
}

}  // namespace portmapper::doctor

// The checks of lib/app/doctor/doctor that judge other tables' rules.

#include <linux/netfilter.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "lib/app/doctor/doctor.hpp"
#include "lib/app/doctor/packets.hpp"
#include "nft/netlink_message.hpp"
#include "nft/ruleset.hpp"

namespace portmapper::doctor {
namespace {

using Level = Finding::Level;

bool is_of_family(const nft::foreign::Chain& chain, Family family) {
  return chain.table.family == NFPROTO_INET || chain.table.family == nft::protocol_family(family);
}

std::string place(const nft::foreign::TableId& table, const std::string& chain,
                  std::uint64_t rule) {
  return "table " + to_string(table) + ", chain " + chain + ", rule handle " + std::to_string(rule);
}

bool are_plain(const nft::foreign::TableId& table, const std::string& chain) {
  return is_plain(table.name) && is_plain(chain);
}

std::string joined(const std::vector<std::string>& texts, const char* between) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : between) + text;
  return all;
}

// Where packets of published ports end in one base chain.
struct Culprit {
  bool is_certain = true;
  std::string ending{};  // " where iifname "wlan0"", " except where ..."
  bool are_answers = false;
  nft::foreign::Verdict::Kind kind = nft::foreign::Verdict::Kind::drop;
  std::string chain;
  std::uint64_t handle = 0;

  auto key() const { return std::tie(chain, handle, are_answers, kind, is_certain, ending); }
  bool operator<(const Culprit& other) const { return key() < other.key(); }
};
using Culprits = std::map<Culprit, std::vector<std::string>>;  // with the ports

bool eats(const nft::foreign::End& end) {
  return end.kind == nft::foreign::Verdict::Kind::drop ||
         end.kind == nft::foreign::Verdict::Kind::reject ||
         end.kind == nft::foreign::Verdict::Kind::queue;
}

// True: none of the packets comes through.
bool collect(const std::vector<nft::foreign::End>& ends, const std::string& port, bool are_answers,
             Culprits& culprits) {
  std::vector<std::string> passing;
  for (const nft::foreign::End& end : ends) {
    const bool is_last = &end == &ends.back();
    if (!eats(end)) {
      if (!is_last) passing.push_back(joined(end.doubts, " and "));
      continue;
    }
    Culprit culprit{
        .are_answers = are_answers, .kind = end.kind, .chain = end.chain, .handle = end.handle};
    culprit.is_certain =
        is_last && passing.empty() && end.kind != nft::foreign::Verdict::Kind::queue;
    if (!is_last)
      culprit.ending = " where " + joined(end.doubts, " and ");
    else if (!passing.empty())
      culprit.ending = " except where " + joined(passing, " or where ");
    std::vector<std::string>& ports = culprits[culprit];
    if (std::find(ports.begin(), ports.end(), port) == ports.end()) ports.push_back(port);
  }
  return passing.empty() && eats(ends.back());
}

// iptables cannot read a table any more that has rules it could not have written.
bool is_of_iptables(const nft::foreign::Chain& base) {
  return base.name == "FORWARD" && base.table.family != NFPROTO_INET &&
         (base.table.name == "filter" || base.table.name == "mangle" ||
          base.table.name == "security");
}

std::string accepting(const nft::foreign::Chain& base, const Culprit& culprit) {
  if (is_of_iptables(base))
    return std::string(base.table.family == NFPROTO_IPV4 ? "iptables" : "ip6tables") + " -t " +
           base.table.name + " -I FORWARD -m conntrack --ctstate DNAT -j ACCEPT";
  if (!are_plain(base.table, culprit.chain)) return {};
  const std::string where = to_string(base.table) + " " + culprit.chain;
  const std::string rule = culprit.handle == 0 ? "nft add rule " + where
                                               : "nft insert rule " + where + " handle " +
                                                     std::to_string(culprit.handle);
  return rule + " ct status dnat accept";
}

std::string verb(nft::foreign::Verdict::Kind kind) {
  if (kind == nft::foreign::Verdict::Kind::queue) return "queues";
  return kind == nft::foreign::Verdict::Kind::reject ? "rejects" : "drops";
}

Finding finding_of(const nft::foreign::Chain& base, const Culprit& culprit,
                   const std::vector<std::string>& ports) {
  Finding finding;
  finding.level = culprit.is_certain ? Level::problem : Level::note;
  finding.what =
      culprit.handle == 0
          ? "table " + to_string(base.table) + ", chain " + base.name + " (handle " +
                std::to_string(base.handle) + "): its policy drops "
          : place(base.table, culprit.chain, culprit.handle) + ": " + verb(culprit.kind) + " ";
  finding.what +=
      (culprit.are_answers ? "replies from " : "packets to ") + some_of(ports) + culprit.ending;
  if (culprit.kind == nft::foreign::Verdict::Kind::queue)
    finding.why =
        "the decision of the program that reads the queue is not known here; this bypasses"
        " it:";
  else if (culprit.is_certain)
    finding.why =
        culprit.are_answers
            ? "connections reach the container, but nothing comes back"
            : "no earlier rule accepts translated connections, and connections to published ports"
              " are translated";
  else
    finding.why =
        "it depends on the client, or on a condition that the doctor does not know; if the"
        " rule is not meant for published ports, this accepts every translated connection:";
  finding.command = accepting(base, culprit);
  finding.ports = ports;
  return finding;
}

}  // namespace

std::vector<Finding> find_forward_drops(const Host& host) {
  std::vector<Finding> findings;
  for (const auto& [name, chain] : host.others.chains) {
    if (!chain.hook || chain.hook->number != NF_INET_FORWARD) continue;
    Culprits culprits;
    for (const RoutedPort& port : host.ports) {
      if (!is_of_family(chain, port.endpoint.address.family())) continue;
      const std::string text = to_string(port.published);
      if (collect(nft::foreign::walk(host.others, chain, first_packet(port, host.devices)), text,
                  false, culprits))
        continue;
      collect(nft::foreign::walk(host.others, chain, answer_packet(port, host.devices)), text, true,
              culprits);
    }
    for (const auto& [culprit, ports] : culprits)
      findings.push_back(finding_of(chain, culprit, ports));
  }
  return findings;
}

namespace {

// A rule of others that translates published ports.
struct Taker {
  nft::foreign::TableId table;
  std::string chain;
  std::uint64_t handle = 0;
  std::string ending;
  bool is_certain = true;
  std::string command;

  auto operator<=>(const Taker&) const = default;
};

struct Taken {
  std::string base;
  std::int32_t priority = 0;
  std::vector<std::string> ports;
};

// Deletes the one port where that is possible, otherwise the rule that names it.
std::string taking_out(const nft::foreign::TableId& table, const nft::foreign::End& end) {
  const std::string chain = end.port ? end.port->chain : end.chain;
  if (end.port && !end.port->set.empty() && end.port->element) {
    const std::string& element = *end.port->element;
    const bool is_harmless = std::all_of(element.begin(), element.end(), [](char c) {
      return is_plain(std::string("a") + c) || c == ' ' || c == '"' || c == '*';
    });
    if (!is_harmless || !are_plain(table, end.port->set)) return {};
    return "nft delete element " + to_string(table) + " " + end.port->set + " '{ " + element +
           " }'";
  }
  // A named set whose elements cover more than this port: its author must decide.
  if (!are_plain(table, chain) || (end.port && !end.port->set.empty())) return {};
  return "nft delete rule " + to_string(table) + " " + chain + " handle " +
         std::to_string(end.port ? end.port->handle : end.handle);
}

bool translates_before_us(const nft::foreign::Chain& chain) {
  return chain.hook && chain.hook->type == "nat" &&
         chain.hook->priority <= nft::kTranslationPriority &&
         (chain.hook->number == NF_INET_PRE_ROUTING || chain.hook->number == NF_INET_LOCAL_OUT);
}

void collect_takers(const Host& host, const nft::foreign::Chain& base,
                    std::map<Taker, Taken>& takers) {
  for (const RoutedPort& port : host.ports) {
    if (!is_of_family(base, port.published.address.family())) continue;
    const nft::foreign::Packet packet = arriving_packet(port.published, host.addresses);
    for (const nft::foreign::End& end : nft::foreign::walk(host.others, base, packet)) {
      if (end.kind != nft::foreign::Verdict::Kind::translate) continue;
      Taker taker{base.table, end.chain, end.handle, {}, true, taking_out(base.table, end)};
      taker.is_certain = end.port || end.doubts.empty();
      if (!end.doubts.empty()) taker.ending = " where " + joined(end.doubts, " and ");
      Taken& taken = takers[taker];
      if (taken.base.empty()) taken = {base.name, base.hook->priority, {}};
      const std::string text = to_string(port.published);
      if (std::find(taken.ports.begin(), taken.ports.end(), text) == taken.ports.end())
        taken.ports.push_back(text);
    }
  }
}

}  // namespace

std::vector<Finding> find_earlier_translations(const Host& host) {
  std::map<Taker, Taken> takers;
  for (const auto& [name, chain] : host.others.chains)
    if (translates_before_us(chain)) collect_takers(host, chain, takers);
  std::vector<Finding> findings;
  for (const auto& [taker, taken] : takers) {
    Finding finding;
    finding.level = taker.is_certain ? Level::problem : Level::note;
    finding.what = place(taker.table, taker.chain, taker.handle) + ": translates " +
                   some_of(taken.ports) + taker.ending;
    finding.why = "chain " + taken.base + " of that table has priority " +
                  std::to_string(taken.priority) + ", ours have " +
                  std::to_string(nft::kTranslationPriority) +
                  ": connections go where that rule says, not to our container";
    // Of chains at one priority, the kernel asks the newest first.
    if (taken.priority == nft::kTranslationPriority)
      finding.why += ", unless our table was made after that one";
    if (!taker.is_certain)
      finding.why += "; its conditions depend on the client, or the doctor does not know them";
    finding.command = taker.command;
    finding.ports = taken.ports;
    findings.push_back(std::move(finding));
  }
  return findings;
}

namespace {

bool is_of_portmap(const std::string& chain) {
  return chain.starts_with("CNI-HOSTPORT-") || chain.starts_with("CNI-DN-");
}

// One batch: nft refuses to delete a chain that something jumps to.
std::string cleaning(const nft::foreign::Ruleset& all, const nft::foreign::TableId& table,
                     const std::vector<std::string>& chains) {
  const std::string where = to_string(table) + " ";
  std::string text;
  for (const auto& [name, chain] : all.chains) {
    if (name.first != table || is_of_portmap(chain.name)) continue;
    for (const nft::foreign::Rule& rule : chain.rules) {
      if (!is_of_portmap(rule.verdict.chain)) continue;
      if (!is_plain(chain.name)) return {};
      text += "delete rule " + where + chain.name + " handle " + std::to_string(rule.handle) + "; ";
    }
  }
  for (const char* verb : {"flush chain ", "delete chain "})
    for (const std::string& chain : chains) {
      if (!are_plain(table, chain)) return {};
      text.append(verb).append(where).append(chain).append("; ");
    }
  text.resize(text.size() - 2);
  return "nft '" + text + "'";
}

}  // namespace

std::vector<Finding> find_portmap_leftovers(const Host& host) {
  constexpr char kItsTable[] = "cni_hostport";
  const std::string why =
      "portmap's rules are evaluated before ours: a port in one of them still leads to its"
      " old container; delete them when portmap no longer publishes any container of this"
      " host";
  std::map<nft::foreign::TableId, std::vector<std::string>> found;
  for (const auto& [name, chain] : host.others.chains)
    if (name.first.name == kItsTable || is_of_portmap(chain.name))
      found[name.first].push_back(chain.name);
  std::vector<Finding> findings;
  for (const auto& [table, chains] : found) {
    const bool is_its_table = table.name == kItsTable;
    findings.push_back(
        {Level::note,
         is_its_table ? "table " + to_string(table) + " is portmap's"
                      : "table " + to_string(table) + " has chains of portmap: " + some_of(chains),
         why,
         is_its_table ? "nft delete table " + to_string(table)
                      : cleaning(host.others, table, chains)});
  }
  return findings;
}

}  // namespace portmapper::doctor

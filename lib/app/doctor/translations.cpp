// The checks of lib/app/doctor/doctor for other tables that translate what is published: its
// destination, before ours do, or the clients' addresses behind us.

#include <linux/netfilter.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "lib/app/doctor/cures.hpp"
#include "lib/app/doctor/packets.hpp"
#include "lib/app/doctor/passing.hpp"
#include "nft/names.hpp"
#include "nft/netlink_message.hpp"
#include "nft/ruleset.hpp"

namespace portmapper::doctor {
namespace {

using nft::foreign::Chain;
using nft::foreign::End;
using nft::foreign::TableId;
using Kind = nft::foreign::Verdict::Kind;

// A rule of others that translates published ports.
struct Taker {
  const Chain* base = nullptr;
  std::string chain;
  std::uint64_t handle = 0;
  std::string ending{};
  bool is_certain = true;
  std::string command{};
  std::string_view keeper{};

  auto key() const {
    return std::tie(base->table, chain, handle, ending, is_certain, command, keeper);
  }
  bool operator<(const Taker& other) const { return key() < other.key(); }
};

// Deletes the one port where that is possible, otherwise the rule that names it.
std::string taking_out(const TableId& table, const End& end) {
  const std::string& chain = end.port ? end.port->chain : end.chain;
  const std::uint64_t handle = end.port ? end.port->handle : end.handle;
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
  if (table.is_legacy) return iptables_of(table) + " -D " + chain + " " + std::to_string(handle);
  return "nft delete rule " + to_string(table) + " " + chain + " handle " + std::to_string(handle);
}

bool translates_before_us(const Chain& chain) {
  return chain.hook && chain.hook->type == "nat" &&
         chain.hook->priority <= nft::kTranslationPriority &&
         chain.table.family != NFPROTO_BRIDGE &&
         (chain.hook->number == NF_INET_PRE_ROUTING || chain.hook->number == NF_INET_LOCAL_OUT);
}

// Of two chains of one priority, the kernel asks the one that was made last. Ours is as old as its
// table if it was among the first objects there; a chain that was made again has a higher number
// than all that the first batch made.
bool is_asked_first(const Host& host, const Chain& other) {
  constexpr std::uint64_t kFirstObjects = 40;
  const TableId own{NFPROTO_INET, nft::kTable};
  const auto base = host.own.chains.find(
      {own, other.hook->number == NF_INET_PRE_ROUTING ? nft::kPrerouting : nft::kOutput});
  const auto ours = host.table_handles.find(own);
  const auto theirs = host.table_handles.find(other.table);
  return base != host.own.chains.end() && ours != host.table_handles.end() &&
         theirs != host.table_handles.end() && base->second.handle <= kFirstObjects &&
         theirs->second > ours->second;
}

// Whether a deletion takes from nobody who is alive.
bool may_be_deleted(const Host& host, const Taker& taker, const End& end) {
  if (taker.keeper.empty()) return true;
  return taker.keeper == "portmap" && end.target && host.gone.contains(*end.target);
}

class Takers {
 public:
  explicit Takers(const Host& host) : host_(host) {}

  void see(const Chain& base) {
    for (const RoutedPort& port : host_.ports) {
      const Family family = port.published.address.family();
      if (base.table.family != NFPROTO_INET && base.table.family != nft::protocol_family(family))
        continue;
      if (base.hook->number == NF_INET_LOCAL_OUT) {
        see_packet(base, port, arriving_packet(port.published, host_.addresses), false);
        continue;
      }
      for (const Clients clients : {Clients::main, Clients::all})
        for (const Passing& passing : passings(host_, base, port, clients))
          see_packet(base, port, passing.packet, clients == Clients::main);
    }
  }

  [[nodiscard]] std::vector<Finding> findings() const {
    std::vector<Finding> findings;
    for (const auto& [taker, ports] : takers_) findings.push_back(finding_of(taker, ports));
    return findings;
  }

 private:
  using Ports = std::vector<std::string>;

  // What does not come from the main clients is told of where these are not concerned.
  void see_packet(const Chain& base, const RoutedPort& port, const nft::foreign::Packet& packet,
                  bool is_main) {
    for (const End& end : walk(host_.others, base, packet))
      if (end.kind == Kind::translate) add(base, port, end, is_main);
  }

  void add(const Chain& base, const RoutedPort& port, const End& end, bool is_main) {
    Taker taker{.base = &base, .chain = end.chain, .handle = end.handle};
    // Some of the host's addresses are enough; what depends on the client may concern nobody.
    taker.is_certain = !end.is_open && is_main;
    if (base.hook->priority == nft::kTranslationPriority)
      taker.is_certain = taker.is_certain && is_asked_first(host_, base);
    if (!end.doubts.empty()) taker.ending = " where " + joined(end.doubts, " and ");
    taker.keeper = keeper_of(base.table, end.chain);
    if (taker.keeper.empty() && end.port) taker.keeper = keeper_of(base.table, end.port->chain);
    if (may_be_deleted(host_, taker, end)) taker.command = taking_out(base.table, end);
    if (!is_main && is_told(taker, port)) return;
    Ports& ports = takers_[taker];
    const std::string text = to_string(port.published);
    if (ports.empty() || ports.back() != text) ports.push_back(text);
  }
  [[nodiscard]] bool is_told(const Taker& taker, const RoutedPort& port) const {
    return std::any_of(takers_.begin(), takers_.end(), [&](const auto& entry) {
      const auto& [told, ports] = entry;
      return told.base->table == taker.base->table && told.chain == taker.chain &&
             told.handle == taker.handle &&
             std::find(ports.begin(), ports.end(), to_string(port.published)) != ports.end();
    });
  }

  [[nodiscard]] Finding finding_of(const Taker& taker, const Ports& ports) const {
    const nft::foreign::Hook& hook = *taker.base->hook;
    const bool is_equal = hook.priority == nft::kTranslationPriority;
    const bool is_output = hook.number == NF_INET_LOCAL_OUT;
    Finding finding;
    finding.level = taker.is_certain ? Finding::Level::problem : Finding::Level::note;
    finding.ports = ports;
    finding.what = place(taker.base->table, taker.chain, taker.handle) + ": translates " +
                   some_of(ports) + taker.ending;
    finding.why = "chain " + taker.base->name + " of that table has priority " +
                  std::to_string(hook.priority) + ", ours have " +
                  std::to_string(nft::kTranslationPriority) + ": " +
                  (is_output ? "the host's own connections" : "connections") +
                  " go where that rule says, not to our container";
    if (is_equal)
      finding.why +=
          is_asked_first(host_, *taker.base)
              ? "; of chains of one priority the one made last is asked first, and"
                " that table was made after ours"
              : ", if it was made after ours: of chains of one priority the one made last"
                " is asked first";
    if (!taker.is_certain && !taker.ending.empty())
      finding.why += "; its conditions depend on the client, or the doctor does not know them";
    if (!taker.keeper.empty() && taker.command.empty())
      finding.why += "; it is " + std::string(taker.keeper) +
                     "'s, so publish the container on another port, or end there what has this one";
    finding.command = taker.command;
    if (!finding.command.empty() && taker.keeper.empty())
      finding.keep = keep_of(host_.others, *taker.base, Change::removed);
    return finding;
  }

  const Host& host_;
  std::map<Taker, Ports> takers_{};
};

// Whether our own table masquerades whatever the client is, as with masqAll.
bool masquerades_all(const Host& host, const RoutedPort& port) {
  const auto chain = host.own.chains.find({TableId{NFPROTO_INET, nft::kTable}, nft::kPostrouting});
  if (chain == host.own.chains.end()) return false;
  const std::string pairs = "@" + nft::hairpin_set(port.endpoint.address.family());
  const Point point{.is_translated = true, .has_output = true};
  const std::vector<End> ends =
      walk(host.own, chain->second,
           packet_at(host, port, point, client_devices(host, port, Clients::main)));
  return std::any_of(ends.begin(), ends.end(), [&pairs](const End& end) {
    return end.kind == Kind::masquerade &&
           std::none_of(end.doubts.begin(), end.doubts.end(),
                        [&pairs](const std::string& doubt) { return doubt.ends_with(pairs); });
  });
}

}  // namespace

std::vector<Finding> find_earlier_translations(const Host& host) {
  Takers takers(host);
  for (const std::uint32_t hook : {NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT})
    for (const auto& [name, chain] : host.others.chains)
      if (translates_before_us(chain) && chain.hook->number == hook) takers.see(chain);
  return takers.findings();
}

std::vector<Finding> find_lost_sources(const Host& host) {
  std::map<std::tuple<TableId, std::string, std::uint64_t>, std::vector<std::string>> rules;
  for (const auto& [name, chain] : host.others.chains) {
    if (stretch_of(chain) != Stretch::behind || chain.hook->type != "nat") continue;
    for (const RoutedPort& port : host.ports) {
      for (const Passing& passing : passings(host, chain, port, Clients::main))
        for (const End& end : walk(host.others, chain, passing.packet))
          // What depends on the client means others than the clients of published ports, as a rule:
          // what the containers themselves send.
          if (end.kind == Kind::masquerade && !end.is_open && !masquerades_all(host, port))
            rules[{chain.table, end.chain, end.handle}].push_back(to_string(port.published));
    }
  }
  std::vector<Finding> findings;
  for (auto& [rule, ports] : rules) {
    const auto& [table, chain, handle] = rule;
    Finding finding{.level = Finding::Level::note, .what = {}};
    finding.what = place(table, chain, handle) + ": hides who connects to " + some_of(ports);
    finding.why =
        "it masquerades what goes to the containers, so they see an address of this host in place "
        "of"
        " the client's; a condition on the outgoing interface (oifname) or the source would leave"
        " published ports alone";
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace portmapper::doctor

#include "lib/app/adopt/way.hpp"

#include <linux/netfilter.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
#include <tuple>

#include "lib/app/doctor/packets.hpp"
#include "nft/netlink_message.hpp"
#include "nft/ruleset.hpp"

namespace portmapper::adopt {
namespace {

using nft::foreign::Chain;
using nft::foreign::End;
using nft::foreign::PacketField;
using nft::foreign::PortmapPart;
using nft::foreign::Rule;
using nft::foreign::Ruleset;
using nft::foreign::TableId;
using nft::portmap::RuleAt;
using Kind = nft::foreign::Verdict::Kind;

// Stands for all rules of a container where they are entered. No rule has that handle.
constexpr std::uint64_t kStandIn = std::numeric_limits<std::uint64_t>::max();

constexpr std::uint32_t kHooks[] = {NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT};

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : " and ") + text;
  return all;
}

std::string place_of(const TableId& table, const End& end) {
  if (end.handle == 0) return "the policy of chain " + to_string(table) + " " + end.chain;
  return "rule " + to_string(table) + " " + end.chain +
         (table.is_legacy ? " number " : " handle ") + std::to_string(end.handle);
}

std::string where(const End& end) {
  return end.doubts.empty() ? std::string() : ", where " + joined(end.doubts) + ",";
}

// The last rule by which packets get to a container: behind those of single addresses.
std::optional<RuleAt> entry_of(const PortmapPart& part) {
  std::optional<RuleAt> entry;
  for (const char* chain :
       {nft::portmap::kEntryChain, nft::portmap::kAddressPorts, nft::portmap::kPorts})
    for (const RuleAt& rule : part.removal.rules)
      if (rule.chain == chain) entry = rule;
  return entry;
}

bool is_asked_before_us(const Chain& chain, std::uint32_t hook, Family family) {
  return chain.hook && chain.hook->type == "nat" && chain.hook->number == hook &&
         chain.hook->priority <= nft::kTranslationPriority &&
         (chain.table.family == NFPROTO_INET || chain.table.family == nft::protocol_family(family));
}

}  // namespace

Ways::Ways(const Ruleset& all, const std::vector<PortmapPart>& parts,
           std::vector<IpAddress> addresses)
    : addresses_(std::move(addresses)), bare_(all) {
  std::set<RuleAt> own;
  for (const PortmapPart& part : parts)
    own.insert(part.removal.rules.begin(), part.removal.rules.end());
  for (auto& [name, chain] : bare_.chains) {
    if (chain.table.is_legacy) continue;
    std::vector<Rule> others;
    for (Rule& rule : chain.rules) {
      const RuleAt place{chain.table.family, chain.table.name, chain.name, rule.handle};
      if (own.contains(place))
        places_[place] = others.size();
      else
        others.push_back(std::move(rule));
    }
    chain.rules = std::move(others);
  }
}

// Of packets to all ports at once first, which are thousands where a range is published.
template <typename Judge>
std::string Ways::first_of(const PortmapPart& part, const Judge& judge) const {
  std::map<std::pair<IpAddress, Protocol>, bool> clear;
  for (const auto& [published, endpoint] : part.mappings) {
    Packet packet = doctor::arriving_packet(published, addresses_);
    packet.forget(PacketField::sport);
    const auto [known, is_new] = clear.try_emplace({published.address, published.protocol});
    if (is_new) {
      Packet to_any = packet;
      to_any.forget(PacketField::dport);
      known->second = judge(to_any, published).empty();
    }
    if (known->second) continue;
    if (std::string why = judge(packet, published); !why.empty()) return why;
  }
  return {};
}

std::string Ways::why_restricted(const PortmapPart& part, const Packet& packet,
                                 const std::string& port) const {
  constexpr char kWhatToDo[] =
      ", which ours would not obey: write it into the network's configuration (conditionsV4,"
      " conditionsV6), or into a chain that filters, and take it away there";
  for (const std::uint32_t hook : kHooks) {
    bool is_reached = false;
    for (const auto& [name, chain] : bare_.chains) {
      if (name.first != part.table || !chain.hook || chain.hook->number != hook) continue;
      const std::vector<End> ends = walk(bare_, chain, packet);
      const auto own = std::find_if(ends.begin(), ends.end(),
                                    [](const End& end) { return end.handle == kStandIn; });
      if (own == ends.end()) continue;
      is_reached = true;
      if (own != ends.begin())
        return place_of(part.table, ends.front()) + " is not portmap's, and decides before it" +
               where(ends.front()) + " about packets to " + port + kWhatToDo;
      if (!own->doubts.empty())
        return "of packets to " + port + " only those get to portmap's rule in chain " +
               to_string(part.table) + " " + own->chain +
               " for which holds: " + joined(own->doubts) + kWhatToDo;
    }
    if (!is_reached)
      return "no packets to " + port + " get to portmap's rule for it, as far as can be seen";
  }
  return {};
}

std::string Ways::why_taken(const Packet& packet, const nft::PublishedPort& port) const {
  for (const std::uint32_t hook : kHooks)
    for (const auto& [name, chain] : bare_.chains) {
      if (!is_asked_before_us(chain, hook, port.address.family())) continue;
      for (const End& end : walk(bare_, chain, packet))
        if (end.kind == Kind::translate)
          return place_of(chain.table, end) + " is not portmap's, and would get " +
                 to_string(port) + where(end) +
                 " since it is asked before ours: remove one of the"
                 " two";
    }
  return {};
}

std::string Ways::why_not(const PortmapPart& part) {
  const std::optional<RuleAt> entry = entry_of(part);
  if (!entry || part.table.is_legacy) return {};
  std::vector<Rule>& rules = bare_.chains.at({part.table, entry->chain}).rules;
  const std::size_t place = places_.at(*entry);
  const auto at = [&] { return std::next(rules.begin(), static_cast<std::ptrdiff_t>(place)); };
  rules.insert(at(), Rule{.handle = kStandIn, .verdict = {Kind::translate}});
  std::string why = first_of(part, [&](const Packet& packet, const nft::PublishedPort& port) {
    return why_restricted(part, packet, to_string(port));
  });
  rules.erase(at());
  if (!why.empty()) return why;
  return first_of(part, [&](const Packet& packet, const nft::PublishedPort& port) {
    return why_taken(packet, port);
  });
}

}  // namespace portmapper::adopt

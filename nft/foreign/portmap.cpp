#include "nft/foreign/portmap.hpp"

#include <linux/netfilter.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "nft/key.hpp"

namespace portmapper::nft::foreign {
namespace {

using Kind = Verdict::Kind;

// Which packets a rule is about, as far as portmap's rules say it.
struct Asked {
  std::optional<Protocol> protocol{};
  std::set<Port> ports{};
  bool is_from_some = false;  // not from every source
  std::optional<IpAddress> destination{};
  bool is_local = false;  // to an address of this host
  bool is_more = false;   // something else is asked, too
};

std::optional<Blob> one_value(const Condition& condition) {
  if (condition.inverted || condition.values.size() != 1 || condition.key.size() != 1)
    return std::nullopt;
  const Element& value = condition.values.front();
  return value.first == value.last ? std::optional(value.first) : std::nullopt;
}

std::optional<IpAddress> address_of(const Blob& value) {
  if (value.size() == address_length(Family::ipv4))
    return IpAddress::from_bytes(Family::ipv4, value.data());
  if (value.size() == address_length(Family::ipv6))
    return IpAddress::from_bytes(Family::ipv6, value.data());
  return std::nullopt;
}

void ask_protocol(const Condition& condition, Asked& asked) {
  const std::optional<Blob> value = one_value(condition);
  const auto protocol =
      value && value->size() == 1 ? protocol_from_number(value->front()) : std::nullopt;
  if (!protocol || (asked.protocol && asked.protocol != protocol)) asked.is_more = true;
  asked.protocol = protocol;
}

void ask_ports(const Condition& condition, Asked& asked) {
  // Each says which ones of those before.
  if (condition.inverted || condition.key.size() != 1 || !asked.ports.empty()) asked.is_more = true;
  for (const Element& value : condition.values) {
    const bool is_one = value.first == value.last && value.first.size() >= 2;
    const auto port =
        is_one ? Port::from(value.first[0] << 8 | value.first[1]) : std::optional<Port>();
    if (port)
      asked.ports.insert(*port);
    else
      asked.is_more = true;
  }
}

void ask(const Condition& condition, Asked& asked) {
  const PacketField field =
      condition.key.size() == 1 ? condition.key.front().field : PacketField::opaque;
  const bool is_masked = condition.key.size() == 1 && !condition.key.front().mask.empty();
  const std::optional<Blob> value = one_value(condition);
  switch (field) {
    case PacketField::l4proto:
      return ask_protocol(condition, asked);
    case PacketField::dport:
      return ask_ports(condition, asked);
    case PacketField::ip_saddr:
    case PacketField::ip6_saddr:
      asked.is_from_some = true;  // of a network, a rule may load the first bytes alone
      asked.is_more = asked.is_more || condition.inverted;
      return;
    case PacketField::ip_daddr:
    case PacketField::ip6_daddr:
      asked.destination = value && !is_masked ? address_of(*value) : std::nullopt;
      asked.is_more = asked.is_more || !asked.destination;
      return;
    case PacketField::daddr_type: {
      std::uint32_t type = 0;
      if (value && value->size() == sizeof type) std::memcpy(&type, value->data(), sizeof type);
      asked.is_local = type == RTN_LOCAL;
      asked.is_more = asked.is_more || !asked.is_local;
      return;
    }
    default:
      asked.is_more = true;
  }
}

Asked asked_by(const Rule& rule) {
  Asked asked;
  for (const Condition& condition : rule.conditions) ask(condition, asked);
  if (rule.verdict_map) asked.is_more = true;
  return asked;
}

Family ip_family_of(const TableId& table) {
  return table.family == NFPROTO_IPV6 ? Family::ipv6 : Family::ipv4;
}

// tcp dport 8080 dnat to 10.22.0.2:80, where `ip daddr 192.0.2.1` may stand before
std::optional<PortmapMapping> mapping_of(const TableId& table, const Rule& rule) {
  const Asked asked = asked_by(rule);
  if (rule.verdict.kind != Kind::translate || !rule.target || asked.is_more || asked.is_local ||
      asked.is_from_some || !asked.protocol || asked.ports.size() != 1)
    return std::nullopt;
  const Port port = *asked.ports.begin();
  return PortmapMapping{
      {asked.destination.value_or(IpAddress::any(ip_family_of(table))), *asked.protocol, port},
      {*rule.target, rule.target_port.value_or(port)}};
}

std::string text_of(const Chain& chain, const Rule& rule) {
  return "rule " + to_string(chain.table) + " " + chain.name +
         (chain.table.is_legacy ? " number " : " handle ") + std::to_string(rule.handle);
}

portmap::RuleAt place_of(const Chain& chain, const Rule& rule) {
  return {chain.table.family, chain.table.name, chain.name, rule.handle};
}

// Whether packets to this host get from a hook to the chain, whatever else they are.
bool is_reached(const Ruleset& all, const Chain& chain, std::uint32_t hook) {
  std::set<std::string> reached;
  std::vector<std::string> next;
  const auto follow = [&](const Chain& from) {
    for (const Rule& rule : from.rules) {
      const bool jumps = rule.verdict.kind == Kind::jump || rule.verdict.kind == Kind::go;
      const Asked asked = asked_by(rule);
      if (!jumps || asked.is_more || asked.protocol || !asked.ports.empty() || asked.is_from_some ||
          asked.destination)
        continue;
      if (reached.insert(rule.verdict.chain).second) next.push_back(rule.verdict.chain);
    }
  };
  for (const auto& [name, from] : all.chains)
    if (name.first == chain.table && from.hook && from.hook->number == hook) follow(from);
  while (!next.empty()) {
    const auto found = all.chains.find({chain.table, next.back()});
    next.pop_back();
    if (found != all.chains.end()) follow(found->second);
  }
  return reached.contains(chain.name);
}

void note_unreached(const Ruleset& all, const Chain& chain, std::vector<std::string>& oddities) {
  if (!is_reached(all, chain, NF_INET_PRE_ROUTING) || !is_reached(all, chain, NF_INET_LOCAL_OUT))
    oddities.push_back("not all packets to this host get to chain " + to_string(chain.table) + " " +
                       chain.name);
}

// dnat name: "web" id: "abc"
void read_comment(std::string_view comment, PortmapPart& part) {
  constexpr std::string_view kName = "dnat name: \"";
  constexpr std::string_view kId = "\" id: \"";
  const std::size_t id = comment.find(kId);
  if (!comment.starts_with(kName) || id == std::string_view::npos || !comment.ends_with('"'))
    return;
  part.network = comment.substr(kName.size(), id - kName.size());
  const std::size_t begin = id + kId.size();
  if (begin < comment.size()) part.container = comment.substr(begin, comment.size() - begin - 1);
}

// By iptables: one container's chain.
class ChainReader {
 public:
  ChainReader(const Ruleset& all, const Chain& chain, const Chain* entry)
      : all_(all), chain_(chain), entry_(entry) {
    part_.table = chain.table;
    part_.chain = chain.name;
  }

  PortmapPart run() {
    read_entries();
    for (const Rule& rule : chain_.rules) read(rule);
    for (const PortmapMapping& mapping : part_.mappings)
      if (!entered_.contains({mapping.published.protocol, mapping.published.port}))
        part_.oddities.push_back("no rule of chain " + std::string(portmap::kEntryChain) +
                                 " leads to it for " + to_string(mapping.published));
    if (!chain_.table.is_legacy)
      part_.removal.chains.push_back({chain_.table.family, chain_.table.name, chain_.name});
    return std::move(part_);
  }

 private:
  void remove(const Chain& chain, const Rule& rule) {
    if (!chain.table.is_legacy) part_.removal.rules.push_back(place_of(chain, rule));
  }

  void read_entries() {
    for (const auto& [name, from] : all_.chains) {
      if (name.first != chain_.table) continue;
      for (const Rule& rule : from.rules) {
        if (rule.verdict.chain != chain_.name) continue;
        remove(from, rule);
        read_entry(from, rule);
      }
    }
    if (entry_ != nullptr) note_unreached(all_, *entry_, part_.oddities);
  }

  void read_entry(const Chain& from, const Rule& rule) {
    if (part_.container.empty()) read_comment(rule.comment, part_);
    const Asked asked = asked_by(rule);
    if (&from != entry_ || asked.is_more || asked.is_local || asked.is_from_some ||
        asked.destination || !asked.protocol)
      return part_.oddities.push_back(text_of(from, rule) + " has other conditions than the ports");
    for (const Port port : asked.ports) entered_.emplace(*asked.protocol, port);
  }

  void read(const Rule& rule) {
    remove(chain_, rule);
    if (auto mapping = mapping_of(chain_.table, rule)) {
      part_.mappings.push_back(*mapping);
    } else if (rule.verdict.kind != Kind::jump || rule.verdict.chain != portmap::kMarkChain ||
               asked_by(rule).is_more) {
      part_.oddities.push_back(text_of(chain_, rule) + " is not one of portmap's");
    }
  }

  const Ruleset& all_;
  const Chain& chain_;
  const Chain* entry_;
  PortmapPart part_{};
  std::set<std::pair<Protocol, Port>> entered_{};
};

// Of its nftables backend: the rules of one table, by their comments.
class TableReader {
 public:
  TableReader(const Ruleset& all, const TableId& table) : all_(all), table_(table) {}

  std::vector<PortmapPart> run() {
    for (const char* name : {portmap::kAddressPorts, portmap::kPorts, portmap::kMasquerading}) {
      const auto chain = all_.chains.find({table_, name});
      if (chain == all_.chains.end()) continue;
      for (const Rule& rule : chain->second.rules) read(chain->second, rule);
    }
    std::vector<PortmapPart> parts;
    for (auto& [key, part] : parts_) {
      note_ways(part);
      parts.push_back(std::move(part));
    }
    return parts;
  }

 private:
  void read(const Chain& chain, const Rule& rule) {
    const bool masquerades = chain.name == portmap::kMasquerading;
    const auto mapping = masquerades ? std::nullopt : mapping_of(table_, rule);
    const Asked asked = asked_by(rule);
    std::optional<IpAddress> address;
    if (mapping) address = mapping->endpoint.address;
    if (masquerades && rule.verdict.kind == Kind::masquerade && !asked.is_more)
      address = asked.destination;
    PortmapPart& part =
        parts_
            .try_emplace(
                {rule.comment, address},
                PortmapPart{.table = table_, .container = rule.comment, .address = address})
            .first->second;
    part.removal.rules.push_back(place_of(chain, rule));
    if (mapping) part.mappings.push_back(*mapping);
    if (!address) part.oddities.push_back(text_of(chain, rule) + " is not one of portmap's");
    if (rule.comment.empty())
      part.oddities.push_back(text_of(chain, rule) + " has no container's ID as its comment");
  }

  void note_ways(PortmapPart& part) const {
    std::set<std::string> chains;
    for (const portmap::RuleAt& rule : part.removal.rules)
      if (rule.chain != portmap::kMasquerading) chains.insert(rule.chain);
    for (const std::string& chain : chains)
      note_unreached(all_, all_.chains.at({table_, chain}), part.oddities);
  }

  const Ruleset& all_;
  const TableId& table_;
  std::map<std::pair<std::string, std::optional<IpAddress>>, PortmapPart> parts_{};
};

}  // namespace

bool is_portmap_chain(const std::string& name) {
  return name.starts_with(portmap::kChainsBegin) || name.starts_with(portmap::kContainerChains);
}

std::vector<PortmapPart> portmap_parts(const Ruleset& all) {
  std::vector<PortmapPart> parts;
  std::set<TableId> own_tables;
  for (const auto& [name, chain] : all.chains) {
    const TableId& table = name.first;
    if (table.name == portmap::kTable && !table.is_legacy) own_tables.insert(table);
    if (table.name != portmap::kNatTable || !portmap::is_container_chain(chain.name)) continue;
    const auto entry = all.chains.find({table, portmap::kEntryChain});
    parts.push_back(
        ChainReader(all, chain, entry == all.chains.end() ? nullptr : &entry->second).run());
  }
  for (const TableId& table : own_tables)
    for (PortmapPart& part : TableReader(all, table).run()) parts.push_back(std::move(part));
  return parts;
}

}  // namespace portmapper::nft::foreign

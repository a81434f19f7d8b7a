#include "lib/app/adopt/join.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "lib/json/document.hpp"
#include "lib/json/text.hpp"
#include "nft/names.hpp"

namespace portmapper::adopt {
namespace {

using nft::foreign::PortmapMapping;
using nft::foreign::PortmapPart;
using restore::Seen;
using restore::Standing;

constexpr std::int64_t kItsMarkBit = 13;
constexpr char kStartAgain[] = "start the container again, and its ports are ours";

bool leads_to(const nft::Plan& plan, const IpAddress& address) {
  return std::any_of(plan.translations.begin(), plan.translations.end(),
                     [&address](const nft::Translation& translation) {
                       return translation.endpoint.address == address;
                     }) ||
         std::any_of(plan.subnets.begin(), plan.subnets.end(),
                     [&address](const IpPrefix& subnet) { return subnet.contains(address); });
}

std::vector<PortmapMapping> in_order(std::vector<PortmapMapping> mappings) {
  std::sort(mappings.begin(), mappings.end());
  mappings.erase(std::unique(mappings.begin(), mappings.end()), mappings.end());
  return mappings;
}

std::string text_of(const std::vector<PortmapMapping>& mappings) {
  constexpr std::size_t kMost = 4;
  std::string text;
  for (std::size_t i = 0; i < mappings.size() && i < kMost; ++i)
    text += (i == 0 ? "" : ", ") + to_string(mappings[i].published) + " to " +
            to_string(mappings[i].endpoint);
  if (mappings.size() > kMost) text += " and " + std::to_string(mappings.size() - kMost) + " more";
  return text.empty() ? "nothing" : text;
}

// A container's parts, and the records that they may be of.
struct Group {
  std::vector<const PortmapPart*> parts{};
  std::vector<const Seen*> records{};
};

std::string place_of(const PortmapPart& part) {
  return to_string(part.table) + (part.chain.empty() ? "" : " " + part.chain);
}

// Records by what rules say: the name of a chain, or the ID of a container.
class Records {
 public:
  explicit Records(const std::vector<Seen>& seen) {
    for (const Seen& one : seen) {
      const Attachment& names = one.names;
      if (names.container_id.empty()) continue;
      by_chain_[nft::portmap::container_chain(names.network, names.container_id)].push_back(&one);
      by_container_[names.container_id].push_back(&one);
    }
  }
  [[nodiscard]] std::vector<const Seen*> of(const PortmapPart& part) const {
    const auto& index = part.chain.empty() ? by_container_ : by_chain_;
    const auto found = index.find(part.chain.empty() ? part.container : part.chain);
    if (found == index.end()) return {};
    std::vector<const Seen*> records = found->second;
    if (part.address)
      std::erase_if(records, [&part](const Seen* record) {
        return record->plan && !leads_to(*record->plan, *part.address);
      });
    return records;
  }

 private:
  std::map<std::string, std::vector<const Seen*>> by_chain_{};
  std::map<std::string, std::vector<const Seen*>> by_container_{};
};

std::vector<Group> group(const std::vector<PortmapPart>& parts, const std::vector<Seen>& seen) {
  // With a record by it; without one by what the rules say.
  const Records all_records(seen);
  std::map<std::pair<std::string, std::string>, Group> groups;
  for (const PortmapPart& part : parts) {
    const std::vector<const Seen*> records = all_records.of(part);
    const std::string key = records.empty() ? part.chain + "/" + part.container : std::string();
    Group& found = groups[{key, records.empty() ? "" : records.front()->path}];
    found.parts.push_back(&part);
    for (const Seen* record : records)
      if (std::find(found.records.begin(), found.records.end(), record) == found.records.end())
        found.records.push_back(record);
  }
  std::vector<Group> all;
  all.reserve(groups.size());
  for (auto& [key, found] : groups) all.push_back(std::move(found));
  return all;
}

bool is_legacy(const PortmapPart* part) {
  return part->table.is_legacy;
}

std::string why_not_by_rules(const Group& found) {
  std::size_t count = 0;
  std::string first;
  for (const PortmapPart* part : found.parts) {
    for (const std::string& oddity : part->oddities)
      if (count++ == 0) first = oddity;
  }
  const auto others = std::find_if(found.parts.begin(), found.parts.end(),
                                   [](const PortmapPart* part) { return !part->others.empty(); });
  if (count == 0) return others == found.parts.end() ? std::string() : (*others)->others;
  return first + (count == 1 ? "" : "; and " + std::to_string(count - 1) + " more such rules") +
         ": was it changed by hand?";
}

// What ours would not do as portmap does.
std::string why_not_by_config(const Seen& record) {
  const Result<json::Document> document = json::Document::parse(record.config, "its configuration");
  if (document) {
    const json::Value bit = document->root().member("markMasqBit");
    if (bit.present() && bit.text() != std::to_string(kItsMarkBit))
      return "its markMasqBit is " + std::string(bit.text()) +
             ", by which rules of yours may know its packets; ours set no mark: " + kStartAgain;
  }
  if (!record.plan) return record.problem;
  const nft::NetworkChain& chain = record.plan->chain;
  if (!chain.conditions_v4.empty() || !chain.conditions_v6.empty())
    return std::string("it has ") +
           (chain.conditions_v4.empty() ? "conditionsV6" : "conditionsV4") +
           ", which its rules have in words of their own: " + kStartAgain;
  return {};
}

std::string why_not_by_record(const Group& found, const std::vector<PortmapMapping>& mappings) {
  if (found.records.empty())
    return "no runtime has a record of it: where its directory is another, name it with --from";
  if (found.records.size() > 1)
    return "two records fit, " + found.records[0]->path + " and " + found.records[1]->path;
  const Seen& record = *found.records.front();
  if (!record.plan) return record.path + " has no ports";
  const std::vector<PortmapMapping> wanted = mappings_of(*record.plan);
  if (wanted != mappings)
    return "its rules publish " + text_of(mappings) + ", its record says " + text_of(wanted);
  if (record.standing == Standing::gone)
    return "it is gone: no network namespace " + record.plan->netns.path + " has its address";
  return record.problem;
}

std::string why_not_sure(const std::string& named, const NetworkSays& says) {
  return says.path + " may say something else of " + named +
         ", so its DEL may not come to us: " + says.distrust;
}

std::string why_not_by_network(const std::string& network, const Facts& facts) {
  const auto found = facts.networks.find(network);
  const std::string named = "network " + json::quoted(network);
  if (const auto any = facts.networks.find({}); any != facts.networks.end())
    if (any->second.publisher == Publisher::unsure) return why_not_sure(named, any->second);
  if (found == facts.networks.end())
    return "no configuration of " + named +
           " was found, so its DEL may not come to us: name its directory with --config";
  const std::string in = " in " + found->second.path;
  switch (found->second.publisher) {
    case Publisher::ours:
      return {};
    case Publisher::nobody:
      return named + in + " has no nft-port-mapper, so its DEL would not come to us: add it first";
    case Publisher::unsure:
      return why_not_sure(named, found->second);
    case Publisher::portmap:
      break;
  }
  if (facts.portmap.whose == host::PortmapProgram::Whose::unclear)
    return named + in + " says portmap, and of " + facts.portmap.path + " and " +
           facts.portmap.another + " one is ours: set CNI_PATH to the runtime's directory";
  return named + in + " still says portmap, so its DEL would not come to us: change the type first";
}

Entry entry_of(const Group& found, const Facts& facts) {
  Entry entry;
  std::set<std::string> places;
  for (const PortmapPart* part : found.parts) {
    if (entry.names.container_id.empty()) entry.names = {part->network, part->container, {}};
    places.insert(place_of(*part));
    entry.mappings.insert(entry.mappings.end(), part->mappings.begin(), part->mappings.end());
    entry.removal.append(part->removal);
  }
  for (const std::string& place : places) entry.where += (entry.where.empty() ? "" : ", ") + place;
  entry.mappings = in_order(std::move(entry.mappings));
  if (found.records.size() == 1) {
    entry.names = found.records.front()->names;
    entry.path = found.records.front()->path;
  }
  if (std::any_of(found.parts.begin(), found.parts.end(), is_legacy))
    entry.reason = "its rules are in iptables-legacy, which adopt does not change: " +
                   std::string(kStartAgain);
  if (entry.reason.empty() && found.records.size() == 1)
    entry.reason = why_not_by_config(*found.records.front());
  if (entry.reason.empty()) entry.reason = why_not_by_rules(found);
  if (entry.reason.empty()) entry.reason = why_not_by_record(found, entry.mappings);
  if (entry.reason.empty()) entry.reason = why_not_by_network(entry.names.network, facts);
  return entry;
}

bool meet(const nft::PublishedPort& a, const nft::PublishedPort& b) {
  return a.protocol == b.protocol && a.port == b.port && a.address.family() == b.address.family() &&
         (a.address == b.address || a.address.is_any() || b.address.is_any());
}

// Who has rules for a port, whatever the address.
class Users {
 public:
  explicit Users(const std::vector<Entry>& entries) {
    for (const Entry& entry : entries)
      for (const PortmapMapping& mapping : entry.mappings)
        users_[key_of(mapping.published)].emplace_back(&entry, &mapping.published);
  }
  // A rule that stays, or is another container's, and would get the port.
  [[nodiscard]] const Entry* rival_of(const Entry& entry, const nft::PublishedPort& port) const {
    for (const auto& [other, published] : users_.at(key_of(port))) {
      if (other == &entry || !meet(*published, port)) continue;
      // Attachments of one container stand by for each other.
      if (!other->reason.empty() || other->names.container_id != entry.names.container_id)
        return other;
    }
    return nullptr;
  }

 private:
  using Key = std::pair<Protocol, Port>;
  static Key key_of(const nft::PublishedPort& port) { return {port.protocol, port.port}; }
  std::map<Key, std::vector<std::pair<const Entry*, const nft::PublishedPort*>>> users_{};
};

std::string why_not_by_others(const Entry& entry, const Users& users) {
  for (const PortmapMapping& mapping : entry.mappings)
    if (const Entry* rival = users.rival_of(entry, mapping.published))
      return "portmap has another rule for " + to_string(mapping.published) + ", in " +
             rival->where +
             ", that would get the port: remove one of the two (of what is gone,"
             " nft-port-mapperctl doctor says how)";
  return {};
}

// One that stays may have a port of another, which then stays too.
void leave_rivals(std::vector<Entry>& entries) {
  const Users users(entries);
  for (bool changed = true; changed;) {
    std::vector<std::pair<Entry*, std::string>> stay;
    for (Entry& entry : entries)
      if (entry.reason.empty())
        if (std::string why = why_not_by_others(entry, users); !why.empty())
          stay.emplace_back(&entry, std::move(why));
    for (auto& [entry, why] : stay) entry->reason = std::move(why);
    changed = !stay.empty();
  }
}

}  // namespace

std::vector<PortmapMapping> mappings_of(const nft::Plan& plan) {
  std::vector<PortmapMapping> mappings;
  for (const nft::Translation& translation : plan.translations)
    mappings.push_back({translation.published, translation.endpoint});
  return in_order(std::move(mappings));
}

std::vector<Entry> join(const std::vector<PortmapPart>& parts, const std::vector<Seen>& seen,
                        const Facts& facts) {
  std::vector<Entry> entries;
  for (const Group& found : group(parts, seen)) entries.push_back(entry_of(found, facts));
  leave_rivals(entries);
  return entries;
}

}  // namespace portmapper::adopt

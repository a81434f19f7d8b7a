#include "nft/foreign/reader.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <set>

#include "lib/base/attributes.hpp"
#include "nft/foreign/rule.hpp"
#include "nft/names.hpp"
#include "nft/read/query.hpp"

namespace portmapper::nft::foreign {
namespace {

bool is_own(const TableId& table) {
  return table.family == NFPROTO_INET && table.name == kTable;
}

bool is_foreign(const TableId& table) {
  return !is_own(table) && table.family != NFPROTO_ARP;
}

// Which tables are read.
enum class Whose : std::uint8_t { others, own };

bool is_wanted(Whose whose, const TableId& table) {
  return whose == Whose::own ? is_own(table) : is_foreign(table);
}

Hook parse_hook(Bytes attributes) {
  Hook hook;
  for (const Attribute& part : Attributes(attributes)) {
    if (part.type == NFTA_HOOK_HOOKNUM) hook.number = part.number32();
    if (part.type == NFTA_HOOK_PRIORITY) hook.priority = static_cast<std::int32_t>(part.number32());
    if (part.type == NFTA_HOOK_DEV) hook.devices.emplace_back(part.text());
    if (part.type == NFTA_HOOK_DEVS)
      for (const Attribute& device : Attributes(part.payload))
        hook.devices.emplace_back(device.text());
  }
  // The kernel names one device twice.
  std::sort(hook.devices.begin(), hook.devices.end());
  hook.devices.erase(std::unique(hook.devices.begin(), hook.devices.end()), hook.devices.end());
  return hook;
}

Chain parse_chain(const nlmsghdr& reply) {
  Chain chain{.table = {family_of(reply), {}}, .name = {}};
  std::string type;
  bool policy_drop = false;
  for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg)))) {
    if (attribute.type == NFTA_CHAIN_TABLE) chain.table.name = attribute.text();
    if (attribute.type == NFTA_CHAIN_NAME) chain.name = attribute.text();
    if (attribute.type == NFTA_CHAIN_HANDLE) chain.handle = attribute.number64();
    if (attribute.type == NFTA_CHAIN_TYPE) type = attribute.text();
    if (attribute.type == NFTA_CHAIN_POLICY) policy_drop = attribute.number32() == NF_DROP;
    if (attribute.type == NFTA_CHAIN_HOOK) chain.hook = parse_hook(attribute.payload);
  }
  if (!chain.hook) return chain;
  chain.hook->type = type;
  chain.hook->policy_drop = policy_drop;
  return chain;
}

bool is_on_the_way(const Chain& chain) {
  return chain.hook.has_value();
}

Status read_chains(Transport& transport, Whose whose, Ruleset& ruleset) {
  std::set<TableId> tables;
  Query query;
  query.everything(NFT_MSG_GETCHAIN);
  Status status = query.run(transport, [&](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWCHAIN)) return;
    Chain chain = parse_chain(reply);
    if (!is_wanted(whose, chain.table)) return;
    if (whose == Whose::own || is_on_the_way(chain)) tables.insert(chain.table);
    Name name(chain.table, chain.name);
    ruleset.chains.emplace(std::move(name), std::move(chain));
  });
  std::erase_if(ruleset.chains, [&](const auto& c) { return !tables.contains(c.first.first); });
  return status;
}

struct RawElement {
  Blob key;
  Blob key_end;
  bool is_end = false;
  bool is_for_all = false;
  Verdict verdict{};
};

RawElement parse_element(const Attribute& attribute) {
  RawElement element;
  for (const Attribute& part : Attributes(attribute.payload)) {
    if (part.type == NFTA_SET_ELEM_KEY) element.key = blob_of(nested(part, NFTA_DATA_VALUE));
    if (part.type == NFTA_SET_ELEM_KEY_END)
      element.key_end = blob_of(nested(part, NFTA_DATA_VALUE));
    if (part.type == NFTA_SET_ELEM_FLAGS) {
      element.is_end = (part.number32() & NFT_SET_ELEM_INTERVAL_END) != 0;
      element.is_for_all = (part.number32() & NFT_SET_ELEM_CATCHALL) != 0;
    }
    if (part.type == NFTA_SET_ELEM_DATA)
      if (const auto verdict = Attributes(part.payload).find(NFTA_DATA_VERDICT))
        element.verdict = parse_verdict(verdict->payload);
  }
  return element;
}

Blob one_less(Blob number) {
  for (std::size_t i = number.size(); i-- > 0;)
    if (number[i]-- != 0) break;
  return number;
}

// Sets of intervals have an element where one begins, and one behind its end.
std::vector<Element> join(std::vector<RawElement> raw, const Set& set) {
  std::vector<Element> elements;
  const Blob highest(set.key_length, 0xff);
  std::sort(raw.begin(), raw.end(), [](const RawElement& a, const RawElement& b) {
    if (a.is_for_all != b.is_for_all) return b.is_for_all;
    return a.key != b.key ? a.key < b.key : a.is_end && !b.is_end;
  });
  bool is_open = false;
  for (RawElement& element : raw) {
    if (element.is_for_all) {
      elements.push_back({Blob(set.key_length, 0x00), highest, element.verdict});
    } else if (!element.key_end.empty()) {
      elements.push_back({std::move(element.key), std::move(element.key_end), element.verdict});
    } else if (!set.is_interval) {
      elements.push_back({element.key, element.key, element.verdict});
    } else {
      if (is_open) elements.back().last = one_less(element.key);
      is_open = !element.is_end;
      if (is_open) elements.push_back({std::move(element.key), highest, element.verdict});
    }
  }
  return elements;
}

struct SetReply {
  Name name;
  Set set;
  bool is_anonymous = false;
};

SetReply parse_set(const nlmsghdr& reply) {
  SetReply parsed{{{family_of(reply), {}}, {}}, {}};
  for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg)))) {
    if (attribute.type == NFTA_SET_TABLE) parsed.name.first.name = attribute.text();
    if (attribute.type == NFTA_SET_NAME) parsed.name.second = attribute.text();
    if (attribute.type == NFTA_SET_KEY_LEN)
      parsed.set.key_length = std::min<std::size_t>(attribute.number32(), NFT_DATA_VALUE_MAXLEN);
    if (attribute.type != NFTA_SET_FLAGS) continue;
    parsed.set.is_interval = (attribute.number32() & NFT_SET_INTERVAL) != 0;
    parsed.is_anonymous = (attribute.number32() & NFT_SET_ANONYMOUS) != 0;
  }
  return parsed;
}

// Of our own sets those of ports may have tens of thousands of elements.
bool is_small(const SetReply& own) {
  return own.is_anonymous || own.name.second == hairpin_set(Family::ipv4) ||
         own.name.second == hairpin_set(Family::ipv6);
}

Status read_set_types(Transport& transport, Whose whose, Ruleset& ruleset) {
  Query query;
  query.everything(NFT_MSG_GETSET);
  return query.run(transport, [&](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWSET)) return;
    SetReply parsed = parse_set(reply);
    if (is_wanted(whose, parsed.name.first) && (whose == Whose::others || is_small(parsed)))
      ruleset.sets.emplace(std::move(parsed.name), std::move(parsed.set));
  });
}

Status read_elements(Transport& transport, const Name& name, Set& set) {
  std::vector<RawElement> raw;
  Query query;
  query.foreign_elements(name.first.family, name.first.name, name.second);
  Status status = query.run(transport, [&raw](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWSETELEM)) return;
    const auto list =
        Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(NFTA_SET_ELEM_LIST_ELEMENTS);
    if (!list) return;
    for (const Attribute& element : Attributes(list->payload))
      raw.push_back(parse_element(element));
  });
  if (!status) return status;
  set.elements = join(std::move(raw), set);
  return {};
}

// The rules come in the order of their chains.
Status read_rules(Transport& transport, Ruleset& ruleset) {
  Query query;
  query.everything(NFT_MSG_GETRULE);
  return query.run(transport, [&](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWRULE)) return;
    RuleReply parsed = parse_rule(reply, ruleset.sets);
    const auto chain = ruleset.chains.find(parsed.chain);
    if (chain == ruleset.chains.end()) return;
    chain->second.rules.push_back(std::move(parsed.rule));
  });
}

Result<Ruleset> read(Transport& transport, Whose whose) {
  Ruleset ruleset;
  if (const Status status = read_chains(transport, whose, ruleset); !status) return status.error();
  if (const Status status = read_set_types(transport, whose, ruleset); !status)
    return status.error();
  std::set<TableId> tables;
  for (const auto& [name, chain] : ruleset.chains) tables.insert(name.first);
  for (auto& [name, set] : ruleset.sets)
    if (tables.contains(name.first))
      if (const Status status = read_elements(transport, name, set); !status) return status.error();
  if (const Status status = read_rules(transport, ruleset); !status) return status.error();
  return ruleset;
}

}  // namespace

Result<Ruleset> read_ruleset(Transport& transport) {
  return read(transport, Whose::others);
}

Result<Ruleset> read_own_ruleset(Transport& transport) {
  return read(transport, Whose::own);
}

Result<std::map<TableId, std::uint64_t>> read_table_handles(Transport& transport) {
  std::map<TableId, std::uint64_t> handles;
  Query query;
  query.everything(NFT_MSG_GETTABLE);
  const Status status = query.run(transport, [&handles](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWTABLE)) return;
    const Attributes attributes(message_attributes(reply, sizeof(nfgenmsg)));
    const auto name = attributes.find(NFTA_TABLE_NAME);
    const auto handle = attributes.find(NFTA_TABLE_HANDLE);
    if (name && handle) handles[{family_of(reply), std::string(name->text())}] = handle->number64();
  });
  if (!status) return status.error();
  return handles;
}

Result<std::map<Name, Chain>> read_every_chain(Transport& transport) {
  std::map<Name, Chain> chains;
  Query query;
  query.everything(NFT_MSG_GETCHAIN);
  const Status status = query.run(transport, [&chains](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWCHAIN)) return;
    Chain chain = parse_chain(reply);
    Name name(chain.table, chain.name);
    chains.emplace(std::move(name), std::move(chain));
  });
  if (!status) return status.error();
  return chains;
}

Status read_for_text(Transport& transport, std::map<Name, Set>& sets) {
  if (sets.empty()) return {};
  Query query;
  query.everything(NFT_MSG_GETSET);
  const Status listed = query.run(transport, [&sets](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWSET)) return;
    SetReply parsed = parse_set(reply);
    const auto wanted = sets.find(parsed.name);
    if (wanted != sets.end()) wanted->second = std::move(parsed.set);
  });
  if (!listed) return listed;
  for (auto& [name, set] : sets)
    if (name.second.starts_with("__"))  // as nft and the kernel name anonymous ones
      if (const Status read = read_elements(transport, name, set); !read) return read;
  return {};
}

}  // namespace portmapper::nft::foreign

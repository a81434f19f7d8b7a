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

bool is_foreign(const TableId& table) {
  if (table.family == NFPROTO_INET) return table.name != kTable;
  return table.family == NFPROTO_IPV4 || table.family == NFPROTO_IPV6;
}

Hook parse_hook(Bytes attributes) {
  Hook hook;
  for (const Attribute& part : Attributes(attributes)) {
    if (part.type == NFTA_HOOK_HOOKNUM) hook.number = part.number32();
    if (part.type == NFTA_HOOK_PRIORITY) hook.priority = static_cast<std::int32_t>(part.number32());
  }
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
  return chain.hook &&
         (chain.hook->number == NF_INET_FORWARD || chain.hook->number == NF_INET_PRE_ROUTING ||
          chain.hook->number == NF_INET_LOCAL_OUT || chain.hook->number == NF_INET_LOCAL_IN);
}

Status read_chains(Transport& transport, Ruleset& ruleset) {
  std::set<TableId> tables;
  Query query;
  query.everything(NFT_MSG_GETCHAIN);
  Status status = query.run(transport, [&](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWCHAIN)) return;
    Chain chain = parse_chain(reply);
    if (!is_foreign(chain.table)) return;
    if (is_on_the_way(chain)) tables.insert(chain.table);
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

Status read_set_types(Transport& transport, Ruleset& ruleset) {
  Query query;
  query.everything(NFT_MSG_GETSET);
  return query.run(transport, [&](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWSET)) return;
    Name name{{family_of(reply), {}}, {}};
    Set set;
    for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg)))) {
      if (attribute.type == NFTA_SET_TABLE) name.first.name = attribute.text();
      if (attribute.type == NFTA_SET_NAME) name.second = attribute.text();
      if (attribute.type == NFTA_SET_KEY_LEN)
        set.key_length = std::min<std::size_t>(attribute.number32(), NFT_DATA_VALUE_MAXLEN);
      if (attribute.type == NFTA_SET_FLAGS)
        set.is_interval = (attribute.number32() & NFT_SET_INTERVAL) != 0;
    }
    if (is_foreign(name.first)) ruleset.sets.emplace(std::move(name), std::move(set));
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

}  // namespace

Result<Ruleset> read_ruleset(Transport& transport) {
  Ruleset ruleset;
  if (const Status status = read_chains(transport, ruleset); !status) return status.error();
  if (const Status status = read_set_types(transport, ruleset); !status) return status.error();
  std::set<TableId> tables;
  for (const auto& [name, chain] : ruleset.chains) tables.insert(name.first);
  for (auto& [name, set] : ruleset.sets)
    if (tables.contains(name.first))
      if (const Status status = read_elements(transport, name, set); !status) return status.error();
  if (const Status status = read_rules(transport, ruleset); !status) return status.error();
  return ruleset;
}

}  // namespace portmapper::nft::foreign

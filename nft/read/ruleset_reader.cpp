// The half of nft/read/reader that is about chains and rules.

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <set>

#include "lib/base/attributes.hpp"
#include "nft/read/query.hpp"
#include "nft/read/reader.hpp"
#include "nft/ruleset_diff.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

struct TableChain {
  std::string_view table;
  ChainView view;
};

ChainView::BaseHook parse_hook(const Attribute& hook) {
  ChainView::BaseHook parsed{.type = {}, .policy = NF_ACCEPT};
  for (const Attribute& part : Attributes(hook.payload)) {
    if (part.type == NFTA_HOOK_HOOKNUM) parsed.number = part.number32();
    if (part.type == NFTA_HOOK_PRIORITY)
      parsed.priority = static_cast<std::int32_t>(part.number32());
  }
  return parsed;
}

TableChain parse_chain(const nlmsghdr& reply) {
  TableChain chain;
  const Attributes attributes(message_attributes(reply, sizeof(nfgenmsg)));
  for (const Attribute& attribute : attributes) {
    if (attribute.type == NFTA_CHAIN_TABLE) chain.table = attribute.text();
    if (attribute.type == NFTA_CHAIN_NAME) chain.view.name = attribute.text();
    if (attribute.type == NFTA_CHAIN_USERDATA)
      chain.view.owner = parse_chain_owner(attribute.payload);
    if (attribute.type == NFTA_CHAIN_HOOK) chain.view.hook = parse_hook(attribute);
  }
  if (!chain.view.hook) return chain;
  if (const auto type = attributes.find(NFTA_CHAIN_TYPE)) chain.view.hook->type = type->text();
  if (const auto policy = attributes.find(NFTA_CHAIN_POLICY))
    chain.view.hook->policy = policy->number32();
  return chain;
}

bool is_dormant_table(const nlmsghdr& reply) {
  if (!is_reply(reply, NFT_MSG_NEWTABLE)) return false;
  const auto flags = Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(NFTA_TABLE_FLAGS);
  return flags && (flags->number32() & NFT_TABLE_F_DORMANT) != 0;
}

// What the kernel keeps of a set's type: key and data, by nft's type numbers, and the flags.
struct SetType {
  std::uint32_t key = 0;
  std::uint32_t data = 0;
  std::uint32_t flags = 0;
  bool operator==(const SetType&) const = default;
};

SetType set_type(const nlmsghdr& reply) {
  SetType type;
  for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg)))) {
    if (attribute.type == NFTA_SET_KEY_TYPE) type.key = attribute.number32();
    if (attribute.type == NFTA_SET_DATA_TYPE) type.data = attribute.number32();
    if (attribute.type == NFTA_SET_FLAGS)
      type.flags = attribute.number32() & (NFT_SET_MAP | NFT_SET_INTERVAL);
  }
  return type;
}

SetType set_type(const SetSpec& set) {
  SetType type{concatenated_type(set.key), concatenated_type(set.data), 0};
  if (!set.data.empty()) type.flags |= NFT_SET_MAP;
  if (set.interval) type.flags |= NFT_SET_INTERVAL;
  return type;
}

struct ReadView {
  std::uint32_t generation = 0;
  RulesetView view;
};

// Which of the chains exist, and their hooks, from one exchange.
Result<ReadView> read_chains(Transport& transport, const std::vector<ChainSpec>& chains) {
  ReadView read;
  Query query;
  query.generation();
  for (const ChainSpec& chain : chains) query.chain(chain.name);
  query.table();
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    read.view.is_dormant = read.view.is_dormant || is_dormant_table(reply);
    const std::size_t number = reply.nlmsg_seq - std::size_t{2};  // the generation was the first
    if (is_reply(reply, NFT_MSG_NEWCHAIN) && number < chains.size())
      read.view.chains.push_back(parse_chain(reply).view);
  });
  if (!status) return status.error();
  read.generation = query.found_generation();
  return read;
}

// What a rule does, with the elements of its anonymous sets.
Status read_form(Transport& transport, Bytes expressions, RuleForm& form) {
  AnonymousSets sets;
  for (const std::string& name : anonymous_sets(expressions)) {
    std::vector<std::string>& elements = sets[name];
    Query query;
    query.all_elements(name);
    const Status status =
        query.run(transport, [&elements](const nlmsghdr& reply) { add_elements(reply, elements); });
    if (!status) return status;
    std::sort(elements.begin(), elements.end());
  }
  form = rule_form(expressions, sets);
  return {};
}

// What is read of a rule: its fingerprint, or also what it does.
enum class Depth { fingerprints, forms };

// A chain's rules; of a chain that does not exist, none.
Status read_rules(Transport& transport, const std::string& chain, Depth depth,
                  std::vector<RuleView>& rules) {
  std::vector<std::vector<std::uint8_t>> all_expressions;  // a dump is one exchange
  Query query;
  query.all_rules(chain);
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWRULE)) return;
    const Attributes attributes(message_attributes(reply, sizeof(nfgenmsg)));
    const auto data = attributes.find(NFTA_RULE_USERDATA);
    rules.push_back({.fingerprint = data ? parse_rule_tag(data->payload) : 0});
    if (depth == Depth::fingerprints) return;
    const auto expressions = attributes.find(NFTA_RULE_EXPRESSIONS);
    const Bytes bytes = expressions ? expressions->payload : Bytes();
    all_expressions.emplace_back(bytes.begin(), bytes.end());
  });
  if (!status) return status;
  for (std::size_t i = 0; i < all_expressions.size(); ++i)
    if (const Status read = read_form(transport, all_expressions[i], rules[i].form); !read)
      return read;
  return {};
}

Result<ReadView> read_view(Transport& transport, const std::vector<ChainSpec>& chains,
                           Depth depth) {
  Result<ReadView> read = read_chains(transport, chains);
  if (!read) return read;
  for (ChainView& chain : read->view.chains)
    if (const Status status = read_rules(transport, chain.name, depth, chain.rules); !status)
      return status.error();
  return read;
}

// Compares by the fingerprints, and where those differ and rules are there, by what the rules do.
template <typename Diff>
Result<Ruleset> read_diff(Transport& transport, const std::vector<ChainSpec>& chains, Diff diff) {
  Result<ReadView> read = read_view(transport, chains, Depth::fingerprints);
  if (!read) return read.error();
  RulesetDiff found = diff(read->view);
  if (may_be_encoded_otherwise(read->view, found.damage)) {
    read = read_view(transport, chains, Depth::forms);
    if (!read) return read.error();
    found = diff(read->view);
  }
  return Ruleset{read->generation, std::move(found)};
}

Result<Ruleset> read_diff(Transport& transport, const NetworkChain* network) {
  const std::vector<ChainSpec> expected = expected_chains(network);
  return read_diff(transport, expected, [&expected, network](const RulesetView& view) {
    return diff_ruleset(view, expected, network);
  });
}

Result<ChainDamage> read_chain_damage(Transport& transport, const std::string& chain, Depth depth) {
  RulesetView view;
  for (const std::string& name : {chain, std::string(kNetworks)}) {
    ChainView& seen = view.chains.emplace_back(ChainView{.name = name});
    if (const Status status = read_rules(transport, name, depth, seen.rules); !status)
      return status.error();
  }
  return diff_network_chain(view, chain);
}

}  // namespace

Result<Ruleset> read_ruleset(Transport& transport, const NetworkChain& network) {
  return read_diff(transport, &network);
}

Result<Ruleset> read_skeleton(Transport& transport) {
  return read_diff(transport, nullptr);
}

Result<bool> has_table(Transport& transport) {
  bool found = false;
  Query query;
  query.table();
  const Status status = query.run(transport, [&found](const nlmsghdr&) { found = true; });
  if (!status) return status.error();
  return found;
}

Result<bool> has_guard(Transport& transport) {
  const Result<Ruleset> read = read_diff(transport, guard_chains(), diff_guard);
  if (!read) return read.error();
  return read->diff.intact();
}

Result<ChainDamage> read_chain_damage(Transport& transport, const std::string& chain) {
  Result<ChainDamage> damage = read_chain_damage(transport, chain, Depth::fingerprints);
  if (!damage || damage->intact()) return damage;
  return read_chain_damage(transport, chain, Depth::forms);
}

Result<std::vector<IpAddress>> read_not_excluded(Transport& transport, const std::string& chain,
                                                 std::vector<IpAddress> addresses) {
  std::vector<RuleView> rules;
  if (const Status read = read_rules(transport, chain, Depth::forms, rules); !read)
    return read.error();
  std::erase_if(addresses, [&rules](const IpAddress& address) {
    return std::any_of(rules.begin(), rules.end(),
                       [&address](const RuleView& rule) { return excludes(rule.form, address); });
  });
  return addresses;
}

Result<std::vector<Damage>> read_set_damage(Transport& transport, const std::string& chain) {
  std::vector<SetSpec> sets = skeleton_sets();
  for (SetSpec& set : network_sets(chain)) sets.push_back(std::move(set));
  Query query;
  for (const SetSpec& set : sets) query.set(set.name);
  std::vector<Damage> damage;
  std::vector<bool> found(sets.size());
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    const std::size_t number = reply.nlmsg_seq - std::size_t{1};
    if (!is_reply(reply, NFT_MSG_NEWSET) || number >= sets.size()) return;
    found[number] = true;
    if (set_type(reply) != set_type(sets[number]))
      damage.push_back({Damage::Kind::other_type, sets[number].name, to_string(sets[number])});
  });
  if (!status) return status.error();
  for (std::size_t i = 0; i < sets.size(); ++i)
    if (!found[i]) damage.push_back({Damage::Kind::missing_set, sets[i].name});
  return damage;
}

Result<std::string> read_chain_of_network(Transport& transport, const std::string& network) {
  std::string name;
  Query query;
  query.all_chains();
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWCHAIN)) return;
    const TableChain chain = parse_chain(reply);
    if (chain.table == kTable && is_owned_by(chain.view.owner, network)) name = chain.view.name;
  });
  if (!status) return status.error();
  return name;
}

// A network chain is one with target maps; other chains in the table are an operator's own.
Result<std::vector<std::string>> read_network_chains(Transport& transport) {
  const std::string suffix = target_map("", kSuffixes.back());
  std::set<std::string, std::less<>> with_maps;
  Query sets;
  sets.all_sets();
  const Status listed = sets.run(transport, [&](const nlmsghdr& reply) {
    const auto name = Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(NFTA_SET_NAME);
    if (!name || !name->text().ends_with(suffix)) return;
    with_maps.emplace(name->text().substr(0, name->text().size() - suffix.size()));
  });
  if (!listed) return listed.error();
  std::vector<std::string> names;
  Query query;
  query.all_chains();
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWCHAIN)) return;
    const TableChain chain = parse_chain(reply);
    if (chain.table == kTable && !chain.view.hook && with_maps.contains(chain.view.name))
      names.push_back(chain.view.name);
  });
  if (!status) return status.error();
  return names;
}

}  // namespace portmapper::nft

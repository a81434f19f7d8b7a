// The half of nft/read/reader that is about chains and rules.

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <set>

#include "lib/base/attributes.hpp"
#include "nft/read/query.hpp"
#include "nft/read/reader.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

struct ChainView {
  std::string_view table;
  std::string_view name;
  std::string_view type;
  bool hooked = false;
  std::uint32_t hook = 0;
  std::int32_t priority = 0;
  std::uint32_t policy = NF_ACCEPT;
};

ChainView view_of(const nlmsghdr& reply) {
  ChainView view;
  for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg)))) {
    switch (attribute.type) {
      case NFTA_CHAIN_TABLE:
        view.table = attribute.text();
        break;
      case NFTA_CHAIN_NAME:
        view.name = attribute.text();
        break;
      case NFTA_CHAIN_TYPE:
        view.type = attribute.text();
        break;
      case NFTA_CHAIN_POLICY:
        view.policy = attribute.number32();
        break;
      case NFTA_CHAIN_HOOK:
        view.hooked = true;
        for (const Attribute& part : Attributes(attribute.payload)) {
          if (part.type == NFTA_HOOK_HOOKNUM) view.hook = part.number32();
          if (part.type == NFTA_HOOK_PRIORITY)
            view.priority = static_cast<std::int32_t>(part.number32());
        }
        break;
      default:
        break;
    }
  }
  return view;
}

bool is_chain(const nlmsghdr& reply) {
  return reply.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN);
}

bool is_dormant_table(const nlmsghdr& reply) {
  if (reply.nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE)) return false;
  const auto flags = Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(NFTA_TABLE_FLAGS);
  return flags && (flags->number32() & NFT_TABLE_F_DORMANT) != 0;
}

bool same_hook(const ChainView& view, const Hook& hook) {
  return view.hooked && view.type == hook.type && view.hook == hook.number &&
         view.priority == hook.priority;
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

std::string lacks_jump(const std::string& chain) {
  return std::string("chain ") + kNetworks + " lacks rule: jump " + chain;
}

// What of the chains is wrong, from one exchange.
Status check_chains(Transport& transport, const std::vector<ChainSpec>& chains,
                    RulesetDiff& ruleset) {
  Query query;
  query.generation();
  for (const ChainSpec& chain : chains) query.chain(chain.name);
  query.table();
  std::vector<bool> found(chains.size());
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    if (is_dormant_table(reply))
      ruleset.damage.push_back(std::string("table ") + kTable + " is dormant");
    const std::size_t number = reply.nlmsg_seq - std::size_t{2};  // the generation was the first
    if (!is_chain(reply) || number >= chains.size()) return;
    found[number] = true;
    const ChainSpec& chain = chains[number];
    const ChainView view = view_of(reply);
    if (chain.hook && !same_hook(view, *chain.hook)) {
      ruleset.wrong_hooks.push_back(chain.name);
      ruleset.damage.push_back("chain " + chain.name + " has another hook or priority than { " +
                               to_string(*chain.hook) + " }");
    } else if (chain.hook && view.policy != NF_ACCEPT) {
      ruleset.damage.push_back("chain " + chain.name + " has another policy than accept");
    }
  });
  if (!status) return status.error();
  ruleset.generation = query.found_generation();
  for (std::size_t i = 0; i < chains.size(); ++i)
    if (!found[i]) ruleset.damage.push_back("chain " + chains[i].name + " is missing");
  return {};
}

Result<std::vector<std::uint64_t>> read_tags(Transport& transport, const std::string& chain) {
  std::vector<std::uint64_t> tags;
  Query query;
  query.all_rules(chain);
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    if (reply.nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE)) return;
    const auto data =
        Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(NFTA_RULE_USERDATA);
    tags.push_back(data ? parse_rule_tag(data->payload) : 0);
  });
  if (!status) return status.error();
  return tags;
}

Status check_rules(Transport& transport, const ChainSpec& chain, RulesetDiff& ruleset) {
  const Result<std::vector<std::uint64_t>> read = read_tags(transport, chain.name);
  if (!read) return read.error();
  const std::vector<std::uint64_t>& tags = *read;
  const bool same =
      std::equal(tags.begin(), tags.end(), chain.rules.begin(), chain.rules.end(),
                 [](std::uint64_t tag, const Rule& rule) { return tag == fingerprint(rule); });
  if (same) return {};
  for (const Rule& rule : chain.rules)
    if (std::find(tags.begin(), tags.end(), fingerprint(rule)) == tags.end())
      ruleset.damage.push_back("chain " + chain.name + " lacks rule: " + to_string(rule));
  if (tags.size() >= chain.rules.size())
    ruleset.damage.push_back("chain " + chain.name +
                             " has other rules than ours, or in another order");
  return {};
}

std::vector<ChainSpec> skeleton_with_networks() {
  std::vector<ChainSpec> chains = skeleton_chains();
  chains.push_back({.name = kNetworks, .hook = std::nullopt, .rules = {}});
  return chains;
}

bool jumps_once(const std::vector<std::uint64_t>& tags, const std::string& chain) {
  return std::count(tags.begin(), tags.end(), fingerprint({.action = Jump{chain}})) == 1;
}

// Chain networks holds a jump for each network, so what all of it is nobody knows: but each rule is
// one of ours, and `network`, where there is one, is jumped to.
Status check_networks(Transport& transport, const ChainSpec* network, RulesetDiff& ruleset) {
  std::vector<std::string>& damage = ruleset.damage;
  const auto is_missing = [&damage](const std::string& chain) {
    return std::find(damage.begin(), damage.end(), "chain " + chain + " is missing") !=
           damage.end();
  };
  if (is_missing(kNetworks)) return {};
  const Result<std::vector<std::uint64_t>> tags = read_tags(transport, kNetworks);
  if (!tags) return tags.error();
  if (network != nullptr && !is_missing(network->name) && !jumps_once(*tags, network->name))
    damage.push_back(lacks_jump(network->name));
  if (std::find(tags->begin(), tags->end(), 0) != tags->end())
    damage.push_back(std::string("chain ") + kNetworks + " has rules that are not ours");
  return {};
}

Result<RulesetDiff> check(Transport& transport, const std::vector<ChainSpec>& chains) {
  RulesetDiff ruleset;
  if (const Status status = check_chains(transport, chains, ruleset); !status)
    return status.error();
  for (const ChainSpec& chain : chains) {
    if (chain.rules.empty()) continue;
    if (const Status status = check_rules(transport, chain, ruleset); !status)
      return status.error();
  }
  return ruleset;
}

Result<RulesetDiff> check_with_networks(Transport& transport, const std::vector<ChainSpec>& chains,
                                        const ChainSpec* network) {
  Result<RulesetDiff> ruleset = check(transport, chains);
  if (!ruleset) return ruleset;
  if (const Status status = check_networks(transport, network, *ruleset); !status)
    return status.error();
  return ruleset;
}

}  // namespace

Result<RulesetDiff> read_ruleset(Transport& transport, const NetworkChain& network) {
  std::vector<ChainSpec> chains = skeleton_with_networks();
  chains.push_back(network_chain(network));
  return check_with_networks(transport, chains, &chains.back());
}

Result<RulesetDiff> read_skeleton(Transport& transport) {
  return check_with_networks(transport, skeleton_with_networks(), nullptr);
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
  std::vector<ChainSpec> chains = skeleton_chains();
  std::erase_if(chains, [](const ChainSpec& chain) { return chain.name != kLocalnetGuard; });
  const Result<RulesetDiff> guard = check(transport, chains);
  if (!guard) return guard.error();
  return guard->intact();
}

Result<ChainDamage> read_chain_damage(Transport& transport, const std::string& chain) {
  constexpr std::size_t kFewest = 4;  // the translations; excluded devices come before them
  const Result<std::vector<std::uint64_t>> tags = read_tags(transport, chain);
  if (!tags) return tags.error();
  ChainDamage damage;
  if (tags->size() < kFewest) damage.rules.push_back("chain " + chain + " lacks rules");
  if (std::find(tags->begin(), tags->end(), 0) != tags->end())
    damage.rules.push_back("chain " + chain + " has rules that are not ours");
  const Result<std::vector<std::uint64_t>> jumps = read_tags(transport, kNetworks);
  if (!jumps) return jumps.error();
  damage.lacks_jump = !jumps_once(*jumps, chain);
  return damage;
}

Result<std::vector<std::string>> read_set_damage(Transport& transport, const std::string& chain) {
  std::vector<SetSpec> sets = skeleton_sets();
  for (SetSpec& set : network_sets(chain)) sets.push_back(std::move(set));
  Query query;
  for (const SetSpec& set : sets) query.set(set.name);
  std::vector<std::string> damage;
  std::vector<bool> found(sets.size());
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    const std::size_t number = reply.nlmsg_seq - std::size_t{1};
    if (reply.nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET) || number >= sets.size())
      return;
    found[number] = true;
    if (set_type(reply) != set_type(sets[number]))
      damage.push_back("set " + sets[number].name + " has another type than { " +
                       to_string(sets[number]) + "; }");
  });
  if (!status) return status.error();
  for (std::size_t i = 0; i < sets.size(); ++i)
    if (!found[i]) damage.push_back("set " + sets[i].name + " is missing");
  return damage;
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
    if (!is_chain(reply)) return;
    const ChainView view = view_of(reply);
    if (view.table == kTable && !view.hooked && with_maps.contains(view.name))
      names.emplace_back(view.name);
  });
  if (!status) return status.error();
  return names;
}

}  // namespace portmapper::nft

// The half of nft/read/reader that is about chains and rules.

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <set>

#include "lib/base/attributes.hpp"
#include "nft/read/form_reader.hpp"
#include "nft/read/objects.hpp"
#include "nft/read/query.hpp"
#include "nft/read/reader.hpp"
#include "nft/ruleset_diff.hpp"
#include "nft/unknown_chain.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

struct ReadView {
  std::uint32_t generation = 0;
  RulesetView view;
  bool has_egress = false;
};

// Which of the chains exist, and their hooks, from one exchange.
Result<ReadView> read_chains(Transport& transport, const std::vector<ChainSpec>& chains) {
  ReadView read;
  Query query;
  query.generation();
  for (const ChainSpec& chain : chains) query.chain(chain.name);
  query.table();
  query.table(kEgressTable);
  const Status status = query.run(transport, [&](const nlmsghdr& reply) {
    if (is_table(reply, kEgressTable)) read.has_egress = true;
    if (is_table(reply, kTable)) read.view.is_dormant = is_dormant(reply);
    const std::size_t number = reply.nlmsg_seq - std::size_t{2};  // the generation was the first
    if (is_reply(reply, NFT_MSG_NEWCHAIN) && number < chains.size())
      read.view.chains.push_back(parse_chain(reply).view);
  });
  if (!status) return status.error();
  read.generation = query.found_generation();
  return read;
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
    rules.push_back({.fingerprint = data ? parse_rule_tag(data->payload) : 0,
                     .place = data ? parse_rule_place(data->payload) : RulePlace()});
    if (depth == Depth::fingerprints) return;
    const auto expressions = attributes.find(NFTA_RULE_EXPRESSIONS);
    const Bytes bytes = expressions ? expressions->payload : Bytes();
    all_expressions.emplace_back(bytes.begin(), bytes.end());
  });
  if (!status) return status;
  for (std::size_t i = 0; i < all_expressions.size(); ++i)
    if (const Status read = read_form(transport, kTable, all_expressions[i], rules[i].form); !read)
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
  return Ruleset{read->generation, std::move(found), read->has_egress};
}

Result<Ruleset> read_diff(Transport& transport, const NetworkChain* network) {
  const std::vector<ChainSpec> expected = expected_chains(network);
  return read_diff(transport, expected, [&expected, network](const RulesetView& view) {
    return diff_ruleset(view, expected, network);
  });
}

// A network chain and chain `networks`.
Result<RulesetView> read_network_chain(Transport& transport, const std::string& chain,
                                       Depth depth) {
  RulesetView view;
  Query query;
  query.chain(chain);
  const Status status = query.run(transport, [&view](const nlmsghdr& reply) {
    if (is_reply(reply, NFT_MSG_NEWCHAIN)) view.chains.push_back(parse_chain(reply).view);
  });
  if (!status) return status.error();
  view.chains.push_back({.name = kNetworks});
  for (ChainView& seen : view.chains)
    if (const Status read = read_rules(transport, seen.name, depth, seen.rules); !read)
      return read.error();
  return view;
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

Result<ChainDamage> read_chain_damage(Transport& transport, const std::string& chain,
                                      std::span<const NetworkChain* const> wanted) {
  Result<RulesetView> view = read_network_chain(transport, chain, Depth::fingerprints);
  if (!view) return view.error();
  const ChainView* const found = view->find(chain);
  if (found != nullptr && is_as_built(*found)) {
    ChainDamage damage = diff_network_chain(*view, chain);
    if (damage.intact()) return damage;
  }
  view = read_network_chain(transport, chain, Depth::forms);
  if (!view) return view.error();
  return diff_network_chain(*view, chain, wanted);
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
    if (!has_type(reply, sets[number]))
      damage.push_back(
          {Damage::Kind::other_type, sets[number].name, to_string(sets[number]), limits_of(reply)});
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

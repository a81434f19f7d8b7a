#include "nft/trace/rule_text.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <vector>

#include "lib/base/attributes.hpp"
#include "nft/foreign/reader.hpp"
#include "nft/foreign/rule.hpp"
#include "nft/foreign/rule_text.hpp"
#include "nft/read/query.hpp"
#include "nft/ruleset.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft::trace {
namespace {

using Fingerprints = std::map<std::uint64_t, std::string>;

void add_rules(const ChainSpec& chain, Fingerprints& known) {
  for (const Rule& rule : chain.rules) known.emplace(fingerprint(rule), to_string(rule));
}

// What a chain of our table may hold, but for what a configuration adds to it.
Fingerprints fingerprints_of(const foreign::Name& chain) {
  Fingerprints known;
  if (chain.first != foreign::TableId{NFPROTO_INET, kTable}) return known;
  for (const ChainSpec& one : skeleton_chains()) add_rules(one, known);
  add_rules(networks_chain({}), known);
  add_rules(network_chain(NetworkChain{.name = chain.second}), known);
  return known;
}

using Reply = std::vector<std::uint8_t>;

const nlmsghdr& message_of(const Reply& reply) {
  return *reinterpret_cast<const nlmsghdr*>(reply.data());
}

Status read_rules_of(Transport& transport, const foreign::Name& chain,
                     std::vector<Reply>& replies) {
  Query query;
  query.foreign_rules(chain.first.family, chain.first.name, chain.second);
  return query.run(transport, [&replies](const nlmsghdr& reply) {
    if (!is_reply(reply, NFT_MSG_NEWRULE)) return;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&reply);
    replies.emplace_back(bytes, bytes + reply.nlmsg_len);
  });
}

void note_sets(const Reply& reply, std::map<foreign::Name, foreign::Set>& sets) {
  const foreign::RuleReply parsed = foreign::parse_rule(message_of(reply), {});
  const auto note = [&](const foreign::Condition& condition) {
    if (!condition.set.empty()) sets[{parsed.chain.first, condition.set}];
  };
  for (const foreign::Condition& condition : parsed.rule.conditions) note(condition);
  if (parsed.rule.verdict_map) note(*parsed.rule.verdict_map);
}

std::string text_of(const Reply& reply, const Fingerprints& known,
                    const std::map<foreign::Name, foreign::Set>& sets) {
  const nlmsghdr& message = message_of(reply);
  const auto data =
      Attributes(message_attributes(message, sizeof(nfgenmsg))).find(NFTA_RULE_USERDATA);
  const auto found = known.find(data ? parse_rule_tag(data->payload) : 0);
  return found == known.end() ? foreign::rule_text(message, sets) : found->second;
}

}  // namespace

Status read_rule_texts(Transport& transport, const std::set<foreign::Name>& chains,
                       RuleTexts& texts) {
  for (const foreign::Name& chain : chains) {
    if (texts.contains(chain)) continue;
    std::vector<Reply> replies;
    if (const Status read = read_rules_of(transport, chain, replies); !read) return read;
    std::map<foreign::Name, foreign::Set> sets;
    for (const Reply& reply : replies) note_sets(reply, sets);
    if (const Status read = foreign::read_for_text(transport, sets); !read) return read;
    const Fingerprints known = fingerprints_of(chain);
    auto& of_chain = texts[chain];
    for (const Reply& reply : replies)
      of_chain[foreign::parse_rule(message_of(reply), {}).rule.handle] =
          text_of(reply, known, sets);
  }
  return {};
}

}  // namespace portmapper::nft::trace

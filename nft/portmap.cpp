#include "nft/portmap.hpp"

#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <utility>

#include "lib/base/sha512.hpp"

namespace portmapper::nft::portmap {
namespace {

constexpr std::size_t kChainLength = 28;  // of all chains of the containernetworking plugins

std::string place_of(std::uint8_t family, const std::string& table, const std::string& chain) {
  return (family == NFPROTO_IPV6 ? "ip6 " : "ip ") + table + " " + chain;
}

// The kernel's answer to the batch, by the message that it is about.
Refusal with_operation(const Removal& removal, BatchAnswer answer) {
  Refusal refusal = std::move(answer.refusal);
  if (answer.sequence <= 1)
    refusal.generation = true;
  else if (answer.sequence - 2 < removal.rules.size() + removal.chains.size())
    refusal.operation = answer.sequence - 2;
  return refusal;
}

}  // namespace

std::string container_chain(std::string_view network, std::string_view container_id) {
  std::string text(network);
  text += container_id;
  std::string name = kContainerChains;
  return name + hexadecimal(sha512(text), kChainLength - name.size());
}

bool is_container_chain(std::string_view name) {
  return name.size() == kChainLength && name.starts_with(kContainerChains) &&
         name.find_first_not_of("0123456789abcdef", sizeof kContainerChains - 1) ==
             std::string_view::npos;
}

void Removal::append(const Removal& more) {
  rules.insert(rules.end(), more.rules.begin(), more.rules.end());
  chains.insert(chains.end(), more.chains.begin(), more.chains.end());
}

void Removal::shorten(std::size_t most) {
  if (rules.size() <= most) return;
  rules.resize(most);
  chains.clear();
}

Messages encode(const Removal& removal, std::uint32_t generation) {
  Messages messages;
  messages.batch_begin(generation);
  for (const RuleAt& rule : removal.rules) {
    // delete rule ip nat CNI-HOSTPORT-DNAT handle 22
    nlmsghdr* header = messages.begin_of(rule.family, NFT_MSG_DELRULE, 0);
    mnl_attr_put_strz(header, NFTA_RULE_TABLE, rule.table.c_str());
    mnl_attr_put_strz(header, NFTA_RULE_CHAIN, rule.chain.c_str());
    const std::uint64_t handle = htobe64(rule.handle);
    mnl_attr_put(header, NFTA_RULE_HANDLE, sizeof handle, &handle);
    messages.end();
  }
  for (const ChainAt& chain : removal.chains) {
    // delete chain ip nat CNI-DN-1234; not with the rules that may be left in it
    nlmsghdr* header = messages.begin_of(chain.family, NFT_MSG_DELCHAIN, NLM_F_NONREC);
    mnl_attr_put_strz(header, NFTA_CHAIN_TABLE, chain.table.c_str());
    mnl_attr_put_strz(header, NFTA_CHAIN_NAME, chain.name.c_str());
    messages.end();
  }
  if (!removal.empty()) messages.acknowledge_last();
  messages.batch_end();
  return messages;
}

std::string to_string(const RuleAt& rule) {
  return "rule " + place_of(rule.family, rule.table, rule.chain) + " handle " +
         std::to_string(rule.handle);
}

std::string to_string(const ChainAt& chain) {
  return "chain " + place_of(chain.family, chain.table, chain.name);
}

std::string to_string(const Removal& removal) {
  std::string text;
  for (const RuleAt& rule : removal.rules)
    text += (text.empty() ? "nft 'delete " : "; delete ") + to_string(rule);
  if (!text.empty()) text += "'";
  // Each by itself: if a rule of somebody else leads to a chain, the kernel keeps that one.
  for (const ChainAt& chain : removal.chains)
    text += (text.empty() ? "nft 'delete " : "; nft 'delete ") + to_string(chain) + "'";
  return text;
}

CommitResult commit(Transport& transport, const Removal& removal, std::uint32_t generation) {
  if (removal.empty()) return {};
  const Messages messages = encode(removal, generation);
  BatchAnswer answer = send_batch(transport, messages.bytes());
  CommitResult result{.failure = std::move(answer.failure)};
  if (answer.refusal.error_number != 0) result.refusal = with_operation(removal, std::move(answer));
  return result;
}

Status to_status(const CommitResult& result, const Removal& removal) {
  if (result.failure) return *result.failure;
  if (!result.refusal) return {};
  const Refusal& refusal = *result.refusal;
  std::string object = refusal.generation ? "the ruleset generation" : "the batch";
  if (refusal.operation) {
    const std::size_t at = *refusal.operation;
    object = "delete " + (at < removal.rules.size()
                              ? to_string(removal.rules[at])
                              : to_string(removal.chains[at - removal.rules.size()]));
  }
  if (!refusal.reason.empty()) object += " (" + refusal.reason + ")";
  return mapping_failed("nftables refused", std::move(object), refusal.error_number);
}

}  // namespace portmapper::nft::portmap

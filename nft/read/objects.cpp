#include "nft/read/objects.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "lib/base/attributes.hpp"
#include "nft/userdata.hpp"

namespace portmapper::nft {
namespace {

ChainView::BaseHook parse_hook(const Attribute& hook) {
  ChainView::BaseHook parsed{.type = {}, .policy = NF_ACCEPT};
  for (const Attribute& part : Attributes(hook.payload)) {
    if (part.type == NFTA_HOOK_HOOKNUM) parsed.number = part.number32();
    if (part.type == NFTA_HOOK_PRIORITY)
      parsed.priority = static_cast<std::int32_t>(part.number32());
  }
  return parsed;
}

// Kernel and nft set others by themselves: for concatenated intervals, for counters, and for what rules
// may add.
constexpr std::uint32_t kTold = NFT_SET_CONSTANT | NFT_SET_INTERVAL | NFT_SET_MAP | NFT_SET_TIMEOUT;

// What the kernel keeps of a set's type: key and data, by nft's type numbers, and the flags; and what
// ours do not have: elements that expire, and an end to how many there may be.
struct SetType {
  std::uint32_t key = 0;
  std::uint32_t data = 0;
  std::uint32_t flags = 0;
  std::uint32_t size = 0;
  bool expires = false;
  bool operator==(const SetType&) const = default;
};

SetType set_type(const nlmsghdr& reply) {
  SetType type;
  for (const Attribute& attribute : Attributes(message_attributes(reply, sizeof(nfgenmsg)))) {
    if (attribute.type == NFTA_SET_KEY_TYPE) type.key = attribute.number32();
    if (attribute.type == NFTA_SET_DATA_TYPE) type.data = attribute.number32();
    if (attribute.type == NFTA_SET_FLAGS) type.flags = attribute.number32() & kTold;
    if (attribute.type == NFTA_SET_TIMEOUT) type.expires = true;
    if (attribute.type != NFTA_SET_DESC) continue;
    const auto size = Attributes(attribute.payload).find(NFTA_SET_DESC_SIZE);
    if (size) type.size = size->number32();
  }
  return type;
}

SetType set_type(const SetSpec& set) {
  SetType type{concatenated_type(set.key), concatenated_type(set.data), 0, 0, false};
  if (set.verdicts) type.data = NFT_DATA_VERDICT;
  if (set.is_map()) type.flags |= NFT_SET_MAP;
  if (set.interval) type.flags |= NFT_SET_INTERVAL;
  return type;
}

}  // namespace

bool is_table(const nlmsghdr& reply, std::string_view name) {
  if (!is_reply(reply, NFT_MSG_NEWTABLE)) return false;
  const auto found = Attributes(message_attributes(reply, sizeof(nfgenmsg))).find(NFTA_TABLE_NAME);
  return found && found->text() == name;
}

bool is_dormant(const nlmsghdr& table) {
  const auto flags = Attributes(message_attributes(table, sizeof(nfgenmsg))).find(NFTA_TABLE_FLAGS);
  return flags && (flags->number32() & NFT_TABLE_F_DORMANT) != 0;
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

bool has_type(const nlmsghdr& reply, const SetSpec& set) {
  return set_type(reply) == set_type(set);
}

std::string limits_of(const nlmsghdr& reply) {
  const SetType type = set_type(reply);
  std::string text;
  if (type.size != 0) text += "size " + std::to_string(type.size);
  if (type.expires || (type.flags & NFT_SET_TIMEOUT) != 0)
    text += std::string(text.empty() ? "" : " and ") + "timeout";
  if ((type.flags & NFT_SET_CONSTANT) != 0)
    text += std::string(text.empty() ? "" : " and ") + "flags constant";
  return text;
}

}  // namespace portmapper::nft

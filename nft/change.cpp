#include "nft/change.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "lib/base/attributes.hpp"
#include "lib/base/netlink.hpp"
#include "lib/base/process_name.hpp"
#include "nft/names.hpp"

namespace portmapper::nft {
namespace {

// NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, NFTA_SET_ELEM_LIST_TABLE.
constexpr std::uint16_t kNameOfTable = 1;

bool is_change(std::uint16_t type) {
  switch (type) {
    case NFT_MSG_NEWTABLE:
    case NFT_MSG_DELTABLE:
    case NFT_MSG_NEWCHAIN:
    case NFT_MSG_DELCHAIN:
    case NFT_MSG_NEWRULE:
    case NFT_MSG_DELRULE:
    case NFT_MSG_NEWSET:
    case NFT_MSG_DELSET:
    case NFT_MSG_NEWSETELEM:
    case NFT_MSG_DELSETELEM:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<TableChange> ChangeReader::read(const nlmsghdr& message) {
  if (message.nlmsg_type >> 8U != NFNL_SUBSYS_NFTABLES ||
      message.nlmsg_len < NLMSG_LENGTH(sizeof(nfgenmsg)))
    return std::nullopt;
  const Attributes attributes(message_attributes(message, sizeof(nfgenmsg)));
  const auto type = static_cast<std::uint16_t>(message.nlmsg_type & 0xffU);
  if (type == NFT_MSG_NEWGEN) {
    if (!std::exchange(is_touched_, false)) return std::nullopt;
    const auto name = attributes.find(NFTA_GEN_PROC_NAME);
    return TableChange{name && name->text() == kProcessName};
  }
  if (!is_change(type) || family_of(message) != NFPROTO_INET) return std::nullopt;
  const auto table = attributes.find(kNameOfTable);
  is_touched_ =
      is_touched_ || (table && (table->text() == kTable || table->text() == kEgressTable));
  return std::nullopt;
}

}  // namespace portmapper::nft

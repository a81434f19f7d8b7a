#include "nft/read/translators.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>

#include "lib/base/attributes.hpp"
#include "lib/base/legacy_tables.hpp"
#include "nft/names.hpp"
#include "nft/read/query.hpp"

namespace portmapper::nft {
namespace {

bool translates_destinations(const nlmsghdr& reply, Family family) {
  if (!is_reply(reply, NFT_MSG_NEWCHAIN)) return false;
  const std::uint8_t of = family_of(reply);
  const int own = family == Family::ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
  if (of != NFPROTO_INET && of != own) return false;
  const Attributes attributes(message_attributes(reply, sizeof(nfgenmsg)));
  const auto hook = attributes.find(NFTA_CHAIN_HOOK);
  const auto type = attributes.find(NFTA_CHAIN_TYPE);
  if (!hook || !type || type->text() != "nat") return false;
  const auto number = Attributes(hook->payload).find(NFTA_HOOK_HOOKNUM);
  const bool is_before_routing = number && (number->number32() == NF_INET_PRE_ROUTING ||
                                            number->number32() == NF_INET_LOCAL_OUT);
  const auto table = attributes.find(NFTA_CHAIN_TABLE);
  const bool is_ours = of == NFPROTO_INET && table && table->text() == kTable;
  return is_before_routing && !is_ours;
}

}  // namespace

Result<bool> others_translate(Transport& transport, Family family) {
  const Result<bool> legacy = has_legacy_nat(family);
  if (!legacy || *legacy) return legacy;
  bool found = false;
  Query query;
  query.everything(NFT_MSG_GETCHAIN);
  const Status status = query.peek(
      transport,
      [&](const nlmsghdr& reply) { found = found || translates_destinations(reply, family); },
      [&found] { return found; });
  if (found) return true;
  if (!status) return status.error();
  return false;
}

}  // namespace portmapper::nft

// Objects: what the kernel says of one table, chain or set.
//
//   Query query;
//   query.table();
//   const Status status = query.run(transport, [&](const nlmsghdr& reply) {
//     if (is_table(reply, kTable)) use(is_dormant(reply));
//     if (is_reply(reply, NFT_MSG_NEWCHAIN)) use(parse_chain(reply).view.name);
//   });
//
// Views into the reply, which end with it, but for names and hooks. Errors: none; what is missing in a
// reply is empty or 0. Source: linux/netfilter/nf_tables.h.
#pragma once

#include <string>
#include <string_view>

#include "nft/read/query.hpp"
#include "nft/ruleset_diff.hpp"
#include "nft/set.hpp"

namespace portmapper::nft {

bool is_table(const nlmsghdr& reply, std::string_view name);
bool is_dormant(const nlmsghdr& table);

struct TableChain {
  std::string_view table;
  ChainView view;  // without its rules
};
TableChain parse_chain(const nlmsghdr& reply);

// Of a set: whether key, data and flags are as ours has them, without a size and without a timeout.
bool has_type(const nlmsghdr& reply, const SetSpec& set);
// "size 4 and timeout": what ours have none of; empty where this has none either.
std::string limits_of(const nlmsghdr& reply);

}  // namespace portmapper::nft

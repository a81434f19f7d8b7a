// Parts: a transaction that is too long for one batch, as several.
//
//   Transaction ordered = in_order_for_parts(std::move(transaction));
//   if (auto two = halves(ordered)) use(two->first, two->second);  // in this order
//
// Where net.core.wmem_max may not be passed, as in a user namespace, the kernel takes no batch of more
// than twice its bytes. Parts are no longer all or nothing, so their order makes each beginning of
// them something that a DEL removes: who begins to own ports says so before he has any of them, and
// says so until the last of them is gone. Elements alone are parted, so that no chain is without its
// rules between two parts. Errors: nothing where there is nothing to part. Does not promise: that two
// halves are equally long. Source: kernel netlink_sendmsg; packaging/doc/kernel-facts.md.
#pragma once

#include <optional>
#include <utility>

#include "nft/transaction.hpp"

namespace portmapper::nft {

Transaction in_order_for_parts(Transaction transaction);
// Neither has a generation.
std::optional<std::pair<Transaction, Transaction>> halves(const Transaction& transaction);

}  // namespace portmapper::nft

// commit: a transaction into the kernel, all of it or none of it.
//
//   Status status = commit(netlink, transaction);
//   if (!status && status.error().error_number == EEXIST) ...  // somebody has one of the elements
//
// Errors: mapping_failed that names the first operation refused and its errno, with nothing
// changed. ERESTART: the generation moved. EEXIST: an element that was to be created is there.
// ENOENT: something that was to be there is not. Does not promise: to try again; lib/app does.
// Source: kernel net/netfilter/nfnetlink.c, nfnetlink_rcv_batch.
#pragma once

#include "lib/base/netlink.hpp"
#include "nft/transaction.hpp"

namespace portmapper::nft {

// Whether an error of commit is the kernel's refusal, after which nothing has changed. After
// another one, the batch may have been taken all the same: its answer was lost.
bool is_refusal(const Error& error);

Status commit(Transport& transport, const Transaction& transaction);

// Whether the kernel would take the transaction, without a trace: it gets one more operation that
// it must refuse, and then undoes them all. Errors: as commit.
Status dry_run(Transport& transport, Transaction transaction);

}  // namespace portmapper::nft

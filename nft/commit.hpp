// commit: sends a transaction to the kernel, which accepts all of it or nothing.
//
//   const CommitResult result = commit(transport, transaction);
//   if (result.refusal && result.refusal->operation && result.refusal->error_number == EEXIST)
//     use(transaction.operations[*result.refusal->operation]);  // somebody has one of its elements
//
// A refusal is the kernel's answer, after which nothing has changed: ERESTART, the generation
// moved; EEXIST, an element that was to be created is there; ENOENT, something that was to be there
// is not. A failure is everything else (the socket, silence), after which the batch may have been
// taken all the same. Source: kernel net/netfilter/nfnetlink.c, nfnetlink_rcv_batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "lib/base/netlink.hpp"
#include "nft/transaction.hpp"

namespace portmapper::nft {

// The first operation that the kernel refused; it undid the others.
struct Refusal {
  int error_number = 0;
  std::optional<std::size_t> operation{};  // its index; nothing: the batch itself
  bool generation = false;                 // it was the generation that the batch names
  std::string reason{};                    // the kernel's own words, where it has some
};

struct CommitResult {
  std::optional<Refusal> refusal{};
  std::optional<Error> failure{};

  explicit operator bool() const { return !refusal && !failure; }
};

CommitResult commit(Transport& transport, const Transaction& transaction);

// What the kernel says to the bytes of a batch, whose last message asks for an acknowledgement.
struct BatchAnswer {
  Refusal refusal{};           // the first; without its operation
  std::uint32_t sequence = 0;  // of the message that it is about
  std::optional<Error> failure{};
};
BatchAnswer send_batch(Transport& transport, std::span<const std::uint8_t> bytes);

// "nftables refused: create element inet nft-port-mapper published-ip { ... }: File exists"; where the
// kernel may lack a module it is named.
Error to_error(const Refusal& refusal, const Transaction& transaction);
// The result as an Error; nothing where the transaction was taken.
Status to_status(const CommitResult& result, const Transaction& transaction);

// Whether the kernel would accept the transaction. Nothing is changed: one more operation, which
// the kernel must refuse, makes it undo the others.
CommitResult dry_run(Transport& transport, const Transaction& transaction);

}  // namespace portmapper::nft

#include "nft/commit.hpp"

#include <cerrno>

#include "nft/encode.hpp"

namespace portmapper::nft {
namespace {

Refusal refusal_of(const Transaction& transaction, const Batch& batch, const nlmsghdr& reply,
                   const Acknowledgement& ack) {
  Refusal refusal{.error_number = ack.error_number, .reason = std::string(ack.reason)};
  const std::uint32_t sequence = reply.nlmsg_seq;
  if (transaction.generation && sequence <= 1)
    refusal.generation = true;
  else if (sequence != 0 && sequence <= batch.operations.size())
    refusal.operation = batch.operations[sequence - 1];
  return refusal;
}

// "create element inet nft-port-mapper published-ip { tcp . 8080 ... }": one line is enough.
std::string object_of(const Refusal& refusal, const Transaction& transaction) {
  if (refusal.generation) return "the ruleset generation";
  if (!refusal.operation || *refusal.operation >= transaction.operations.size()) return "the batch";
  const Operation& operation = transaction.operations[*refusal.operation];
  const auto* elements = std::get_if<Elements>(&operation);
  if (elements != nullptr && elements->elements.size() > 1)
    return elements->set.name + " (" + std::to_string(elements->elements.size()) + " elements)";
  const std::string text = to_string(operation);
  return text.substr(0, text.find('\n'));
}

}  // namespace

CommitResult commit(Transport& transport, const Transaction& transaction) {
  const Batch batch = encode(transaction);
  CommitResult result;
  bool acknowledged = false;
  const Status sent = transport.exchange(batch.messages.bytes(), [&](const nlmsghdr& reply) {
    const Acknowledgement ack = acknowledgement(reply);
    if (!ack.present) return;
    if (ack.error_number == 0)
      acknowledged = true;
    else if (!result.refusal)
      result.refusal = refusal_of(transaction, batch, reply, ack);
  });
  // The first refusal is what counts, even where a thousand more of them did not fit the socket.
  if (result.refusal) return result;
  if (!sent)
    result.failure = sent.error();
  else if (!acknowledged)
    result.failure = no_answer("the batch");
  return result;
}

Error to_error(const Refusal& refusal, const Transaction& transaction) {
  std::string object = object_of(refusal, transaction);
  if (!refusal.reason.empty()) object += " (" + refusal.reason + ")";
  return mapping_failed("nftables refused", std::move(object), refusal.error_number);
}

Status to_status(const CommitResult& result, const Transaction& transaction) {
  if (result.refusal) return to_error(*result.refusal, transaction);
  if (result.failure) return *result.failure;
  return {};
}

CommitResult dry_run(Transport& transport, const Transaction& transaction) {
  Transaction refused = transaction;
  refused.operations.emplace_back(AddTable{});
  refused.operations.emplace_back(CreateTable{});  // which exists by now, so EEXIST
  CommitResult result = commit(transport, refused);
  if (result.refusal && result.refusal->error_number == EEXIST &&
      result.refusal->operation == refused.operations.size() - 1)
    return {};
  return result;
}

}  // namespace portmapper::nft

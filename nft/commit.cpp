#include "nft/commit.hpp"

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "nft/encode.hpp"

namespace portmapper::nft {
namespace {

Refusal with_operation(const Transaction& transaction, const Batch& batch, BatchAnswer answer) {
  Refusal refusal = std::move(answer.refusal);
  const std::uint32_t sequence = answer.sequence;
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
  const std::string text = to_string(operation, transaction.table);
  return text.substr(0, text.find('\n'));
}

// Of chains and rules: what the kernel has as modules, which load by themselves where they may.
// ENOENT is its answer for what it does not have as well.
std::string modules_of(std::string_view operation) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kModules = {{
      {" type nat ", "nft_chain_nat"},
      {" fib ", "nft_fib_inet"},
      {" socket ", "nft_socket"},
      {" ct ", "nft_ct"},
      {" dnat ip", "nft_nat"},
      {" masquerade", "nft_masq"},
  }};
  std::string modules;
  for (const auto& [words, module] : kModules) {
    if (operation.find(words) == std::string_view::npos) continue;
    modules += modules.empty() ? "" : ", ";
    modules += module;
  }
  return modules;
}

// The kernel takes ENFILE for a set that was made with a size, which none of ours is.
bool is_full(const Refusal& refusal, const Transaction& transaction) {
  if (refusal.error_number != ENFILE || !refusal.operation ||
      *refusal.operation >= transaction.operations.size())
    return false;
  return std::holds_alternative<Elements>(transaction.operations[*refusal.operation]);
}

}  // namespace

BatchAnswer send_batch(Transport& transport, std::span<const std::uint8_t> bytes) {
  BatchAnswer answer;
  bool acknowledged = false;
  const Status sent = transport.exchange(bytes, [&](const nlmsghdr& reply) {
    const Acknowledgement ack = acknowledgement(reply);
    if (!ack.present) return;
    if (ack.error_number == 0) {
      acknowledged = true;
    } else if (answer.refusal.error_number == 0) {
      answer.refusal = {.error_number = ack.error_number, .reason = std::string(ack.reason)};
      answer.sequence = reply.nlmsg_seq;
    }
  });
  // The first refusal is what counts, even where a thousand more of them did not fit the socket.
  if (answer.refusal.error_number != 0) return answer;
  if (!sent)
    answer.failure = sent.error();
  else if (!acknowledged)
    answer.failure = no_answer("the batch");
  return answer;
}

CommitResult commit(Transport& transport, const Transaction& transaction) {
  const Batch batch = encode(transaction);
  BatchAnswer answer = send_batch(transport, batch.messages.bytes());
  CommitResult result{.failure = std::move(answer.failure)};
  if (answer.refusal.error_number != 0)
    result.refusal = with_operation(transaction, batch, std::move(answer));
  return result;
}

Error to_error(const Refusal& refusal, const Transaction& transaction) {
  std::string object = object_of(refusal, transaction);
  const bool may_lack_one = refusal.error_number == ENOENT &&
                            (object.starts_with("add chain ") || object.starts_with("add rule "));
  const std::string modules = may_lack_one ? modules_of(object) : std::string();
  if (!refusal.reason.empty()) object += " (" + refusal.reason + ")";
  if (is_full(refusal, transaction))
    object +=
        " (the set is full: somebody made it anew with a size; nft-port-mapperctl check --repair"
        " makes it as ours)";
  if (!modules.empty()) object += " (it takes the kernel's " + modules + ")";
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

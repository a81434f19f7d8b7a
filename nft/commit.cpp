#include "nft/commit.hpp"

#include <cerrno>
#include <optional>

#include "nft/encode.hpp"

namespace portmapper::nft {
namespace {

constexpr char kRefused[] = "nftables refused";

// "create element inet nft-port-mapper published-ip { tcp . 8080 ... }": one line is enough.
std::string object_of(const Transaction& transaction, const Batch& batch, std::uint32_t sequence) {
  if (transaction.generation && sequence <= 1) return "the ruleset generation";
  if (sequence == 0 || sequence > batch.operations.size()) return "the batch";
  const Operation& operation = transaction.operations[batch.operations[sequence - 1]];
  const auto* elements = std::get_if<Elements>(&operation);
  if (elements != nullptr && elements->elements.size() > 1)
    return elements->set.name + " (" + std::to_string(elements->elements.size()) + " elements)";
  const std::string text = to_string(operation);
  return text.substr(0, text.find('\n'));
}

}  // namespace

bool is_refusal(const Error& error) {
  return error.what == kRefused;
}

Status commit(Transport& transport, const Transaction& transaction) {
  const Batch batch = encode(transaction);
  std::optional<Error> refused;
  bool acknowledged = false;
  const Status sent = transport.exchange(batch.messages.bytes(), [&](const nlmsghdr& reply) {
    const Acknowledgement ack = acknowledgement(reply);
    if (!ack.present) return;
    if (ack.error_number == 0) {
      acknowledged = true;
    } else if (!refused) {
      std::string object = object_of(transaction, batch, reply.nlmsg_seq);
      if (!ack.reason.empty()) object += " (" + std::string(ack.reason) + ")";
      refused = Error{ErrorKind::mapping_failed, kRefused, object, ack.error_number, {}};
    }
  });
  // The first refusal is what counts, even where a thousand more of them did not fit the socket.
  if (refused) return *refused;
  if (!sent) return sent.error();
  if (!acknowledged) return no_answer("the batch");
  return {};
}

Status dry_run(Transport& transport, Transaction transaction) {
  constexpr char kNoChain[] = "rehearsal";
  transaction.operations.emplace_back(DeleteChain{kNoChain});
  const Status status = commit(transport, transaction);
  const std::string expected = to_string(transaction.operations.back());
  if (!status && status.error().error_number == ENOENT &&
      status.error().object.starts_with(expected.substr(0, expected.find('\n'))))
    return {};
  return status;
}

}  // namespace portmapper::nft

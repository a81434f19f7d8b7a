#include "lib/app/carry_out.hpp"

#include <cerrno>

#include "lib/app/retry.hpp"
#include "nft/parts.hpp"
#include "nft/read/reader.hpp"

namespace portmapper::app {
namespace {

// "Nothing to do" has no batch whose generation the kernel would compare.
Result<bool> has_moved(Transport& transport, const nft::Transaction& nothing) {
  if (!nothing.generation) return false;
  const Result<std::uint32_t> now = nft::read_generation(transport);
  if (!now) return now.error();
  return *now != *nothing.generation;
}

struct Sent {
  nft::CommitResult result;
  Status status;
  bool has_begun = false;  // a part of it is there
};

bool is_too_long(const nft::CommitResult& result) {
  return result.failure && result.failure->error_number == EMSGSIZE;
}

// Every batch makes the generation one higher, and the kernel leaves 0 out.
std::uint32_t next_generation(std::uint32_t generation) {
  return generation + 1 == 0 ? 1 : generation + 1;
}

Sent send_in_parts(Transport& transport, nft::Transaction transaction, const Commit& commit) {
  Sent sent;
  std::uint32_t generation = *transaction.generation;
  std::vector<nft::Transaction> rest;  // the last one first
  rest.push_back(nft::in_order_for_parts(std::move(transaction)));
  while (!rest.empty()) {
    nft::Transaction part = std::move(rest.back());
    rest.pop_back();
    part.generation = generation;
    sent.result = commit(transport, part);
    if (is_too_long(sent.result))
      if (auto two = nft::halves(part)) {
        rest.push_back(std::move(two->second));
        rest.push_back(std::move(two->first));
        continue;
      }
    sent.status = nft::to_status(sent.result, part);
    if (!sent.result) return sent;
    sent.has_begun = true;
    generation = next_generation(generation);
  }
  return sent;
}

Sent send(Transport& transport, const nft::Transaction& transaction, const Commit& commit) {
  nft::CommitResult result = commit(transport, transaction);
  if (is_too_long(result) && transaction.generation)
    return send_in_parts(transport, transaction, commit);
  Status status = nft::to_status(result, transaction);
  return {std::move(result), std::move(status)};
}

}  // namespace

Result<nft::Transaction> read_and_decide(Transport& transport, const Subject& subject,
                                         const Decide& decide, nft::Snapshot& snapshot) {
  for (;;) {
    nft::Decision decision = decide(snapshot);
    if (auto* transaction = std::get_if<nft::Transaction>(&decision))
      return std::move(*transaction);
    if (auto* refusal = std::get_if<Error>(&decision)) return std::move(*refusal);
    const nft::Section section = std::get<nft::ReadMore>(decision).section;
    if (const Status read = look(transport, subject, section, snapshot); !read) return read.error();
  }
}

CarriedOut carry_out(Transport& transport, const Subject& subject, const Decide& decide,
                     const Commit& commit, const Undo& undo) {
  CarriedOut done;
  nft::Snapshot::Refused refused;
  for (Retry retry; retry.again();) {
    done.snapshot = {.refused = refused};
    const Result<nft::Transaction> transaction =
        read_and_decide(transport, subject, decide, done.snapshot);
    if (!transaction) {
      if (changed_concurrently(transaction.error().error_number)) continue;
      done.status = transaction.error();
      return done;
    }
    done.status = {};
    if (transaction->operations.empty()) {
      const Result<bool> moved = has_moved(transport, *transaction);
      if (moved && *moved) continue;
      if (!moved) done.status = moved.error();
      return done;
    }
    Sent sent = send(transport, *transaction, commit);
    const nft::CommitResult& result = sent.result;
    done.is_committed = static_cast<bool>(result);
    if (result) return done;
    done.status = std::move(sent.status);
    if (sent.has_begun && undo) undo();
    if (changed_concurrently(done.status.error().error_number)) continue;
    if (result.refusal && nft::learn(refused, *result.refusal)) continue;
    done.is_uncertain = result.failure.has_value();
    return done;
  }
  done.status = Retry::exhausted();
  return done;
}

}  // namespace portmapper::app

#include "lib/app/carry_out.hpp"

#include "lib/app/retry.hpp"
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
                     const Commit& commit) {
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
    const nft::CommitResult result = commit(transport, *transaction);
    done.is_committed = static_cast<bool>(result);
    if (result) return done;
    done.status = nft::to_status(result, *transaction);
    if (changed_concurrently(done.status.error().error_number)) continue;
    if (result.refusal && nft::learn(refused, *result.refusal)) continue;
    done.is_uncertain = result.failure.has_value();
    return done;
  }
  done.status = Retry::exhausted();
  return done;
}

}  // namespace portmapper::app

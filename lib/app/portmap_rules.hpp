// remove_portmap_rules: what the CNI project's portmap has in nf_tables goes, in one batch.
//
//   const auto read = [&](bool) { return nft::read_portmap_removal(transport, attachment); };
//   const Result<nft::portmap::Removal> gone = remove_portmap_rules(transport, read);
//   if (gone && !gone->empty()) use(gone->rules.size());
//
// Reads and commits until the kernel takes the batch under the generation in which it was read; nothing to
// remove is a success. A batch that is too long for this user namespace goes in parts, each read again. A chain
// to which somebody else's rule leads as well cannot go: it stays, without rules.
// Errors: those of `read`; the kernel's refusal, with the command that does the same by hand;
// try_again_later (11). Source: nft/portmap; packaging/doc/migration.md.
#pragma once

#include <cerrno>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/app/retry.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/read/portmap_reader.hpp"

namespace portmapper::app {

// The error of a batch that was refused, with the command that does the same.
Error not_removed(Error error, const nft::portmap::Removal& removal);

// The chain that the kernel kept, and refused the batch for it.
std::optional<nft::portmap::ChainAt> chain_in_use(const nft::CommitResult& result,
                                                  const nft::portmap::Removal& removal);

// What was removed. `read(has_begun)`: a part of it was removed before.
template <typename Read>
Result<nft::portmap::Removal> remove_portmap_rules(Transport& transport, const Read& read) {
  nft::portmap::Removal gone;
  std::set<nft::portmap::ChainAt> used;  // by others
  std::size_t most = std::numeric_limits<std::size_t>::max();
  for (Retry retry; retry.again();) {
    Result<nft::PortmapLeft> left = read(!gone.empty());
    if (!left && changed_concurrently(left.error().error_number)) continue;
    if (!left) return left.error();
    std::erase_if(left->removal.chains,
                  [&used](const auto& chain) { return used.contains(chain); });
    const std::size_t rules = left->removal.rules.size();
    left->removal.shorten(most);
    const nft::CommitResult result = commit(transport, left->removal, left->generation);
    if (result) {
      gone.append(left->removal);
      if (rules <= most) return gone;
      retry = Retry();
    } else if (const auto chain = chain_in_use(result, left->removal)) {
      used.insert(*chain);
      retry = Retry();
    } else if (result.failure && result.failure->error_number == EMSGSIZE && rules > 1) {
      most = left->removal.rules.size() / 2;
    } else {
      const Error error = to_status(result, left->removal).error();
      if (!changed_concurrently(error.error_number)) return not_removed(error, left->removal);
    }
  }
  return Retry::exhausted();
}

// What portmap has for one attachment, whose DEL came to us. That it is gone, or cannot go, is a note.
void end_portmap_rules(Transport& transport, const Attachment& attachment,
                       std::vector<std::string>& notes);

}  // namespace portmapper::app

// adopt: takes over what the CNI project's portmap publishes, without a moment in which nobody does.
//
//   const Result<Adopted> adopted = adopt(transport, {.sources = restore::default_sources()});
//   for (const Entry& entry : adopted->entries)
//     if (entry.is_taken()) use(entry.names);  // it is ours now
//
// First the runtimes' records get our plugin's name, so that from then on their DEL comes to us; then ours are
// published, as restore does it from these records, and read again; then portmap's rules of these containers go in
// one batch by their handles, under the generation in which they were read again. Portmap's rules are asked
// before ours and lead to the same places, so no connection sees a difference, and established ones keep
// their translation. Whose rules were gone before that batch may have been deleted: ours are taken back if its
// record is gone or was written again, or its namespace does not have its address; else somebody flushed, and
// they stay. What could not be published whole is taken back as well, and its record says portmap again. One adopt
// runs at a time. What stays is told with the reason. Errors: mapping_failed where the kernel
// cannot be asked at all; try_again_later where another adopt does not end. If the batch fails, ours stay and
// `not_removed` says why. Does not promise: to change iptables-legacy, nor to remove the chains that portmap's
// containers share, as portmap itself never does. Source: packaging/doc/migration.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/app/adopt/join.hpp"
#include "lib/app/restore/restore.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::adopt {

struct Options {
  std::vector<restore::Source> sources{};
  std::optional<std::string> network_directory{};  // nothing: the usual ones
  const char* cni_path = nullptr;                  // CNI_PATH
  bool dry_run = false;
};

struct Adopted {
  std::vector<Entry> entries{};  // those without a reason are ours, or would be
  std::size_t removed = 0;       // rules of portmap's
  std::string not_removed{};     // why they are still there; empty: they are not
  std::vector<std::string> notes{};
  std::vector<std::string> problems{};
};

Result<Adopted> adopt(Transport& transport, const Options& options);

}  // namespace portmapper::adopt

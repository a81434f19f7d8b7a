// find_missing: what the runtimes have on record, lives, and is not published.
//
//   const Result<std::vector<Missing>> missing = find_missing(transport);
//   for (const Missing& one : *missing) use(one.attachment, one.ports);  // after nft flush ruleset
//
// What `restore --dry-run` says, for those that only look: a table that is gone has no damage, and
// every port is closed all the same. A record that cannot be read is no finding here; restore names
// it. Errors: as restore::restore; where nobody could look, nobody knows what is missing. Source: lib/app/restore.
#pragma once

#include <string>
#include <vector>

#include "lib/app/ctl/table_contents.hpp"
#include "lib/base/attachment.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/published_port.hpp"

namespace portmapper::ctl {

struct Missing {
  Attachment attachment;
  std::vector<nft::PublishedPort> ports;  // none: it is not masqueraded
};

Result<std::vector<Missing>> find_missing(Transport& transport);

// Sets contents.on_record: which damaged chains a living attachment is on record for. Reads the records
// only where a chain is damaged.
void find_records(Transport& transport, TableContents& contents);

// "attachment web/abc/eth0 (2 ports) lives, and ...", fit to be printed.
std::string to_string(const Missing& missing);

}  // namespace portmapper::ctl

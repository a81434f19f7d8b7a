// restore_all: what the subcommand restore does, and watch when something is gone.
//
//   const Result<restore::Restored> done =
//       restore_all(transport, restore::default_sources(), restore::Mode::publish);
//
// First it withdraws what a saved ruleset brought back of containers that are gone, so that nobody's port
// is kept from a living container by one of them; that is told in `notes`. Errors: as restore::restore.
// Source: packaging/doc/design.md, "Restore".
#pragma once

#include <vector>

#include "lib/app/restore/restore.hpp"
#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"

namespace portmapper::ctl {

Result<restore::Restored> restore_all(Transport& transport,
                                      const std::vector<restore::Source>& sources,
                                      restore::Mode mode);

}  // namespace portmapper::ctl

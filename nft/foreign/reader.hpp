// read_ruleset: the chains and rules of all tables but ours, with the sets that their rules look
// into.
//
//   const Result<Ruleset> others = read_ruleset(transport);
//
// Dumps everything, so it is for the ctl alone. Only tables of the families ip, ip6 and inet that
// have a base chain at forward, prerouting, output or input (a container's own) are read. Errors: mapping_failed with object
// and errno; EINTR when somebody changed the ruleset meanwhile: read it again. Does not promise: a
// consistent picture across the dumps. Source: kernel nf_tables_api.c.
#pragma once

#include "lib/base/netlink.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

Result<Ruleset> read_ruleset(Transport& transport);

}  // namespace portmapper::nft::foreign

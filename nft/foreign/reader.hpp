// read_foreign: the chains and rules of all tables but ours, with the sets that their rules look
// into.
//
//   Result<ForeignRuleset> others = read_foreign(netlink);
//
// Dumps everything, so it is for the ctl alone. Only tables of the families ip, ip6 and inet that
// have a base chain at forward, prerouting or output are read. Errors: mapping_failed with object
// and errno; EINTR when somebody changed the ruleset meanwhile: read it again. Does not promise: a
// consistent picture across the dumps. Source: kernel nf_tables_api.c.
#pragma once

#include "lib/base/netlink.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper {

Result<ForeignRuleset> read_foreign(Transport& transport);

}  // namespace portmapper

// read_ruleset: the chains and rules of all tables but ours, with the sets that their rules look
// into.
//
//   const Result<Ruleset> others = read_ruleset(transport);
//
// Dumps everything, so it is for the ctl alone. Only tables of the families ip, ip6 and inet that
// have a base chain at forward, prerouting or output are read. Errors: mapping_failed with object
// and errno; EINTR when somebody changed the ruleset meanwhile: read it again. Does not promise: a
// consistent picture across the dumps. Source: kernel nf_tables_api.c.
#pragma once

#include "lib/base/netlink.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

Result<Ruleset> read_ruleset(Transport& transport);

// The chains of every table of every family, ours too, without their rules.
Result<std::map<Name, Chain>> read_every_chain(Transport& transport);
// Of the sets whose names are there: what they hold where it is anonymous, else how long a key is.
Status read_for_text(Transport& transport, std::map<Name, Set>& sets);

}  // namespace portmapper::nft::foreign

// read_ruleset: the chains and rules of all tables but ours, with the sets that their rules look
// into; read_own_ruleset: those of our own table, as anybody would read them.
//
//   const Result<Ruleset> others = read_ruleset(transport);
//
// Dumps everything, so it is for the ctl alone. Of the others' tables, those are read that have a
// base chain: of all families but arp. Of our own sets, those are read that are small: without a name,
// and the hairpin pairs. A lookup in another is a condition that is not known. In a container's network
// namespace all tables are others'. Errors: mapping_failed with object
// and errno; EINTR when somebody changed the ruleset meanwhile: read it again. Does not promise: a
// consistent picture across the dumps. Source: kernel nf_tables_api.c.
#pragma once

#include <map>

#include "lib/base/netlink.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

Result<Ruleset> read_ruleset(Transport& transport);
Result<Ruleset> read_own_ruleset(Transport& transport);
// The kernel's numbers of all tables, which count up as tables are made.
Result<std::map<TableId, std::uint64_t>> read_table_handles(Transport& transport);

// The chains of every table of every family, ours too, without their rules.
Result<std::map<Name, Chain>> read_every_chain(Transport& transport);
// Of the sets whose names are there: what they hold where it is anonymous, else how long a key is.
Status read_for_text(Transport& transport, std::map<Name, Set>& sets);

}  // namespace portmapper::nft::foreign

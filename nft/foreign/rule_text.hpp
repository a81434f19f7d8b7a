// A rule of any table as one line, for people: about as nft writes it, as far as it is understood.
//
//   rule_text(reply, others.sets);  // "iifname \"eth0\" tcp dport 80 masquerade comment \"web\""
//   to_string(Verdict{Verdict::Kind::jump, "ours"});  // "jump ours"
//
// A part that is not understood is the kernel's name for it ("numgen"). A condition that nft adds only
// to look at what comes behind it is left out, as nft does. The text has names that others chose: print it
// through lib/base/escape. Errors: none. Does not promise: text that nft would load. Source: nft(8);
// kernel nf_tables.h, nf_conntrack_common.h.
#pragma once

#include <map>
#include <string>

#include "lib/base/attributes.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

std::string rule_text(const nlmsghdr& reply, const std::map<Name, Set>& sets);

// "accept", "goto ours"; of `none`, "continue".
std::string to_string(const Verdict& verdict);

}  // namespace portmapper::nft::foreign

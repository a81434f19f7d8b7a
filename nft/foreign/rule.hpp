// A rule of any table, from the kernel's reply to conditions and a verdict.
//
//   const RuleReply parsed = parse_rule(reply, others.sets);
//   for (const Condition& condition : parsed.rule.conditions) use(to_string(condition));
//
// Follows the registers: what an expression loads is an operand, what compares it a condition. An
// expression that it does not know becomes a condition of its own that is neither true nor false,
// and what lies in the registers then is not known any more; libnftnl refuses a whole rule for one
// such expression, so the attributes are read here. Errors: none; a malformed part is not known.
// Does not promise: conditions on link-layer headers but the type, nor anything of the family arp.
// Source: kernel nf_tables.h, net/netfilter/nft_*.c.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "lib/base/attributes.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

struct RuleReply {
  Name chain;
  Rule rule;
};

// nft's comment of a rule, from the attributes of its reply; empty where it has none.
std::string comment_of(const Attributes& rule);

RuleReply parse_rule(const nlmsghdr& reply, const std::map<Name, Set>& sets);
// NFTA_DATA_VERDICT's payload.
Verdict parse_verdict(Bytes attributes);

}  // namespace portmapper::nft::foreign

// The texts of the rules of some chains, by their handles.
//
//   RuleTexts texts;
//   const foreign::Name chain{{NFPROTO_IPV4, "filter"}, "FORWARD"};
//   const Status read = read_rule_texts(transport, {chain}, texts);
//   use(texts[chain][12]);  // "ct status dnat accept"
//
// Of our own table the text is that of nft/rule, where the fingerprint says which rule it is; of any
// other rule nft/foreign/rule_text. Chains whose texts are there are not read again. Errors:
// mapping_failed as nft/read/query; EINTR where somebody changed the ruleset meanwhile. Does not
// promise: the text that a rule had when the packet met it. Source: kernel nf_tables_api.c.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "lib/base/error.hpp"
#include "lib/base/netlink.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::trace {

using RuleTexts = std::map<foreign::Name, std::map<std::uint64_t, std::string>>;

Status read_rule_texts(Transport& transport, const std::set<foreign::Name>& chains,
                       RuleTexts& texts);

}  // namespace portmapper::nft::trace

// rule_form: what a rule does, in a form that is the same whoever encoded it.
//
//   const RuleForm ours = rule_form({.action = Jump{"MESOS-WEB"}});  // as our encoder makes it
//   const RuleForm found = rule_form(nested(parent, NFTA_RULE_EXPRESSIONS), {});
//   if (!found.empty() && found == ours) use(found);           // they do the same
//
// A table that was saved with `nft list` and loaded with `nft -f` has nft's encoding of our rules,
// without fingerprints. So the expressions are followed through the registers: which of them holds
// what does not matter, nor does a load that nothing uses. Comparisons become one for each byte;
// those that stand between two steps with an effect are sorted, and each counts once. What is set
// comes before the target of a translation, as nft encodes it. Steps are text, one for each effect
// and comparison:
//   meta:15+0 == 02; in @published-ip [meta:16+0:1 #000000 th+2:2 #0000]; jump networks
// Errors: an expression, attribute or set that is not known here makes an empty form; such a rule
// is nobody's of ours. Does not promise: that what differs in form differs in effect.
// Source: nft --debug=netlink; kernel net/netfilter/nft_*.c.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/attributes.hpp"
#include "nft/rule.hpp"

namespace portmapper::nft {

using RuleForm = std::vector<std::string>;

// Of sets in braces, by name: their elements, sorted; where an interval ends, with "!".
using AnonymousSets = std::map<std::string, std::vector<std::string>, std::less<>>;

RuleForm rule_form(Bytes expressions, const AnonymousSets& sets);
RuleForm rule_form(const Rule& rule);

// The names of the anonymous sets that a rule looks up.
std::vector<std::string> anonymous_sets(Bytes expressions);
// Adds the elements of a NEWSETELEM message, of the kernel's or of ours.
void add_elements(const nlmsghdr& message, std::vector<std::string>& elements);

// A jump and nothing else.
bool is_plain_jump(const RuleForm& form);
// What a rule of a network chain is, whatever its devices, addresses and conditions. A chain has them
// in this order, that of devices for as many rules as there are, each other once at most.
enum class ChainPart : std::uint8_t { devices, one4, addresses4, any4, one6, addresses6, any6 };
ChainPart part_of(Suffix suffix);  // which translates by the map
// Nothing: it is none of them, as a return without a test is none.
std::optional<ChainPart> part_of_network_chain(const RuleForm& form, std::string_view chain);
// Whether it is one that excludes addresses, this one among them.
bool excludes(const RuleForm& form, const IpAddress& address);
// The address that a rule gives to what it translates (snat ip to 192.0.2.7).
std::optional<IpAddress> snat_address(const RuleForm& form);

}  // namespace portmapper::nft

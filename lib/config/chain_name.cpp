#include "lib/config/chain_name.hpp"

#include <algorithm>
#include <array>

#include "lib/base/table_names.hpp"

namespace portmapper::config {
namespace {

// The words that nft 1.0.6 refuses where tests/golden/ruleset.nft has a network chain's name: after
// `chain`, after `jump`. Found by loading, listing and loading again such a table for each of
// 14,786 words that are in libnftables.so.1 and in nft's man pages, in the letter case found, in
// lower and in upper case, and for those of nft's scanner that are in neither (lshift, rshift).
// Sorted by bytes.
constexpr std::array<std::string_view, 153> kNftWords = {
    "accept",     "add",       "ah",       "all",      "and",       "arp",         "auto-merge",
    "bridge",     "cgroup",    "chain",    "comment",  "comp",      "constant",    "continue",
    "counter",    "cpu",       "create",   "ct",       "day",       "dccp",        "define",
    "delete",     "describe",  "device",   "devices",  "dnat",      "drop",        "dst",
    "dup",        "dynamic",   "ecn",      "element",  "elements",  "eq",          "esp",
    "ether",      "exists",    "expires",  "export",   "exthdr",    "fib",         "flags",
    "flow",       "flowtable", "flush",    "frag",     "fwd",       "gc-interval", "ge",
    "get",        "goto",      "gt",       "handle",   "hbh",       "hook",        "hour",
    "ibriport",   "ibrname",   "icmp",     "icmpv6",   "igmp",      "iif",         "iifgroup",
    "iifname",    "iiftype",   "import",   "include",  "index",     "inet",        "insert",
    "interval",   "ip",        "ip6",      "ipsec",    "jhash",     "jump",        "le",
    "limit",      "list",      "log",      "lshift",   "lt",        "map",         "mark",
    "masquerade", "meta",      "meter",    "mh",       "missing",   "monitor",     "ne",
    "netdev",     "nftrace",   "not",      "notrack",  "numgen",    "obriport",    "obrname",
    "offload",    "oif",       "oifgroup", "oifname",  "oiftype",   "or",          "osf",
    "pkttype",    "policy",    "position", "priority", "queue",     "quota",       "random",
    "redefine",   "redirect",  "reject",   "rename",   "replace",   "reset",       "return",
    "rshift",     "rt",        "rt0",      "rt2",      "rtclassid", "rule",        "ruleset",
    "sctp",       "secmark",   "set",      "size",     "skgid",     "skuid",       "snat",
    "socket",     "srh",       "symhash",  "synproxy", "table",     "tcp",         "th",
    "time",       "timeout",   "tproxy",   "type",     "typeof",    "udp",         "udplite",
    "undefine",   "update",    "vlan",     "vmap",     "xor",       "xt",
};

constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// nft's own token: a letter, '_' or '.' first; then digits, '-' and '/' as well. Tried with every
// byte in first, middle and last place; a dot alone is an operator.
bool is_identifier(std::string_view name) {
  if (name.empty() || name.size() > kMaxChainName || name == ".") return false;
  if (!is_letter(name[0]) && name[0] != '_' && name[0] != '.') return false;
  for (const char c : name)
    if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '_' && c != '.' && c != '-' && c != '/')
      return false;
  return true;
}

}  // namespace

std::string_view chain_name_complaint(std::string_view name) {
  static_assert(kMaxChainName == 100);
  if (!is_identifier(name))
    return "is not an nft chain name: a letter, '_' or '.', then letters, digits, '_', '.', '-', "
           "'/'; at most 100 bytes";
  if (std::binary_search(kNftWords.begin(), kNftWords.end(), name))
    return "is a word of nft's own language";
  if (std::find(kReservedNames.begin(), kReservedNames.end(), name) != kReservedNames.end())
    return "is a name of nft-port-mapper's own";
  return {};
}

}  // namespace portmapper::config

// Excluded: what the keys excludeDevices, excludeAddresses, nonMasqueradeCIDRs and snatAddress may name.
//
//   is_excludable_device("veth*");  // true: every interface whose name begins so
//   std::string_view complaint;
//   parse_excluded_prefix("10.96.0.0/12", complaint);  // or one address, which is a prefix too
//   can_be_answered(*IpAddress::parse("192.0.2.11"));  // as a packet's source
//
// A name goes into nft's text, where quotes end it and a backslash changes it; an asterisk at the end
// stands for the rest of the name, as with nft. Bits behind a prefix are left out, as nft does:
// 10.96.0.1/12 is 10.96.0.0/12. Errors: nothing, and why. Does not promise: that there is such an
// interface or address. Source: nft(8), "iifname"; IFNAMSIZ of linux/if.h.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "lib/base/ip_address.hpp"

namespace portmapper::config {

// What fits into one rule without a thought; each is looked for in a tree.
inline constexpr std::size_t kMaxExcludedPrefixes = 256;

inline constexpr std::string_view kNotADevice =
    "is not the name of one interface, or its beginning and '*': 1 to 15 bytes, not '.' or '..', "
    "without '/', ':', '\"', '\\', white space, control characters, and without '*' before its end";

bool is_excludable_device(std::string_view name);
// `complaint`: before, what to say of all addresses; after, why it is refused.
std::optional<IpPrefix> parse_excluded_prefix(std::string_view text, std::string_view& complaint);
// Whether they leave out no address of the family.
bool are_everything(const std::vector<IpPrefix>& prefixes, Family family);
// Neither multicast, broadcast nor reserved, and of more than one interface's use (RFC 6890).
bool can_be_answered(const IpAddress& source);

}  // namespace portmapper::config

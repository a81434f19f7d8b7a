// A table of iptables-legacy, from what getsockopt(2) gives to chains and rules.
//
//   LegacyTable table{.family = Family::ipv4, .name = "filter", .valid_hooks = 1U << NF_INET_FORWARD};
//   table.entries = blob_of(info);  // as legacy_reader reads them
//   std::vector<Chain> chains;
//   const bool is_understood = parse_legacy(table, chains);
//
// The bytes are the kernel's own: entry behind entry, each with its matches and its target; a chain
// of the user begins behind an entry whose target is ERROR, a base chain at its hook, and its policy
// is the entry at its underflow. Rules have their numbers, from 1, as iptables counts them, in place
// of handles. Errors: false for bytes of another layout. Does not promise: what a match or target
// means that nft/foreign/xt does not know. Source: kernel include/uapi/linux/netfilter_ipv4/ip_tables.h,
// netfilter_ipv6/ip6_tables.h, netfilter/x_tables.h.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

struct LegacyTable {
  Family family = Family::ipv4;
  std::string name;  // "nat"
  std::uint32_t valid_hooks = 0;
  std::array<std::uint32_t, 5> hook_entry{};  // by NF_INET_*: offsets in `entries`
  std::array<std::uint32_t, 5> underflow{};
  Blob entries{};
};

[[nodiscard]] bool parse_legacy(const LegacyTable& table, std::vector<Chain>& chains);

}  // namespace portmapper::nft::foreign

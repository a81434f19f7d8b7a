// AnonymousSet: the elements in braces of one rule, iifname { "eth0", "eth1" }.
//
//   encode_anonymous_set(messages, set, set_id);  // before the rule that looks up set_id
//
// The kernel names it, and removes it with the rule. An interval set has the first value of each
// interval and, as an end, the one behind its last; adjacent intervals share no end, so they must
// be joined before. Keys are in the byte order that the rule loads: of single numbers that the
// kernel keeps itself, the host's; of intervals, always the network's. Errors: none. Source: kernel
// nft_set_rbtree.c; nftables 1.0.6, mnl.c, intervals.c (set_to_intervals).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "nft/netlink_message.hpp"

namespace portmapper::nft {

struct AnonymousSet {
  struct Element {
    std::array<std::uint8_t, 16> key{};
    bool is_end = false;   // of the interval before it
    bool is_open = false;  // an interval that has no end but the type's
  };

  std::uint32_t key_type = 0;  // nft's number, which the kernel only stores
  std::uint32_t key_length = 0;
  bool is_host_order = false;  // how nft is to print the keys
  bool is_interval = false;
  std::vector<Element> elements;
};

inline constexpr char kAnonymousSet[] = "__set%d";

void encode_anonymous_set(Messages& messages, const AnonymousSet& set, std::uint32_t set_id);

}  // namespace portmapper::nft

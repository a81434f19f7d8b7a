// Operands: what the expressions of a rule load into its registers, and what they are called.
//
//   meta_operand(NFT_META_IIFNAME).text;  // "iifname"
//   payload_operand(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFPROTO_IPV4).field;  // PacketField::dport
//
// The arguments are the kernel's numbers; lengths and offsets are in bytes. What is not known has a
// text and no field. Errors: none. Source: kernel nf_tables.h, net/netfilter/nft_*.c; IANA, TCP
// option kinds.
#pragma once

#include <linux/netfilter/nf_tables.h>

#include <cstdint>
#include <optional>
#include <string>

#include "lib/base/attributes.hpp"
#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

Operand meta_operand(std::uint32_t key);
// `family`: whose the network header is.
Operand payload_operand(std::uint32_t base, std::uint32_t offset, std::size_t length,
                        std::uint8_t family);
Operand ct_operand(std::uint32_t key, std::optional<std::uint32_t> direction);
// "fib saddr . iif oif"
Operand fib_operand(std::uint32_t flags, std::uint32_t result);
// "tcp option maxseg size"; of others, the number of the option.
Operand option_operand(std::uint32_t type, std::uint32_t offset, std::size_t length,
                       bool is_presence);
// "limit rate over 1/hour burst 1 packets", from the attributes of the expression.
std::string limit_text(const Attributes& data);

}  // namespace portmapper::nft::foreign

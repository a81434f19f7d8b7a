// Condition text: the words that nft has for the values of conditions.
//
//   const Blob established = {2, 0, 0, 0};          // on a little-endian host
//   bit_names(PacketField::ct_state, established);  // "established"
//   value_text({PacketField::iif, "meta mark", 4, {}, Operand::Form::mark}, established.data(), 4);
//   // "0x00000002"
//
// Only what is often met has words: states, types of addresses, protocols, flags, numbers of a few
// fields, comparisons and intervals. Errors: nothing where there is no word. Source: nft(8), DATA TYPES;
// kernel nf_conntrack_common.h, rtnetlink.h, RFC 9293 for the flags.
#pragma once

#include <optional>
#include <string>

#include "nft/foreign/foreign.hpp"

namespace portmapper::nft::foreign {

// Of a field whose values are bits; nothing where it has none, or a bit has no name.
std::optional<std::string> bit_names(PacketField field, const Blob& bits);
// One value as nft writes it, the beginning of a field's bytes; nothing for what it has no word for.
std::optional<std::string> value_text(const Operand& operand, const std::uint8_t* bytes,
                                      std::size_t length);

}  // namespace portmapper::nft::foreign

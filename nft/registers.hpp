// Registers: what a rule's expressions leave in nf_tables' registers, as text instead of values.
//
//   Registers registers;
//   registers.write(NFT_REG_1, loaded("th", 2, 2));  // payload load 2b @ transport header + 2
//   to_string(*registers.read(NFT_REG32_00, 4));     // "[th+2:2 #0000]"
//
// The same 64 bytes have two kinds of numbers: NFT_REG_1 to 4 of 16 bytes, NFT_REG32_00 to 15 of 4.
// What is written is filled up with zeros to a multiple of 4, as the kernel does. Errors: `read`
// and `write` of what is outside fail. Does not promise: values; a byte says where it comes from.
// Source: kernel net/netfilter/nf_tables_api.c (nft_parse_register), nft_payload.c.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/bytes.hpp"

namespace portmapper::nft {

// ((byte `offset` of `source`) & mask) ^ bits; without a source, or mask: the constant `bits`.
struct SymbolicByte {
  std::string source{};
  std::uint32_t offset = 0;
  std::uint8_t mask = 0xff;
  std::uint8_t bits = 0;

  [[nodiscard]] bool is_constant() const { return source.empty() || mask == 0; }
  bool operator==(const SymbolicByte&) const = default;
};
using SymbolicBytes = std::vector<SymbolicByte>;

SymbolicBytes loaded(std::string_view source, std::uint32_t offset, std::size_t length);
SymbolicBytes constant(Bytes bytes);

class Registers {
 public:
  [[nodiscard]] std::optional<SymbolicBytes> read(std::uint32_t number, std::size_t length) const;
  [[nodiscard]] bool write(std::uint32_t number, const SymbolicBytes& bytes);

 private:
  std::array<SymbolicByte, 64> bytes_{};
};

std::string hex(Bytes bytes);
// "[nh+16:4 l4proto+0:1 #000000]": where bytes come from, those that follow each other joined.
std::string to_string(std::span<const SymbolicByte> bytes);
std::string to_string(const SymbolicByte& byte);

}  // namespace portmapper::nft

// Bytes: somebody else's memory, to read; and numbers as bytes.
//
//   const Bytes payload = parent.payload;
//   host_number(1);                  // 01000000 on a little-endian host
//   network_number(8080);            // 1f90 on every host
//   equal_bits(one.first, one.last);  // 16, of 10.22.0.0 and 10.22.255.255
//
// Errors: none. Does not promise: that what Bytes points to lives on. Source: C++20 [views.span].
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace portmapper {

using Bytes = std::span<const std::uint8_t>;

inline std::array<std::uint8_t, 4> host_number(std::uint32_t number) {
  return std::bit_cast<std::array<std::uint8_t, 4>>(number);
}

constexpr std::array<std::uint8_t, 2> network_number(std::uint16_t number) {
  return {static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number & 0xff)};
}

// How many bits of two values of one length are the same: of the ends of a prefix, its length.
constexpr std::size_t equal_bits(Bytes first, Bytes last) {
  std::size_t bits = first.size() * 8;
  for (std::size_t i = 0; i < first.size(); ++i)
    bits -= static_cast<std::size_t>(std::popcount(static_cast<std::uint8_t>(first[i] ^ last[i])));
  return bits;
}

}  // namespace portmapper

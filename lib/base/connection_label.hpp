// The conntrack label of the connections that we translate, and others do not.
//
//   const auto bits = label_bit();  // what `ct label set 127` sets, and CTA_LABELS shows
//
// nft builds with it, lib/host recognises our flows by it. A label is 128 bits, a number in the host's
// byte order; nft sets and tests one bit. Errors: none. Does not promise: that nobody else sets the
// bit; no other project's is known. Source: kernel nft_ct.c, nf_conntrack_labels.h.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace portmapper {

inline constexpr std::uint32_t kLabel = 127;

constexpr std::array<std::uint8_t, 16> label_bit() {
  std::array<std::uint8_t, 16> bits{};
  constexpr std::size_t kByte = kLabel / 8;
  bits[std::endian::native == std::endian::little ? kByte : 15 - kByte] = 1U << kLabel % 8;
  return bits;
}

}  // namespace portmapper

// SHA-512, by which others name things; our own names are of lib/base/hash.
//
//   hexadecimal(sha512("abc"), 8);  // "ddaf35a1"
//
// The containernetworking plugins call a container's iptables chain by it. Lengths are in digits.
// Errors: none. Source: FIPS 180-4.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace portmapper {

using Sha512 = std::array<std::uint8_t, 64>;

Sha512 sha512(std::string_view text);
// The first `digits` of it; all where it has no more.
std::string hexadecimal(const Sha512& digest, std::size_t digits);

}  // namespace portmapper

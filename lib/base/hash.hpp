// Two hashes: SHA-256 for identities, FNV-1a for telling whether a text changed.
//
//   sha256("abc")[0] == 0xba;
//   fnv1a("abc") == 0xe71fa2190541574b;
//
// sha256 is what names an attachment in the kernel, so it must be hard to collide on purpose; fnv1a
// marks our rules, where nobody profits from a collision. Errors: none. Source: FIPS 180-4; RFC
// 9923 (FNV).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace portmapper {

std::array<std::uint8_t, 32> sha256(std::string_view text);

constexpr std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash ^= static_cast<std::uint8_t>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace portmapper

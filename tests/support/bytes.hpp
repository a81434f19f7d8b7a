// Bytes as text, both ways, so that tests compare whole byte strings.
//
//   CHECK(hex(claim_key(port).bytes()) == "06000000 1f900000");
//   Buffer bytes = unhex("0300 ff");  // blanks are skipped
//
// hex puts a blank behind every four bytes. Errors: none; unhex wants pairs of digits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace portmapper::test {

using Buffer = std::vector<std::uint8_t>;

inline std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i != 0 && i % 4 == 0) text += ' ';
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

inline std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string hex(std::string_view text) {
  return hex(bytes_of(text));
}

inline Buffer unhex(std::string_view text) {
  Buffer bytes;
  unsigned value = 0;
  bool half = false;
  for (const char c : text) {
    if (c == ' ') continue;
    value = value << 4 | static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    if (half) bytes.push_back(static_cast<std::uint8_t>(value & 0xff));
    half = !half;
  }
  return bytes;
}

}  // namespace portmapper::test

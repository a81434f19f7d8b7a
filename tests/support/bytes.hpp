// Bytes as text, both ways, so that tests compare whole byte strings.
//
//   CHECK(hex(claim_key(port).bytes()) == "06000000 1f900000");
//   Buffer bytes = unhex("0300 ff");  // blanks are skipped
//   hex(attribute) == "'05000200 61"_native  // "00050002 61" on a big-endian host
//
// hex puts a blank behind every four bytes. _native is for the headers of netlink attributes, whose
// two numbers are in the host's byte order: a test marks each with ' and has it as on a
// little-endian host. Errors: none; unhex wants pairs of digits.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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

inline std::string operator""_native(const char* marked, std::size_t length) {
  std::string text(marked, length);
  for (std::size_t at = 0; (at = text.find('\'', at)) != text.npos;) {
    text.erase(at, 1);
    if constexpr (std::endian::native == std::endian::little) continue;
    for (const std::size_t number : {at, at + 4}) {
      std::swap(text.at(number), text.at(number + 2));
      std::swap(text.at(number + 1), text.at(number + 3));
    }
  }
  return text;
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

#include "lib/base/escape.hpp"

#include <algorithm>

namespace portmapper {
namespace {

std::uint32_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

}  // namespace

std::uint32_t code_point(std::string_view text, std::size_t at, std::size_t length) {
  static constexpr std::uint32_t kLeadMask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  std::uint32_t value = byte_at(text, at) & kLeadMask[length];
  for (std::size_t i = 1; i < length; ++i) value = value << 6U | (byte_at(text, at + i) & 0x3fU);
  return value;
}

std::size_t utf8_length(std::string_view text, std::size_t at) {
  const std::uint32_t lead = byte_at(text, at);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - at < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte_at(text, at + i) & 0xc0U) != 0x80) return 0;
  const std::uint32_t point = code_point(text, at, length);
  const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
  const bool surrogate = point >= 0xd800 && point < 0xe000;
  return overlong || surrogate || point > 0x10ffff ? 0 : length;
}

bool is_unprintable(std::uint32_t point) {
  const bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
  const bool separates_lines = point == 0x2028 || point == 0x2029;
  const bool turns_direction =
      (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  return is_control || separates_lines || turns_direction;
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0 || is_unprintable(code_point(text, at, length)))
      out += '?';
    else
      out += text.substr(at, length);
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

}  // namespace portmapper

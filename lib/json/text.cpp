#include "lib/json/text.hpp"

#include <algorithm>
#include <cstdint>

namespace portmapper::json {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kReplacement = "\\ufffd";

std::uint32_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

std::uint32_t code_point(std::string_view text, std::size_t at, std::size_t length) {
  static constexpr std::uint32_t kLeadMask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  std::uint32_t value = byte_at(text, at) & kLeadMask[length];
  for (std::size_t i = 1; i < length; ++i) value = value << 6U | (byte_at(text, at + i) & 0x3fU);
  return value;
}

// What a terminal or a log reader may act upon.
bool is_unsafe(std::uint32_t point) {
  const bool is_control = point < 0x20 || (point >= 0x7f && point < 0xa0);
  const bool separates_lines = point == 0x2028 || point == 0x2029;
  const bool turns_direction =
      (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  return is_control || separates_lines || turns_direction;
}

void append_code(std::string& out, std::uint32_t point) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHexDigits[point >> shift & 0xfU];
}

void append_one(std::string& out, std::string_view text, std::size_t at, std::size_t length) {
  const std::uint32_t point = code_point(text, at, length);
  switch (point) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      if (is_unsafe(point))
        append_code(out, point);
      else
        out += text.substr(at, length);
  }
}

// Nearly all text is made of these alone.
bool is_plain(char c) {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

}  // namespace

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

std::size_t first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

void append_escaped(std::string& out, std::string_view text) {
  if (std::all_of(text.begin(), text.end(), is_plain)) {
    out += text;
    return;
  }
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0)
      out += kReplacement;
    else
      append_one(out, text, at, length);
    at += std::max<std::size_t>(length, 1);
  }
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0 || is_unsafe(code_point(text, at, length)))
      out += '?';
    else
      out += text.substr(at, length);
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string quoted(std::string_view text) {
  std::size_t shown = std::min(text.size(), kQuotedBytes);
  // Not through the middle of a character, where there is one.
  if (shown < text.size())
    for (std::size_t back = 0; back < 4 && (byte_at(text, shown - back) & 0xc0U) == 0x80; ++back)
      if (utf8_length(text, shown - back - 1) > back + 1) {
        shown -= back + 1;
        break;
      }
  std::string out = "\"";
  append_escaped(out, text.substr(0, shown));
  static constexpr std::string_view kPhrase = "not found";
  for (std::size_t at = out.find(kPhrase); at != std::string::npos; at = out.find(kPhrase, at))
    out.replace(at + 3, 1, "\\u0020");
  out += '"';
  if (shown < text.size()) out += "... (" + std::to_string(text.size()) + " bytes)";
  return out;
}

}  // namespace portmapper::json

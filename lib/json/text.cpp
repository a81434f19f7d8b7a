#include "lib/json/text.hpp"

#include <algorithm>
#include <cstdint>

#include "lib/base/escape.hpp"

namespace portmapper::json {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kReplacement = "\\ufffd";

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
      if (is_unprintable(point))
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

std::string quoted(std::string_view text) {
  std::size_t shown = std::min(text.size(), kQuotedBytes);
  // Not through the middle of a character, where there is one.
  if (shown < text.size())
    for (std::size_t back = 0;
         back < 4 && (static_cast<unsigned char>(text[shown - back]) & 0xc0U) == 0x80; ++back)
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

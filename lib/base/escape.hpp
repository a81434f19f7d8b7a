// Text that came from elsewhere, made safe for a terminal and for a log.
//
//   printable("a\nb");  // a?b
//
// Replaced is whatever a terminal or a log reader takes for more than a letter: control characters
// (C0, DEL and C1), the line separators U+2028 and U+2029, and what turns the direction of
// writing, so that a line reads as another. Offsets and lengths are in bytes. Errors: none. Does
// not promise: that two texts stay different. Source: RFC 3629.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace portmapper {

// Bytes of the UTF-8 sequence at `at`, 0 if there is none: 1 to 4.
std::size_t utf8_length(std::string_view text, std::size_t at);
// What the UTF-8 sequence of this length means.
std::uint32_t code_point(std::string_view text, std::size_t at, std::size_t length);
// Whether a terminal or a log reader may act upon it.
bool is_unprintable(std::uint32_t point);

// One '?' for each of what a terminal acts upon, and for each byte that is not UTF-8.
std::string printable(std::string_view text);

}  // namespace portmapper

// Text that came from elsewhere, made safe to print: in JSON, in a message, in a log line.
//
//   quoted("a\nb");                  // "a\nb", with the quotes, on one line
//   quoted(std::string(4096, 'a'));  // "aaaa...aaaa"... (4096 bytes)
//
// Escaped are what JSON demands and, beyond it, whatever a terminal or a log reader takes for more
// than a letter: DEL, the C1 control characters, the line separators U+2028 and U+2029, and what
// turns the direction of writing, so that a line reads as another. Bytes that are not UTF-8 become
// U+FFFD, one each. Sizes are in bytes. Errors: none. Does not promise: that
// a quoted text can be read back once it was shortened. Source: RFC 8259 section 7, RFC 3629.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace portmapper::json {

constexpr std::size_t kQuotedBytes = 64;  // a longer text is cut there in a message

// The offset of the first byte that is not UTF-8; npos if all is.
std::size_t first_invalid_utf8(std::string_view text);

// The content of a JSON string, without the quotes.
void append_escaped(std::string& out, std::string_view text);

// For messages: in quotes, escaped, shortened. It also breaks up the words that make containerd take
// a DEL that failed for a success (see lib/delegate/lookup.hpp).
std::string quoted(std::string_view text);

}  // namespace portmapper::json

#include "lib/json/skip.hpp"

namespace portmapper::json {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

// `start` is behind the opening quote.
std::size_t skip_string(std::string_view text, std::size_t start) {
  for (std::size_t at = text.find_first_of("\"\\", start); at != kNone;
       at = text.find_first_of("\"\\", at)) {
    if (text[at] == '"') return at + 1;
    at += 2;
  }
  return kNone;
}

}  // namespace

std::size_t skip_value(std::string_view text, std::size_t start) {
  if (start >= text.size()) return kNone;
  if (text[start] == '"') return skip_string(text, start + 1);
  if (text[start] != '{' && text[start] != '[') {
    const std::size_t end = text.find_first_of(" \t\r\n,]}", start);
    return end == kNone ? text.size() : end;
  }
  std::size_t depth = 0;
  for (std::size_t at = text.find_first_of("\"{}[]", start); at != kNone;
       at = text.find_first_of("\"{}[]", at)) {
    const char byte = text[at++];
    if (byte == '"') {
      at = skip_string(text, at);
      if (at == kNone) return kNone;
    } else if (byte == '{' || byte == '[') {
      ++depth;
    } else if (--depth == 0) {
      return at;
    }
  }
  return kNone;
}

}  // namespace portmapper::json

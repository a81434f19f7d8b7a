// What tests look for in texts.
//
//   CHECK(count(list, "alive") == 2);
//   CHECK(last_word("web/abc/eth0  dead\n") == "dead");
//
// last_word is that of the last whole line; a text without one is given back. Errors: none.
#pragma once

#include <cstddef>
#include <string>

namespace portmapper::test {

inline std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

inline std::string last_word(const std::string& text) {
  const std::size_t end = text.rfind('\n');
  if (end == std::string::npos) return text;
  const std::size_t begin = text.rfind(' ', end);
  return text.substr(begin + 1, end - begin - 1);
}

}  // namespace portmapper::test

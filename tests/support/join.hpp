// join: several texts as one, so that a failed comparison shows both sides in full.
//
//   CHECK(join({ask(a, ...), ask(b, ...)}) == "abc 192.0.2.2, abc 10.22.0.1");
//
// Errors: none. Does not promise: that a text has no ", " of its own.
#pragma once

#include <string>
#include <vector>

namespace portmapper::test {

inline std::string join(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (&text == &texts.front() ? "" : ", ") + text;
  return all;
}

}  // namespace portmapper::test

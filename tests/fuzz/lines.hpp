// lines_of: an input of several texts, one a line.
//
//   lines_of("tcp\ndport 80");  // "tcp", "dport 80"
//
// No text has no lines. Errors: none. Does not promise: texts with line feeds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace portmapper::fuzz {

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

}  // namespace portmapper::fuzz

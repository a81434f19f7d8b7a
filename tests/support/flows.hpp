// Flows: what the host's conntrack has, and what is gone of it.
//
//   const std::vector<std::string> before = flows(lab, "tcp");
//   CHECK(lost(before, flows(lab, "tcp")) == "src=192.0.2.2 dst=192.0.2.1 sport=5000 dport=8080");
//
// A line for each flow of both families, as conntrack(8) lists it with its ID, without what changes by
// itself. `lost` names those of the first list that are not in the second by their original
// direction, joined by ", ". Errors: those of tool().
#pragma once

#include <algorithm>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/join.hpp"
#include "tests/support/lab.hpp"
#include "tests/support/tool.hpp"

namespace portmapper::test {

inline std::vector<std::string> flows(const Lab& lab, const std::string& protocol) {
  std::vector<std::string> lines;
  for (const char* family : {"ipv4", "ipv6"}) {
    std::istringstream text(
        tool(lab.host(), "conntrack -L -o id -p " + protocol + " -f " + family));
    static const std::regex timeout("^(\\w+ +\\d+) \\d+");
    for (std::string line; std::getline(text, line);)
      lines.push_back(std::regex_replace(line, timeout, "$1"));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

inline std::string lost(const std::vector<std::string>& before,
                        const std::vector<std::string>& after) {
  std::vector<std::string> gone;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::back_inserter(gone));
  static const std::regex original("src=\\S+ dst=\\S+ sport=\\d+ dport=\\d+");
  for (std::string& line : gone) {
    std::smatch match;
    if (std::regex_search(line, match, original)) line = match[0].str();
  }
  return join(gone);
}

}  // namespace portmapper::test

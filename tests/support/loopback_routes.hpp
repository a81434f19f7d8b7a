// What lets the host's ::1 reach containers, as ip(8) and nft(8) show it.
//
//   CHECK(routes(lab) == "cni0 127");
//   CHECK(elements6(lab, "loopback-ip6") == "tcp . 8080 comment \"container_id: abc\"");
//
// Errors: those of tool().
#pragma once

#include <sstream>
#include <string>

#include "tests/support/lab.hpp"
#include "tests/support/listing.hpp"
#include "tests/support/tool.hpp"

namespace portmapper::test {

// "cni0 127": device and protocol of each route of ::1 but lo's.
inline std::string routes(const Lab& lab) {
  std::istringstream lines(tool(lab.host(), "ip -6 route show table local ::1"));
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string device, protocol = "boot", word;
    while (words >> word) {
      if (word == "dev") words >> device;
      if (word == "proto") words >> protocol;
    }
    if (device != "lo") text += (text.empty() ? "" : ", ") + device + " " + protocol;
  }
  return text;
}

inline std::string elements6(const Lab& lab, const std::string& set) {
  const std::string all = listing(lab.host());
  const std::size_t begin = all.find(" " + set + " {");
  const std::string text = all.substr(begin, all.find("\n\t}", begin) - begin);
  const std::size_t at = text.find("elements = { ");
  return at == std::string::npos ? "" : text.substr(at + 13, text.find(" }", at) - at - 13);
}

}  // namespace portmapper::test

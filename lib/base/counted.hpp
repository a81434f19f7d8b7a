// counted: a number and what it counts.
//
//   use(counted(1, "port"), counted(2, "port"));  // "1 port", "2 ports"
//
// For words whose plural has an s. Errors: none. Source: English.
#pragma once

#include <cstddef>
#include <string>

namespace portmapper {

inline std::string counted(std::size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

inline std::string counted_or_no(std::size_t count, const char* noun) {  // "no ports"
  return count == 0 ? std::string("no ") + noun + "s" : counted(count, noun);
}

}  // namespace portmapper

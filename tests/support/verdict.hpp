// verdict: what one call of the plugin ended in, as one line that a test can compare.
//
//   CHECK(verdict(plugin.call(lab, lab.host(), "CHECK", "abc", config)) == "ok");
//   CHECK(verdict(gc) == "101 cniVersion 1.1.0: name is missing");
//
// "ok" is exit status 0 with nothing printed on either output. An error is its code, the cniVersion
// it is printed in, its message and, where it has them, its details behind " | ", when exit status,
// error object and log agree to the byte. Anything else is told as it is. Source: CNI SPEC.md
// section 5 "Error".
#pragma once

#include <string>

#include "tests/support/process.hpp"

namespace portmapper::test {

// `log`: what comes before the error's own line on stderr.
std::string verdict(const RunResult& result, const std::string& log = "");

// `text` as the inside of a JSON string; for text without control characters.
std::string escaped(const std::string& text);

}  // namespace portmapper::test

// tool: a command of the system, run in a namespace of the lab for its output.
//
//   tool(lab.host(), "ip route add 10.99.0.0/16 dev cni0");
//   std::string flows = tool(lab.host(), "conntrack -L -p udp");
//
// The words are split at blanks; there is no quoting. Errors: std::runtime_error with the command
// and its stderr when it does not end with status 0.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "tests/support/process.hpp"

namespace portmapper::test {

inline std::string tool(const std::string& ns, const std::string& command) {
  std::istringstream words(command);
  std::vector<std::string> argv;
  for (std::string word; words >> word;) argv.push_back(word);
  const RunResult result = run(argv, {.ns = ns});
  if (result.status != 0) throw std::runtime_error(command + ": " + result.err);
  return result.out;
}

}  // namespace portmapper::test

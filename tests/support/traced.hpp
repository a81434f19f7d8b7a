// Traced: the plugin, or ctl, below strace, which shows its system calls or spoils some of them.
//
//   const Traced traced;
//   traced.plugin("-e trace=sendto -e inject=sendto:error=EPERM:when=3").call(lab, ...);
//   traced.calls();  // "4711 sendto(3, ...) = 20\n..."
//
// Errors: those of run(). Does not promise: to count on calls that another version of the plugin
// makes; look them up in calls(). Source: strace(1), "Tampering".
#pragma once

#include <fstream>
#include <string>

#include "tests/support/files.hpp"
#include "tests/support/plugin.hpp"

namespace portmapper::test {

class Traced {
 public:
  [[nodiscard]] Plugin plugin(const std::string& options) const {
    return Plugin{script(options + " " PLUGIN)};
  }
  // The path of a script that takes ctl's arguments.
  [[nodiscard]] std::string ctl(const std::string& options) const {
    return script(options + " " CTL " \"$@\"");
  }
  [[nodiscard]] std::string calls() const { return read_file(scratch_.path("calls")); }

 private:
  [[nodiscard]] std::string script(const std::string& command) const {
    scratch_.script("traced", "ASAN_OPTIONS=detect_leaks=0 exec strace -f -qq -o " +
                                  scratch_.path("calls") + " " + command);
    std::ofstream(scratch_.path("calls")).flush();  // none yet
    return scratch_.path("traced");
  }

  ScratchDirectory scratch_;
};

}  // namespace portmapper::test

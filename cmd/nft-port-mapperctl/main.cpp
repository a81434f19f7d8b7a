// argv -> lib/app's command table, then prints and exits.

#include <unistd.h>

#include <string>
#include <vector>

#include "lib/app/ctl/ctl.hpp"
#include "lib/app/outcome.hpp"
#include "lib/base/sanitise_stdfd.hpp"
#include "lib/base/write_all.hpp"

namespace {

bool print(const portmapper::app::Outcome& outcome) {
  (void)portmapper::write_all(STDERR_FILENO, outcome.log);
  return static_cast<bool>(portmapper::write_all(STDOUT_FILENO, outcome.out));
}

}  // namespace

int main(int argc, char** argv) {
  if (!portmapper::sanitise_stdfd()) return 1;
  constexpr unsigned kWatchSeconds = 2;
  const std::vector<std::string> words(argv + 1, argv + argc);
  for (;;) {
    portmapper::app::Outcome outcome = portmapper::ctl::run_ctl(words);
    const bool on_terminal = isatty(STDOUT_FILENO) == 1;
    if (outcome.watch && on_terminal)
      outcome.out.insert(0, "\033[H\033[J");  // from the top, on an empty screen
    if (!print(outcome)) return 1;
    while (outcome.next) {
      outcome = portmapper::app::Outcome(outcome.next());
      if (!print(outcome)) return 1;
    }
    if (!outcome.watch) return outcome.status;
    sleep(kWatchSeconds);
  }
}

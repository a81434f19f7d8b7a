// argv -> lib/app's command table, then prints and exits.

#include <unistd.h>

#include <string>
#include <vector>

#include "lib/app/ctl/ctl.hpp"
#include "lib/base/sanitise_stdfd.hpp"
#include "lib/base/write_all.hpp"

int main(int argc, char** argv) {
  using namespace portmapper;
  if (!take_standard_descriptors()) return 1;
  constexpr unsigned kWatchSeconds = 2;
  const std::vector<std::string> words(argv + 1, argv + argc);
  for (;;) {
    Outcome outcome = run_ctl(words);
    const bool on_terminal = isatty(STDOUT_FILENO) == 1;
    if (outcome.watch && on_terminal)
      outcome.out.insert(0, "\033[H\033[J");  // from the top, on an empty screen
    (void)write_all(STDERR_FILENO, outcome.log);
    if (!write_all(STDOUT_FILENO, outcome.out)) return 1;
    if (!outcome.watch) return outcome.status;
    sleep(kWatchSeconds);
  }
}

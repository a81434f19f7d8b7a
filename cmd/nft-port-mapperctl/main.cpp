// argv -> lib/app's command table, then prints and exits.

#include <unistd.h>

#include <string>
#include <vector>

#include "lib/app/ctl.hpp"
#include "lib/base/write_all.hpp"

int main(int argc, char** argv) {
  using namespace portmapper;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const Outcome outcome = run_ctl(arguments);
  (void)write_all(STDERR_FILENO, outcome.log);
  return write_all(STDOUT_FILENO, outcome.out) ? outcome.status : 1;
}

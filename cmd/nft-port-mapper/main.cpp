// Reads the environment and stdin, calls lib/app, prints, exits.

#include <unistd.h>

#include <cstdlib>

#include "lib/app/plugin.hpp"
#include "lib/base/read_all.hpp"
#include "lib/base/write_all.hpp"

int main() {
  using namespace portmapper;
  const Outcome outcome = run_plugin([](const char* name) { return std::getenv(name); },
                                     [] { return read_all(STDIN_FILENO, "standard input"); });
  (void)write_all(STDERR_FILENO, outcome.log);
  return write_all(STDOUT_FILENO, outcome.out) ? outcome.status : 1;
}

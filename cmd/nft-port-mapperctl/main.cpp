// argv -> lib/app's command table, then prints, asks where something is to be asked, and exits.

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "lib/app/ctl/ctl.hpp"
#include "lib/app/outcome.hpp"
#include "lib/base/process_name.hpp"
#include "lib/base/sanitise_stdfd.hpp"
#include "lib/base/write_all.hpp"

using portmapper::write_all;
using portmapper::app::Outcome;
using portmapper::ctl::Screen;

namespace {

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

Screen screen_of(bool is_terminal) {
  Screen screen;
  if (!is_terminal) return screen;
  screen.has_colours = variable("NO_COLOR").empty() && variable("TERM") != "dumb";
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
    screen.width = std::max<std::size_t>(screen.width, size.ws_col);
  return screen;
}

bool says_yes(const std::string& question) {
  (void)write_all(STDERR_FILENO, question + " [y/N] ");
  std::string answer;
  for (char c = 0; read(STDIN_FILENO, &c, 1) == 1 && c != '\n';) answer += c;
  return answer == "y" || answer == "Y" || answer == "yes";
}

// Whether all was written.
bool print(const Outcome& outcome) {
  const bool is_out = static_cast<bool>(write_all(STDOUT_FILENO, outcome.out));
  const int error_number = errno;
  (void)write_all(STDERR_FILENO, outcome.log);
  if (!is_out)
    (void)write_all(STDERR_FILENO,
                    std::string("nft-port-mapperctl: cannot write: standard output: ") +
                        std::strerror(error_number) + "\n");
  return is_out;
}

int ask_and_go_on(Outcome& outcome) {
  outcome.log.clear();  // it is for those who cannot be asked
  if (!print(outcome)) return portmapper::ctl::kCouldNotLook;
  if (!says_yes(outcome.question)) {
    (void)write_all(STDERR_FILENO, "nothing was removed\n");
    return portmapper::ctl::kProblem;
  }
  const Outcome done = outcome.after_yes();
  return print(done) ? done.status : portmapper::ctl::kCouldNotLook;
}

}  // namespace

int main(int argc, char** argv) {
  if (!portmapper::sanitise_stdfd()) return 1;
  portmapper::take_process_name(portmapper::kProcessName);
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool on_terminal = isatty(STDOUT_FILENO) == 1;
  for (;;) {
    Outcome outcome = portmapper::ctl::run_ctl(words, screen_of(on_terminal));
    if (outcome.after_yes && isatty(STDIN_FILENO) == 1) return ask_and_go_on(outcome);
    const bool watches = outcome.watch.count() > 0;
    if (watches && on_terminal)
      outcome.out.insert(0, "\033[H\033[J");  // from the top, on an empty screen
    if (!print(outcome)) return portmapper::ctl::kCouldNotLook;
    while (outcome.next) {
      Outcome later = outcome.next();
      if (!print(later)) return portmapper::ctl::kCouldNotLook;
      outcome = std::move(later);  // what made it holds the signals until it is printed
    }
    if (!watches) return outcome.status;
    std::this_thread::sleep_for(outcome.watch);
  }
}

// Outcome: what one run of a program of ours comes to: its exit status and what it prints.
//
//   write_all(STDERR_FILENO, outcome.log);
//   if (write_all(STDOUT_FILENO, outcome.out)) return outcome.status;
//   if (outcome.undo) write_all(STDERR_FILENO, outcome.undo());
//
// Errors: none.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace portmapper::app {

struct Outcome {
  int status = 0;
  std::string out;
  std::string log;
  // For an ADD that succeeded: undoes it and returns the log of that. A runtime that did not get
  // the result does not know that there is something to delete.
  std::function<std::string()> undo{};
  // The ctl's: print, wait so long, do it again. 0: once.
  std::chrono::milliseconds watch{0};
  // The ctl's: print, then go on with this, whose status counts.
  std::function<Outcome()> next{};
  // The ctl's: what is to be asked first, and what a yes does. Where nobody can be asked, `log` says
  // what to do, and `status` stays.
  std::string question{};
  std::function<Outcome()> after_yes{};
};

}  // namespace portmapper::app

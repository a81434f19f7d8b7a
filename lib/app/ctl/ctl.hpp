// nft-port-mapperctl: one table of subcommands, one function each.
//
//   const app::Outcome outcome = run_ctl(words);  // "list", "--json"
//   write_all(STDOUT_FILENO, outcome.out);        // main prints it, and exits with outcome.status
//
// Exit status: 0 all is well, or what was asked for was found; 1 there is a problem, or nobody has what
// was asked for; 2 wrong usage; 3 it could not look, so neither is known. Errors: in `log`, with the
// next step. Does not promise: a stable output of anything but --json. Source: packaging/doc/design.md,
// "The commands".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/app/ctl/options.hpp"
#include "lib/app/outcome.hpp"

namespace portmapper::ctl {

inline constexpr int kProblem = 1;
inline constexpr int kWrongUsage = 2;
inline constexpr int kCouldNotLook = 3;

struct Subcommand {
  std::string_view name;
  std::string_view synopsis;  // what follows the name
  std::string_view summary;   // one line
  std::string_view description;
  std::span<const Option> options;
  std::size_t most_words;
  app::Outcome (*run)(const Arguments& arguments);
  std::string_view alias{};
};

app::Outcome run_ctl(std::span<const std::string> words, const Screen& screen = {});

// For the subcommands: an outcome that says what went wrong and what to do next. Of status 1 where
// something was refused, of status 3 where the kernel, or a file, could not be read.
app::Outcome failure(const Error& error);
app::Outcome could_not_look(const Error& error);
app::Outcome wrong_usage(const std::string& what);
// Notes for standard error, a line each.
std::string log_lines(const std::vector<std::string>& notes);

}  // namespace portmapper::ctl

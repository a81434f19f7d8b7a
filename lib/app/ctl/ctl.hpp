// nft-port-mapperctl: one table of subcommands, one function each.
//
//   const app::Outcome outcome = run_ctl(words);  // "list", "--json"
//   write_all(STDOUT_FILENO, outcome.out);        // main prints it, and exits with outcome.status
//
// Exit status: 0 all right, 1 a problem was found, 2 wrong usage. Errors: in `log`, with the next
// step. Does not promise: a stable output of anything but --json. Source: packaging/doc/design.md,
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

struct Subcommand {
  std::string_view name;
  std::string_view synopsis;  // what follows the name
  std::string_view summary;   // one line
  std::string_view description;
  std::span<const Option> options;
  std::size_t most_words;
  app::Outcome (*run)(const Arguments& arguments);
};

std::span<const Subcommand> subcommands();
app::Outcome run_ctl(std::span<const std::string> words);

// For the subcommands: an outcome of status 1 that says what went wrong and what to do next.
app::Outcome failure(const Error& error);
app::Outcome wrong_usage(const std::string& what);
// Notes for standard error, a line each.
std::string log_lines(const std::vector<std::string>& notes);

}  // namespace portmapper::ctl

// The words behind a subcommand of nft-port-mapperctl.
//
//   constexpr std::array kOptions = {Option{"--json", "", "print JSON"},
//                                    Option{"--network", "NAME", "only ports of this network"}};
//   const Result<Arguments> arguments = parse_arguments(words, kOptions, 1);
//   use(arguments->has("--json"), arguments->value("--network"));
//
// "--network=web" and "--network web" are the same; "--" ends the options; a lone "-" is no option. An
// option may have a letter besides, "-o" for "--output", which is written the same way and found by the
// long name. Errors: invalid_input naming the word, and the option that was probably meant. Does not
// promise: letters without a blank behind them ("-owide"). Source: GNU conventions.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/error.hpp"

namespace portmapper::ctl {

struct Option {
  std::string_view name;
  std::string_view value;  // what stands for its value in the help; empty: it takes none
  std::string_view help;
  std::string_view letter{};     // "-o"
  std::string_view otherwise{};  // its value where none follows; empty: one must
};

// Where the output goes.
struct Screen {
  bool has_colours = false;
  std::size_t width = 80;  // of a line, in characters
};

struct Arguments {
  std::map<std::string, std::string, std::less<>> options;
  std::vector<std::string> words;
  Screen screen{};

  [[nodiscard]] bool has(std::string_view option) const { return options.contains(option); }
  [[nodiscard]] std::optional<std::string> value(std::string_view option) const {
    const auto found = options.find(option);
    return found == options.end() ? std::nullopt : std::optional(found->second);
  }
};

Result<Arguments> parse_arguments(std::span<const std::string> words,
                                  std::span<const Option> options, std::size_t most_words);
std::string describe_options(std::span<const Option> options);

// "; did you mean 'list'?", or nothing where none of the names is near.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace portmapper::ctl

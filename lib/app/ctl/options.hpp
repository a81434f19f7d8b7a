// The words behind a subcommand of nft-port-mapperctl.
//
//   constexpr std::array kOptions = {Option{"--json", "", "print JSON"},
//                                    Option{"--network", "NAME", "only ports of this network"}};
//   const Result<Arguments> arguments = parse_arguments(words, kOptions, 1);
//   use(arguments->has("--json"), arguments->value("--network"));
//
// "--network=web" and "--network web" are the same; "--" ends the options; a lone "-" is no option.
// Errors: invalid_input naming the word. Does not promise: short options. Source: GNU conventions.
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
};

struct Arguments {
  std::map<std::string, std::string, std::less<>> options;
  std::vector<std::string> words;

  [[nodiscard]] bool has(std::string_view option) const { return options.contains(option); }
  [[nodiscard]] std::optional<std::string> value(std::string_view option) const {
    const auto found = options.find(option);
    return found == options.end() ? std::nullopt : std::optional(found->second);
  }
};

Result<Arguments> parse_arguments(std::span<const std::string> words,
                                  std::span<const Option> options, std::size_t most_words);
std::string describe_options(std::span<const Option> options);

}  // namespace portmapper::ctl

#include "lib/app/ctl/options.hpp"

#include <algorithm>

namespace portmapper::ctl {
namespace {

std::string shown(const Option& option) {
  return std::string(option.name) + (option.value.empty() ? "" : " " + std::string(option.value));
}

}  // namespace

Result<Arguments> parse_arguments(std::span<const std::string> words,
                                  std::span<const Option> options, std::size_t most_words) {
  Arguments arguments;
  bool only_words = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--" && !only_words) {
      only_words = true;
      continue;
    }
    if (only_words || word == "-" || !word.starts_with('-')) {
      arguments.words.push_back(word);
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const auto* option = std::find_if(options.data(), options.data() + options.size(),
                                      [&name](const Option& o) { return o.name == name; });
    if (option == options.data() + options.size())
      return invalid_input("there is no option '" + name + "'");
    std::string value;
    if (equals != std::string::npos) {
      if (option->value.empty()) return invalid_input(name + " takes no value");
      value = word.substr(equals + 1);
    } else if (!option->value.empty()) {
      if (i + 1 == words.size()) return invalid_input(name + " needs a value: " + shown(*option));
      value = words[++i];
    }
    arguments.options[name] = std::move(value);
  }
  if (arguments.words.size() > most_words)
    return invalid_input("too many words: '" + arguments.words[most_words] + "'");
  return arguments;
}

std::string describe_options(std::span<const Option> options) {
  std::size_t width = 0;
  for (const Option& option : options) width = std::max(width, shown(option).size());
  std::string text;
  for (const Option& option : options) {
    const std::string left = shown(option);
    text +=
        "  " + left + std::string(width - left.size() + 2, ' ') + std::string(option.help) + "\n";
  }
  return text;
}

}  // namespace portmapper::ctl

#include "lib/app/ctl/options.hpp"

#include <algorithm>

#include "lib/base/escape.hpp"
#include "lib/base/nearest.hpp"

namespace portmapper::ctl {
namespace {

std::string shown(const Option& option) {
  return std::string(option.name) + (option.value.empty() ? "" : " " + std::string(option.value));
}

Error unknown_option(const std::string& name, std::span<const Option> options) {
  std::vector<std::string_view> names = {"--help"};
  for (const Option& option : options) names.push_back(option.name);
  return invalid_input("there is no option '" + printable(name) + "'" + did_you_mean(name, names));
}

class Parser {
 public:
  Parser(std::span<const std::string> words, std::span<const Option> options)
      : words_(words), options_(options) {}

  Result<Arguments> run() {
    bool only_words = false;
    for (; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_];
      if (word == "--" && !only_words) {
        only_words = true;
      } else if (only_words || word == "-" || !word.starts_with('-')) {
        arguments_.words.push_back(word);
      } else if (const Status taken = take_option(word); !taken) {
        return taken.error();
      }
    }
    return std::move(arguments_);
  }

 private:
  Status take_option(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const auto option = std::find_if(options_.begin(), options_.end(), [&name](const Option& o) {
      return o.name == name || (!o.letter.empty() && o.letter == name);
    });
    if (option == options_.end()) return unknown_option(name, options_);
    Result<std::string> value = equals == std::string::npos
                                    ? next_value(*option)
                                    : Result<std::string>(word.substr(equals + 1));
    if (equals != std::string::npos && option->value.empty())
      return invalid_input(name + " takes no value");
    if (!value) return value.error();
    arguments_.options[std::string(option->name)] = std::move(*value);
    return {};
  }

  Result<std::string> next_value(const Option& option) {
    if (option.value.empty()) return std::string();
    const bool is_last = at_ + 1 == words_.size();
    if (!option.otherwise.empty() && (is_last || words_[at_ + 1].starts_with('-')))
      return std::string(option.otherwise);
    if (is_last)
      return invalid_input(std::string(option.name) + " needs a value: " + shown(option));
    return words_[++at_];
  }

  std::span<const std::string> words_;
  std::span<const Option> options_;
  std::size_t at_ = 0;
  Arguments arguments_;
};

}  // namespace

Result<Arguments> parse_arguments(std::span<const std::string> words,
                                  std::span<const Option> options, std::size_t most_words) {
  Result<Arguments> arguments = Parser(words, options).run();
  if (arguments && arguments->words.size() > most_words)
    return invalid_input("too many words: '" + printable(arguments->words[most_words]) + "'");
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

std::string did_you_mean(std::string_view word, std::span<const std::string_view> names) {
  const std::optional<std::string_view> meant = nearest(word, names);
  return meant ? "; did you mean '" + std::string(*meant) + "'?" : "";
}

}  // namespace portmapper::ctl

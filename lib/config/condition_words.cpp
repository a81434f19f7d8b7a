#include "lib/config/condition_words.hpp"

#include <algorithm>
#include <array>

namespace portmapper::config {
namespace {

using Kind = ConditionWord::Kind;

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kEndsWord = " \t{},=!<>\"";
// Longer ones first.
constexpr std::array<std::string_view, 10> kSymbols = {"==", "!=", "<=", ">=", "<",
                                                       ">",  "!",  "{",  "}",  ","};

// The word that `rest` begins with, and how many bytes of it the word takes.
ConditionWord first_word(std::string_view rest, std::size_t position, std::size_t& taken) {
  if (rest.front() == '"') {
    const std::size_t end = rest.find('"', 1);
    taken = end == std::string_view::npos ? rest.size() : end + 1;
    if (end == std::string_view::npos) return {Kind::unterminated, rest, position};
    return {Kind::quoted, rest.substr(1, end - 1), position};
  }
  for (const std::string_view symbol : kSymbols)
    if (rest.starts_with(symbol)) {
      taken = symbol.size();
      return {Kind::symbol, symbol, position};
    }
  // At least one byte, so that a lone "=" is a word too.
  taken = std::min(rest.find_first_of(kEndsWord, 1), rest.size());
  return {Kind::plain, rest.substr(0, taken), position};
}

}  // namespace

std::vector<ConditionWord> split_words(const std::vector<std::string>& elements) {
  std::vector<ConditionWord> words;
  for (std::size_t position = 0; position < elements.size(); ++position) {
    std::string_view rest = elements[position];
    while (true) {
      rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
      if (rest.empty()) break;
      std::size_t taken = 0;
      words.push_back(first_word(rest, position, taken));
      rest.remove_prefix(taken);
    }
  }
  return words;
}

}  // namespace portmapper::config

// Words: a list of conditions cut into the words that nft would read.
//
//   const std::vector<std::string> elements = {"tcp", "dport {80,443}"};
//   split_words(elements);  // tcp dport { 80 , 443 }
//
// Blanks and tabs part words; braces, commas and operators are words of their own even where they
// are glued to others; "eth*" in quotes is one word without its quotes. `position` is the index of
// the element that the word stood in. Nothing else is special: what nft would take for the end of
// the rule, a comment or a variable is part of a word that no match has. Errors: a quote that does
// not end within its element is a word of kind `unterminated`. Source: nftables 1.0.6, scanner.l.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace portmapper::config {

struct ConditionWord {
  enum class Kind : std::uint8_t { plain, quoted, symbol, unterminated };

  Kind kind;
  std::string_view text;
  std::size_t position;

  [[nodiscard]] bool is_plain(std::string_view word) const {
    return kind == Kind::plain && text == word;
  }
  [[nodiscard]] bool is_symbol(std::string_view word) const {
    return kind == Kind::symbol && text == word;
  }
};

// The texts live as long as `elements`.
std::vector<ConditionWord> split_words(const std::vector<std::string>& elements);
std::vector<ConditionWord> split_words(std::vector<std::string>&& elements) = delete;

}  // namespace portmapper::config

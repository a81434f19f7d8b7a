// lib/app/columns: rows of text, aligned, painted, and cut to a width.
#include "lib/app/columns.hpp"

#include <doctest/doctest.h>

using namespace portmapper::app;

TEST_CASE("columns: each is as wide as its longest text, the last is not padded") {
  CHECK(format_columns({{"A", "LONG", "C"}, {"abc", "d", "e"}, {"", "x"}}) ==
        "A    LONG  C\n"
        "abc  d     e\n"
        "     x\n");
  CHECK(format_columns({}) == "");
}

TEST_CASE("columns: a colour is around the text, and changes no width") {
  CHECK(format_columns(
            {{"STATE", "X"}, {{"dead", Colour::red}, "y"}, {{"alive", Colour::green}, "z"}}) ==
        "STATE  X\n"
        "\033[31mdead\033[0m   y\n"
        "\033[32malive\033[0m  z\n");
  CHECK(format_columns({{{"", Colour::yellow}, "x"}}) == "  x\n");
}

TEST_CASE("columns: what others named cannot write colours, or anything else, to a terminal") {
  CHECK(format_columns({{"\033[31mred", "b\nc"}}) == "?[31mred  b?c\n");
}

TEST_CASE("columns: a line that is too long is cut in the order that is asked for, and no more") {
  const std::vector<Row> rows = {{"abcdefghijkl", "0123456789"}};
  const auto cut = [&rows](std::size_t width) {
    return format_columns(rows, {width, {{0, 10}, {1, 6}, {0, 5}}});
  };
  CHECK(cut(0) == "abcdefghijkl  0123456789\n");
  CHECK(cut(24) == "abcdefghijkl  0123456789\n");
  CHECK(cut(23) == "abcde..ijkl  0123456789\n");
  CHECK(cut(20) == "abcd..ijkl  012..789\n");
  CHECK(cut(18) == "abcd..ijkl  01..89\n");
  CHECK(cut(15) == "abc..kl  01..89\n");
  CHECK(cut(2) == "ab..l  01..89\n");  // no narrower than it may become
}

TEST_CASE("columns: no part of a character is left where a name is cut") {
  CHECK(format_columns({{"\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc", "x"}}, {9, {{0, 3}}}) ==
        "\u00fc..\u00fc  x\n");
}

// Table: rows of text, aligned.
//
//   format_columns({{"PROTO", "HOST"}, {"tcp", "0.0.0.0:8080"}});
//   // PROTO  HOST
//   // tcp    0.0.0.0:8080
//   format_columns({{"HOST", "STATE"}, {"[2001:db8::1234]:80", {"dead", Colour::red}}},
//                  {.width = 20, .cuts = {{.column = 0, .least = 10}}});
//   // HOST           STATE
//   // [2001:..4]:80  dead        in red
//
// Control characters are replaced by '?', so that foreign text cannot control a terminal; colours are
// those of ECMA-48, put around the text where a cell wants one. Lines that are too long are made
// shorter: the columns in `cuts` are narrowed, each before the next, and a text that does not fit then
// has ".." in place of its middle, since beginning and end tell names apart, and a port is an end. The
// last column is not padded. Widths are in bytes. Errors: none. Does not promise: widths of wide
// characters; a width that `cuts` cannot reach.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace portmapper::app {

enum class Colour : std::uint8_t { none, red, green, yellow };

struct Cell {
  Cell(std::string cell_text, Colour cell_colour = Colour::none)  // NOLINT: a text is a Cell
      : text(std::move(cell_text)), colour(cell_colour) {}
  Cell(const char* cell_text) : text(cell_text) {}  // NOLINT: likewise

  std::string text;
  Colour colour = Colour::none;
};
using Row = std::vector<Cell>;

struct Cut {
  std::size_t column = 0;
  std::size_t least = 0;  // it does not become narrower
};
struct Fit {
  std::size_t width = 0;  // of a line, at most; 0: whatever it takes
  std::vector<Cut> cuts{};
};

std::string format_columns(std::vector<Row> rows, const Fit& fit = {});

}  // namespace portmapper::app

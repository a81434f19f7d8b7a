#include "lib/app/columns.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "lib/base/escape.hpp"

namespace portmapper::app {
namespace {

constexpr std::size_t kGap = 2;  // between two columns

std::string_view begin_of(Colour colour) {
  switch (colour) {
    case Colour::red:
      return "\033[31m";
    case Colour::green:
      return "\033[32m";
    case Colour::yellow:
      return "\033[33m";
    case Colour::none:
      break;
  }
  return "";
}

std::string painted(const Cell& cell) {
  if (cell.colour == Colour::none || cell.text.empty()) return cell.text;
  return std::string(begin_of(cell.colour)) + cell.text + "\033[0m";
}

// No part of a character stays.
std::string cut(const std::string& text, std::size_t width) {
  constexpr std::string_view kMark = "..";
  if (text.size() <= width) return text;
  if (width <= kMark.size()) return std::string(kMark.substr(0, width));
  const auto is_inside = [&text](std::size_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80;
  };
  const std::size_t kept = width - kMark.size();
  std::size_t head = kept - kept / 2;
  std::size_t tail = text.size() - kept / 2;
  while (head > 0 && is_inside(head)) --head;
  while (is_inside(tail)) ++tail;
  return text.substr(0, head).append(kMark) + text.substr(tail);
}

std::vector<std::size_t> widths_of(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].text.size());
  }
  return widths;
}

void narrow(std::vector<std::size_t>& widths, const Fit& fit) {
  const std::size_t gaps = widths.empty() ? 0 : kGap * (widths.size() - 1);
  std::size_t line = std::accumulate(widths.begin(), widths.end(), gaps);
  for (const Cut& one : fit.cuts) {
    if (fit.width == 0 || line <= fit.width) return;
    if (one.column >= widths.size() || widths[one.column] <= one.least) continue;
    const std::size_t less = std::min(line - fit.width, widths[one.column] - one.least);
    widths[one.column] -= less;
    line -= less;
  }
}

}  // namespace

std::string format_columns(std::vector<Row> rows, const Fit& fit) {
  for (Row& row : rows)
    for (Cell& cell : row) cell.text = printable(cell.text);
  std::vector<std::size_t> widths = widths_of(rows);
  narrow(widths, fit);
  std::string text;
  for (Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i].text = cut(row[i].text, widths[i]);
      text += painted(row[i]);
      if (i + 1 < row.size()) text += std::string(widths[i] - row[i].text.size() + kGap, ' ');
    }
    text += "\n";
  }
  return text;
}

}  // namespace portmapper::app

#include "lib/app/columns.hpp"

#include <algorithm>

#include "lib/base/escape.hpp"

namespace portmapper::app {

std::string format_columns(std::vector<Row> rows) {
  std::vector<std::size_t> widths;
  for (Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = printable(row[i]);
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i)
      text += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    if (!row.empty()) text += row.back();
    text += "\n";
  }
  return text;
}

}  // namespace portmapper::app

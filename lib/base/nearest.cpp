#include "lib/base/nearest.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace portmapper {
namespace {

constexpr std::size_t kLongest = 100;  // a longer word was not meant to be a name

}  // namespace

// Three rows of the table are enough.
std::size_t changes_between(std::string_view a, std::string_view b) {
  std::array<std::vector<std::size_t>, 3> rows;
  for (std::vector<std::size_t>& row : rows) row.resize(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    const std::vector<std::size_t>& above = rows[(i - 1) % 3];
    std::vector<std::size_t>& row = rows[i % 3];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t other = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, other});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], rows[(i - 2) % 3][j - 2] + 1);
    }
  }
  return rows[a.size() % 3][b.size()];
}

std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> names) {
  if (word.empty() || word.size() > kLongest) return std::nullopt;
  std::size_t least = std::max<std::size_t>(word.size() / 3, 1) + 1;
  std::optional<std::string_view> found;
  for (const std::string_view name : names) {
    const std::size_t changes = changes_between(word, name);
    if (changes >= least) continue;
    least = changes;
    found = name;
  }
  if (found) return found;
  const auto begins = [word](std::string_view name) { return name.starts_with(word); };
  const auto first = std::find_if(names.begin(), names.end(), begins);
  if (first == names.end() || std::any_of(std::next(first), names.end(), begins))
    return std::nullopt;
  return *first;
}

}  // namespace portmapper

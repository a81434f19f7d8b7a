// What a set makes of its values. nft joins the intervals of an anonymous set before it hands them
// to the kernel, and lists them in the order of their bytes; single values it lists in the order of
// the numbers that they are to the host, which puts "eth7" before "docker0" on little-endian ones.

#include <algorithm>
#include <bit>

#include "lib/base/match.hpp"

namespace portmapper {
namespace {

using Octets = MatchValue::Octets;
using Form = MatchValue::Form;

bool is_before_in_listing(MatchField field, const Octets& a, const Octets& b) {
  if (is_interface(field) && std::endian::native == std::endian::little)
    return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
  return a < b;
}

// Whether no value of the field lies between `end` and `begin`, which is not less than its own end.
bool touches(const Octets& end, const Octets& begin, std::size_t length) {
  if (begin <= end) return true;
  Octets next = end;
  for (std::size_t i = length; i-- > 0;)
    if (++next[i] != 0) break;
  return next == begin;
}

// One run of bits that are free, all at the end, and 0 in `first`.
bool is_aligned(const MatchValue& value, std::size_t length) {
  const std::size_t bits = prefix_bits(value, length);
  for (std::size_t bit = 0; bit < length * 8; ++bit) {
    const unsigned mask = 0x80U >> (bit % 8);
    const bool first = (value.first[bit / 8] & mask) != 0;
    const bool last = (value.last[bit / 8] & mask) != 0;
    if (bit < bits ? first != last : first || !last) return false;
  }
  return true;
}

// As nft writes the interval: only of some types as a prefix.
Form form_of(MatchField field, const MatchValue& value) {
  const std::size_t length = match_length(field);
  if (value.first == value.last) return Form::one;
  if (!is_aligned(value, length)) return Form::range;
  if (is_interface(field)) return prefix_bits(value, length) % 8 == 0 ? Form::prefix : Form::range;
  const bool is_port = field == MatchField::sport || field == MatchField::dport;
  return is_port ? Form::range : Form::prefix;
}

}  // namespace

bool has_intervals(std::span<const MatchValue> values) {
  return std::any_of(values.begin(), values.end(),
                     [](const MatchValue& value) { return value.form != Form::one; });
}

std::vector<MatchValue> as_set(MatchField field, std::vector<MatchValue> values) {
  if (!has_intervals(values)) {
    std::sort(values.begin(), values.end(), [field](const MatchValue& a, const MatchValue& b) {
      return is_before_in_listing(field, a.first, b.first);
    });
    values.erase(std::unique(values.begin(), values.end()), values.end());
    return values;
  }
  std::sort(values.begin(), values.end(),
            [](const MatchValue& a, const MatchValue& b) { return a.first < b.first; });
  std::vector<MatchValue> joined;
  for (const MatchValue& value : values) {
    if (joined.empty() || !touches(joined.back().last, value.first, match_length(field)))
      joined.push_back(value);
    else
      joined.back().last = std::max(joined.back().last, value.last);
  }
  for (MatchValue& value : joined) value.form = form_of(field, value);
  // Outside of a set a mark has no prefix form.
  if (joined.size() == 1 && field == MatchField::mark && joined.front().form == Form::prefix)
    joined.front().form = Form::range;
  return joined;
}

}  // namespace portmapper

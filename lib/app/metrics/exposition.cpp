#include "lib/app/metrics/exposition.hpp"

#include <array>
#include <charconv>
#include <utility>

#include "lib/base/escape.hpp"

namespace portmapper::metrics {

std::string label_value(std::string_view text) {
  std::string escaped;
  for (const char c : printable(text)) {
    if (c == '\\' || c == '"') escaped += '\\';
    escaped += c;  // of a line's end printable has left nothing
  }
  return escaped;
}

void Exposition::begin(std::string_view name, std::string_view help) {
  name_ = name;
  text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
}

void Exposition::gauge(std::string_view name, std::string_view help) {
  begin(name, help);
  text_.append("# TYPE ").append(name).append(" gauge\n");
}

void Exposition::counter(std::string_view name, std::string_view help) {
  begin(name, help);
}

void Exposition::line(std::initializer_list<Label> labels, std::string_view value) {
  text_.append(name_);
  char before = '{';
  for (const Label& label : labels) {
    text_.append(1, before).append(label.name).append("=\"");
    text_.append(label_value(label.value)).append("\"");
    before = ',';
  }
  if (labels.size() > 0) text_ += '}';
  text_.append(" ").append(value).append("\n");
}

void Exposition::sample(std::initializer_list<Label> labels, std::uint64_t value) {
  line(labels, std::to_string(value));
}

void Exposition::seconds(double value) {
  constexpr int kDigits = 6;
  std::array<char, 64> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                     std::chars_format::fixed, kDigits);
  line({}, {digits.data(), static_cast<std::size_t>(written.ptr - digits.data())});
}

std::string Exposition::text() && {
  text_ += "# EOF\n";
  return std::move(text_);
}

}  // namespace portmapper::metrics

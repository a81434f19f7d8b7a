// Exposition: figures as the text that Prometheus, node_exporter's textfile collector and OpenMetrics
// read alike.
//
//   Exposition text;
//   text.gauge("nft_port_mapper_ports", "Published ports.");
//   text.sample({{"protocol", "tcp"}}, 3);
//   use(std::move(text).text());  // ends with "# EOF"
//
// The two formats disagree about counters alone: in a TYPE line one writes the name with "_total", the
// other without. So a counter has no TYPE line here: its name ends in "_total", and its type is
// "untyped" to the one, "unknown" to the other, which no function of PromQL minds. What ends the text in
// OpenMetrics is a comment in the older format. In values of labels, what is no UTF-8 and what a
// terminal acts upon is '?'; a backslash, a quotation mark and a line's end are escaped. Names are not:
// they are ours. Errors: none. Does not promise: that no two samples have the same labels. Source:
// OpenMetrics 1.0, "Text format"; Prometheus' "Exposition formats", version 0.0.4.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace portmapper::metrics {

struct Label {
  std::string_view name;
  std::string_view value;
};

class Exposition {
 public:
  // The samples that follow are of this one. `help` is one line of ours, with a full stop.
  void gauge(std::string_view name, std::string_view help);
  void counter(std::string_view name, std::string_view help);  // its name ends in "_total"

  void sample(std::initializer_list<Label> labels, std::uint64_t value);
  void sample(std::uint64_t value) { sample({}, value); }
  void seconds(double value);  // with six digits behind the point

  [[nodiscard]] std::string text() &&;

 private:
  void begin(std::string_view name, std::string_view help);
  void line(std::initializer_list<Label> labels, std::string_view value);

  std::string text_;
  std::string_view name_;
};

// Fit to stand between the quotation marks of a label.
std::string label_value(std::string_view text);

}  // namespace portmapper::metrics

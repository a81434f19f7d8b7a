// Problems and typed reads: everything that is wrong with a document, with path and value.
//
//   json::Problems problems;
//   const std::optional<bool> snat = json::read_bool(root.member("snat"), problems);
//   if (!problems.empty()) return invalid_input(problems.text());  // snat: 1 is not true or false
//
// A read gives nothing for a value of another type or out of range, and notes it; a missing or null
// value is noted too, so ask present() first where it is optional. Problems keeps the first kShown
// and counts the others: a list of 200,000 wrong entries makes one short message. Errors: none of
// its own. Source: packaging/doc/design.md, "Configuration".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/json/document.hpp"

namespace portmapper::json {

class Problems {
 public:
  static constexpr std::size_t kShown = 20;

  void add(std::string sentence);
  // "PATH: VALUE COMPLAINT", as in: snat: "yes" is not true or false
  void about(const Value& value, std::string_view complaint);
  // "PATH.KEY is missing"
  void missing(const Value& object, std::string_view key, std::string_view reason = {});
  // A caller that builds a long sentence can skip it: it would only be counted.
  [[nodiscard]] bool is_full() const { return shown_.size() >= kShown; }
  void count_only() { ++count_; }

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::string text() const;  // "first; second; and 7 more"

 private:
  std::vector<std::string> shown_;
  std::size_t count_ = 0;
};

// A value as a message shows it: a quoted string, a token, or "an object".
std::string describe(const Value& value);

std::optional<std::string_view> read_string(const Value& value, Problems& problems);
std::optional<bool> read_bool(const Value& value, Problems& problems);
std::optional<std::int64_t> read_integer(const Value& value, std::int64_t least, std::int64_t most,
                                         Problems& problems);
// True for an object or an array; a missing or null one is false and no problem.
bool is_object(const Value& value, Problems& problems);
bool is_array(const Value& value, Problems& problems);

}  // namespace portmapper::json

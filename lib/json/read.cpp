#include "lib/json/read.hpp"

#include <charconv>

#include "lib/json/text.hpp"

namespace portmapper::json {
namespace {

bool is_kind(const Value& value, Kind kind, std::string_view complaint, Problems& problems) {
  if (value.kind() == kind) return true;
  if (value.present()) problems.about(value, complaint);
  return false;
}

}  // namespace

void Problems::add(std::string sentence) {
  ++count_;
  if (!is_full()) shown_.push_back(std::move(sentence));
}

void Problems::about(const Value& value, std::string_view complaint) {
  if (is_full()) return count_only();
  std::string sentence = value.path();
  if (!sentence.empty()) sentence += ": ";
  sentence += describe(value);
  sentence += ' ';
  sentence += complaint;
  add(std::move(sentence));
}

void Problems::missing(const Value& object, std::string_view key, std::string_view reason) {
  if (is_full()) return count_only();
  std::string sentence = object.path();
  if (!sentence.empty()) sentence += '.';
  sentence += key;
  sentence += " is missing";
  if (!reason.empty()) sentence += ": ";
  sentence += reason;
  add(std::move(sentence));
}

std::string Problems::text() const {
  std::string text;
  for (const std::string& sentence : shown_) {
    if (!text.empty()) text += "; ";
    text += sentence;
  }
  if (count_ > shown_.size()) text += "; and " + std::to_string(count_ - shown_.size()) + " more";
  return text;
}

std::string describe(const Value& value) {
  switch (value.kind()) {
    case Kind::missing:
      return "nothing";
    case Kind::array:
      return "an array";
    case Kind::object:
      return "an object";
    case Kind::string:
      return quoted(value.text());
    case Kind::null:
    case Kind::boolean:
    case Kind::number:
      break;
  }
  const std::string_view token = value.text();
  if (token.size() <= kQuotedBytes) return std::string(token);
  return std::string(token.substr(0, kQuotedBytes)) + "... (" + std::to_string(token.size()) +
         " bytes)";
}

std::optional<std::string_view> read_string(const Value& value, Problems& problems) {
  if (value.kind() == Kind::string) return value.text();
  problems.about(value, "is not a string");
  return std::nullopt;
}

std::optional<bool> read_bool(const Value& value, Problems& problems) {
  if (value.kind() == Kind::boolean) return value.text() == "true";
  problems.about(value, "is not true or false");
  return std::nullopt;
}

std::optional<std::int64_t> read_integer(const Value& value, std::int64_t least, std::int64_t most,
                                         Problems& problems) {
  const std::string_view token = value.text();
  const bool integer = value.kind() == Kind::number &&
                       token.find_first_not_of("-0123456789") == std::string_view::npos;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), number);
  // A number that from_chars cannot hold is out of any range asked for here.
  if (integer && error == std::errc() && number >= least && number <= most) return number;
  if (!problems.is_full()) {
    const std::string range = std::to_string(least) + ".." + std::to_string(most);
    problems.about(value, (integer ? "is not in " : "is not an integer in ") + range);
  } else {
    problems.count_only();
  }
  return std::nullopt;
}

bool is_object(const Value& value, Problems& problems) {
  return is_kind(value, Kind::object, "is not an object", problems);
}

bool is_array(const Value& value, Problems& problems) {
  return is_kind(value, Kind::array, "is not an array", problems);
}

}  // namespace portmapper::json

// Writer: JSON text, built from left to right.
//
//   json::Writer out;
//   out.begin_object().member("code", 103).member("msg", text).end_object();
//   std::move(out).text();  // {"code":103,"msg":"..."}
//
// It sets the commas; the caller sets the brackets. `raw` passes on text that is JSON already,
// byte for byte. Text that is not UTF-8 is repaired (see lib/json/text.hpp). Errors: none. Does
// not promise: white space, unique keys, or balance of the caller's brackets. Source: RFC 8259.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace portmapper::json {

class Writer {
 public:
  Writer& begin_object() { return open('{'); }
  Writer& end_object() { return close('}'); }
  Writer& begin_array() { return open('['); }
  Writer& end_array() { return close(']'); }

  Writer& key(std::string_view name);
  Writer& string(std::string_view text);
  Writer& integer(std::int64_t number) { return raw(std::to_string(number)); }
  Writer& boolean(bool value) { return raw(value ? "true" : "false"); }
  Writer& raw(std::string_view json);

  Writer& member(std::string_view name, std::string_view text) { return key(name).string(text); }
  // Without this a literal would become a bool.
  Writer& member(std::string_view name, const char* text) { return key(name).string(text); }
  Writer& member(std::string_view name, std::int64_t number) { return key(name).integer(number); }
  Writer& member(std::string_view name, int number) { return key(name).integer(number); }
  Writer& member(std::string_view name, bool value) { return key(name).boolean(value); }

  [[nodiscard]] std::string text() && { return std::move(text_); }
  [[nodiscard]] const std::string& text() const& { return text_; }

 private:
  Writer& open(char bracket);
  Writer& close(char bracket);
  void separate();

  std::string text_;
  bool needs_comma_ = false;
};

}  // namespace portmapper::json

// What the fuzz targets demand of everything that is printed, and how they fail.
//
//   demand(again == address, "an address reads again", address.to_string());
//   demand_error(result.error());
//
// A demand that is not met says so and aborts, which libFuzzer reports with the input. Errors: none
// of its own. Source: llvm.org/docs/LibFuzzer.html.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lib/base/error.hpp"
#include "lib/base/escape.hpp"
#include "lib/cni/output.hpp"
#include "lib/json/document.hpp"

namespace portmapper::fuzz {

inline void demand(bool holds, std::string_view what, std::string_view shown = {}) {
  if (holds) return;
  std::fprintf(stderr, "not so: %.*s\n%.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(shown.size()), shown.data());
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// For a terminal or a log; line feeds where there are lines.
inline void demand_printable(std::string_view shown, bool lines = false) {
  std::string text(shown);
  if (lines) std::replace(text.begin(), text.end(), '\n', ' ');
  demand(printable(text) == text, "it can be printed", text);
}

inline void demand_json(std::string_view text) {
  demand(static_cast<bool>(json::Document::parse(text, "it")), "it is a JSON object", text);
}

// Where it may hold names that others gave to objects in the kernel, whoever prints it makes it
// printable; what names the input is printable already.
inline void demand_error(const Error& error, bool from_kernel = false) {
  const std::string message = error.message();
  demand(!message.empty(), "the error says something");
  demand(message.size() < 32768, "the error's message has a bounded size", message);
  if (!from_kernel) demand_printable(message);
  demand_json(cni::error_object("1.0.0", error));
}

}  // namespace portmapper::fuzz

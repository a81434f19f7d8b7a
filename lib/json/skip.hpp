// skip_value: finds the end of a JSON value without parsing it.
//
//   skip_value(R"( {"a":[1,2]} ,)", 1);  // 12
//
// It matches brackets and strings and looks at nothing else: for text that is checked already it
// gives the exact end, for other text some position inside the text or npos, never one beyond it.
// Offsets are in bytes. Errors: npos where the text ends first. Source: RFC 8259.
#pragma once

#include <cstddef>
#include <string_view>

namespace portmapper::json {

constexpr std::string_view kWhiteSpace = " \t\r\n";

// `start` is the offset of the value's first byte; the result, of the first byte behind it.
std::size_t skip_value(std::string_view text, std::size_t start);

}  // namespace portmapper::json

// Bytes: somebody else's memory, to read.
//
//   void parse(Bytes attributes);
//   std::array<std::uint8_t, 2> port = {0x1f, 0x90};
//   parse(port);
//
// Errors: none. Does not promise: that what it points to lives on. Source: C++20 [views.span].
#pragma once

#include <cstdint>
#include <span>

namespace portmapper {

using Bytes = std::span<const std::uint8_t>;

}  // namespace portmapper

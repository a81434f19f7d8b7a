// Bytes: somebody else's memory, to read.
//
//   Tuple tuple_of(Bytes attributes);
//
// Errors: none. Does not promise: that what it points to lives on. Source: C++20 [views.span].
#pragma once

#include <cstdint>
#include <span>

namespace portmapper {

using Bytes = std::span<const std::uint8_t>;

}  // namespace portmapper

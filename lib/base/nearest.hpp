// Nearest: the name that somebody meant who typed another.
//
//   const std::string_view names[] = {"list", "owner", "restore"};
//   nearest("lsit", names);  // "list"
//   nearest("rest", names);  // "restore", the only one that begins so
//   nearest("flush", names); // nothing: none is near
//
// Near is what takes few changes of one letter (put in, left out, another one, two neighbours
// exchanged): one in words of up to five letters, one more for every three. Of several that are
// equally near, the first. Errors: none. Does not promise: letters of more than a byte. Source: R. A.
// Wagner and R. Lowrance, "An Extension of the String-to-String Correction Problem" (1975).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace portmapper {

// How many letters were put in, left out, changed, or exchanged with their neighbour.
std::size_t changes_between(std::string_view word, std::string_view other);

std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> names);

}  // namespace portmapper

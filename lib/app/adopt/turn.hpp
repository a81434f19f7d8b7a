// Turn: one adopt at a time.
//
//   const Result<Turn> turn = take_turn();
//   if (!turn) return turn.error();  // another one runs, and does not end
//   // its turn ends with it
//
// What two of them decide together can be wrong, although each reads the kernel again before it changes
// anything. The lock is a file in /run, which ends with its process however that ends. The second one waits,
// since an adopt takes seconds. Where there is no such file to be had, as in a container whose /run can only be
// read, there is no turn, and a note says so. Errors: try_again_later that names the file. Source: flock(2).
#pragma once

#include <string>

#include "lib/base/error.hpp"
#include "lib/base/unique_fd.hpp"

namespace portmapper::adopt {

struct Turn {
  UniqueFd lock{};
  std::string note{};
};

Result<Turn> take_turn();

}  // namespace portmapper::adopt

// explore: every world that a scenario can lead to, each once, breadth first.
//
//   Exploration found = explore(scenario, decisions);
//   found.states; found.violation; found.history;   // the shortest one, as shell commands
//
// Breadth first, so the first world that breaks an invariant has the shortest history. A world is
// recognised by 128 bits of a hash of its digest.
#pragma once

#include <cstddef>
#include <string>

#include "tests/model/world.hpp"

namespace portmapper::model {

struct Exploration {
  std::size_t states = 0;
  std::string violation;
  std::string history;
};

Exploration explore(const Scenario& scenario, const Decisions& decisions);

}  // namespace portmapper::model

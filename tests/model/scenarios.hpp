// The small worlds that are explored, and the wrong decisions that must be found in them.
#pragma once

#include <string>
#include <vector>

#include "tests/model/world.hpp"

namespace portmapper::model {

// `large`: with deaths, kills and repetitions that take minutes.
std::vector<Scenario> scenarios(bool large = false);

// A deliberately wrong decision, in the scenario where it shows.
struct Mutation {
  std::string name;
  std::string scenario;
  Decisions decisions;
};
std::vector<Mutation> mutations();

}  // namespace portmapper::model

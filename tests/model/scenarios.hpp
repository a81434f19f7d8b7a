// The small worlds that are explored, and the wrong decisions that must be found in them.
#pragma once

#include <string>
#include <vector>

#include "tests/model/world.hpp"

namespace portmapper::model {

std::vector<Scenario> scenarios();

// A deliberately wrong decision, in the scenario where it shows.
struct Mutation {
  std::string name;
  std::string scenario;
  Decisions decisions;
};
std::vector<Mutation> mutations();

}  // namespace portmapper::model

// step: one command goes one step further: it reads one section, or it commits.
//
//   step(scenario, decisions, world, 0);   // world.commands[0]
//
// As lib/app/carry_out does it: what was read is decided on at once, a refusal teaches, a moved
// generation begins anew. A command that is over is taken out of the world. Source:
// packaging/doc/contributing.md, "The model".
#pragma once

#include "tests/model/world.hpp"

namespace portmapper::model {

SharedPlan plan_of(const Scenario& scenario, const World& world, std::size_t container,
                   std::size_t plan);

void step(const Scenario& scenario, const Decisions& decisions, World& world, std::size_t index);

// Whether the command's next step waits until no DEL is under way.
bool waits(const Command& command);

}  // namespace portmapper::model

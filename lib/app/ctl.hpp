// nft-port-mapperctl: one table of subcommands, one function each.
//
//   Outcome outcome = run_ctl({"list"});
//   // main prints outcome.out and outcome.log, and exits with outcome.status
//
// Exit status: 0 all right, 1 a problem was found, 2 wrong usage. Errors: in `log`, with the next
// step. Does not promise: a stable output of anything but --json. Source: shared design, section 6.
#pragma once

#include <span>
#include <string>

#include "lib/app/plugin.hpp"

namespace portmapper {

Outcome run_ctl(std::span<const std::string> arguments);

}  // namespace portmapper

// Explores every scenario: nothing may break an invariant; then every mutation, which must be found.
//
//   model-tests [--large]   by hand, before a decision changes: takes minutes
#include <chrono>
#include <cstdio>
#include <string>

#include "tests/model/explore.hpp"
#include "tests/model/scenarios.hpp"

namespace portmapper::model {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

const Scenario* find_scenario(const std::vector<Scenario>& all, const std::string& name) {
  for (const Scenario& scenario : all)
    if (scenario.name == name) return &scenario;
  return nullptr;
}

int run(bool large) {
  const std::vector<Scenario> all = scenarios(large);
  std::size_t states = 0;
  int failed = 0;
  const Clock::time_point begin = Clock::now();
  for (const Scenario& scenario : all) {
    const Clock::time_point start = Clock::now();
    const Exploration found = explore(scenario, {});
    states += found.states;
    std::printf("%-8s %-45s %8zu states %6.1f s\n", found.violation.empty() ? "ok" : "BROKEN",
                scenario.name.c_str(), found.states, seconds_since(start));
    (void)std::fflush(stdout);
    if (found.violation.empty()) continue;
    ++failed;
    std::printf("%s:\n%s", found.violation.c_str(), found.history.c_str());
  }
  std::printf("%zu states in %.1f s\n", states, seconds_since(begin));
  for (const Mutation& mutation : mutations()) {
    const Scenario* scenario = find_scenario(all, mutation.scenario);
    const Exploration found =
        scenario == nullptr ? Exploration() : explore(*scenario, mutation.decisions);
    const bool is_found = !found.violation.empty();
    std::printf("%-8s %s: %s\n", is_found ? "found" : "MISSED", mutation.name.c_str(),
                found.violation.c_str());
    failed += is_found ? 0 : 1;
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace portmapper::model

int main(int argc, char** argv) {
  return portmapper::model::run(argc > 1 && std::string(argv[1]) == "--large");
}

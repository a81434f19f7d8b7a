#include "tests/model/explore.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <string_view>
#include <unordered_set>

namespace portmapper::model {
namespace {

struct Id {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Id&) const = default;
};

struct HashOfId {
  std::size_t operator()(const Id& id) const { return id.low; }
};

Id id_of(const World& world) {
  const std::string text = digest(world);
  std::uint64_t other = 14695981039346656037ULL;  // FNV-1a, beside the library's own hash
  for (const char c : text) other = (other ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return {std::hash<std::string>{}(text), other};
}

struct Step {
  std::size_t parent;
  Event event;
};

std::string history_of(const Scenario& scenario, const Decisions& decisions,
                       const std::vector<Step>& steps, std::size_t last) {
  std::vector<Event> events;
  for (std::size_t at = last; at != 0; at = steps[at].parent) events.push_back(steps[at].event);
  std::reverse(events.begin(), events.end());
  std::string text = prologue(scenario);
  World world = start(scenario);
  for (const Event& event : events) {
    text += to_shell(scenario, world, event) + "\n";
    world = after(scenario, decisions, std::move(world), event);
  }
  return text;
}

}  // namespace

Exploration explore(const Scenario& scenario, const Decisions& decisions) {
  std::vector<Step> steps = {{0, {}}};  // how each world came about; 0: the first
  std::unordered_set<Id, HashOfId> seen;
  std::deque<std::pair<std::size_t, World>> frontier;
  frontier.emplace_back(0, start(scenario));
  seen.insert(id_of(frontier.front().second));
  while (!frontier.empty()) {
    const auto [number, world] = std::move(frontier.front());
    frontier.pop_front();
    for (const Event& event : events(scenario, world)) {
      World next = after(scenario, decisions, world, event);
      if (!seen.insert(id_of(next)).second) continue;
      steps.push_back({number, event});
      // Whoever only reads breaks nothing.
      const bool is_reading = event.kind == Event::Kind::step &&
                              next.kernel->generation() == world.kernel->generation() &&
                              next.commands.size() == world.commands.size();
      if (is_reading) {
        frontier.emplace_back(steps.size() - 1, std::move(next));
        continue;
      }
      if (std::string found = violation(scenario, next); !found.empty())
        return {seen.size(), std::move(found),
                history_of(scenario, decisions, steps, steps.size() - 1)};
      frontier.emplace_back(steps.size() - 1, std::move(next));
    }
  }
  return {seen.size(), {}, {}};
}

}  // namespace portmapper::model

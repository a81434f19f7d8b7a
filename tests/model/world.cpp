#include "tests/model/world.hpp"

#include <algorithm>

#include "nft/ruleset_diff.hpp"
#include "tests/model/stepper.hpp"

namespace portmapper::model {
namespace {

bool is_busy(const World& world, std::size_t container) {
  return std::any_of(world.commands.begin(), world.commands.end(), [&](const Command& command) {
    return (command.kind == Command::Kind::add || command.kind == Command::Kind::del) &&
           command.container == container;
  });
}

bool is_under_way(const World& world, Command::Kind kind) {
  return std::any_of(world.commands.begin(), world.commands.end(),
                     [kind](const Command& command) { return command.kind == kind; });
}

// A GC that has not looked yet would take what an ADD publishes now for unknown, and later it cannot
// tell an ADD in the same namespace from the one that it decided on: runtimes keep the two apart.
bool forbids_add(const World& world, const Runtime& runtime) {
  return std::any_of(world.commands.begin(), world.commands.end(), [&](const Command& command) {
    return command.kind == Command::Kind::gc && (!command.has_listed || runtime.living);
  });
}

Command& begin(World& world, Command::Kind kind, std::size_t container) {
  return world.commands.emplace_back(
      Command{.kind = kind, .container = container, .number = world.next_number++});
}

void begin_add(const Scenario& scenario, World& world, const Event& event) {
  Runtime& runtime = world.runtimes[event.subject];
  ++runtime.adds;
  if (!runtime.living) {
    ++runtime.incarnation;
    runtime.living = true;
    runtime.promise.reset();
  }
  runtime.withdrawn = false;
  runtime.is_deleting = false;
  begin(world, Command::Kind::add, event.subject).plan =
      plan_of(scenario, world, event.subject, event.detail);
}

void begin_del(const Scenario& scenario, World& world, const Event& event) {
  Runtime& runtime = world.runtimes[event.subject];
  ++runtime.dels;
  runtime.promise.reset();
  runtime.is_deleting = true;
  const Container& container = scenario.containers[event.subject];
  begin(world, Command::Kind::del, event.subject).withdrawal =
      nft::Withdrawal{nft::owner_hash(container.attachment), container.chain, {}};
}

void begin_gc(const Scenario& scenario, World& world) {
  ++world.gcs;
  Command& command = begin(world, Command::Kind::gc, 0);
  for (std::size_t i = 0; i < world.runtimes.size(); ++i)
    if (world.runtimes[i].record || is_busy(world, i))
      command.valid.insert(nft::owner_hash(scenario.containers[i].attachment));
}

void break_promises(World& world) {
  ++world.flushes;
  for (Runtime& runtime : world.runtimes) {
    runtime.promise.reset();
    runtime.damaged = runtime.damaged || runtime.adds > 0;
  }
}

bool overlap(const nft::PublishedPort& a, const nft::PublishedPort& b) {
  return a.protocol == b.protocol && a.port == b.port && a.address.is_any() != b.address.is_any();
}

// Any and one address of a port are one owner's.
std::string shared_port(const Scenario& scenario, const World& world) {
  std::map<nft::PublishedPort, nft::OwnerHash> claims;
  for (const Container& container : scenario.containers)
    for (const std::vector<PortMapping>& plan : container.plans)
      for (const PortMapping& mapping : plan) {
        const nft::PublishedPort port{mapping.host_address.value_or(IpAddress::any(Family::ipv4)),
                                      mapping.protocol, mapping.host_port};
        if (const auto owner = world.kernel->claimed_by(port)) claims.emplace(port, *owner);
      }
  for (const auto& [a, owner] : claims)
    for (const auto& [b, other] : claims)
      if (overlap(a, b) && owner != other)
        return to_string(a) + " and " + to_string(b) + " have two owners";
  return {};
}

std::string broken_promise(const Container& container, const World& world, const nft::Plan& plan) {
  const std::string id = container.attachment.container_id;
  const nft::OwnerHash owner = nft::owner_hash(container.attachment);
  const std::vector<nft::OwnerEntry> entries = world.kernel->owners();
  for (const nft::Translation& t : plan.translations) {
    const std::string port = to_string(t.published);
    if (world.kernel->claimed_by(t.published) != owner) return id + " lost its claim of " + port;
    if (world.kernel->target(container.chain, t.published) != t.endpoint)
      return id + " lost the target of " + port;
    if (std::none_of(entries.begin(), entries.end(), [&](const nft::OwnerEntry& entry) {
          return entry.owner == owner && entry.published == t.published;
        }))
      return id + " lost its owner entry of " + port;
  }
  nft::Snapshot snapshot;
  world.kernel->look({.network = &plan.chain}, nft::Section::ruleset, snapshot);
  if (!snapshot.ruleset->intact())
    return id + " is not led to: " + to_string(snapshot.ruleset->damage.front());
  for (const nft::Hairpin& hairpin : plan.hairpins)
    if (!world.kernel->has_hairpin(hairpin)) return id + " lost a hairpin pair";
  return {};
}

std::string leftover(const Container& container, const World& world) {
  const std::string& id = container.attachment.container_id;
  for (const auto& [name, set] : world.kernel->sets())
    for (const auto& [key, value] : set.elements)
      if (value.userdata.find("container_id: " + id) != std::string::npos ||
          value.userdata.find("/" + id + "/") != std::string::npos)
        return "after the DEL of " + id + " an element of " + name + " stays";
  return {};
}

// Bytes are enough to tell things apart, and quicker than words.
void digest_port(std::string& text, const nft::PublishedPort& port) {
  text += static_cast<char>(port.address.bytes()[3]);
  text += static_cast<char>(port.port.value() & 0xff);
}

void digest_plan(std::string& text, const nft::Plan& plan) {
  text += plan.attachment.container_id;
  text += static_cast<char>(plan.netns.inode);
  text += static_cast<char>(plan.translations.size());
  for (const nft::Translation& translation : plan.translations)
    digest_port(text, translation.published);
}

void digest_endpoint(std::string& text, const std::optional<nft::Endpoint>& endpoint) {
  text += endpoint ? static_cast<char>(endpoint->address.bytes()[3]) : '-';
}

void digest_ports(std::string& text, const nft::InstalledPorts& installed) {
  text += installed.comment + installed.chain + (installed.restored ? "r" : "a");
  text += static_cast<char>(installed.netns.inode);
  for (const nft::InstalledPort& port : installed.ports) {
    digest_port(text, port.published);
    text += port.claimed ? 'c' : '-';
    digest_endpoint(text, port.endpoint);
  }
}

void digest_snapshot(std::string& text, const nft::Snapshot& snapshot, std::uint32_t generation) {
  text += snapshot.generation == generation ? "now" : "old";
  text += snapshot.refused.exists ? "E" : "";
  text += snapshot.refused.missing ? "M" : "";
  if (snapshot.ruleset) {
    text += "R";
    for (const nft::Damage& damage : snapshot.ruleset->damage) text += to_string(damage);
  }
  if (snapshot.network_chains) {
    text += "N";
    for (const std::string& chain : *snapshot.network_chains) text += chain + " ";
  }
  if (snapshot.overlaps) {
    text += "V";
    for (const nft::PublishedPort& port : *snapshot.overlaps) digest_port(text, port);
  }
  if (snapshot.occupancy) {
    text += "O";
    for (const nft::OccupiedPort& port : snapshot.occupancy->ports) {
      digest_port(text, port.port);
      text += port.claimed ? "c" : "-";
      if (port.owner) text += nft::to_string(*port.owner);
      digest_endpoint(text, port.target);
    }
    for (const auto& [hash, owner] : snapshot.occupancy->owners) {
      text += std::to_string(static_cast<int>(owner.netns));
      digest_ports(text, owner.installed);
    }
  }
  if (snapshot.hairpins) text += "H" + std::to_string(snapshot.hairpins->size());
  if (snapshot.chain_is_empty) text += *snapshot.chain_is_empty ? "C1" : "C0";
  if (snapshot.installed) {
    text += "I";
    digest_ports(text, *snapshot.installed);
  }
  if (snapshot.shared) text += "S" + std::to_string(snapshot.shared->hairpins.size());
  if (snapshot.other_networks) {
    text += "W";
    for (const nft::InstalledPorts& other : *snapshot.other_networks) digest_ports(text, other);
  }
  if (snapshot.unlisted_loopback) text += "U";
  if (snapshot.device_use) text += "D";
  if (snapshot.others_publish) text += *snapshot.others_publish ? "P1" : "P0";
}

std::string digest_command(const Command& command, std::uint32_t generation) {
  std::string text = std::to_string(static_cast<int>(command.kind)) +
                     std::to_string(command.container) + "|" + std::to_string(command.tries) +
                     (command.has_listed ? "l" : "") + (command.is_done ? "d" : "") +
                     (command.is_waiting ? "w" : "") + std::to_string(command.waits) +
                     (command.is_disturbed ? "i" : "");
  if (command.plan) digest_plan(text, *command.plan);
  const auto add_withdrawal = [&text](const nft::Withdrawal& withdrawal) {
    text += "W" + std::string(nft::to_string(withdrawal.owner));
    if (withdrawal.only) text += std::to_string(withdrawal.only->inode);
  };
  if (command.withdrawal) add_withdrawal(*command.withdrawal);
  if (command.network) text += "n";
  text += static_cast<char>('0' + command.networks.size());
  for (const auto& [owner, inode] : command.due) {
    text += nft::to_string(owner);
    text += static_cast<char>(inode);
  }
  for (const nft::Withdrawal& withdrawal : command.queue) add_withdrawal(withdrawal);
  text += "m";
  for (const SharedPlan& plan : command.missing) digest_plan(text, *plan);
  text += "r";
  for (const SharedPlan& plan : command.restored) digest_plan(text, *plan);
  for (const nft::OwnerHash& hash : command.valid) text += nft::to_string(hash);
  digest_snapshot(text, command.snapshot, generation);
  if (command.transaction) text += "T";  // which one, the snapshot decides
  return text;
}

}  // namespace

std::vector<std::string> flushable_sets(const Scenario& scenario) {
  constexpr nft::Suffix kAny = {Family::ipv4, nft::AddressScope::any};
  return {nft::kOwners, nft::claim_set(kAny), nft::hairpin_set(Family::ipv4),
          nft::target_map(scenario.containers.front().chain, kAny)};
}

World start(const Scenario& scenario) {
  World world;
  world.runtimes.resize(scenario.containers.size());
  return world;
}

std::vector<Event> events(const Scenario& scenario, const World& world) {
  using Kind = Event::Kind;
  std::vector<Event> all;
  const Budget& budget = scenario.budget;
  for (std::size_t i = 0; i < world.commands.size(); ++i) {
    // Restore looks again when every DEL that was under way is over.
    if (!(waits(world.commands[i]) && is_under_way(world, Command::Kind::del)))
      all.push_back({Kind::step, i});
    if (world.kills < budget.kills) all.push_back({Kind::kill, i});
  }
  for (std::size_t i = 0; i < world.runtimes.size(); ++i)
    if (world.runtimes[i].living && world.runtimes[i].deaths < budget.deaths)
      all.push_back({Kind::die, i});
  if (world.flushes < budget.flushes && world.kernel->has_table()) {
    all.push_back({Kind::flush_ruleset});
    for (std::size_t i = 0; i < flushable_sets(scenario).size(); ++i)
      all.push_back({Kind::flush_set, 0, i});
  }
  if (world.commands.size() >= budget.at_once) return all;
  for (std::size_t i = 0; i < world.runtimes.size(); ++i) {
    if (is_busy(world, i)) continue;
    if (world.runtimes[i].adds < budget.adds && !forbids_add(world, world.runtimes[i]))
      for (std::size_t plan = 0; plan < scenario.containers[i].plans.size(); ++plan)
        all.push_back({Kind::add, i, plan});
    if (world.runtimes[i].dels < budget.dels && world.runtimes[i].adds > 0)
      all.push_back({Kind::del, i});
  }
  if (world.prunes < budget.prunes) all.push_back({Kind::prune});
  if (world.gcs < budget.gcs) all.push_back({Kind::gc});
  if (world.restores < budget.restores) all.push_back({Kind::restore});
  return all;
}

World after(const Scenario& scenario, const Decisions& decisions, World world, Event event) {
  const std::uint32_t generation = world.kernel->generation();
  const std::size_t stepping =
      event.kind == Event::Kind::step ? world.commands[event.subject].number : world.next_number;
  switch (event.kind) {
    case Event::Kind::add:
      begin_add(scenario, world, event);
      break;
    case Event::Kind::del:
      begin_del(scenario, world, event);
      break;
    case Event::Kind::die:
      world.runtimes[event.subject].living = false;
      world.runtimes[event.subject].promise.reset();
      ++world.runtimes[event.subject].deaths;
      break;
    case Event::Kind::prune:
      ++world.prunes;
      begin(world, Command::Kind::prune, 0);
      break;
    case Event::Kind::gc:
      begin_gc(scenario, world);
      break;
    case Event::Kind::restore:
      ++world.restores;
      begin(world, Command::Kind::restore, 0);
      break;
    case Event::Kind::flush_set:
      break_promises(world);
      world.kernel.change().flush_set(flushable_sets(scenario)[event.detail]);
      break;
    case Event::Kind::flush_ruleset:
      break_promises(world);
      world.kernel.change().flush_ruleset();
      break;
    case Event::Kind::step:
      step(scenario, decisions, world, event.subject);
      break;
    case Event::Kind::kill:
      ++world.kills;
      // The runtime does not know what became of it.
      if (world.commands[event.subject].kind == Command::Kind::add)
        world.runtimes[world.commands[event.subject].container].promise.reset();
      world.commands.erase(world.commands.begin() + static_cast<std::ptrdiff_t>(event.subject));
      break;
  }
  if (world.kernel->generation() != generation || event.kind == Event::Kind::die)
    for (Command& command : world.commands)
      command.is_disturbed = command.is_disturbed || command.number != stepping;
  return world;
}

std::string violation(const Scenario& scenario, const World& world) {
  if (!world.failure.empty()) return world.failure;
  if (std::string shared = shared_port(scenario, world); !shared.empty()) return shared;
  for (std::size_t i = 0; i < world.runtimes.size(); ++i) {
    const Runtime& runtime = world.runtimes[i];
    const Container& container = scenario.containers[i];
    std::string broken;
    if (runtime.promise && runtime.living)
      broken = broken_promise(container, world, *runtime.promise);
    if (runtime.withdrawn && !runtime.damaged && !is_busy(world, i) &&
        !is_under_way(world, Command::Kind::restore))
      broken = leftover(container, world);
    if (!broken.empty()) return broken;
  }
  return {};
}

std::string digest(const World& world) {
  std::string text = world.kernel.text() + world.failure;
  for (const Runtime& runtime : world.runtimes) {
    text += std::to_string(runtime.incarnation) + (runtime.living ? "l" : "-") +
            (runtime.withdrawn ? "w" : "-") + (runtime.is_deleting ? "x" : "-") +
            (runtime.damaged ? "d" : "-") + std::to_string(runtime.adds) +
            std::to_string(runtime.dels) + std::to_string(runtime.deaths);
    text += runtime.record ? "r" : "-";
    if (runtime.record) digest_plan(text, *runtime.record);
    text += runtime.promise ? "p" : "-";
    if (runtime.promise) digest_plan(text, *runtime.promise);
  }
  for (const int used : {world.prunes, world.gcs, world.restores, world.kills, world.flushes})
    text += std::to_string(used);
  std::vector<std::string> commands;
  for (const Command& command : world.commands)
    commands.push_back(digest_command(command, world.kernel->generation()));
  std::sort(commands.begin(), commands.end());  // whichever began first
  for (const std::string& command : commands) text += command;
  return text;
}

}  // namespace portmapper::model

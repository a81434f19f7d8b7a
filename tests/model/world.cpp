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

bool are_siblings(const Scenario& scenario, std::size_t a, std::size_t b) {
  return home_of(scenario, a) == home_of(scenario, b);
}

bool shares_id(const Scenario& scenario, std::size_t container) {
  const std::string& id = scenario.containers[container].attachment.container_id;
  return std::count_if(
             scenario.containers.begin(), scenario.containers.end(),
             [&id](const Container& other) { return other.attachment.container_id == id; }) > 1;
}

// Its namespace is gone, for its siblings too.
void break_promises_of(const Scenario& scenario, World& world, std::size_t container) {
  for (std::size_t i = 0; i < world.runtimes.size(); ++i)
    if (are_siblings(scenario, i, container)) world.runtimes[i].promise.reset();
}

void begin_add(const Scenario& scenario, World& world, const Event& event) {
  Runtime& runtime = world.runtimes[event.subject];
  Runtime& home = world.runtimes[home_of(scenario, event.subject)];
  ++runtime.adds;
  if (!home.living) {
    ++home.incarnation;
    home.living = true;
    break_promises_of(scenario, world, event.subject);
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

// Whether the port leads to a sibling, while this one stands by.
bool leads_to_sibling(const Scenario& scenario, std::size_t number, const World& world,
                      const nft::PublishedPort& port) {
  for (std::size_t i = 0; i < scenario.containers.size(); ++i) {
    const Container& other = scenario.containers[i];
    if (i == number || !are_siblings(scenario, i, number)) continue;
    const std::optional<nft::Endpoint> target = world.kernel->target(other.chain, port);
    const bool leads = target && target->address == IpPrefix::parse(other.address)->address;
    if (world.kernel->claimed_by(port) == nft::owner_hash(other.attachment) &&
        (leads || world.runtimes[i].damaged))
      return true;
  }
  return false;
}

// Whether it stands by only because a sibling's port overlaps with its own: somebody else may have
// taken another overlapping port since, and then nobody can be promoted.
bool is_overlapped(const Scenario& scenario, std::size_t number, const nft::PublishedPort& port) {
  bool has_sibling = false;
  for (std::size_t i = 0; i < scenario.containers.size(); ++i) {
    if (i == number || !are_siblings(scenario, i, number)) continue;
    has_sibling = true;
    for (const std::vector<PortMapping>& plan : scenario.containers[i].plans)
      for (const PortMapping& mapping : plan)
        if (mapping.host_port == port.port &&
            mapping.host_address.value_or(IpAddress::any(Family::ipv4)) == port.address)
          return false;
  }
  return has_sibling;
}

std::string broken_promise(const Scenario& scenario, std::size_t number, const World& world,
                           const nft::Plan& plan) {
  const Container& container = scenario.containers[number];
  const std::string id = container.attachment.container_id;
  const nft::OwnerHash owner = nft::owner_hash(container.attachment);
  const std::vector<nft::OwnerEntry> entries = world.kernel->owners();
  for (const nft::Translation& t : plan.translations) {
    const std::string port = to_string(t.published);
    const auto entry =
        std::find_if(entries.begin(), entries.end(), [&](const nft::OwnerEntry& one) {
          return one.owner == owner && one.published == t.published;
        });
    if (entry == entries.end()) return id + " lost its owner entry of " + port;
    const bool leads_to_other = leads_to_sibling(scenario, number, world, t.published) ||
                                (entry->standby && is_overlapped(scenario, number, t.published) &&
                                 world.kernel->claimed_by(t.published) != owner);
    if (!leads_to_other && world.kernel->claimed_by(t.published) != owner)
      return id + " lost its claim of " + port;
    if (!leads_to_other && world.kernel->target(container.chain, t.published) != t.endpoint)
      return id + " lost the target of " + port;
    if (leads_to_other && entry->standby != t.endpoint)
      return id + " does not stand by for " + port;
  }
  nft::Snapshot snapshot;
  world.kernel->look({.network = &plan.chain}, nft::Section::ruleset, snapshot);
  if (!snapshot.ruleset->intact())
    return id + " is not led to: " + to_string(snapshot.ruleset->damage.front());
  for (const nft::Hairpin& hairpin : plan.hairpins)
    if (!world.kernel->has_hairpin(hairpin)) return id + " lost a hairpin pair";
  return {};
}

bool leads_to(const nft::Key& data, const IpAddress& address) {
  const auto endpoint = nft::parse_target_data(data.bytes(), address.family());
  return endpoint && endpoint->address == address;
}

// Of one attachment: the elements of others with its ID have the same comments.
std::string leftover_of_one(const Container& container, const World& world) {
  const std::string hash(nft::to_string(nft::owner_hash(container.attachment)));
  const IpAddress address = IpPrefix::parse(container.address)->address;
  for (const auto& [name, set] : world.kernel->sets())
    for (const auto& [key, value] : set.elements)
      if (key.starts_with(hash) || value.userdata.find(hash) != std::string::npos ||
          leads_to(value.data, address))
        return "after the DEL of " + container.attachment.network + " an element of " + name +
               " stays";
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
    digest_endpoint(text, port.standby);
  }
  text += "y" + std::to_string(installed.strays.size());
  for (const nft::OwnerHash& hash : installed.standing_by) text += nft::to_string(hash);
}

void digest_occupied(std::string& text, const nft::OccupiedPort& port) {
  digest_port(text, port.port);
  text += port.claimed ? "c" : "-";
  if (port.owner) text += nft::to_string(*port.owner);
  digest_endpoint(text, port.target);
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
    for (const nft::OccupiedPort& port : snapshot.occupancy->ports) digest_occupied(text, port);
    for (const auto& [hash, owner] : snapshot.occupancy->owners) {
      text += static_cast<char>('0' + static_cast<int>(owner.life.netns));
      digest_ports(text, owner.installed);
    }
  }
  if (snapshot.hairpins) text += "H" + std::to_string(snapshot.hairpins->size());
  if (snapshot.chain_is_empty) text += *snapshot.chain_is_empty ? "C1" : "C0";
  if (snapshot.installed) {
    text += "I";
    digest_ports(text, *snapshot.installed);
  }
  if (snapshot.shared) text += "X" + std::to_string(snapshot.shared->hairpins.size());
  if (snapshot.other_networks) {
    text += "W";
    for (const nft::InstalledPorts& other : *snapshot.other_networks) digest_ports(text, other);
  }
  if (snapshot.same_network) {
    text += "N";
    for (const nft::InstalledPorts& other : *snapshot.same_network) digest_ports(text, other);
  }
  if (snapshot.unlisted_loopback) text += "U";
  if (snapshot.device_use) text += "D";
  if (snapshot.siblings) {
    text += "S";
    for (const auto& [hash, sibling] : *snapshot.siblings) {
      text += nft::to_string(hash);
      text += std::to_string(static_cast<int>(sibling.state.life.netns));
      digest_ports(text, sibling.state.installed);
      for (const nft::OccupiedPort& port : sibling.around) digest_occupied(text, port);
    }
  }
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

std::size_t home_of(const Scenario& scenario, std::size_t container) {
  return scenario.containers[container].sibling.value_or(container);
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
    if (home_of(scenario, i) == i && world.runtimes[i].living &&
        world.runtimes[i].deaths < budget.deaths)
      all.push_back({Kind::die, i});
  if (world.flushes < budget.flushes && world.kernel->has_table()) {
    all.push_back({Kind::flush_ruleset});
    for (std::size_t i = 0; i < flushable_sets(scenario).size(); ++i)
      all.push_back({Kind::flush_set, 0, i});
  }
  if (world.commands.size() >= budget.at_once) return all;
  for (std::size_t i = 0; i < world.runtimes.size(); ++i) {
    if (is_busy(world, i)) continue;
    if (world.runtimes[i].adds < budget.adds &&
        !forbids_add(world, world.runtimes[home_of(scenario, i)]))
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
      break_promises_of(scenario, world, event.subject);
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
    if (runtime.promise && world.runtimes[home_of(scenario, i)].living)
      broken = broken_promise(scenario, i, world, *runtime.promise);
    if (runtime.withdrawn && !runtime.damaged && !is_busy(world, i) &&
        !is_under_way(world, Command::Kind::restore))
      broken =
          shares_id(scenario, i) ? leftover_of_one(container, world) : leftover(container, world);
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

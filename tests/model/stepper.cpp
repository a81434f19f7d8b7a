#include "tests/model/stepper.hpp"

#include <algorithm>

#include "nft/conflicts.hpp"

namespace portmapper::model {
namespace {

constexpr int kTries = 8;  // more than others can change anything

std::uint64_t inode_of(std::size_t container, int incarnation) {
  return 100 * (container + 1) + static_cast<std::uint64_t>(incarnation);
}

SharedPlan as_restored(nft::Plan record) {
  record.is_restored = true;
  return std::make_shared<const nft::Plan>(std::move(record));
}

class Stepper {
 public:
  Stepper(const Scenario& scenario, const Decisions& decisions, World& world, std::size_t index)
      : scenario_(scenario),
        decisions_(decisions),
        world_(world),
        command_(world.commands[index]),
        index_(index) {
    for (std::size_t i = 0; i < world.runtimes.size(); ++i) {
      if (home_of(scenario, i) == i && world.runtimes[i].living)
        living_.insert(inode_of(i, world.runtimes[i].incarnation));
      if (!scenario.containers[i].is_hidden) continue;
      for (int old = 0; old <= world.runtimes[i].incarnation; ++old)
        hidden_.insert(inode_of(i, old));
    }
  }

  void step() {
    if (command_.is_done) return note();
    if (command_.is_waiting) command_.is_waiting = command_.is_disturbed = false;
    if (command_.transaction) return commit();
    if (!command_.plan && !command_.withdrawal && !command_.network) return list();
    read();
    settle();
  }

 private:
  [[nodiscard]] Question question() const {
    Question question{.living = &living_, .hidden = &hidden_};
    if (command_.plan) {
      question.plan = &*command_.plan;
      question.network = &command_.plan->chain;
    } else if (command_.network) {
      question.chain = *command_.network;
    } else {
      question.owner = command_.withdrawal->owner;
      question.chain = command_.withdrawal->chain;
    }
    return question;
  }

  [[nodiscard]] nft::Decision decide() const {
    if (command_.plan) return decisions_.add(*command_.plan, command_.snapshot);
    if (command_.network) return decisions_.remove_network(*command_.network, command_.snapshot);
    return decisions_.withdraw(*command_.withdrawal, command_.snapshot);
  }

  void read() {
    const nft::Decision decision = decide();
    if (const auto* more = std::get_if<nft::ReadMore>(&decision))
      world_.kernel->look(question(), more->section, command_.snapshot);
  }

  // What is decided needs no step of its own: nobody else sees it.
  void settle() {
    nft::Decision decision = decide();
    if (std::holds_alternative<nft::ReadMore>(decision)) return;
    if (const auto* refusal = std::get_if<Error>(&decision))
      return may_wait(*refusal) ? wait() : finish(false);
    auto transaction = std::get<nft::Transaction>(std::move(decision));
    if (transaction.operations.empty() && !transaction.generation) return finish(true);
    command_.transaction = std::make_shared<const nft::Transaction>(std::move(transaction));
  }

  [[nodiscard]] bool may_wait(const Error& refusal) const {
    return command_.kind == Command::Kind::add && refusal.kind == ErrorKind::port_taken &&
           command_.waits < scenario_.budget.waits;
  }

  void wait() {
    ++command_.waits;
    command_.is_waiting = true;
    command_.tries = 0;
    command_.snapshot = decisions_.wake(command_.snapshot);
  }

  void commit() {
    const nft::CommitResult result = world_.kernel.change().commit(*command_.transaction);
    const bool has_changed = !command_.transaction->operations.empty();
    command_.transaction.reset();
    if (result) {
      if (command_.plan) forget_due(*command_.plan);
      if (has_changed && command_.kind == Command::Kind::restore && command_.plan)
        keep_promise(runtime_of(*command_.plan), *command_.plan);
      return finish(true);
    }
    nft::Snapshot::Refused refused = command_.snapshot.refused;
    const bool again = ++command_.tries < kTries && (result.refusal->error_number == ERESTART ||
                                                     nft::learn(refused, *result.refusal));
    if (!again) return finish(false);
    command_.snapshot = {.refused = refused};
  }

  // What prune, GC and restore are to do; restore does so a second time, when it looks again.
  void list() {
    if (command_.kind == Command::Kind::restore)
      command_.has_listed ? look_again() : list_missing();
    else
      list_withdrawals();
    command_.has_listed = true;
    next();
  }

  void list_withdrawals() {
    const std::vector<nft::OwnerEntry> entries = world_.kernel->owners();
    const Container& first = scenario_.containers.front();
    if (command_.kind == Command::Kind::gc) {
      command_.queue =
          decisions_.gc(entries, first.attachment.network, command_.valid, first.chain);
      command_.networks = {first.chain};
      for (const nft::OwnerEntry& entry : entries)
        if (entry.comment.starts_with(first.attachment.network + "/") &&
            !command_.valid.contains(entry.owner))
          command_.due.emplace(entry.owner, entry.netns.inode);
      return;
    }
    const Question about{.living = &living_, .hidden = &hidden_};
    std::map<nft::OwnerHash, LifeSigns> signs;
    for (const nft::OwnerEntry& entry : entries) {
      signs[entry.owner] = life_signs(about, entry.netns);
      if (may_go(entry)) command_.due.emplace(entry.owner, entry.netns.inode);
    }
    command_.queue = decisions_.prune(entries, signs);
  }

  void list_missing() {
    for (const Runtime& runtime : world_.runtimes) {
      if (!runtime.record || !home(runtime).living) continue;
      const nft::InstalledPorts installed = world_.kernel->installed(
          nft::owner_hash(runtime.record->attachment), runtime.record->chain.name);
      if (!nft::is_whole(installed)) command_.missing.push_back(as_restored(*runtime.record));
    }
  }

  // Takes back what was deleted meanwhile.
  void look_again() {
    for (const SharedPlan& plan : command_.restored) {
      const Runtime& runtime = runtime_of(*plan);
      if (!runtime.record || !home(runtime).living) {
        command_.queue.push_back(
            {nft::owner_hash(plan->attachment), plan->chain.name, plan->netns, true});
      }
    }
    command_.restored.clear();
  }

  Runtime& runtime_of(const nft::Plan& plan) {
    for (std::size_t i = 0; i < scenario_.containers.size(); ++i)
      if (scenario_.containers[i].attachment == plan.attachment) return world_.runtimes[i];
    return world_.runtimes.front();
  }

  void finish(bool success) {
    Runtime& runtime = world_.runtimes[command_.container];
    switch (command_.kind) {
      case Command::Kind::add:
        command_.is_done = success;
        if (success && is_incarnation_of(*command_.plan, home(command_.container)))
          runtime.promise = command_.plan;
        if (success) return;
        if (!command_.is_disturbed && has_right(*command_.plan))
          world_.failure = "an ADD failed though nobody had its ports";
        return end();
      case Command::Kind::del:
        if (!success) world_.failure = "a DEL failed";
        runtime.withdrawn = success;
        command_.is_done = true;
        return;
      case Command::Kind::restore:
        if (command_.plan && success) command_.restored.push_back(command_.plan);
        break;
      case Command::Kind::prune:
      case Command::Kind::gc:
        break;
    }
    next();
  }

  // Whether its owner is dead, and that can be proven.
  [[nodiscard]] bool may_go(const nft::OwnerEntry& entry) const {
    return !living_.contains(entry.netns.inode) && !hidden_.contains(entry.netns.inode);
  }

  // Whether every other attachment that has a port of the plan, or one that overlaps, is proven
  // dead.
  [[nodiscard]] bool has_right(const nft::Plan& plan) const {
    const nft::Plan* const plans[] = {&plan};
    const nft::OwnerHash self = nft::owner_hash(plan.attachment);
    std::vector<nft::PublishedPort> taken;
    for (const nft::OwnerEntry& entry : world_.kernel->owners())
      if (entry.owner != self && !entry.standby && !is_sibling(entry, plan) && !may_go(entry))
        taken.push_back(entry.published);
    return nft::overlaps_of(plans, taken).empty() &&
           std::none_of(plan.translations.begin(), plan.translations.end(),
                        [&taken](const nft::Translation& translation) {
                          return std::find(taken.begin(), taken.end(), translation.published) !=
                                 taken.end();
                        });
  }

  // The same ID and the same namespace.
  static bool is_sibling(const nft::OwnerEntry& entry, const nft::Plan& plan) {
    Attachment attachment;
    return nft::parse_attachment_comment(entry.comment, attachment) &&
           attachment.container_id == plan.attachment.container_id &&
           entry.netns.inode == plan.netns.inode;
  }

  [[nodiscard]] const Runtime& home(std::size_t container) const {
    return world_.runtimes[home_of(scenario_, container)];
  }

  [[nodiscard]] const Runtime& home(const Runtime& runtime) const {
    return home(static_cast<std::size_t>(&runtime - world_.runtimes.data()));
  }

  // What an operator's flush broke is true again, unless a DEL has begun.
  void keep_promise(Runtime& runtime, const nft::Plan& restored) {
    const bool is_current = runtime.record && runtime.record->translations == restored.translations;
    if (home(runtime).living && is_current && !runtime.promise && !runtime.is_deleting)
      runtime.promise = runtime.record;
  }

  // The other plugins have run, and the runtime notes what became of the command.
  void note() {
    Runtime& runtime = world_.runtimes[command_.container];
    if (command_.kind == Command::Kind::add) {
      runtime.record = command_.plan;
    } else {
      runtime.record.reset();
      runtime.is_deleting = false;
    }
    end();
  }

  [[nodiscard]] static bool is_incarnation_of(const nft::Plan& plan, const Runtime& runtime) {
    return runtime.living && plan.netns.inode % 100 == static_cast<unsigned>(runtime.incarnation);
  }

  // The next piece of a command that has several; without one it is over.
  void next() {
    command_.snapshot = {};
    command_.tries = 0;
    command_.plan.reset();
    command_.withdrawal.reset();
    command_.network.reset();
    if (!command_.queue.empty()) {
      command_.withdrawal = command_.queue.front();
      command_.queue.erase(command_.queue.begin());
    } else if (!command_.missing.empty()) {
      command_.plan = command_.missing.front();
      command_.missing.erase(command_.missing.begin());
    } else if (!command_.networks.empty()) {
      command_.network = command_.networks.back();
      command_.networks.pop_back();
    } else if (command_.restored.empty()) {
      check_what_was_due();
      end();
    }
  }

  // Whoever is published again meanwhile need not be gone at the end.
  void forget_due(const nft::Plan& plan) {
    for (Command& command : world_.commands)
      command.due.erase({nft::owner_hash(plan.attachment), plan.netns.inode});
  }

  void check_what_was_due() {
    for (const nft::OwnerEntry& entry : world_.kernel->owners())
      if (command_.due.contains({entry.owner, entry.netns.inode}))
        world_.failure = "prune or GC left " + entry.comment;
  }

  void end() {
    world_.commands.erase(world_.commands.begin() + static_cast<std::ptrdiff_t>(index_));
  }

  const Scenario& scenario_;
  const Decisions& decisions_;
  World& world_;
  Command& command_;
  std::size_t index_;
  std::set<std::uint64_t> living_;
  std::set<std::uint64_t> hidden_;
};

}  // namespace

SharedPlan plan_of(const Scenario& scenario, const World& world, std::size_t number,
                   std::size_t plan) {
  const Container& container = scenario.containers[number];
  const std::size_t home = home_of(scenario, number);
  const std::uint64_t inode = inode_of(home, world.runtimes[home].incarnation);
  return std::make_shared<const nft::Plan>(
      nft::make_plan({.attachment = container.attachment,
                      .netns = {.path = "/run/netns/" + container.attachment.container_id,
                                .device = 4,
                                .inode = inode,
                                .id = inode},
                      .chain = {.name = container.chain, .exclude_devices = {}},
                      .mappings = container.plans[plan],
                      .addresses = {*IpPrefix::parse(container.address)}}));
}

void step(const Scenario& scenario, const Decisions& decisions, World& world, std::size_t index) {
  Stepper(scenario, decisions, world, index).step();
}

bool waits(const Command& command) {
  return command.kind == Command::Kind::restore && command.has_listed && !command.plan &&
         !command.withdrawal && !command.network && !command.transaction;
}

}  // namespace portmapper::model

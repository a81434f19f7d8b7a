// World: a kernel, a host with a few containers, a runtime, and the commands that are under way.
//
//   World world = start(scenario);
//   for (const Event& event : events(scenario, world)) explore(after(scenario, world, event));
//
// Each event is one step: a command reads one section or commits, a namespace dies, an operator
// flushes. An ADD that waits may wake at any time, whatever wakes it in the plugin. Commands decide with the real functions of nft/decide, or with a mutation of them. The
// runtime keeps to CNI's rules: one command at a time for an attachment, no GC while an ADD begins.
// Source: packaging/doc/contributing.md, "The model"; CNI SPEC.md section 4.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nft/decide.hpp"
#include "tests/model/kernel_model.hpp"

namespace portmapper::model {

// How commands decide; a mutation replaces one of them.
struct Decisions {
  std::function<nft::Decision(const nft::Plan&, const nft::Snapshot&)> add = nft::decide_add;
  std::function<nft::Decision(const nft::Withdrawal&, const nft::Snapshot&)> withdraw =
      nft::decide_withdrawal;
  std::function<std::vector<nft::Withdrawal>(const std::vector<nft::OwnerEntry>&,
                                             const std::map<nft::OwnerHash, LifeSigns>&)>
      prune = nft::decide_prune;
  std::function<std::vector<nft::Withdrawal>(const std::vector<nft::OwnerEntry>&,
                                             const std::string&, const std::set<nft::OwnerHash>&,
                                             const std::string&)>
      gc = nft::decide_gc;
  std::function<nft::Decision(const std::string&, const nft::Snapshot&)> remove_network =
      nft::decide_network_removal;
  // What an ADD that waited for a port still knows when it tries again.
  std::function<nft::Snapshot(const nft::Snapshot&)> wake = [](const nft::Snapshot&) {
    return nft::Snapshot();
  };
};

struct Container {
  Attachment attachment;
  std::string address;
  std::string chain;
  std::vector<std::vector<PortMapping>> plans;  // the ADDs that its runtime may make
  std::optional<std::size_t> sibling{};         // the attachment whose container it is, too
  bool is_hidden = false;  // nobody can tell whether it lives: it is of another PID namespace, say
};

// How often each thing may happen.
struct Budget {
  int adds = 2;  // of each container
  int dels = 1;
  int deaths = 0;  // of each container's namespace
  int prunes = 0;
  int gcs = 0;
  int restores = 0;
  int kills = 0;
  int flushes = 0;          // of a set, or of everything
  int waits = 0;            // of each ADD that is refused, before it gives up
  std::size_t at_once = 2;  // commands
};

struct Scenario {
  std::string name;
  std::vector<Container> containers;
  Budget budget;
};

struct Event {
  enum class Kind : std::uint8_t {
    add,
    del,
    die,
    prune,
    gc,
    restore,
    flush_set,
    flush_ruleset,
    step,
    kill
  } kind;
  std::size_t subject = 0;  // a container, or a command's number
  std::size_t detail = 0;   // a plan, or a set
};

// Worlds are copied at every step; what does not change is not.
using SharedPlan = std::shared_ptr<const nft::Plan>;

// A command under way.
struct Command {
  enum class Kind : std::uint8_t { add, del, prune, gc, restore } kind;
  std::size_t container = 0;
  std::size_t number = 0;                       // in the order of their beginnings
  SharedPlan plan{};                            // that is published now
  std::optional<nft::Withdrawal> withdrawal{};  // that is made now
  std::vector<nft::Withdrawal> queue{};         // those that come after it
  std::vector<SharedPlan> missing{};            // of restore: to be published
  std::vector<SharedPlan> restored{};           // of restore: to be looked at again
  std::set<nft::OwnerHash> valid{};             // of GC
  bool has_listed = false;                      // prune, GC, restore: have read what there is
  bool is_done = false;                         // ADD, DEL: the runtime has still to note it
  std::set<std::pair<nft::OwnerHash, std::uint64_t>> due{};  // prune, GC: must be gone at the end
  std::vector<std::string> networks{};   // of GC: chains that go if they are empty
  std::optional<std::string> network{};  // the one that is looked at now
  nft::Snapshot snapshot{};
  std::shared_ptr<const nft::Transaction> transaction{};
  int tries = 0;
  int waits = 0;
  bool is_waiting = false;    // an ADD: its next step begins a new try
  bool is_disturbed = false;  // somebody changed something since it began, or began its last try
};

struct Runtime {
  int incarnation = 0;  // of the namespace; 0: there was none yet
  bool living = false;
  SharedPlan record{};       // what the runtime remembers, for restore and GC
  SharedPlan promise{};      // an ADD that succeeded, until its DEL
  bool withdrawn = false;    // a DEL that succeeded, until the next ADD
  bool is_deleting = false;  // a DEL is under way, or was killed
  bool damaged = false;      // an operator removed something of it
  int adds = 0;
  int dels = 0;
  int deaths = 0;
};

// A kernel that many worlds share until one of them changes it.
class SharedKernel {
 public:
  const KernelModel& operator*() const { return *kernel_; }
  const KernelModel* operator->() const { return kernel_.get(); }
  KernelModel& change() {
    kernel_ = std::make_shared<KernelModel>(*kernel_);
    text_.reset();
    return *kernel_;
  }
  [[nodiscard]] const std::string& text() const {
    if (!text_) text_ = std::make_shared<std::string>(kernel_->text());
    return *text_;
  }

 private:
  std::shared_ptr<KernelModel> kernel_ = std::make_shared<KernelModel>();
  mutable std::shared_ptr<const std::string> text_;
};

struct World {
  SharedKernel kernel;
  std::vector<Runtime> runtimes;
  std::vector<Command> commands;
  std::size_t next_number = 0;
  int prunes = 0, gcs = 0, restores = 0, kills = 0, flushes = 0;
  std::string failure{};  // of a command that had no right to fail
};

// The attachment that stands for the container: its Runtime tells of the namespace of both.
std::size_t home_of(const Scenario& scenario, std::size_t container);

World start(const Scenario& scenario);
std::vector<Event> events(const Scenario& scenario, const World& world);
World after(const Scenario& scenario, const Decisions& decisions, World world, Event event);

// What must not be, and is; empty where all is well.
std::string violation(const Scenario& scenario, const World& world);
// Equal for worlds that cannot be told apart.
std::string digest(const World& world);

// The sets that an operator flushes: one of each kind.
std::vector<std::string> flushable_sets(const Scenario& scenario);

// What a history begins with, as a person types it.
std::string prologue(const Scenario& scenario);
// The event as a person does it in tests/lab, or as a comment where it is a step of a command.
std::string to_shell(const Scenario& scenario, const World& before, const Event& event);

}  // namespace portmapper::model

// The model's kernel against the real one: what tests/model explores is what the kernel does.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "lib/app/look.hpp"
#include "lib/host/netns.hpp"
#include "tests/model/kernel_model.hpp"
#include "tests/model/scenarios.hpp"
#include "tests/support/namespace.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// Everything that a decision may want, in an order in which it can be read.
constexpr std::array kAddSections = {nft::Section::ruleset,      nft::Section::network_chains,
                                     nft::Section::overlaps,     nft::Section::occupancy,
                                     nft::Section::hairpins,     nft::Section::chain_damage,
                                     nft::Section::shared,       nft::Section::other_networks,
                                     nft::Section::same_network, nft::Section::unlisted_loopback};
constexpr std::array kDelSections = {nft::Section::installed, nft::Section::others_publish,
                                     nft::Section::device_use};
constexpr std::array kSiblings = {nft::Section::siblings};  // only where a decision asks for it
constexpr std::array kNetworkSections = {nft::Section::chain_is_empty,
                                         nft::Section::network_chains};

// The order of what the kernel lists is its own, and each kernel counts its generations alone.
nft::Snapshot comparable(nft::Snapshot snapshot) {
  snapshot.generation = 0;
  // The containers have no addresses here: what counts is what the signs come to.
  if (snapshot.occupancy)
    for (auto& [hash, owner] : snapshot.occupancy->owners)
      owner.life = {nft::liveness_of(owner.life) == nft::Liveness::dead ? NamespaceState::gone
                    : nft::liveness_of(owner.life) == nft::Liveness::alive
                        ? NamespaceState::exists
                        : NamespaceState::unknown};
  if (snapshot.hairpins) std::sort(snapshot.hairpins->begin(), snapshot.hairpins->end());
  if (snapshot.network_chains)
    std::sort(snapshot.network_chains->begin(), snapshot.network_chains->end());
  if (snapshot.shared)
    std::sort(snapshot.shared->hairpins.begin(), snapshot.shared->hairpins.end());
  return snapshot;
}

std::string sorted_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at) + "\n");
    at = end + 1;
  }
  std::sort(lines.begin(), lines.end());
  std::string sorted;
  for (const std::string& line : lines) sorted += line;
  return sorted;
}

struct Decided {
  nft::Transaction real;
  nft::Transaction model;
};

std::string outcome(const nft::CommitResult& result) {
  if (result) return "taken";
  REQUIRE(result.refusal);
  const nft::Refusal& refusal = *result.refusal;
  return "errno " + std::to_string(refusal.error_number) +
         (refusal.generation ? " of the generation"
                             : " of operation " + std::to_string(refusal.operation.value_or(99)));
}

// One table in the kernel and one in the model, and what is done to both.
class Twins {
 public:
  explicit Twins(Transport& transport) : transport_(transport) {
    own_ = host::identify_netns("/proc/thread-self/ns/net");
    living_.insert(own_.inode);
  }

  // The first section that differs; "" where all are alike.
  template <typename Sections>
  std::string look(const model::Question& question, const Sections& sections, nft::Snapshot& real,
                   nft::Snapshot& model) {
    const app::Subject subject{.plan = question.plan,
                               .network = question.network,
                               .owner = question.owner,
                               .chain = question.chain,
                               .plans = question.plans};
    for (const nft::Section section : sections) {
      const Status read = app::look(transport_, subject, section, real);
      if (!read) return read.error().message();
      model_.look(question, section, model);
      if (comparable(real) != comparable(model))
        return "section " + std::to_string(static_cast<int>(section)) + " differs";
    }
    return {};
  }

  std::string add(const nft::Plan& plan, nft::Snapshot::Refused refused, Decided& decided) {
    nft::Snapshot real{.refused = refused};
    nft::Snapshot model{.refused = refused};
    const nft::Plan* const plans[] = {&plan};
    model::Question question = about();
    question.plan = &plan;
    question.network = &plan.chain;
    question.plans = plans;
    if (std::string differs = look(question, kAddSections, real, model); !differs.empty())
      return differs;
    if (asks_for_siblings(nft::decide_add(plan, real)))
      if (std::string differs = look(question, kSiblings, real, model); !differs.empty())
        return differs;
    return decide(nft::decide_add(plan, real), nft::decide_add(plan, model), decided);
  }

  std::string withdraw(const nft::Withdrawal& withdrawal, Decided& decided) {
    nft::Snapshot real;
    nft::Snapshot model;
    model::Question question = about();
    question.owner = withdrawal.owner;
    question.chain = withdrawal.chain;
    if (std::string differs = look(question, kDelSections, real, model); !differs.empty())
      return differs;
    if (asks_for_siblings(nft::decide_withdrawal(withdrawal, real)))
      if (std::string differs = look(question, kSiblings, real, model); !differs.empty())
        return differs;
    return decide(nft::decide_withdrawal(withdrawal, real),
                  nft::decide_withdrawal(withdrawal, model), decided);
  }

  std::string remove_network(const std::string& chain, Decided& decided) {
    nft::Snapshot real;
    nft::Snapshot model;
    model::Question question = about();
    question.chain = chain;
    if (std::string differs = look(question, kNetworkSections, real, model); !differs.empty())
      return differs;
    return decide(nft::decide_network_removal(chain, real),
                  nft::decide_network_removal(chain, model), decided);
  }

  std::string commit(const Decided& decided) {
    if (decided.real.operations.empty()) return {};
    const nft::CommitResult real = nft::commit(transport_, decided.real);
    const nft::CommitResult model = model_.commit(decided.model);
    last_ = model.refusal ? model.refusal->error_number : 0;
    if (outcome(real) == outcome(model)) return {};
    return "the kernel: " + outcome(real) + "; the model: " + outcome(model) + "\n" +
           to_string(decided.real);
  }

  // An operator's own doing: the same for both, outside of any decision.
  std::string operate(const nft::Operation& operation) {
    nft::Transaction transaction;
    transaction.operations.push_back(operation);
    return commit({transaction, transaction});
  }

  [[nodiscard]] int last() const { return last_; }
  [[nodiscard]] const NetworkNamespace& own() const { return own_; }

 private:
  [[nodiscard]] model::Question about() const { return {.living = &living_}; }

  static bool asks_for_siblings(const nft::Decision& decision) {
    const auto* more = std::get_if<nft::ReadMore>(&decision);
    return more != nullptr && more->section == nft::Section::siblings;
  }

  static std::string decide(nft::Decision real, nft::Decision model, Decided& decided) {
    decided = {};
    if (real.index() != model.index()) return "the decisions differ";
    if (const auto* refusal = std::get_if<Error>(&real))
      return refusal->message() == std::get<Error>(model).message() ? "" : "the refusals differ";
    if (std::holds_alternative<nft::ReadMore>(real)) return "a section was not read";
    decided = {std::get<nft::Transaction>(real), std::get<nft::Transaction>(model)};
    const std::string one = sorted_lines(to_string(decided.real));
    const std::string other = sorted_lines(to_string(decided.model));
    return one == other ? "" : "the transactions differ:\n" + one + "and\n" + other;
  }

  Transport& transport_;
  model::KernelModel model_;
  std::set<std::uint64_t> living_;
  NetworkNamespace own_;
  int last_ = 0;
};

class History {
 public:
  History(Transport& transport, unsigned seed) : twins_(transport), random_(seed) {
    for (const model::Scenario& scenario : model::scenarios())
      for (const model::Container& container : scenario.containers)
        containers_.push_back(container);
  }

  // What differed, and after what; "" where both went the same way for `steps`.
  std::string run(int steps) {
    for (int i = 0; i < steps; ++i)
      if (std::string differs = step(); !differs.empty()) return log_ + differs;
    return {};
  }

 private:
  std::size_t pick(std::size_t count) { return random_() % count; }

  std::string step() {
    const model::Container& container = containers_[pick(containers_.size())];
    switch (pick(12)) {
      case 0:
        log_ += "flush the owners\n";
        return twins_.operate(nft::FlushSet{nft::kOwners});
      case 1:
        log_ += "flush the claims\n";
        return twins_.operate(
            nft::FlushSet{nft::claim_set({Family::ipv4, nft::AddressScope::any})});
      case 2:
        log_ += "flush the rules of " + container.chain + "\n";
        return twins_.operate(nft::FlushChain{container.chain});
      case 3:
        if (pick(4) != 0) return {};
        log_ += "delete the table\n";
        return twins_.operate(nft::DeleteTable{});
      case 4:
        log_ += "remove network " + container.chain + "\n";
        if (std::string differs = twins_.remove_network(container.chain, now_); !differs.empty())
          return differs;
        return twins_.commit(now_);
      case 5:
        log_ += "commit what was decided long ago\n";
        return twins_.commit(kept_);
      case 6:
      case 7:
        return withdraw(container);
      default:
        return add(container);
    }
  }

  std::string withdraw(const model::Container& container) {
    log_ += "DEL " + container.attachment.container_id + "\n";
    const nft::Withdrawal withdrawal{nft::owner_hash(container.attachment), container.chain, {}};
    if (std::string differs = twins_.withdraw(withdrawal, now_); !differs.empty()) return differs;
    return commit_or_keep();
  }

  std::string add(const model::Container& container) {
    const std::vector<PortMapping>& mappings = container.plans[pick(container.plans.size())];
    log_ += "ADD " + container.attachment.container_id + "\n";
    const std::uint64_t number = 100 + pick(2);
    NetworkNamespace netns{.path = {},
                           .device = 4,
                           .inode = number,
                           .id = (std::uint64_t{1} << 60) + number,  // none that ever was
                           .observer = host::observe()};
    if (pick(2) == 0) netns = twins_.own();
    const nft::Plan plan =
        nft::make_plan({.attachment = container.attachment,
                        .netns = netns,
                        .chain = {.name = container.chain, .exclude_devices = {}},
                        .mappings = mappings,
                        .addresses = {*IpPrefix::parse(container.address)}});
    nft::Snapshot::Refused refused;
    for (int tries = 0; tries < 3; ++tries) {
      if (std::string differs = twins_.add(plan, refused, now_); !differs.empty()) return differs;
      if (std::string differs = commit_or_keep(); !differs.empty()) return differs;
      if (!nft::learn(refused, {.error_number = twins_.last()})) break;
    }
    return {};
  }

  std::string commit_or_keep() {
    if (pick(8) == 0) {
      kept_ = now_;
      return {};
    }
    return twins_.commit(now_);
  }

  Twins twins_;
  std::minstd_rand random_;
  std::vector<model::Container> containers_;
  std::string log_;
  Decided now_;
  Decided kept_;
};

}  // namespace

TEST_CASE("random histories end alike in the model's kernel and in the real one") {
  const std::string name = "npm-model-" + std::to_string(getpid());
  for (unsigned seed = 1; seed <= 25; ++seed) {
    CAPTURE(seed);
    make_namespaces({name});
    const std::string differs = in_namespace(name, [seed] {
      Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
      return netlink ? History(*netlink, seed).run(60) : netlink.error().message();
    });
    remove_namespace(name);
    CHECK(differs == "");
  }
}

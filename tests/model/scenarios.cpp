#include "tests/model/scenarios.hpp"

namespace portmapper::model {
namespace {

PortMapping mapping(int host_port, const char* address = nullptr) {
  return {.host_address = address == nullptr ? std::nullopt : IpAddress::parse(address),
          .protocol = Protocol::tcp,
          .host_port = *Port::from(host_port),
          .container_port = *Port::from(80)};
}

const PortMapping kAny = mapping(8080);
const PortMapping kOne = mapping(8080, "192.0.2.1");
const PortMapping kLoopback = mapping(8080, "127.0.0.1");
const PortMapping kOther = mapping(9090);

Container container(const char* id, const char* network, const char* chain, const char* address,
                    std::vector<std::vector<PortMapping>> plans) {
  return {{network, id, "eth0"}, address, chain, std::move(plans)};
}

Container a(std::vector<std::vector<PortMapping>> plans) {
  return container("a", "web", "hostports", "10.22.0.2/16", std::move(plans));
}
Container b(std::vector<std::vector<PortMapping>> plans) {
  return container("b", "web", "hostports", "10.22.0.3/16", std::move(plans));
}
// Of another network: with a chain of its own, and an address of its own alone.
Container c(std::vector<std::vector<PortMapping>> plans) {
  return container("c", "db", "DB", "10.23.0.4/32", std::move(plans));
}

// A second network of the container that is the first of its scenario.
Container second(std::vector<std::vector<PortMapping>> plans) {
  Container sibling = container("a", "db", "DB", "10.23.0.2/32", std::move(plans));
  sibling.sibling = 0;
  return sibling;
}

// Another container that has the same ID, in a namespace of its own.
Container namesake(std::vector<std::vector<PortMapping>> plans) {
  return container("a", "db", "DB", "10.23.0.4/32", std::move(plans));
}

// Of a PID namespace that the commands do not see into.
Container hidden(Container container) {
  container.is_hidden = true;
  return container;
}

// Of another network, which gives out the same addresses.
Container with_address_of_a(std::vector<std::vector<PortMapping>> plans) {
  return container("d", "db", "DB", "10.22.0.2/16", std::move(plans));
}

// A decision whose transaction is changed before it is committed.
template <typename Change>
nft::Decision changed(nft::Decision decision, Change change) {
  if (auto* transaction = std::get_if<nft::Transaction>(&decision)) change(*transaction);
  return decision;
}

nft::Decision withdraw_without_generation(const nft::Withdrawal& withdrawal,
                                          const nft::Snapshot& snapshot) {
  return changed(nft::decide_withdrawal(withdrawal, snapshot),
                 [](nft::Transaction& transaction) { transaction.generation.reset(); });
}

nft::Decision withdraw_without_claims(const nft::Withdrawal& withdrawal,
                                      const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.installed)
    for (nft::InstalledPort& port : seen.installed->ports) port.claimed = false;
  return nft::decide_withdrawal(withdrawal, seen);
}

nft::Decision add_without_generation(const nft::Plan& plan, const nft::Snapshot& snapshot) {
  return changed(nft::decide_add(plan, snapshot),
                 [](nft::Transaction& transaction) { transaction.generation.reset(); });
}

// Restore takes back what it has not published.
nft::Decision withdraw_whatever(const nft::Withdrawal& withdrawal, const nft::Snapshot& snapshot) {
  nft::Withdrawal wider = withdrawal;
  wider.only_restored = false;
  return nft::decide_withdrawal(wider, snapshot);
}

// Restore takes the runtime's record for newer than the kernel's.
nft::Decision add_as_recorded(const nft::Plan& plan, const nft::Snapshot& snapshot) {
  nft::Plan own = plan;
  own.is_restored = false;
  return nft::decide_add(own, snapshot);
}

// Takes whoever has its ports for dead.
nft::Decision add_over_the_living(const nft::Plan& plan, const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.occupancy)
    for (auto& [hash, owner] : seen.occupancy->owners) owner.life = {NamespaceState::gone};
  return nft::decide_add(plan, seen);
}

// Takes "nobody can tell" for "dead".
nft::Decision add_over_the_unknown(const nft::Plan& plan, const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.occupancy)
    for (auto& [hash, owner] : seen.occupancy->owners)
      if (nft::liveness_of(owner.life) == nft::Liveness::unknown)
        owner.life = {NamespaceState::gone};
  return nft::decide_add(plan, seen);
}

std::vector<nft::Withdrawal> prune_the_unknown(const std::vector<nft::OwnerEntry>& entries,
                                               const std::map<nft::OwnerHash, LifeSigns>& signs) {
  std::map<nft::OwnerHash, LifeSigns> seen = signs;
  for (auto& [owner, life] : seen)
    if (nft::liveness_of(life) == nft::Liveness::unknown) life = {NamespaceState::gone};
  return nft::decide_prune(entries, seen);
}

// Takes it that an address is of one container at a time.
nft::Decision add_over_an_equal_address(const nft::Plan& plan, const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.occupancy)
    for (auto& [hash, owner] : seen.occupancy->owners)
      for (const nft::InstalledPort& port : owner.installed.ports)
        if (port.endpoint && port.endpoint->address == plan.translations.front().endpoint.address)
          owner.life = {NamespaceState::gone};
  return nft::decide_add(plan, seen);
}

// Takes it that any address and one do not overlap.
nft::Decision add_without_looking(const nft::Plan& plan, const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  seen.overlaps.emplace();
  return nft::decide_add(plan, seen);
}

nft::Decision withdraw_without_promotion(const nft::Withdrawal& withdrawal,
                                         const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.installed) seen.installed->standing_by.clear();
  return nft::decide_withdrawal(withdrawal, seen);
}

nft::Decision add_without_promotion(const nft::Plan& plan, const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.occupancy)
    for (auto& [hash, owner] : seen.occupancy->owners) owner.installed.standing_by.clear();
  return nft::decide_add(plan, seen);
}

// Takes whoever has the same ID for a sibling, in whatever namespace.
nft::Decision add_beside_any_namespace(const nft::Plan& plan, const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.occupancy)
    for (auto& [hash, owner] : seen.occupancy->owners) owner.installed.netns = {};
  return nft::decide_add(plan, seen);
}

// Does not see that others have the port meanwhile.
nft::Decision withdraw_promoting_anybody(const nft::Withdrawal& withdrawal,
                                         const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.siblings)
    for (auto& [hash, sibling] : *seen.siblings) {
      sibling.around.clear();
      sibling.state.life.netns = NamespaceState::exists;
      sibling.state.installed.netns = seen.installed->netns;
    }
  return nft::decide_withdrawal(withdrawal, seen);
}

// Takes the claims of the ports that it only stands by for.
nft::Decision withdraw_with_siblings_claims(const nft::Withdrawal& withdrawal,
                                            const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.installed)
    for (nft::InstalledPort& port : seen.installed->ports)
      if (port.standby) port.claimed = true;
  return nft::decide_withdrawal(withdrawal, seen);
}

nft::Decision refuse(const nft::Plan&, const nft::Snapshot&) {
  return mapping_failed("refused");
}

// Takes the dead for living.
nft::Decision add_around_the_dead(const nft::Plan& plan, const nft::Snapshot& snapshot) {
  nft::Snapshot seen = snapshot;
  if (seen.occupancy)
    for (auto& [hash, owner] : seen.occupancy->owners) owner.life = {NamespaceState::exists};
  return nft::decide_add(plan, seen);
}

std::vector<nft::Withdrawal> collect_nothing(const std::vector<nft::OwnerEntry>&,
                                             const std::string&, const std::set<nft::OwnerHash>&,
                                             const std::string&) {
  return {};
}

std::vector<nft::Withdrawal> collect_by_name(const std::vector<nft::OwnerEntry>& entries,
                                             const std::string& network,
                                             const std::set<nft::OwnerHash>& valid,
                                             const std::string& chain) {
  std::vector<nft::Withdrawal> all = nft::decide_gc(entries, network, valid, chain);
  for (nft::Withdrawal& withdrawal : all) withdrawal.only.reset();
  return all;
}

nft::Decision remove_any_network(const std::string& chain, const nft::Snapshot& snapshot) {
  return changed(nft::decide_network_removal(chain, snapshot),
                 [](nft::Transaction& transaction) { transaction.generation.reset(); });
}

std::vector<nft::Withdrawal> prune_nothing(const std::vector<nft::OwnerEntry>&,
                                           const std::map<nft::OwnerHash, LifeSigns>&) {
  return {};
}

std::vector<nft::Withdrawal> prune_by_name(const std::vector<nft::OwnerEntry>& entries,
                                           const std::map<nft::OwnerHash, LifeSigns>& signs) {
  std::vector<nft::Withdrawal> all = nft::decide_prune(entries, signs);
  for (nft::Withdrawal& withdrawal : all) withdrawal.only.reset();
  return all;
}

}  // namespace

std::vector<Scenario> scenarios(bool large) {
  const int more = large ? 1 : 0;
  return {
      {"two containers want one port",
       {a({{kAny}}), b({{kAny}})},
       {.dels = 1 + more, .deaths = 1, .kills = more}},
      {"any and one address, two networks",
       {a({{kAny}}), c({{kOne}})},
       {.dels = 1 + more, .deaths = 1, .kills = more}},
      {"ADD again with other ports",
       {a({{kAny}, {kOne, kOther}}), b({{kOther}})},
       {.adds = 2 + more, .kills = 1}},
      {"three containers at once",
       {a({{kAny}}), b({{kOne}}), c({{kAny, kOther}})},
       {.adds = 1, .deaths = more, .at_once = 3}},
      {"prune beside restarts",
       {a({{kAny}}), b({{kAny}})},
       {.deaths = 1, .prunes = 1 + more, .kills = more}},
      {"GC and prune",
       {a({{kAny}}), b({{kOther}})},
       {.deaths = more, .prunes = more, .gcs = 1, .kills = 1}},
      {"GC beside a restart", {a({{kAny}})}, {.deaths = 1, .gcs = 1, .kills = 1}},
      {"an owner that nobody can see",
       {hidden(a({{kAny}})), b({{kAny}})},
       {.adds = 1 + more, .deaths = 1, .prunes = 1}},
      {"two networks give out one address",
       {a({{kAny}}), with_address_of_a({{kAny}})},
       {.adds = 1 + more, .deaths = 1}},
      {"an operator flushes", {a({{kAny}}), c({{kAny}, {kOne}})}, {.adds = 1 + more, .flushes = 1}},
      {"restore after a flush",
       {a({{kAny}}), c({{kOther}})},
       {.adds = 1 + more, .deaths = more, .restores = 1, .flushes = 1}},
      {"a successor waits",
       {a({{kAny}}), b({{kOne}})},
       {.adds = 1 + more, .deaths = 1, .kills = more, .waits = 2}},
      {"restore beside ADD again",
       {a({{kAny}, {kOther}})},
       {.adds = 2, .deaths = 1, .restores = 1, .flushes = 1}},
      {"a container on two networks",
       {a({{kAny, kOther}, {kAny}}), second({{kAny, kOther}})},
       {.adds = 2, .dels = 1 + more, .deaths = more, .kills = more}},
      {"a container on two networks, and another",
       {a({{kAny}}), second({{kAny}}), b({{kOne}})},
       {.adds = 1 + more, .dels = 1 + more, .deaths = 1}},
      {"two networks with overlapping ports, and another container",
       {a({{kOne}}), second({{kAny}}), b({{kLoopback}})},
       {.adds = 1, .dels = 1}},
      {"a container on two networks is restarted",
       {a({{kAny}}), second({{kAny}})},
       {.adds = 2, .dels = 1, .deaths = 1, .prunes = more}},
      {"prune of a container on two networks",
       {a({{kAny}}), second({{kAny}})},
       {.adds = 1, .dels = 1, .deaths = 1, .prunes = 1}},
      {"one ID in two namespaces", {a({{kAny}}), namesake({{kAny}})}, {.deaths = more}},
      {"restore of a container on two networks",
       {a({{kAny}}), second({{kAny}})},
       {.adds = 1 + more, .deaths = more, .restores = 1, .flushes = 1}},
  };
}

std::vector<Mutation> mutations() {
  return {
      {"DEL does not look at the generation",
       "prune beside restarts",
       {.withdraw = withdraw_without_generation}},
      {"DEL leaves the claims",
       "two containers want one port",
       {.withdraw = withdraw_without_claims}},
      {"ADD does not look at the generation",
       "any and one address, two networks",
       {.add = add_without_generation}},
      {"ADD takes ports from the living",
       "two containers want one port",
       {.add = add_over_the_living}},
      {"ADD takes whoever it cannot see for dead",
       "an owner that nobody can see",
       {.add = add_over_the_unknown}},
      {"prune takes whoever it cannot see for dead",
       "an owner that nobody can see",
       {.prune = prune_the_unknown}},
      {"ADD takes an equal address for a proof",
       "two networks give out one address",
       {.add = add_over_an_equal_address}},
      {"ADD does not look for ports on one address",
       "any and one address, two networks",
       {.add = add_without_looking}},
      {"restore takes back what an ADD published",
       "restore beside ADD again",
       {.withdraw = withdraw_whatever}},
      {"restore replaces what an ADD published",
       "restore beside ADD again",
       {.add = add_as_recorded}},
      {"prune does not name the namespace", "prune beside restarts", {.prune = prune_by_name}},
      {"ADD refuses", "two containers want one port", {.add = refuse}},
      {"ADD does not take over from the dead",
       "two containers want one port",
       {.add = add_around_the_dead}},
      {"ADD that waited decides on what it knew before",
       "a successor waits",
       {.wake = [](const nft::Snapshot& before) { return before; }}},
      {"prune does nothing", "prune beside restarts", {.prune = prune_nothing}},
      {"GC does nothing", "GC and prune", {.gc = collect_nothing}},
      {"GC does not name the namespace", "GC beside a restart", {.gc = collect_by_name}},
      {"GC removes a network that is in use",
       "GC and prune",
       {.remove_network = remove_any_network}},
      {"DEL promotes nobody",
       "a container on two networks",
       {.withdraw = withdraw_without_promotion}},
      {"ADD again promotes nobody", "a container on two networks", {.add = add_without_promotion}},
      {"a namesake in another namespace counts as a sibling",
       "one ID in two namespaces",
       {.add = add_beside_any_namespace}},
      {"DEL promotes a sibling to a port that another has",
       "two networks with overlapping ports, and another container",
       {.withdraw = withdraw_promoting_anybody}},
      {"the DEL of a standby takes the publisher's claim",
       "a container on two networks",
       {.withdraw = withdraw_with_siblings_claims}},
  };
}

}  // namespace portmapper::model

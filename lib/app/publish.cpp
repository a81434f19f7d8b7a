#include "lib/app/publish.hpp"

#include <set>
#include <utility>

#include "lib/app/carry_out.hpp"
#include "lib/app/host_effects.hpp"
#include "nft/conflicts.hpp"
#include "nft/siblings.hpp"

namespace portmapper::app {
namespace {

Commit closing(std::vector<Error>& left_open) {
  return [&left_open](Transport& transport, const nft::Transaction& transaction) {
    return commit_closing(transport, transaction, left_open);
  };
}

CarriedOut take_out(Transport& transport, const nft::Withdrawal& withdrawal,
                    std::vector<Error>& left_open) {
  return carry_out(
      transport,
      {.owner = withdrawal.owner,
       .chain = withdrawal.chain,
       .lost_ports = withdrawal.seeks_lost ? nft::Lost::sought : nft::Lost::if_some_are_missing},
      [&withdrawal](const nft::Snapshot& snapshot) {
        return nft::decide_withdrawal(withdrawal, snapshot);
      },
      closing(left_open));
}

// Flows end that lead to the endpoint of a port; of those that go on, it is forgotten.
void spare_flows(nft::InstalledPorts& left, std::span<const nft::InstalledPorts> promoted,
                 bool close_connections) {
  std::set<std::pair<nft::PublishedPort, std::optional<nft::Endpoint>>> held;
  for (const nft::InstalledPorts& successor : promoted)
    for (const nft::InstalledPort& port : successor.ports)
      held.emplace(port.published, port.standby);
  for (nft::InstalledPort& port : left.ports) {
    const bool stays = !close_connections && port.published.protocol != Protocol::udp;
    if (stays || held.contains({port.published, port.endpoint})) port.endpoint.reset();
  }
}

Published what_was_done(const nft::Plan& plan, const CarriedOut& done) {
  const nft::Snapshot& snapshot = done.snapshot;
  Published published{.is_new = done.is_committed, .may_be_masqueraded = snapshot.has_egress};
  if (!done.is_committed || !snapshot.occupancy) return published;
  nft::Plan part = plan;
  nft::stand_by(part, *snapshot.occupancy);
  if (snapshot.siblings)
    published.promoted =
        nft::successors(snapshot.occupancy->owners.at(nft::owner_hash(plan.attachment)).installed,
                        part.translations, *snapshot.siblings);
  for (const nft::InstalledPorts* left : nft::giving_way(plan, *snapshot.occupancy)) {
    published.left.push_back(*left);
    spare_flows(published.left.back(), published.promoted, plan.close_connections);
  }
  if (std::erase_if(part.translations, [](const nft::Translation& t) { return t.standby; }) != 0)
    published.part = std::move(part);
  return published;
}

}  // namespace

Result<Published> publish(Transport& transport, const nft::Plan& plan) {
  std::vector<Error> left_open;
  const auto take_back = [&] {
    (void)take_out(transport,
                   {.owner = nft::owner_hash(plan.attachment),
                    .chain = plan.chain.name,
                    .only = plan.is_restored ? std::optional(plan.netns) : std::nullopt,
                    .only_restored = plan.is_restored},
                   left_open);
  };
  const CarriedOut done = carry_out(
      transport, {.plan = &plan, .network = &plan.chain},
      [&plan](const nft::Snapshot& snapshot) { return nft::decide_add(plan, snapshot); },
      closing(left_open), take_back);
  if (done.is_uncertain) take_back();
  if (!done.status) return done.status.error();
  return what_was_done(plan, done);
}

Result<nft::InstalledPorts> withdraw_ports(Transport& transport, const nft::Withdrawal& withdrawal,
                                           std::vector<std::string>& notes,
                                           bool close_connections) {
  std::vector<Error> left_open;
  CarriedOut done = take_out(transport, withdrawal, left_open);
  if (!done.status) return done.status.error();
  if (!done.is_committed) {
    const std::optional<nft::InstalledPorts>& seen = done.snapshot.installed;
    nft::InstalledPorts none;
    none.may_be_masqueraded = !seen || seen->may_be_masqueraded;
    return none;
  }
  for (const Error& error : left_open)
    notes.push_back(error.message() +
                    "; the device stays open behind the localnet-guard until "
                    "nft-port-mapperctl check --repair closes it");
  nft::InstalledPorts gone = std::move(*done.snapshot.installed);
  std::vector<nft::InstalledPorts> promoted;
  if (done.snapshot.siblings && !done.snapshot.refused.exists)
    promoted = nft::successors(gone, {}, *done.snapshot.siblings);
  effects_of_promotion(transport, promoted, notes);
  spare_flows(gone, promoted, close_connections);
  return gone;
}

Result<nft::InstalledPorts> withdraw(Transport& transport, const nft::Withdrawal& withdrawal,
                                     std::vector<std::string>& notes, bool close_connections) {
  Result<nft::InstalledPorts> gone =
      withdraw_ports(transport, withdrawal, notes, close_connections);
  if (gone) effects_of_dels(transport, {&*gone, 1}, notes);
  return gone;
}

Status try_network(Transport& transport, const nft::NetworkChain& network) {
  const CarriedOut tried = carry_out(
      transport, {.network = &network},
      [&network](const nft::Snapshot& snapshot) { return nft::decide_build(network, snapshot); },
      nft::dry_run);
  return tried.status;
}

Status remove_network_if_empty(Transport& transport, const std::string& chain) {
  const CarriedOut done =
      carry_out(transport, {.chain = chain}, [&chain](const nft::Snapshot& snapshot) {
        return nft::decide_network_removal(chain, snapshot);
      });
  return done.status;
}

}  // namespace portmapper::app

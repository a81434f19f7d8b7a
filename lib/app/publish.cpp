#include "lib/app/publish.hpp"

#include "lib/app/carry_out.hpp"
#include "lib/app/host_effects.hpp"
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
      transport, {.owner = withdrawal.owner, .chain = withdrawal.chain},
      [&withdrawal](const nft::Snapshot& snapshot) {
        return nft::decide_withdrawal(withdrawal, snapshot);
      },
      closing(left_open));
}

Published what_was_done(const nft::Plan& plan, const CarriedOut& done) {
  Published published{.is_new = done.is_committed};
  const nft::Snapshot& snapshot = done.snapshot;
  if (!done.is_committed || !snapshot.occupancy) return published;
  nft::Plan part = plan;
  nft::stand_by(part, *snapshot.occupancy);
  if (snapshot.siblings)
    published.promoted =
        nft::successors(snapshot.occupancy->owners.at(nft::owner_hash(plan.attachment)).installed,
                        part.translations, *snapshot.siblings);
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
                                           std::vector<std::string>& notes) {
  std::vector<Error> left_open;
  CarriedOut done = take_out(transport, withdrawal, left_open);
  if (!done.status) return done.status.error();
  if (!done.is_committed) return nft::InstalledPorts();
  for (const Error& error : left_open)
    notes.push_back(error.message() +
                    "; the device stays open behind the localnet-guard until "
                    "nft-port-mapperctl check --repair closes it");
  if (done.snapshot.siblings && !done.snapshot.refused.exists)
    effects_of_promotion(
        transport, nft::successors(*done.snapshot.installed, {}, *done.snapshot.siblings), notes);
  return std::move(*done.snapshot.installed);
}

Result<nft::InstalledPorts> withdraw(Transport& transport, const nft::Withdrawal& withdrawal,
                                     std::vector<std::string>& notes) {
  Result<nft::InstalledPorts> gone = withdraw_ports(transport, withdrawal, notes);
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

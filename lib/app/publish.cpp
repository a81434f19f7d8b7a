#include "lib/app/publish.hpp"

#include "lib/app/carry_out.hpp"
#include "lib/app/host_effects.hpp"

namespace portmapper::app {
namespace {

CarriedOut take_out(Transport& transport, const nft::Withdrawal& withdrawal) {
  return carry_out(
      transport, {.owner = withdrawal.owner, .chain = withdrawal.chain},
      [&withdrawal](const nft::Snapshot& snapshot) {
        return nft::decide_withdrawal(withdrawal, snapshot);
      },
      commit_closing);
}

}  // namespace

Result<bool> publish(Transport& transport, const nft::Plan& plan) {
  const CarriedOut done =
      carry_out(transport, {.plan = &plan, .network = &plan.chain},
                [&plan](const nft::Snapshot& snapshot) { return nft::decide_add(plan, snapshot); });
  if (done.is_uncertain)
    (void)take_out(transport, {.owner = nft::owner_hash(plan.attachment),
                               .chain = plan.chain.name,
                               .only = plan.is_restored ? std::optional(plan.netns) : std::nullopt,
                               .only_restored = plan.is_restored});
  if (!done.status) return done.status.error();
  return done.is_committed;
}

Result<nft::InstalledPorts> withdraw_ports(Transport& transport,
                                           const nft::Withdrawal& withdrawal) {
  CarriedOut done = take_out(transport, withdrawal);
  if (!done.status) return done.status.error();
  if (!done.is_committed) return nft::InstalledPorts();
  return std::move(*done.snapshot.installed);
}

Result<nft::InstalledPorts> withdraw(Transport& transport, const nft::Withdrawal& withdrawal,
                                     std::vector<std::string>& notes) {
  Result<nft::InstalledPorts> gone = withdraw_ports(transport, withdrawal);
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

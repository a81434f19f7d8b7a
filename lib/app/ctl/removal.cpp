#include "lib/app/ctl/removal.hpp"

#include "lib/app/host_effects.hpp"
#include "lib/app/publish.hpp"

namespace portmapper::ctl {

Fate fate_of(Fate::Kind kind, const Listing& listing, const nft::OwnerHash& owner) {
  Fate fate{kind, {}, 0};
  for (const nft::OwnerEntry& entry : listing.owners) {
    if (entry.owner != owner) continue;
    if (fate.ports++ == 0) fate.comment = entry.comment;
  }
  return fate;
}

std::vector<Fate> remove_each(Transport& transport, const Listing& listing,
                              const std::vector<nft::Withdrawal>& withdrawals, bool dry_run,
                              std::vector<std::string>& notes) {
  std::vector<Fate> fates;
  std::vector<nft::InstalledPorts> all_gone;
  for (const nft::Withdrawal& withdrawal : withdrawals) {
    Fate& fate = fates.emplace_back(fate_of(Fate::Kind::removed, listing, withdrawal.owner));
    if (dry_run) continue;
    Result<nft::InstalledPorts> gone = app::withdraw_ports(transport, withdrawal, notes);
    if (!gone) {
      fate.kind = Fate::Kind::failed;
      fate.error = gone.error().message();
    } else if (gone->empty()) {
      fate.kind = Fate::Kind::changed;
    } else {
      all_gone.push_back(std::move(*gone));
    }
  }
  app::effects_of_dels(transport, all_gone, notes);
  return fates;
}

}  // namespace portmapper::ctl

#include "lib/app/ctl/left_over.hpp"

#include <algorithm>

#include "lib/app/ctl/listing.hpp"
#include "lib/app/ctl/removal.hpp"
#include "lib/app/retry.hpp"
#include "lib/host/namespace_look.hpp"
#include "lib/host/netns.hpp"

namespace portmapper::ctl {
namespace {

// Most tables have none, and nothing more is read then.
Result<bool> has_unrecorded(Transport& transport) {
  const Result<std::vector<nft::OwnerEntry>> owners =
      app::retried([&transport] { return nft::read_owners(transport); });
  if (!owners) return owners.error();
  return std::any_of(owners->begin(), owners->end(),
                     [](const nft::OwnerEntry& owner) { return !owner.netns.is_known(); });
}

}  // namespace

Status end_left_over(Transport& transport,
                     const std::function<Result<std::set<nft::OwnerHash>>()>& ended, bool dry_run,
                     LeftOver& told) {
  const Result<bool> has_some = has_unrecorded(transport);
  if (!has_some) return has_some.error();
  if (!*has_some) return {};
  Result<std::set<nft::OwnerHash>> on_record = std::set<nft::OwnerHash>();
  if (host::is_initial(host::observe())) on_record = ended();
  if (!on_record) return on_record.error();
  const Result<Listing> listing = read_listing(transport);
  if (!listing) return listing.error();
  const std::vector<nft::Withdrawal> left =
      nft::decide_left_over(listing->owners, listing->life, *on_record);
  for (const Fate& fate : remove_each(transport, *listing, left, dry_run, told.notes)) {
    const std::string what =
        fate.comment + ", which a saved ruleset brought back: its container is gone";
    if (fate.kind == Fate::Kind::failed)
      told.problems.push_back("cannot remove " + what + "; " + fate.error);
    else if (fate.kind == Fate::Kind::removed)
      told.notes.push_back((dry_run ? "would remove " : "removed ") + what);
  }
  return {};
}

}  // namespace portmapper::ctl

#include "lib/app/ctl/restoring.hpp"

#include <cstdlib>
#include <set>
#include <string>

#include "lib/app/ctl/left_over.hpp"
#include "lib/app/restore/record_types.hpp"
#include "nft/names.hpp"

namespace portmapper::ctl {
namespace {

Result<std::set<nft::OwnerHash>> ended_on_record(Transport& transport,
                                                 const std::vector<restore::Source>& sources,
                                                 const restore::Selection& selection) {
  const Result<restore::Restored> seen =
      restore::restore(transport, sources, restore::Mode::dry_run, selection);
  if (!seen) return seen.error();
  std::set<nft::OwnerHash> ended;
  for (const restore::Restored::Line& line : seen->gone) ended.insert(nft::owner_hash(line.names));
  return ended;
}

}  // namespace

Result<restore::Restored> restore_all(Transport& transport,
                                      const std::vector<restore::Source>& sources,
                                      restore::Mode mode) {
  LeftOver told;
  std::vector<std::string> notes;
  const restore::Selection selection{.types = restore::types_here(std::getenv("CNI_PATH"), notes)};
  const auto ended = [&] { return ended_on_record(transport, sources, selection); };
  const bool dry_run = mode == restore::Mode::dry_run;
  if (const Status done = end_left_over(transport, ended, dry_run, told); !done)
    return done.error();
  Result<restore::Restored> restored = restore::restore(transport, sources, mode, selection);
  if (!restored) return restored;
  notes.insert(notes.end(), told.notes.begin(), told.notes.end());
  restored->notes.insert(restored->notes.begin(), notes.begin(), notes.end());
  restored->ended.insert(restored->ended.begin(), told.notes.begin(), told.notes.end());
  restored->problems.insert(restored->problems.begin(), told.problems.begin(), told.problems.end());
  return restored;
}

}  // namespace portmapper::ctl

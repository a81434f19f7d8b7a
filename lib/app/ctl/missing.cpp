#include "lib/app/ctl/missing.hpp"

#include <algorithm>
#include <cstdlib>

#include "lib/app/restore/record_types.hpp"
#include "lib/app/restore/restore.hpp"
#include "lib/base/counted.hpp"
#include "lib/base/escape.hpp"
#include "nft/names.hpp"

namespace portmapper::ctl {

namespace {

Result<restore::Restored> look_at_records(Transport& transport) {
  std::vector<std::string> ignored;
  return restore::restore(transport, restore::default_sources(), restore::Mode::dry_run,
                          {.types = restore::types_here(std::getenv("CNI_PATH"), ignored)});
}

bool has_damage(const std::pair<const std::string, nft::ChainDamage>& chain) {
  return !chain.second.damage.empty();
}

}  // namespace

Result<std::vector<Missing>> find_missing(Transport& transport) {
  const Result<restore::Restored> restored = look_at_records(transport);
  if (!restored) return restored.error();
  std::vector<Missing> all;
  for (const restore::Restored::Line& line : restored->restored)
    all.push_back({line.names, line.published});
  for (const restore::Restored::Line& line : restored->masqueraded) all.push_back({line.names, {}});
  return all;
}

void find_records(Transport& transport, TableContents& contents) {
  if (std::none_of(contents.chain_damage.begin(), contents.chain_damage.end(), has_damage)) return;
  Result<restore::Restored> restored = look_at_records(transport);
  if (!restored) return;
  std::vector<restore::Seen>& records = restored->seen;
  std::stable_sort(records.begin(), records.end(), [](const auto& one, const auto& other) {
    return one.state.modified < other.state.modified;
  });
  std::vector<const nft::Plan*> plans;
  for (const restore::Seen& seen : records)
    if (seen.plan && (seen.standing == restore::Standing::published ||
                      seen.standing == restore::Standing::restored))
      if (contents.chain_damage.contains(seen.plan->chain.name)) plans.push_back(&*seen.plan);
  contents.on_record = nft::rebuilding(plans, contents.chain_damage);
}

std::string to_string(const Missing& missing) {
  const std::size_t count = missing.ports.size();
  if (count == 0)
    return printable("attachment " + nft::attachment_comment(missing.attachment) +
                     " lives, and is not masqueraded as its configuration says; nft-port-mapperctl"
                     " restore does it again");
  return printable("attachment " + nft::attachment_comment(missing.attachment) + " (" +
                   counted(count, "port") +
                   ") lives, and its ports are not all published; nft-port-mapperctl restore"
                   " publishes them again");
}

}  // namespace portmapper::ctl

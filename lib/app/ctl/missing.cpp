#include "lib/app/ctl/missing.hpp"

#include "lib/app/restore/restore.hpp"
#include "lib/base/escape.hpp"
#include "nft/names.hpp"

namespace portmapper::ctl {

std::vector<Missing> find_missing(Transport& transport) {
  std::vector<Missing> all;
  const Result<restore::Restored> restored =
      restore::restore(transport, restore::default_sources(), restore::Mode::dry_run);
  if (!restored) return all;
  for (const restore::Restored::Line& line : restored->restored)
    all.push_back({line.names, line.published});
  return all;
}

std::string to_string(const Missing& missing) {
  const std::size_t count = missing.ports.size();
  return printable("attachment " + nft::attachment_comment(missing.attachment) + " (" +
                   std::to_string(count) + (count == 1 ? " port" : " ports") +
                   ") lives, and its ports are not all published; nft-port-mapperctl restore"
                   " publishes them again");
}

}  // namespace portmapper::ctl

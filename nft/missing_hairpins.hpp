// Which hairpin pairs the published ports need and the sets do not have: somebody flushed one.
//
//   const HairpinNeed need{HairpinWish(), address, /*is_by_loopback=*/true};
//   for (const Hairpin& pair : missing_hairpins({&need, 1}, hairpins)) use(pair.destination);
//
// A pair of loopback addresses is needed by whoever wanted it and is reached by them. One of a subnet
// with itself is the network's, which may have changed its mind (`snat`) since some of its ADDs, and
// nothing records that: it is missing where the pair of loopback addresses is gone as well, which the
// network alone would have left. Of one for all sources (`masqAll`) these two are judged. A
// pair that existing ones cover is there. A pure function. Errors: none.
// Source: packaging/doc/design.md, "Hairpin pairs".
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nft/hairpin_tag.hpp"

namespace portmapper::nft {

// Of one published port.
struct HairpinNeed {
  HairpinWish wish;
  IpAddress endpoint;
  bool is_by_loopback = false;  // 127.0.0.0/8 or ::1 may reach it

  bool operator==(const HairpinNeed&) const = default;
};

// In order, each once.
std::vector<Hairpin> missing_hairpins(std::span<const HairpinNeed> needs,
                                      std::span<const Hairpin> existing);

// "127.0.0.0/8 . 10.22.0.0/16 is missing in hairpin-ip: ..."
std::string to_string_missing(const Hairpin& pair);

}  // namespace portmapper::nft

// The hairpin tag: which hairpin elements belong to one attachment alone.
//
//   const std::uint8_t tag = hairpin_tag(plan.hairpins);               // 0: none is its own
//   const std::vector<Hairpin> own = hairpins_of_tag(tag, addresses);  // what DEL removes as well
//
// A hairpin pair is about a container's subnet and stays for its neighbours. Where the delegate
// gives each container a /32 or /128, the pair is the container's own and has to go with it, or
// such networks would leave one behind for each container that ever was. The tag, kept with the
// owner, says which; the address is that of the targets. Errors: none. Source:
// packaging/doc/design.md, "Hairpin pairs".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nft/plan.hpp"

namespace portmapper::nft {

// What an attachment wants of its subnets, whatever their length: kept with the owner too, so that
// another network knows what it may not take away.
struct HairpinWish {
  std::uint8_t kinds = 0;    // as a tag's
  std::uint8_t length4 = 0;  // of the subnets, bits
  std::uint8_t length6 = 0;

  bool operator==(const HairpinWish&) const = default;
};
HairpinWish hairpin_wish(std::span<const Hairpin> hairpins);
std::vector<Hairpin> hairpins_of(const HairpinWish& wish, const IpAddress& endpoint);
bool wants_loopback(const HairpinWish& wish, Family family);  // 127.0.0.0/8 or ::1

std::uint8_t hairpin_tag(std::span<const Hairpin> hairpins);
std::vector<Hairpin> hairpins_of_tag(std::uint8_t tag, std::span<const IpAddress> endpoints);

}  // namespace portmapper::nft

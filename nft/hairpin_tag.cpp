#include "nft/hairpin_tag.hpp"

#include <algorithm>

namespace portmapper::nft {
namespace {

// Bits of one family; those of IPv6 are shifted by kIpv6.
constexpr unsigned kSelf = 1;          // container . container
constexpr unsigned kFromLoopback = 2;  // 127.0.0.0/8 . container
constexpr unsigned kAll = 4;           // 0.0.0.0/0 . container
constexpr unsigned kIpv6 = 3;

unsigned shift(Family family) {
  return family == Family::ipv6 ? kIpv6 : 0;
}

unsigned kind_of(const Hairpin& hairpin) {
  return hairpin.source.length == 0                                  ? kAll
         : hairpin.source.network() == hairpin.destination.network() ? kSelf
                                                                     : kFromLoopback;
}

}  // namespace

HairpinWish hairpin_wish(std::span<const Hairpin> hairpins) {
  HairpinWish wish;
  for (const Hairpin& hairpin : hairpins) {
    const Family family = hairpin.destination.address.family();
    wish.kinds = static_cast<std::uint8_t>(wish.kinds | kind_of(hairpin) << shift(family));
    (family == Family::ipv4 ? wish.length4 : wish.length6) = hairpin.destination.length;
  }
  return wish;
}

std::vector<Hairpin> hairpins_of(const HairpinWish& wish, const IpAddress& endpoint) {
  const Family family = endpoint.family();
  const unsigned kinds = static_cast<unsigned>(wish.kinds) >> shift(family);
  const IpPrefix subnet =
      IpPrefix{endpoint, family == Family::ipv4 ? wish.length4 : wish.length6}.network();
  std::vector<Hairpin> hairpins;
  if (kinds & kSelf) hairpins.push_back({subnet, subnet});
  if (kinds & kFromLoopback) hairpins.push_back({IpPrefix::loopback(family), subnet});
  if (kinds & kAll) hairpins.push_back({IpPrefix::everything(family), subnet});
  return hairpins;
}

bool wants_loopback(const HairpinWish& wish, Family family) {
  return ((kFromLoopback | kAll) << shift(family) & wish.kinds) != 0;
}

std::uint8_t hairpin_tag(std::span<const Hairpin> hairpins) {
  std::vector<Hairpin> own;
  for (const Hairpin& hairpin : hairpins)
    if (hairpin.destination.is_host()) own.push_back(hairpin);
  return hairpin_wish(own).kinds;
}

std::vector<Hairpin> hairpins_of_tag(std::uint8_t tag, std::span<const IpAddress> endpoints) {
  std::vector<Hairpin> hairpins;
  for (const IpAddress& address : endpoints) {
    const std::vector<Hairpin> one = hairpins_of({tag, 32, 128}, address);
    hairpins.insert(hairpins.end(), one.begin(), one.end());
  }
  std::sort(hairpins.begin(), hairpins.end());
  hairpins.erase(std::unique(hairpins.begin(), hairpins.end()), hairpins.end());
  return hairpins;
}

}  // namespace portmapper::nft

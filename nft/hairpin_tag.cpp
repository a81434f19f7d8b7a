#include "nft/hairpin_tag.hpp"

#include <algorithm>

namespace portmapper::nft {
namespace {

// Bits of one family; those of IPv6 are shifted by kIpv6.
constexpr unsigned kSelf = 1;      // container . container
constexpr unsigned kLoopback = 2;  // 127.0.0.0/8 . container
constexpr unsigned kAll = 4;       // 0.0.0.0/0 . container
constexpr unsigned kIpv6 = 3;

unsigned shift(Family family) {
  return family == Family::ipv6 ? kIpv6 : 0;
}

}  // namespace

std::uint8_t hairpin_tag(std::span<const Hairpin> hairpins) {
  unsigned tag = 0;
  for (const Hairpin& hairpin : hairpins) {
    if (!hairpin.destination.is_host()) continue;
    const unsigned bit = hairpin.source.length == 0 ? kAll
                         : hairpin.source.is_host() ? kSelf
                                                    : kLoopback;
    tag |= bit << shift(hairpin.destination.address.family());
  }
  return static_cast<std::uint8_t>(tag);
}

std::vector<Hairpin> hairpins_of_tag(std::uint8_t tag, std::span<const IpAddress> endpoints) {
  std::vector<Hairpin> hairpins;
  for (const IpAddress& address : endpoints) {
    const unsigned bits = static_cast<unsigned>(tag) >> shift(address.family());
    const IpPrefix container = IpPrefix::host(address);
    if (bits & kSelf) hairpins.push_back({container, container});
    if (bits & kLoopback && address.family() == Family::ipv4)
      hairpins.push_back({IpPrefix::loopback(), container});
    if (bits & kAll) hairpins.push_back({IpPrefix::everything(address.family()), container});
  }
  std::sort(hairpins.begin(), hairpins.end());
  hairpins.erase(std::unique(hairpins.begin(), hairpins.end()), hairpins.end());
  return hairpins;
}

}  // namespace portmapper::nft

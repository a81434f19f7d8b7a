#include "nft/missing_hairpins.hpp"

#include <algorithm>
#include <set>

#include "nft/hairpin_fit.hpp"
#include "nft/names.hpp"

namespace portmapper::nft {
namespace {

bool is_of_loopback(const Hairpin& pair) {
  return pair.source == IpPrefix::loopback(pair.destination.address.family());
}

bool is_of_all(const Hairpin& pair) {
  return pair.source.length == 0;
}

// Where somebody wants all sources, it wants these.
bool wants(const HairpinNeed& need, const Hairpin& pair) {
  const std::vector<Hairpin> own = hairpins_of(need.wish, need.endpoint);
  return std::any_of(own.begin(), own.end(), [&pair](const Hairpin& one) {
    return one.source.contains(pair.source) && one.destination.contains(pair.destination);
  });
}

bool is_agreed(const Hairpin& pair, std::span<const HairpinNeed> needs) {
  return std::all_of(needs.begin(), needs.end(), [&pair](const HairpinNeed& need) {
    return !pair.destination.contains(need.endpoint) || wants(need, pair);
  });
}

}  // namespace

std::vector<Hairpin> missing_hairpins(std::span<const HairpinNeed> needs,
                                      std::span<const Hairpin> existing) {
  std::set<Hairpin> needed;
  for (const HairpinNeed& need : needs)
    for (const Hairpin& pair : hairpins_of(need.wish, need.endpoint))
      if (is_of_loopback(pair) ? need.is_by_loopback : !is_of_all(pair) && is_agreed(pair, needs))
        needed.insert(pair);
  std::vector<Hairpin> missing;
  for (const Hairpin& pair : needed)
    if (!fit_hairpins({&pair, 1}, existing).add.empty()) missing.push_back(pair);
  return missing;
}

std::string to_string_missing(const Hairpin& pair) {
  const Family family = pair.destination.address.family();
  return "pair " + pair.source.to_string() + " . " + pair.destination.to_string() +
         " is missing in " + hairpin_set(family) + ": " +
         (is_of_loopback(pair)
              ? "connections to " + std::string(family == Family::ipv4 ? "127.0.0.1" : "::1") +
                    " hang"
              : "containers there do not reach their own published ports");
}

}  // namespace portmapper::nft

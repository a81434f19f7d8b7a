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

bool is_of_itself(const Hairpin& pair) {
  return pair.source == pair.destination;
}

// Who wants all sources wants these two; what else it wanted, nobody knows today.
std::vector<Hairpin> judged_pairs(const HairpinNeed& need) {
  std::vector<Hairpin> pairs;
  for (const Hairpin& pair : hairpins_of(need.wish, need.endpoint)) {
    if (pair.source.length != 0) {
      pairs.push_back(pair);
      continue;
    }
    pairs.push_back({pair.destination, pair.destination});
    pairs.push_back({IpPrefix::loopback(pair.destination.address.family()), pair.destination});
  }
  return pairs;
}

bool is_missing(const Hairpin& pair, std::span<const Hairpin> existing) {
  return !fit_hairpins({&pair, 1}, existing).add.empty();
}

}  // namespace

std::vector<Hairpin> missing_hairpins(std::span<const HairpinNeed> needs,
                                      std::span<const Hairpin> existing) {
  std::set<Hairpin> of_loopback;
  std::set<Hairpin> of_itself;
  for (const HairpinNeed& need : needs)
    for (const Hairpin& pair : judged_pairs(need)) {
      if (is_of_loopback(pair) && need.is_by_loopback && is_missing(pair, existing))
        of_loopback.insert(pair);
      if (is_of_itself(pair)) of_itself.insert(pair);
    }
  std::set<Hairpin> missing = of_loopback;
  for (const Hairpin& pair : of_itself) {
    const IpPrefix loopback = IpPrefix::loopback(pair.destination.address.family());
    if (of_loopback.contains({loopback, pair.destination}) && is_missing(pair, existing))
      missing.insert(pair);
  }
  return {missing.begin(), missing.end()};
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

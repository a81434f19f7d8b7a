#include "nft/hairpin_fit.hpp"

#include <algorithm>
#include <iterator>
#include <set>

namespace portmapper::nft {
namespace {

bool disjoint(const IpPrefix& a, const IpPrefix& b) {
  return !a.contains(b) && !b.contains(a);
}

bool covers(const Hairpin& a, const Hairpin& b) {
  return a.source.contains(b.source) && a.destination.contains(b.destination);
}

// `whole` without `part`, which lies in it: the other half at each length between the two.
std::vector<IpPrefix> without(const IpPrefix& whole, const IpPrefix& part) {
  std::vector<IpPrefix> rest;
  for (std::uint8_t length = static_cast<std::uint8_t>(whole.length + 1); length <= part.length;
       ++length) {
    IpAddress::Octets bytes = IpPrefix{part.address, length}.network().address.bytes();
    const unsigned last_bit = length - 1U;
    bytes[last_bit / 8] = static_cast<std::uint8_t>(bytes[last_bit / 8] ^ (0x80U >> last_bit % 8));
    rest.push_back({IpAddress(part.address.family(), bytes), length});
  }
  return rest;
}

// What `existing` leaves of `piece`.
std::vector<Hairpin> cut(const Hairpin& piece, const Hairpin& existing) {
  if (disjoint(piece.source, existing.source) || disjoint(piece.destination, existing.destination))
    return {piece};
  if (covers(existing, piece)) return {};
  if (covers(piece, existing)) return {piece};  // which replaces it
  std::vector<Hairpin> rest;
  if (existing.source.contains(piece.source)) {
    for (const IpPrefix& destination : without(piece.destination, existing.destination))
      rest.push_back({piece.source, destination});
  } else {
    for (const IpPrefix& source : without(piece.source, existing.source))
      rest.push_back({source, piece.destination});
  }
  return rest;
}

bool is_wider(const Hairpin& a, const Hairpin& b) {
  return a.source.length + a.destination.length < b.source.length + b.destination.length;
}

}  // namespace

bool overlap(const Hairpin& a, const Hairpin& b) {
  return !disjoint(a.source, b.source) && !disjoint(a.destination, b.destination);
}

HairpinFit fit_hairpins(std::span<const Hairpin> wanted, std::span<const Hairpin> existing) {
  HairpinFit fit;
  for (const Hairpin& hairpin : wanted) {
    std::vector<Hairpin> pieces = {hairpin};
    for (const Hairpin& other : existing) {
      std::vector<Hairpin> left;
      for (const Hairpin& piece : pieces) {
        const std::vector<Hairpin> rest = cut(piece, other);
        left.insert(left.end(), rest.begin(), rest.end());
      }
      pieces = std::move(left);
    }
    fit.add.insert(fit.add.end(), pieces.begin(), pieces.end());
  }
  for (const Hairpin& other : existing)
    if (std::any_of(fit.add.begin(), fit.add.end(),
                    [&other](const Hairpin& h) { return covers(h, other); }))
      fit.remove.push_back(other);
  return fit;
}

HairpinFit fit_all_hairpins(std::span<const Hairpin> wanted, std::span<const Hairpin> existing) {
  std::set<Hairpin> missing(wanted.begin(), wanted.end());
  for (const Hairpin& hairpin : existing) missing.erase(hairpin);
  // The widest first, so that none replaces another that was just added.
  std::vector<Hairpin> widest_first(missing.begin(), missing.end());
  std::stable_sort(widest_first.begin(), widest_first.end(), is_wider);
  std::vector<Hairpin> present(existing.begin(), existing.end());
  HairpinFit all;
  for (const Hairpin& hairpin : widest_first) {
    std::vector<Hairpin> close;  // nothing else matters, and there may be one for each container
    std::copy_if(present.begin(), present.end(), std::back_inserter(close),
                 [&hairpin](const Hairpin& other) { return overlap(hairpin, other); });
    const HairpinFit fit = fit_hairpins({&hairpin, 1}, close);
    for (const Hairpin& removed : fit.remove) {
      std::erase(present, removed);
      if (std::erase(all.add, removed) == 0) all.remove.push_back(removed);
    }
    present.insert(present.end(), fit.add.begin(), fit.add.end());
    all.add.insert(all.add.end(), fit.add.begin(), fit.add.end());
  }
  return all;
}

}  // namespace portmapper::nft

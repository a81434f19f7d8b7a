// fit_hairpins: which hairpin elements to add where some are there already.
//
//   // 0.0.0.0/0 . 10.22.0.0/16 exists and covers 10.22.0.0/16 . 10.22.0.0/16: nothing to add.
//   const HairpinFit fit = fit_hairpins(plan.hairpins, hairpins);
//
// The kernel refuses (EEXIST) an element of an interval set that overlaps another without being
// equal to it. Networks whose subnets lie in each other, or a changed masqAll, make such elements.
// An existing element is never narrowed: a wanted element that is covered is left out, one that
// covers an existing element replaces it, and one that crosses an existing one is cut to what is
// not covered yet. A pure function. Errors: none. The result is not always the smallest possible.
// Source: kernel net/netfilter/nft_set_pipapo.c, nft_pipapo_insert.
#pragma once

#include <span>
#include <vector>

#include "nft/plan.hpp"

namespace portmapper::nft {

struct HairpinFit {
  std::vector<Hairpin> add;
  std::vector<Hairpin> remove;
};

// Whether some packet is of both.
bool overlap(const Hairpin& a, const Hairpin& b);

HairpinFit fit_hairpins(std::span<const Hairpin> wanted, std::span<const Hairpin> existing);

// The same for the pairs of many networks, which are fitted to each other too.
HairpinFit fit_all_hairpins(std::span<const Hairpin> wanted, std::span<const Hairpin> existing);

}  // namespace portmapper::nft

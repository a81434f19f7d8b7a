// nft/decide: of several plans that name one chain, whose it is.
#include <doctest/doctest.h>

#include "nft/decide.hpp"

using namespace portmapper;
using namespace portmapper::nft;

namespace {

Plan plan_of(const std::string& network, const std::string& chain,
             std::vector<std::string> exclude_devices) {
  Plan plan;
  plan.chain = {.name = chain,
                .exclude_devices = std::move(exclude_devices),
                .conditions_v4 = {},
                .conditions_v6 = {},
                .network = network};
  return plan;
}

}  // namespace

TEST_CASE(
    "chains: of two networks the earlier one has the chain, and a network may change its own") {
  const Plan web = plan_of("web", "C", {"lan0"});
  const Plan same = plan_of("db", "C", {"lan0"});
  const Plan other = plan_of("db", "C", {});
  const Plan changed = plan_of("web", "C", {});
  const Plan elsewhere = plan_of("db", "D", {});
  const auto without = [](std::vector<const Plan*> plans) { return without_chain(plans); };
  CHECK(without({&web, &same, &elsewhere}) == std::vector{false, false, false});
  CHECK(without({&web, &other}) == std::vector{false, true});
  CHECK(without({&other, &web}) == std::vector{false, true});
  CHECK(without({&web, &changed, &other, &same}) == std::vector{false, false, false, true});
}

// nft/rebuilding: which configuration a damaged network chain is built anew for.
#include "nft/rebuilding.hpp"

#include <doctest/doctest.h>

#include "nft/ruleset.hpp"

using namespace portmapper;
using namespace portmapper::nft;

namespace {

NetworkChain chain(const std::string& device, const std::string& network = "web") {
  return {.name = "c", .exclude_devices = {device}, .network = network};
}

ChainDamage damaged(const std::optional<ChainOwner>& owner) {
  return {.owner = owner.value_or(ChainOwner()),
          .damage = {{.kind = Damage::Kind::other_rules, .object = "c"}}};
}

// "lan0", of which it is built anew; "lan0!", if the chain goes first.
std::string built(const std::vector<NetworkChain>& wanted,
                  const std::map<std::string, ChainDamage>& damage) {
  std::vector<Plan> plans(wanted.size());
  std::vector<const Plan*> pointers;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    plans[i].chain = wanted[i];
    pointers.push_back(&plans[i]);
  }
  const Rebuilding result = rebuilding(pointers, damage);
  if (result.chains.empty()) return "nothing";
  return result.chains.front().exclude_devices.front() + (result.replaced.empty() ? "" : "!");
}

std::string built_over(const std::vector<NetworkChain>& wanted, const NetworkChain& there) {
  return built(wanted, {{"c", damaged(network_chain(there).owner)}});
}

}  // namespace

TEST_CASE("rebuilding: the chain's own record decides between the records of its network") {
  const std::vector<NetworkChain> both = {chain("lan0"), chain("lan1")};
  CHECK(built_over(both, chain("lan0")) == "lan0");
  CHECK(built_over(both, chain("lan1")) == "lan1");
  CHECK(built_over({both[1], both[0]}, chain("lan1")) == "lan1");
  // Nobody alive has those restrictions: as if the last one's ADD came again.
  CHECK(built_over(both, chain("lan2")) == "lan1!");
  CHECK(built(both, {}) == "lan1");
}

TEST_CASE("rebuilding: a chain that another network restricts otherwise is left to that one") {
  CHECK(built_over({chain("lan0")}, chain("lan1", "mail")) == "nothing");
  CHECK(built_over({chain("lan0")}, chain("lan0", "mail")) == "lan0");
  CHECK(built_over({chain("lan1", "mail"), chain("lan0")}, chain("lan1", "mail")) == "lan1");
}

TEST_CASE("rebuilding: a chain without a record becomes its network's; a whole one stays") {
  CHECK(built({chain("lan0")}, {{"c", damaged({})}}) == "lan0!");
  CHECK(built({chain("lan0")}, {{"c", damaged(ChainOwner{.comment = "network: web"})}}) == "lan0!");
  CHECK(built({chain("lan0")}, {{"c", damaged(ChainOwner{.comment = "network: mail"})}}) ==
        "nothing");
  CHECK(built({chain("lan0")}, {{"c", {.lacks_jump = true, .damage = {}}}}) == "nothing");
}

// nft/unknown_chain: a network chain whose configuration nobody knows.
#include "nft/unknown_chain.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "lib/config/conditions.hpp"

using namespace portmapper;
using namespace portmapper::nft;

namespace {

std::vector<Match> conditions(const char* words) {
  const auto parsed = config::parse_conditions({words}, Family::ipv4, "conditionsV4");
  REQUIRE(parsed);
  return *parsed;
}

NetworkChain restricted() {
  return {.name = "c",
          .exclude_devices = {"lan0", "veth*"},
          .exclude_addresses = {IpPrefix::host(*IpAddress::parse("192.0.2.9")),
                                IpPrefix::host(*IpAddress::parse("2001:db8::9"))},
          .conditions_v4 = conditions("tcp dport 80"),
          .conditions_v6 = {},
          .network = "web"};
}

// 1, 2 devices, 3 hostip, 4 addresses, 5 ip, 6 hostip6, 7 addresses, 8 ip6
ChainView built(const NetworkChain& network) {
  ChainSpec spec = network_chain(network);
  ChainView chain{.name = spec.name, .owner = spec.owner.value_or(ChainOwner())};
  RulePlace place{.number = 0, .count = static_cast<std::uint32_t>(spec.rules.size())};
  for (const Rule& rule : spec.rules) {
    ++place.number;
    chain.rules.push_back({fingerprint(rule), place, rule_form(rule)});
  }
  return chain;
}

ChainView loaded_again(ChainView chain) {
  chain.owner = {.comment = chain.owner.comment};
  for (RuleView& rule : chain.rules) rule = {.form = rule.form};
  return chain;
}

ChainView of_an_older_version(ChainView chain) {
  for (RuleView& rule : chain.rules) rule.place = {};
  return chain;
}

// "" where it is as built, or nothing shows.
std::string damage_of(const ChainView& chain) {
  std::string text;
  if (is_as_built(chain)) return text;
  for (const Damage& damage : diff_unknown_rules("c", chain)) text += to_string(damage) + "\n";
  return text;
}

ChainView with(ChainView chain, std::size_t at, RuleForm form) {
  chain.rules.insert(chain.rules.begin() + static_cast<std::ptrdiff_t>(at),
                     {.form = std::move(form)});
  return chain;
}

ChainView without(ChainView chain, std::size_t number) {
  chain.rules.erase(chain.rules.begin() + static_cast<std::ptrdiff_t>(number) - 1);
  return chain;
}

const RuleForm kLan = {"meta:6+0:16 == 6c616e30", "return"};
const std::string kOther = "chain c has other rules than ours, or in another order\n";

}  // namespace

TEST_CASE("unknown chain: what we build is whole, loaded again and of an older version as well") {
  NetworkChain devices{.name = "c", .exclude_devices = {"lan0"}, .network = "web"};
  NetworkChain conditioned{
      .name = "c", .conditions_v4 = conditions("tcp dport 80"), .network = "web"};
  for (const NetworkChain& network :
       {NetworkChain{.name = "c", .network = "web"}, NetworkChain{.name = "c"}, restricted(),
        devices, conditioned}) {
    const ChainView chain = built(network);
    CHECK(is_as_built(chain));
    CHECK_FALSE(is_as_built(loaded_again(chain)));
    CHECK(damage_of(loaded_again(chain)) == "");
    CHECK(damage_of(of_an_older_version(chain)) == "");
    ChainView unreadable = of_an_older_version(chain);
    for (RuleView& rule : unreadable.rules)
      rule = {.fingerprint = rule.fingerprint + 1, .form = {}};
    CHECK(damage_of(unreadable) == "");
    unreadable.rules.resize(3);
    CHECK(damage_of(unreadable) == "chain c lacks rules\n");
  }
}

TEST_CASE("unknown chain: the places of the rules tell what is missing, and what is a stranger's") {
  const ChainView chain = built(restricted());
  CHECK(damage_of(with(chain, 0, {"return"})) ==
        "chain c has rules that are not ours: number 1 of 9\n");
  CHECK(damage_of(with(with(chain, 0, kLan), 9, kLan)) ==
        "chain c has rules that are not ours: number 1, 10 of 10\n");
  CHECK(damage_of(without(chain, 2)) == "chain c lacks rule 2 of 8, which excludes devices\n");
  CHECK(damage_of(without(chain, 4)) == "chain c lacks rule 4 of 8, which excludes addresses\n");
  CHECK(damage_of(without(chain, 6)) ==
        "chain c lacks rule 6 of 8, which translates by map c-hostip6\n");
  CHECK(damage_of(without(without(chain, 8), 5)) ==
        "chain c lacks rule 5 of 8, which translates by map c-ip\n"
        "chain c lacks rule 8 of 8, which translates by map c-ip6\n");
  CHECK(damage_of(without(without(chain, 8), 1)) ==
        "chain c lacks rule 1 of 8\nchain c lacks rule 8 of 8\n");
  CHECK(damage_of(with(without(chain, 1), 7, kLan)) ==
        "chain c lacks rule 1 of 8, which excludes devices\n"
        "chain c has rules that are not ours: number 8 of 8\n");
  ChainView swapped = chain;
  std::swap(swapped.rules[2], swapped.rules[4]);
  CHECK(damage_of(swapped) == kOther);
  ChainView twice = chain;
  twice.rules.push_back(twice.rules.back());
  CHECK(damage_of(twice) == kOther);
  CHECK(damage_of({.name = "c", .rules = {}}) == "chain c lacks rules\n");
}

TEST_CASE("unknown chain: without places, the parts and their order, and the chain's record") {
  const ChainView chain = loaded_again(built(restricted()));
  CHECK(damage_of(with(chain, 0, {"return"})) ==
        "chain c has rules that are not ours: number 1 of 9\n");
  CHECK(damage_of(with(chain, 3, kLan)) == kOther);
  CHECK(damage_of(with(chain, 0, chain.rules[3].form)) == kOther);
  CHECK(damage_of(without(chain, 3)) == "chain c lacks the rule that translates by map c-hostip\n");
  ChainView swapped = chain;
  std::swap(swapped.rules[2], swapped.rules[4]);
  CHECK(damage_of(swapped) == kOther);
  ChainView twice = chain;
  twice.rules.push_back(twice.rules.back());
  CHECK(damage_of(twice) == kOther);
  // The record says whether something is restricted.
  const ChainView plain = of_an_older_version(built({.name = "c", .network = "web"}));
  CHECK(damage_of(with(plain, 0, kLan)) == kOther);
  ChainView bare = plain;
  bare.owner.restrictions = restrictions(restricted());
  CHECK(damage_of(bare) ==
        "chain c lacks what excludeDevices, excludeAddresses or conditions made of it\n");
}

TEST_CASE("unknown chain: who knows the configuration sees what no place tells") {
  const NetworkChain network = restricted();
  NetworkChain other = network;
  other.exclude_devices = {"lan1"};
  const auto damage = [](ChainView chain, const std::vector<const NetworkChain*>& wanted) {
    RulesetView view;
    view.chains.push_back(std::move(chain));
    return diff_network_chain(view, "c", wanted).damage.size();
  };
  const ChainView old = without(of_an_older_version(built(network)), 1);
  CHECK(damage(old, {}) == 0);
  CHECK(damage(old, {&network}) == 1);
  CHECK(damage(old, {&other}) == 0);  // the chain's record is of another
  CHECK(damage(of_an_older_version(built(network)), {&other, &network}) == 0);
  CHECK(damage(loaded_again(old), {&other}) == 1);
  CHECK(damage(loaded_again(built(other)), {&network, &other}) == 0);
}

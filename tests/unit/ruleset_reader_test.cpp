// nft/reader: chains, rules and sets as the kernel lists them, and what of them is damaged.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "nft/reader.hpp"
#include "nft/set.hpp"
#include "tests/support/fake_table.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const NetworkChain kNetwork{"c", {"eth0"}};
const std::string kNotPermitted =
    "cannot read: table inet nft-port-mapper: Operation not permitted";

std::vector<std::uint64_t> tags_of(const ChainSpec& chain) {
  std::vector<std::uint64_t> tags;
  for (const Rule& rule : chain.rules) tags.push_back(fingerprint(rule));
  return tags;
}

// The ruleset that one ADD of network c builds, beside another network's chain.
FakeTable intact() {
  FakeTable table;
  for (const ChainSpec& chain : skeleton_chains())
    table.chains.push_back({chain.name, chain.hook, tags_of(chain)});
  table.chains.push_back(
      {.name = "networks", .tags = {fingerprint({Jump{"b"}, {}}), fingerprint({Jump{"c"}, {}})}});
  table.chains.push_back({.name = "b", .tags = tags_of(network_chain({"b", {}}))});
  table.chains.push_back({.name = "c", .tags = tags_of(network_chain(kNetwork))});
  table.sets = skeleton_sets();
  for (const char* chain : {"b", "c"})
    for (SetSpec& set : network_sets(chain)) table.sets.push_back(std::move(set));
  return table;
}

FakeChain& chain_of(FakeTable& table, const std::string& name) {
  for (FakeChain& chain : table.chains)
    if (chain.name == name) return chain;
  FAIL("no chain " << name);
  return table.chains.front();
}

std::string damage_of(const FakeTable& table) {
  FakeTransport kernel = table.transport();
  const Result<Ruleset> read = read_ruleset(kernel, kNetwork);
  if (!read) return read.error().message();
  CHECK(read->generation == 7);
  CHECK(read->intact() == read->damage.empty());
  std::string text;
  for (const std::string& damage : read->damage) text += damage + "\n";
  for (const std::string& chain : read->wrong_hooks) text += "wrong hook " + chain + "\n";
  return text;
}

std::string set_damage(const FakeTable& table) {
  FakeTransport kernel = table.transport();
  const auto damage = read_set_damage(kernel, "c");
  if (!damage) return damage.error().message();
  std::string text;
  for (const std::string& one : *damage) text += one + "\n";
  return text;
}

std::string network_chains(const FakeTable& table) {
  FakeTransport kernel = table.transport();
  const auto names = read_network_chains(kernel);
  if (!names) return names.error().message();
  std::string text;
  for (const std::string& name : *names) text += name + " ";
  return text;
}

}  // namespace

TEST_CASE("an intact ruleset has no damage, whatever other networks have") {
  CHECK(damage_of(intact()) == "");
}

TEST_CASE("no table: everything is missing, and nothing hangs elsewhere") {
  const std::string text = damage_of({});
  CHECK(text.starts_with(
      "chain prerouting is missing\nchain output is missing\nchain postrouting is missing\n"
      "chain localnet-guard is missing\nchain networks is missing\nchain c is missing\n"
      "chain prerouting lacks rule: fib daddr type local jump networks\n"));
  CHECK(text.find("wrong hook") == std::string::npos);
}

TEST_CASE("a base chain elsewhere is damage, and has to go") {
  const std::string expected =
      "chain output has another hook or priority than { type nat hook output priority -99; policy "
      "accept; }\n"
      "wrong hook output\n";
  FakeTable other = intact();
  chain_of(other, "output").hook->priority = -100;
  CHECK(damage_of(other) == expected);
  other = intact();
  chain_of(other, "output").hook->number = 0;
  CHECK(damage_of(other) == expected);
  other = intact();
  chain_of(other, "output").hook->type = "filter";
  CHECK(damage_of(other) == expected);
  other = intact();
  chain_of(other, "output").hook.reset();  // a chain of that name without a hook
  CHECK(damage_of(other) == expected);
}

TEST_CASE("a base chain that drops is damage, and need not go") {
  FakeTable table = intact();
  chain_of(table, "localnet-guard").policy = 0;
  CHECK(damage_of(table) == "chain localnet-guard has another policy than accept\n");
}

TEST_CASE("a table that an operator made dormant") {
  FakeTable table = intact();
  table.flags = NFT_TABLE_F_DORMANT;
  CHECK(damage_of(table) == "table nft-port-mapper is dormant\n");
}

TEST_CASE("a network chain that nobody jumps to, or twice") {
  const std::string expected = "chain networks lacks rule: jump c\n";
  FakeTable table = intact();
  chain_of(table, "networks").tags.pop_back();
  CHECK(damage_of(table) == expected);
  chain_of(table, "networks").tags.assign(2, fingerprint({Jump{"c"}, {}}));
  CHECK(damage_of(table) == expected);
}

TEST_CASE("an operator's rule among the jumps") {
  FakeTable table = intact();
  chain_of(table, "networks").tags.push_back(0);
  CHECK(damage_of(table) == "chain networks has rules that are not ours\n");
}

TEST_CASE("a rule that is gone is named") {
  FakeTable table = intact();
  chain_of(table, "postrouting").tags.pop_back();
  CHECK(damage_of(table) ==
        "chain postrouting lacks rule: ct status dnat ip6 saddr . ip6 daddr @hairpin-ip6 "
        "masquerade\n");
}

TEST_CASE("a rule that is another's in place of ours") {
  FakeTable table = intact();
  chain_of(table, "localnet-guard").tags[0] = 0;
  CHECK(damage_of(table) ==
        "chain localnet-guard lacks rule: iifname != \"lo\" ip daddr 127.0.0.0/8 drop\n"
        "chain localnet-guard has other rules than ours, or in another order\n");
}

TEST_CASE("a rule too many, before or behind ours, and rules in another order") {
  const std::string expected = "chain c has other rules than ours, or in another order\n";
  FakeTable table = intact();
  std::vector<std::uint64_t>& tags = chain_of(table, "c").tags;
  tags.push_back(0);
  CHECK(damage_of(table) == expected);
  std::rotate(tags.begin(), tags.end() - 1, tags.end());
  CHECK(damage_of(table) == expected);
  tags.erase(tags.begin());
  CHECK(damage_of(table) == "");
  std::swap(tags[0], tags[1]);
  CHECK(damage_of(table) == expected);
}

TEST_CASE("reading a ruleset is refused in any of the exchanges") {
  FakeTable table = intact();
  FakeTransport kernel = table.transport();
  REQUIRE(read_ruleset(kernel, kNetwork));
  for (table.refused = 0; table.refused < kernel.requests.size(); ++table.refused)
    CHECK(damage_of(table) == kNotPermitted);
  CHECK(table.refused >= 6);
}

TEST_CASE("network chains: those of our table that have target maps") {
  FakeTable table = intact();
  table.chains.push_back({.name = "c", .table = "other"});
  table.chains.push_back({.name = "operator"});
  CHECK(network_chains(table) == "b c ");
  chain_of(table, "b").hook = skeleton_chains().front().hook;
  CHECK(network_chains(table) == "c ");
  CHECK(network_chains({}) == "");
}

TEST_CASE("a skeleton chain that lost its hook is no network: a jump to it would be refused") {
  FakeTable table = intact();
  chain_of(table, "output").hook.reset();
  CHECK(network_chains(table) == "b c ");
}

TEST_CASE("network chains: refused, interrupted") {
  FakeTable table = intact();
  for (table.refused = 0; table.refused < 2; ++table.refused)
    CHECK(network_chains(table) == kNotPermitted);
  FakeTransport kernel = intact().transport();
  kernel.answers.push_back(Replies().nft_message(NFT_MSG_NEWSET, 1, set_attributes(owners_spec()),
                                                 NLM_F_MULTI | NLM_F_DUMP_INTR));
  const auto names = read_network_chains(kernel);
  REQUIRE_FALSE(names);
  CHECK(names.error().error_number == EINTR);
}

TEST_CASE("sets: intact, missing, of another type") {
  FakeTable table = intact();
  CHECK(set_damage(table) == "");
  table.sets[0].key = owners_spec().key;
  table.sets[1].name = "renamed";
  table.sets[4].data = {};
  table.sets[5].interval = false;
  table.sets.pop_back();
  CHECK(set_damage(table) ==
        "set published-ip has another type than { type inet_proto . inet_service; }\n"
        "set owners has another type than { type ifname . mark : ipv6_addr . inet_proto . "
        "inet_service; }\n"
        "set hairpin-ip has another type than { type ipv4_addr . ipv4_addr; flags interval; }\n"
        "set published-hostip is missing\n"
        "set c-hostip6 is missing\n");
}

TEST_CASE("sets: refused") {
  FakeTable table = intact();
  table.refused = 0;
  CHECK(set_damage(table) == kNotPermitted);
}

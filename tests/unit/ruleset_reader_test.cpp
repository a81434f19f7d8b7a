// nft/read/reader: chains, rules and sets as the kernel lists them, and what of them is damaged.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "nft/read/reader.hpp"
#include "nft/set.hpp"
#include "tests/support/fake_table.hpp"

using namespace portmapper;
using namespace portmapper::nft;
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
      {.name = "networks", .tags = tags_of(networks_chain(std::vector<std::string>{"b", "c"}))});
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
  const RulesetDiff& diff = read->diff;
  CHECK(diff.intact() == diff.damage.empty());
  std::string text;
  for (const Damage& damage : diff.damage) text += to_string(damage) + "\n";
  for (const std::string& chain : diff.wrong_hooks) text += "wrong hook " + chain + "\n";
  return text;
}

// "GETCHAIN #2 prerouting": every message, with the chain it names.
std::string asked(const FakeTransport& kernel) {
  std::string text;
  for (const Buffer& bytes : kernel.requests)
    for (const Request& request : requests_in(bytes)) {
      const bool rules = request.name() == "GETRULE";
      const bool chain = request.name() == "GETCHAIN";
      const auto name = request.attributes().find(rules   ? std::uint16_t{NFTA_RULE_CHAIN}
                                                  : chain ? std::uint16_t{NFTA_CHAIN_NAME}
                                                          : std::uint16_t{NFTA_TABLE_NAME});
      text += request.summary() + (name ? " " + std::string(name->text()) : "") + "\n";
    }
  return text;
}

std::string set_damage(const FakeTable& table) {
  FakeTransport kernel = table.transport();
  const auto damage = read_set_damage(kernel, "c");
  if (!damage) return damage.error().message();
  std::string text;
  for (const Damage& one : *damage) text += to_string(one) + "\n";
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

TEST_CASE("a ruleset: chains and table in one exchange, then eight of the chains rule by rule") {
  FakeTransport kernel = intact().transport();
  const Result<Ruleset> read = read_ruleset(kernel, kNetwork);
  REQUIRE(read);
  CHECK(read->diff.intact());
  CHECK(read->diff.wrong_hooks.empty());
  CHECK(kernel.requests.size() == 9);
  CHECK(asked(kernel) ==
        "GETGEN #1\nGETCHAIN #2 any-address\nGETCHAIN #3 prerouting\nGETCHAIN #4 output\n"
        "GETCHAIN #5 postrouting\nGETCHAIN #6 localnet-guard\nGETCHAIN #7 localnet-guard-input\n"
        "GETCHAIN #8 networks\nGETCHAIN #9 c\nGETTABLE #10 nft-port-mapper\n"
        "GETTABLE #11 nft-port-mapper-egress\n"
        "GETRULE dump #1 any-address\nGETRULE dump #1 prerouting\nGETRULE dump #1 output\nGETRULE "
        "dump #1 postrouting\n"
        "GETRULE dump #1 localnet-guard\nGETRULE dump #1 localnet-guard-input\n"
        "GETRULE dump #1 networks\nGETRULE dump #1 c\n");
}

TEST_CASE("no table: everything is missing, and nothing hangs elsewhere") {
  const std::string text = damage_of({});
  CHECK(text.starts_with(
      "chain any-address is missing\nchain prerouting is missing\nchain output is missing\n"
      "chain postrouting is missing\nchain localnet-guard is missing\n"
      "chain localnet-guard-input is missing\nchain networks is missing\nchain c is missing\n"
      "chain any-address lacks rule: socket wildcard 0 return\n"));
  CHECK(text.find("wrong hook") == std::string::npos);
  CHECK(text.find("jump c") == std::string::npos);
  CHECK(
      text.ends_with("chain c lacks rule: meta nfproto ipv6 ct label set 127 dnat ip6 to meta "
                     "l4proto . th dport map @c-ip6\n"));
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
  chain_of(table, "networks").tags = tags_of(networks_chain(std::vector<std::string>{"c", "c"}));
  CHECK(damage_of(table) == expected);
}

TEST_CASE("a jump is not missed where its chain, or the one that jumps, is missing") {
  const auto erased = [](const std::string& name) {
    FakeTable table = intact();
    std::erase_if(table.chains, [&](const FakeChain& chain) { return chain.name == name; });
    chain_of(table, name == "c" ? "networks" : "c").tags.pop_back();
    return damage_of(table);
  };
  CHECK(erased("networks") ==
        "chain networks is missing\n"
        "chain c lacks rule: meta nfproto ipv6 ct label set 127 dnat ip6 to meta l4proto . th "
        "dport map @c-ip6\n");
  const std::string text = erased("c");
  CHECK(text.starts_with("chain c is missing\nchain c lacks rule: "));
  CHECK(text.find("chain networks") == std::string::npos);
}

TEST_CASE("a network chain of the first ruleset does not say whose it is") {
  FakeTransport kernel = intact().transport();
  const NetworkChain owned{.name = "c", .exclude_devices = {"eth0"}, .network = "web"};
  const Result<Ruleset> read = read_ruleset(kernel, owned);
  REQUIRE(read);
  REQUIRE(read->diff.damage.size() == 1);
  CHECK(to_string(read->diff.damage[0]) == "chain c does not say whose network's it is");
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
        "chain postrouting lacks rule: ct status dnat ct label 127 ip6 saddr . ip6 daddr "
        "@hairpin-ip6 "
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
  CHECK(table.refused == 9);
}

TEST_CASE("network chains: those of our table that have target maps") {
  FakeTable table = intact();
  table.chains.push_back({.name = "c", .table = "other"});
  table.chains.push_back({.name = "operator"});
  CHECK(network_chains(table) == "b c ");
  chain_of(table, "b").hook = skeleton_chains().back().hook;
  CHECK(network_chains(table) == "c ");
  CHECK(network_chains({}) == "");
  FakeTransport kernel = table.transport();
  REQUIRE(read_network_chains(kernel));
  CHECK(asked(kernel) == "GETSET dump #1 nft-port-mapper\nGETCHAIN dump #1\n");
}

TEST_CASE("network chains: messages that are no chains are passed over") {
  FakeTransport kernel;
  SetSpec map = owners_spec();
  map.name = "c-hostip6";
  kernel.answers.push_back(
      Replies().nft_message(NFT_MSG_NEWSET, 1, set_attributes(map), NLM_F_MULTI).done(1));
  kernel.answers.push_back(
      Replies()
          .nft_message(NFT_MSG_NEWRULE, 1, FakeChain{.name = "c"}.attributes(), NLM_F_MULTI)
          .done(1));
  const auto names = read_network_chains(kernel);
  REQUIRE(names);
  CHECK(names->empty());
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
  table.sets[8].interval = false;
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

TEST_CASE("the skeleton alone: no network's chain is looked at") {
  const auto intact_skeleton = [](const FakeTable& table) {
    FakeTransport kernel = table.transport();
    const Result<Ruleset> read = read_skeleton(kernel);
    REQUIRE(read);
    return read->diff.intact();
  };
  FakeTable table = intact();
  chain_of(table, "c").tags.clear();
  CHECK(intact_skeleton(table));
  chain_of(table, "networks").tags.push_back(0);
  CHECK_FALSE(intact_skeleton(table));
  CHECK_FALSE(intact_skeleton({}));
}

TEST_CASE("the guard counts only as we build it") {
  const auto guarded = [](const FakeTable& table) {
    FakeTransport kernel = table.transport();
    const Result<bool> guard = has_guard(kernel);
    return guard ? std::string(*guard ? "yes" : "no") : guard.error().message();
  };
  CHECK(guarded(intact()) == "yes");
  CHECK(guarded({}) == "no");
  FakeTable table = intact();
  chain_of(table, "prerouting").tags.clear();  // another chain's damage
  CHECK(guarded(table) == "yes");
  chain_of(table, "localnet-guard").tags = {0};
  CHECK(guarded(table) == "no");
  table = intact();
  chain_of(table, "localnet-guard").hook->priority = 0;
  CHECK(guarded(table) == "no");
  table.refused = 0;
  CHECK(guarded(table) == kNotPermitted);
}

TEST_CASE("whether there is a table") {
  const auto table = [](const Replies& answer) {
    FakeTransport kernel;
    kernel.answers.push_back(answer);
    const Result<bool> found = has_table(kernel);
    CHECK(summaries(requests_in(kernel.requests[0])) == "GETTABLE #1\n");
    return found ? std::string(*found ? "yes" : "no") : found.error().message();
  };
  CHECK(table(Replies().nft_message(NFT_MSG_NEWTABLE, 1, Attrs())) == "yes");
  CHECK(table(Replies().error(1, ENOENT)) == "no");
  CHECK(table(Replies().error(1, EPERM)) == kNotPermitted);
}

TEST_CASE("a chain whose configuration is not known: rules that are ours, and one jump") {
  const auto damage = [](const FakeTable& table) {
    FakeTransport kernel = table.transport();
    const Result<ChainDamage> read = read_chain_damage(kernel, "c");
    if (!read) return read.error().message();
    std::string text = read->lacks_jump ? "no jump\n" : "";
    for (const Damage& one : read->damage) text += to_string(one) + "\n";
    return text;
  };
  CHECK(damage(intact()) == "");
  FakeTable table = intact();
  chain_of(table, "c").tags.resize(3);
  CHECK(damage(table) == "chain c lacks rules\n");
  table = intact();
  chain_of(table, "c").tags[1] = 0;
  CHECK(damage(table) == "chain c has rules that are not ours: number 2 of 5\n");
  table = intact();
  chain_of(table, "networks").tags.clear();
  CHECK(damage(table) == "no jump\n");
  CHECK(damage({}) == "no jump\nchain c lacks rules\n");
  for (table.refused = 0; table.refused < 3; ++table.refused) CHECK(damage(table) == kNotPermitted);
}

// nft/reader: chains, rules and sets as the kernel lists them, and what of them is damaged.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "nft/reader.hpp"
#include "nft/set.hpp"
#include "nft/userdata.hpp"
#include "tests/support/replies.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const NetworkChain kNetwork{"c", {"eth0"}};
const std::string kNotPermitted =
    "cannot read: table inet nft-port-mapper: Operation not permitted";

struct FakeChain {
  std::string name;
  std::optional<Hook> hook{};
  std::uint32_t use = 1;
  std::uint32_t policy = 1;  // NF_ACCEPT
  std::string table = "nft-port-mapper";

  [[nodiscard]] Attrs attributes() const {
    Attrs all;
    all.text(NFTA_CHAIN_TABLE, table).text(NFTA_CHAIN_NAME, name);
    if (hook)
      all.nest(NFTA_CHAIN_HOOK,
               Attrs()
                   .number(NFTA_HOOK_HOOKNUM, hook->number)
                   .number(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(hook->priority)))
          .text(NFTA_CHAIN_TYPE, hook->type)
          .number(NFTA_CHAIN_POLICY, policy);
    return all.number(NFTA_CHAIN_USE, use);
  }
};

// The kernel's state as the reader asks for it: the chains, then the rules of those that have any.
struct FakeRuleset {
  std::vector<FakeChain> chains;
  std::vector<std::vector<std::uint64_t>> tags;  // 0: a rule without userdata

  [[nodiscard]] FakeTransport transport() const {
    FakeTransport kernel;
    Replies first = Replies().generation(1, 7);
    std::uint32_t sequence = 2;
    for (const FakeChain& chain : chains) {
      if (chain.name.empty())
        first.error(sequence, ENOENT);
      else
        first.nft_message(NFT_MSG_NEWCHAIN, sequence, chain.attributes());
      ++sequence;
    }
    kernel.answers.push_back(first);
    for (const std::vector<std::uint64_t>& rules : tags) {
      Replies dump;
      for (const std::uint64_t tag : rules) {
        Attrs attributes;
        attributes.text(NFTA_RULE_TABLE, "nft-port-mapper");
        if (tag != 0) attributes.put(NFTA_RULE_USERDATA, bytes_of(encode_rule_tag(tag)));
        dump.nft_message(NFT_MSG_NEWRULE, 1, attributes, NLM_F_MULTI);
      }
      kernel.answers.push_back(dump.done(1));
    }
    return kernel;
  }
};

std::vector<std::uint64_t> tags_of(const ChainSpec& chain) {
  std::vector<std::uint64_t> tags;
  for (const Rule& rule : chain.rules) tags.push_back(fingerprint(rule));
  return tags;
}

// prerouting, output, postrouting, localnet-guard, networks, c
FakeRuleset intact() {
  FakeRuleset ruleset;
  for (const ChainSpec& chain : skeleton_chains()) {
    ruleset.chains.push_back({chain.name, chain.hook});
    ruleset.tags.push_back(tags_of(chain));
  }
  ruleset.chains.push_back({"networks"});
  ruleset.chains.push_back({.name = "c", .use = 6});  // five rules and a jump
  ruleset.tags.push_back(tags_of(network_chain(kNetwork)));
  return ruleset;
}

std::string damage_of(const FakeRuleset& ruleset) {
  FakeTransport kernel = ruleset.transport();
  const Result<Ruleset> read = read_ruleset(kernel, kNetwork);
  if (!read) return read.error().message();
  CHECK(read->generation == 7);
  CHECK(read->intact() == read->damage.empty());
  std::string text;
  for (const std::string& damage : read->damage) text += damage + "\n";
  for (const std::string& chain : read->wrong_hooks) text += "wrong hook " + chain + "\n";
  return text;
}

Replies set_replies(const std::vector<SetSpec>& sets) {
  Replies replies;
  std::uint32_t sequence = 0;
  for (const SetSpec& set : sets) {
    ++sequence;
    if (set.name.empty()) {
      replies.error(sequence, ENOENT);
      continue;
    }
    Attrs attributes;
    std::uint32_t flags = NFT_SET_EVAL;  // a flag that the kernel may add
    if (set.interval) flags |= NFT_SET_INTERVAL | NFT_SET_CONCAT;
    if (!set.data.empty()) flags |= NFT_SET_MAP;
    attributes.number(NFTA_SET_KEY_TYPE, concatenated_type(set.key)).number(NFTA_SET_FLAGS, flags);
    if (!set.data.empty()) attributes.number(NFTA_SET_DATA_TYPE, concatenated_type(set.data));
    replies.nft_message(NFT_MSG_NEWSET, sequence, attributes);
  }
  return replies;
}

std::string set_damage(const std::vector<SetSpec>& sets) {
  FakeTransport kernel;
  kernel.answers.push_back(set_replies(sets));
  const auto damage = read_set_damage(kernel, "c");
  if (!damage) return damage.error().message();
  std::string text;
  for (const std::string& one : *damage) text += one + "\n";
  return text;
}

std::vector<SetSpec> all_sets() {
  std::vector<SetSpec> sets = skeleton_sets();
  for (SetSpec& set : network_sets("c")) sets.push_back(std::move(set));
  return sets;
}

}  // namespace

TEST_CASE("an intact ruleset: six chains in one exchange, then five of them rule by rule") {
  FakeTransport kernel = intact().transport();
  const Result<Ruleset> read = read_ruleset(kernel, kNetwork);
  REQUIRE(read);
  CHECK(read->intact());
  CHECK(read->wrong_hooks.empty());
  std::string asked;
  for (const Buffer& bytes : kernel.requests)
    for (const Request& request : requests_in(bytes)) {
      const bool rules = request.name() == "GETRULE";
      const auto name = request.attributes().find(rules ? std::uint16_t{NFTA_RULE_CHAIN}
                                                        : std::uint16_t{NFTA_CHAIN_NAME});
      asked += request.summary() + (name ? " " + std::string(name->text()) : "") + "\n";
    }
  CHECK(asked ==
        "GETGEN #1\nGETCHAIN #2 prerouting\nGETCHAIN #3 output\nGETCHAIN #4 postrouting\n"
        "GETCHAIN #5 localnet-guard\nGETCHAIN #6 networks\nGETCHAIN #7 c\n"
        "GETRULE dump #1 prerouting\nGETRULE dump #1 output\nGETRULE dump #1 postrouting\n"
        "GETRULE dump #1 localnet-guard\nGETRULE dump #1 c\n");
}

TEST_CASE("no table: everything is missing, and nothing hangs elsewhere") {
  FakeRuleset ruleset;
  ruleset.chains.resize(6);
  ruleset.tags.resize(5);
  const std::string text = damage_of(ruleset);
  CHECK(text.starts_with(
      "chain prerouting is missing\nchain output is missing\nchain postrouting is missing\n"
      "chain localnet-guard is missing\nchain networks is missing\nchain c is missing\n"
      "chain prerouting lacks rule: fib daddr type local jump networks\n"));
  CHECK(text.ends_with("chain c lacks rule: dnat ip6 to meta l4proto . th dport map @c-ip6\n"));
}

TEST_CASE("a base chain elsewhere is damage, and has to go") {
  const std::string expected =
      "chain output has another hook or priority than { type nat hook output priority -99; policy "
      "accept; }\n"
      "wrong hook output\n";
  FakeRuleset other = intact();
  other.chains[1].hook->priority = -100;
  CHECK(damage_of(other) == expected);
  other = intact();
  other.chains[1].hook->number = 0;
  CHECK(damage_of(other) == expected);
  other = intact();
  other.chains[1].hook->type = "filter";
  CHECK(damage_of(other) == expected);
  other = intact();
  other.chains[1].hook.reset();  // a chain of that name without a hook
  CHECK(damage_of(other) == expected);
}

TEST_CASE("a base chain that drops is damage, and need not go") {
  FakeRuleset ruleset = intact();
  ruleset.chains[3].policy = 0;
  CHECK(damage_of(ruleset) == "chain localnet-guard has another policy than accept\n");
}

TEST_CASE("a network chain that nobody jumps to") {
  FakeRuleset ruleset = intact();
  ruleset.chains[5].use = 5;
  CHECK(damage_of(ruleset) == "chain networks lacks rule: jump c\n");
}

TEST_CASE("a rule that is gone is named") {
  FakeRuleset ruleset = intact();
  ruleset.tags[2].pop_back();
  CHECK(damage_of(ruleset) ==
        "chain postrouting lacks rule: ct status dnat ip6 saddr . ip6 daddr @hairpin-ip6 "
        "masquerade\n");
}

TEST_CASE("a rule that is another's in place of ours") {
  FakeRuleset ruleset = intact();
  ruleset.tags[3][0] = 0;
  CHECK(damage_of(ruleset) ==
        "chain localnet-guard lacks rule: iifname != \"lo\" ip daddr 127.0.0.0/8 drop\n"
        "chain localnet-guard has other rules than ours, or in another order\n");
}

TEST_CASE("a rule too many, before or behind ours, and rules in another order") {
  const std::string expected = "chain c has other rules than ours, or in another order\n";
  FakeRuleset ruleset = intact();
  ruleset.chains[5].use = 7;
  ruleset.tags[4].push_back(0);
  const std::string jump = "chain networks lacks rule: jump c\n";  // it cannot be told apart
  CHECK(damage_of(ruleset) == jump + expected);
  std::rotate(ruleset.tags[4].begin(), ruleset.tags[4].end() - 1, ruleset.tags[4].end());
  CHECK(damage_of(ruleset) == jump + expected);
  ruleset = intact();
  std::swap(ruleset.tags[4][0], ruleset.tags[4][1]);
  CHECK(damage_of(ruleset) == expected);
}

TEST_CASE("reading is refused in any of the exchanges") {
  for (std::size_t failing = 0; failing < 6; ++failing) {
    FakeTransport kernel = intact().transport();
    REQUIRE(kernel.answers.size() == 6);
    kernel.answers[failing] = Replies().error(1, EPERM);
    const Result<Ruleset> read = read_ruleset(kernel, kNetwork);
    REQUIRE_FALSE(read);
    CHECK(read.error().message() == kNotPermitted);
  }
}

TEST_CASE("network chains: those of our table that hang nowhere, but for the one that jumps") {
  FakeTransport kernel;
  Replies dump;
  for (const FakeChain& chain : intact().chains)
    dump.nft_message(NFT_MSG_NEWCHAIN, 1, chain.attributes(), NLM_F_MULTI);
  dump.nft_message(NFT_MSG_NEWCHAIN, 1,
                   FakeChain{.name = "foreign", .table = "other"}.attributes());
  dump.nft_message(NFT_MSG_NEWCHAIN, 1, FakeChain{.name = "hostports"}.attributes());
  dump.nft_message(NFT_MSG_NEWRULE, 1, FakeChain{.name = "no-chain"}.attributes());
  kernel.answers.push_back(dump.done(1));
  const auto names = read_network_chains(kernel);
  REQUIRE(names);
  CHECK(*names == std::vector<std::string>{"c", "hostports"});
  CHECK(summaries(requests_in(kernel.requests[0])) == "GETCHAIN dump #1\n");
}

TEST_CASE("network chains: a dump that was interrupted is none") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().nft_message(
      NFT_MSG_NEWCHAIN, 1, FakeChain{.name = "c"}.attributes(), NLM_F_MULTI | NLM_F_DUMP_INTR));
  const auto names = read_network_chains(kernel);
  REQUIRE_FALSE(names);
  CHECK(names.error().error_number == EINTR);
}

TEST_CASE("sets: intact, missing, of another type") {
  CHECK(set_damage(all_sets()) == "");
  std::vector<SetSpec> sets = all_sets();
  sets[1].name.clear();
  sets.back().name.clear();
  sets[0].key = owners_spec().key;
  sets[4].data = {};
  sets[5].interval = false;
  CHECK(set_damage(sets) ==
        "set published-ip has another type than { type inet_proto . inet_service; }\n"
        "set owners has another type than { type ifname . mark : ipv6_addr . inet_proto . "
        "inet_service; }\n"
        "set hairpin-ip has another type than { type ipv4_addr . ipv4_addr; flags interval; }\n"
        "set published-hostip is missing\n"
        "set c-hostip6 is missing\n");
}

TEST_CASE("sets: refused") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(1, EPERM));
  const auto damage = read_set_damage(kernel, "c");
  REQUIRE_FALSE(damage);
  CHECK(damage.error().message() == kNotPermitted);
}

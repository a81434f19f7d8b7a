// nft/egress: what is built for a container that is masqueraded, and what goes with it.
#include <doctest/doctest.h>

#include <algorithm>

#include "nft/egress_state.hpp"
#include "nft/key.hpp"
#include "nft/userdata.hpp"
#include "tests/support/join.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

Plan plan_of(const std::string& container, const std::string& network, const char* address,
             EgressWish wish = {}) {
  return make_plan({.attachment = {network, container, "eth0"},
                    .addresses = {*IpPrefix::parse(address)},
                    .egress = std::move(wish)});
}

// What a transaction leaves of a table, told by its elements and chains.
EgressState after(EgressState state, const Transaction& transaction) {
  for (const Operation& operation : transaction.operations) {
    if (std::holds_alternative<DeleteTable>(operation)) state = {};
    if (std::holds_alternative<AddTable>(operation)) state.exists = true;
    const auto* elements = std::get_if<Elements>(&operation);
    if (elements == nullptr) continue;
    for (const Element& element : elements->elements) {
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(elements->userdata.data());
      const ElementData data = parse_element_data({bytes, elements->userdata.size()});
      const bool is_removed = elements->verb == ElementVerb::remove;
      if (elements->set.name != kOwners) {
        const IpAddress address = *parse_egress_address(element.key.bytes());
        CHECK(is_removed == state.sources.contains(address));
        state.sources.erase(address);
        if (!is_removed) state.sources[address] = {elements->chain, data.comment};
        continue;
      }
      const OwnerKey key = *parse_owner_key(element.key.bytes());
      const auto is_it = [&key](const EgressEntry& entry) {
        return entry.owner == key.owner && entry.index == key.index;
      };
      CHECK(is_removed == std::any_of(state.owners.begin(), state.owners.end(), is_it));
      std::erase_if(state.owners, is_it);
      if (!is_removed)
        state.owners.push_back({.owner = key.owner,
                                .index = key.index,
                                .address = *parse_egress_address(element.data.bytes()),
                                .comment = data.comment,
                                .chain = data.chain,
                                .netns = data.netns,
                                .restored = data.restored});
    }
  }
  return state;
}

// "10.22.0.2 web/abc/eth0 net-web-10.22.0.0-16"
std::string sources_of(const EgressState& state) {
  std::vector<std::string> texts;
  for (const auto& [address, target] : state.sources)
    texts.push_back(address.to_string() + " " + target.comment + " " + target.chain);
  return join(texts);
}

std::string deleted_chains(const Transaction& transaction) {
  std::vector<std::string> names;
  for (const Operation& operation : transaction.operations)
    if (const auto* chain = std::get_if<DeleteChain>(&operation)) names.push_back(chain->name);
  return join(names);
}

OwnerHash owner_of(const std::string& container, const std::string& network) {
  return owner_hash({network, container, "eth0"});
}

std::string rules_of(const ChainSpec& chain) {
  std::string rules;
  for (const Rule& rule : chain.rules) rules += (rules.empty() ? "" : "; ") + to_string(rule);
  return rules;
}

// As an ADD builds them.
EgressRules rules_of_all(const Plan& plan) {
  EgressRules rules;
  for (const ChainSpec& chain : {egress_base_chain(), egress_chain(plan.egress.front().network)})
    for (const Rule& rule : chain.rules) rules[chain.name].push_back(rule_form(rule));
  return rules;
}

}  // namespace

TEST_CASE("egress: a network's chain, of one family, with what stays joined") {
  const EgressWish wish{{*IpPrefix::parse("10.0.0.0/8"), *IpPrefix::parse("192.168.0.7/32"),
                         *IpPrefix::parse("fd00::/8")},
                        {ip("192.0.2.11")}};
  const std::vector<IpPrefix> addresses = {*IpPrefix::parse("10.22.0.2/16"),
                                           *IpPrefix::parse("fd00:1::2/64")};
  const std::vector<EgressSource> sources = egress_sources("web", wish, addresses);
  REQUIRE(sources.size() == 2);
  CHECK(egress_chain(sources[0].network).name == "net-web-10.22.0.0-16/kv73h5cm8hgdtfo");
  CHECK(rules_of(egress_chain(sources[0].network)) ==
        "ip daddr { 10.0.0.0/8, 192.168.0.7 } return; snat ip to 192.0.2.11");
  CHECK(egress_chain(sources[1].network).name == "net-web-fd00_1__-64/ko5m6go42vm12i5");
  CHECK(rules_of(egress_chain(sources[1].network)) == "ip6 daddr fd00::/8 return; masquerade");
  CHECK(
      rules_of(egress_base_chain()) ==
      "ip daddr { 224.0.0.0/4, 255.255.255.255 } return; ip6 daddr { fe80::/10, ff00::/8 } return; "
      "ip saddr vmap @sources-ip; ip6 saddr vmap @sources-ip6");
}

TEST_CASE("egress: the chains of two long names are two, and fit") {
  const IpPrefix subnet = *IpPrefix::parse("2001:db8:1111:2222:3333:4444::/96");
  const std::string one = egress_chain_name({std::string(120, 'a') + "b", subnet});
  const std::string other = egress_chain_name({std::string(120, 'a') + "c", subnet});
  CHECK(one != other);
  CHECK(one.size() == kMaxChainName);
  const std::size_t end = one.find("-2001_db8_1111_2222_3333_4444__-96/k");
  CHECK(end != std::string::npos);
  // No network can be called so that its name is that of another's chain.
  CHECK(egress_chain_name({one.substr(4, end - 4), subnet}) != one);
}

TEST_CASE(
    "egress: a container whose network's configuration changed since keeps the rules of its ADD") {
  const Plan old = plan_of("abc", "web", "10.22.0.2/16", {{}, {ip("192.0.2.11")}});
  EgressState state = after({}, decide_masquerade(old, {}));
  state = after(state, decide_masquerade(plan_of("def", "web", "10.22.0.3/16"), state));
  const std::string chain = egress_chain_name(old.egress.front().network);
  CHECK(chain != "net-web-10.22.0.0-16");
  CHECK(sources_of(state) ==
        "10.22.0.2 web/abc/eth0 " + chain + ", 10.22.0.3 web/def/eth0 net-web-10.22.0.0-16");
  CHECK(deleted_chains(decide_unmasquerade(owner_of("abc", "web"), state)) == chain);
}

TEST_CASE("egress: an ADD again replaces what it had, and its chain goes where nobody wants it") {
  EgressState state = after({}, decide_masquerade(plan_of("abc", "web", "10.22.0.2/16"), {}));
  CHECK(sources_of(state) == "10.22.0.2 web/abc/eth0 net-web-10.22.0.0-16");
  const Transaction again = decide_masquerade(plan_of("abc", "web", "10.23.0.5/24"), state);
  CHECK(deleted_chains(again) == "net-web-10.22.0.0-16");
  state = after(state, again);
  CHECK(sources_of(state) == "10.23.0.5 web/abc/eth0 net-web-10.23.0.0-24");
  CHECK(state.owners.size() == 1);
}

TEST_CASE("egress: an address of two attachments is the newer one's, and the other's at its DEL") {
  EgressState state = after({}, decide_masquerade(plan_of("abc", "web", "10.22.0.2/16"), {}));
  state = after(state, decide_masquerade(plan_of("def", "lan", "10.22.0.2/24"), state));
  CHECK(sources_of(state) == "10.22.0.2 lan/def/eth0 net-lan-10.22.0.0-24");
  CHECK(state.owners.size() == 2);
  SUBCASE("the first goes") {
    const Transaction gone = decide_unmasquerade(owner_of("abc", "web"), state);
    CHECK(deleted_chains(gone) == "net-web-10.22.0.0-16");
    CHECK(sources_of(after(state, gone)) == "10.22.0.2 lan/def/eth0 net-lan-10.22.0.0-24");
  }
  SUBCASE("the CHECK of either is content, and not with what leads elsewhere") {
    const Plan older = plan_of("abc", "web", "10.22.0.2/16");
    CHECK(join(check_egress(older, state, rules_of_all(older))) == "");
    state.sources[ip("10.22.0.2")].chain = "";
    CHECK(join(check_egress(older, state, rules_of_all(older))) ==
          "table inet nft-port-mapper-egress: 10.22.0.2 is led to no chain, not to "
          "net-web-10.22.0.0-16");
  }
  SUBCASE("the second goes") {
    const Transaction gone = decide_unmasquerade(owner_of("def", "lan"), state);
    CHECK(deleted_chains(gone) == "net-lan-10.22.0.0-24");
    CHECK(sources_of(after(state, gone)) == "10.22.0.2 web/abc/eth0 net-web-10.22.0.0-16");
  }
}

TEST_CASE("egress: a chain stays while a neighbour wants it; the table goes with the last owner") {
  EgressState state = after({}, decide_masquerade(plan_of("abc", "web", "10.22.0.2/16"), {}));
  state = after(state, decide_masquerade(plan_of("def", "web", "10.22.0.3/16"), state));
  const Transaction first = decide_unmasquerade(owner_of("abc", "web"), state);
  CHECK(deleted_chains(first) == "");
  state = after(state, first);
  CHECK(sources_of(state) == "10.22.0.3 web/def/eth0 net-web-10.22.0.0-16");
  CHECK(decide_unmasquerade(owner_of("abc", "web"), state).operations.empty());
  CHECK(to_string(decide_unmasquerade(owner_of("def", "web"), state)) ==
        "delete table inet nft-port-mapper-egress\n");
}

TEST_CASE("egress: what somebody removed is not removed again, and is back with the next ADD") {
  const Plan plan = plan_of("abc", "web", "10.22.0.2/16");
  const EgressState whole = after({}, decide_masquerade(plan, {}));
  EgressState damaged = whole;
  damaged.sources.clear();
  EgressRules rules = rules_of_all(plan);
  CHECK(join(check_egress(plan, damaged, rules)) ==
        "table inet nft-port-mapper-egress: 10.22.0.2 is not masqueraded");
  CHECK(sources_of(after(damaged, decide_masquerade(plan, damaged))) == sources_of(whole));
  CHECK(check_egress(plan, whole, rules).empty());
  CHECK(check_egress(whole, rules).empty());
  rules["postrouting"].pop_back();
  const char* const said =
      "table inet nft-port-mapper-egress: chain postrouting is not as an ADD builds it";
  CHECK(join(check_egress(plan, whole, rules)) == said);
  const std::vector<EgressFinding> findings = check_egress(whole, rules);
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].what == said);
  CHECK(findings[0].is_mendable);
}

TEST_CASE("egress: restore gives way to a newer ADD, and takes back nothing of it") {
  Plan before = plan_of("abc", "web", "10.22.0.2/16");
  before.netns = {"/run/netns/abc", 4, 77, 0, 0, {}};
  before.is_restored = true;
  Plan now = plan_of("abc", "web", "10.22.0.9/16");
  now.netns = before.netns;
  const EgressState restored = after({}, decide_masquerade(before, {}));
  const EgressState added = after(restored, decide_masquerade(now, restored));
  CHECK(sources_of(added) == "10.22.0.9 web/abc/eth0 net-web-10.22.0.0-16");
  CHECK(decide_masquerade(before, added).operations.empty());
  const OwnerHash owner = owner_of("abc", "web");
  CHECK(decide_take_back(owner, before.netns, added).operations.empty());
  CHECK(to_string(decide_take_back(owner, before.netns, restored)) ==
        "delete table inet nft-port-mapper-egress\n");
  NetworkNamespace another = before.netns;
  another.inode = 78;
  CHECK(decide_take_back(owner, another, restored).operations.empty());
  // What an ADD with the same address did is mended, and a loaded listing, which has no namespaces, is no ADD's.
  now = plan_of("abc", "web", "10.22.0.2/16");
  now.netns = before.netns;
  const EgressState same = after({}, decide_masquerade(now, {}));
  CHECK(!decide_masquerade(before, same).operations.empty());
  EgressState loaded = added;
  loaded.owners.front().netns = {};
  CHECK(sources_of(after(loaded, decide_masquerade(before, loaded))) ==
        "10.22.0.2 web/abc/eth0 net-web-10.22.0.0-16");
}

TEST_CASE("egress: what needs no configuration is put back without one, and nothing else") {
  const Plan plan = plan_of("abc", "web", "10.22.0.2/16");
  const Plan other = plan_of("def", "lan", "10.23.0.2/16");
  EgressState whole = after({}, decide_masquerade(plan, {}));
  whole = after(whole, decide_masquerade(other, whole));
  EgressRules rules = rules_of_all(plan);
  rules.merge(rules_of_all(other));
  CHECK(decide_egress_again(whole, rules).operations.empty());
  EgressState damaged = whole;
  damaged.sources.clear();
  SUBCASE("addresses whose chain is there") {
    rules["net-lan-10.23.0.0-16"].clear();
    const Transaction again = decide_egress_again(damaged, rules);
    CHECK(sources_of(after(damaged, again)) == "10.22.0.2 web/abc/eth0 net-web-10.22.0.0-16");
    std::string said;
    for (const EgressFinding& finding : check_egress(damaged, rules))
      said += (finding.is_mendable ? "+" : "-") + finding.what.substr(35) + "; " + finding.advice +
              "\n";
    CHECK(said ==
          "+10.22.0.2 is not masqueraded; \n"
          "-10.23.0.2 is not masqueraded; nft-port-mapperctl restore, or its next ADD, repairs"
          " that\n");
  }
  SUBCASE("the base chain") {
    rules["postrouting"].clear();
    const std::string again = to_string(decide_egress_again(whole, rules));
    CHECK(again.find("flush chain inet nft-port-mapper-egress postrouting\n") != std::string::npos);
    CHECK(again.find("net-web") == std::string::npos);
    CHECK(sources_of(after(whole, decide_egress_again(whole, rules))) == sources_of(whole));
  }
  SUBCASE("a source without an owner is not led away") {
    damaged = whole;
    damaged.owners.clear();
    CHECK(decide_egress_again(damaged, rules).operations.empty());
  }
}

TEST_CASE("egress: a hook or a type that is another's is told, and goes before an ADD builds") {
  const Plan plan = plan_of("abc", "web", "10.22.0.2/16");
  EgressState state = after({}, decide_masquerade(plan, {}));
  state.damage = {{Damage::Kind::other_hook, "postrouting", "type nat hook postrouting"},
                  {Damage::Kind::other_type, "sources-ip", "type ipv4_addr : verdict"}};
  state.sources.clear();
  CHECK(check_egress(plan, state, rules_of_all(plan)).size() == 3);
  // A neighbour's ADD leads the addresses of all again that were in the map.
  const Transaction built = decide_masquerade(plan_of("def", "web", "10.22.0.3/16"), state);
  CHECK(deleted_chains(built) == "postrouting");
  CHECK(std::any_of(built.operations.begin(), built.operations.end(), [](const Operation& one) {
    const auto* set = std::get_if<DeleteSet>(&one);
    return set != nullptr && set->name == "sources-ip";
  }));
  CHECK(sources_of(after(state, built)) ==
        "10.22.0.2 web/abc/eth0 net-web-10.22.0.0-16, 10.22.0.3 web/def/eth0 net-web-10.22.0.0-16");
  // A DEL builds nothing, and puts nothing where no map is.
  CHECK(sources_of(after(state, decide_unmasquerade(owner_of("abc", "web"), state))) == "");
}

TEST_CASE("egress: what no owner has does not keep a chain from its end") {
  EgressState state = after({}, decide_masquerade(plan_of("abc", "web", "10.22.0.2/16"), {}));
  state = after(state, decide_masquerade(plan_of("def", "lan", "10.23.0.2/16"), state));
  state.sources[ip("10.22.0.77")] = {"net-web-10.22.0.0-16", ""};
  const Transaction gone = decide_unmasquerade(owner_of("abc", "web"), state);
  CHECK(sources_of(after(state, gone)) == "10.23.0.2 lan/def/eth0 net-lan-10.23.0.0-16");
  CHECK(deleted_chains(gone) == "net-web-10.22.0.0-16");
  CHECK(deleted_chains(without_chain_ends(gone)) == "");
  // The address of an ADD, which had led to the chain that goes, stays its own.
  state.owners.front().chain = "net-web-10.22.0.0-16";
  const Transaction moved = decide_masquerade(plan_of("abc", "web", "10.22.0.77/24"), state);
  CHECK(sources_of(after(state, moved)) ==
        "10.22.0.77 web/abc/eth0 net-web-10.22.0.0-24, "
        "10.23.0.2 lan/def/eth0 net-lan-10.23.0.0-16");
}

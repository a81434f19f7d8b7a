// nft/encode: sets, chains and rules, attribute by attribute, against nft --debug=netlink.
#include <doctest/doctest.h>

#include <string>

#include "nft/encode.hpp"
#include "nft/userdata.hpp"
#include "tests/support/example.hpp"
#include "tests/support/replies.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

constexpr Suffix kAny4{Family::ipv4, AddressScope::any};
constexpr Suffix kOne4{Family::ipv4, AddressScope::one};
constexpr Suffix kAny6{Family::ipv6, AddressScope::any};
constexpr Suffix kOne6{Family::ipv6, AddressScope::one};

// A set's attributes without table and name, which every one has.
std::string set_of(const SetSpec& set) {
  Messages messages;
  encode_set(messages, set, 7);
  const auto requests = requests_in(messages.bytes());
  REQUIRE(requests.size() == 1);
  CHECK(attribute_of(requests[0].attributes(), NFTA_SET_TABLE).text() == "nft-port-mapper");
  CHECK(attribute_of(requests[0].attributes(), NFTA_SET_NAME).text() == set.name);
  const std::string text = dump(requests[0].attributes());
  return text.substr(text.find("3: "));
}

std::string chain_of(const std::string& name, std::optional<Hook> hook) {
  Transaction transaction;
  transaction.operations.emplace_back(AddChain{name, hook});
  const Batch batch = encode(transaction);
  const Request request = requests_in(batch.messages.bytes())[1];
  const std::string text = dump(request.attributes());
  return text.substr(text.find("3: "));
}

std::string rule_of(const Rule& rule) {
  Messages messages;
  encode_rule(messages, "c", rule, 7);
  return expressions(requests_in(messages.bytes()).back());
}

Rule skeleton_rule(const std::string& name, std::size_t number) {
  for (const ChainSpec& chain : skeleton_chains())
    if (chain.name == name) return chain.rules.at(number);
  FAIL("no chain " << name);
  return {};
}

Match devices(const std::vector<std::string>& names) {
  Match match{.field = MatchField::iifname, .values = {}};
  for (const std::string& name : names) match.values.push_back(MatchValue::interface_name(name));
  return match;
}

std::string text(std::string_view words) {  // with its NUL
  return hex(std::string(words) + '\0');
}

std::string to_chain(int code, std::string_view chain) {  // NFTA_DATA_VERDICT { code, chain }
  Attrs verdict;
  verdict.number(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code))
      .text(NFTA_VERDICT_CHAIN, std::string(chain));
  return "immediate 1: 00000000, 2: " + hex(Attrs().nest(NFTA_DATA_VERDICT, verdict).bytes()) +
         "\n";
}

std::string memory_of(std::uint32_t number) {  // in the host's byte order
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

// set { key byte order: of each type's own } and { key ..., data ... }
const std::string kByteOrderOfSet = ", 13: 00040000 0000";
const std::string kByteOrderOfMap = ", 13: 00040000 00000104 00000000";
// a counter, without values
const std::string kCounter = ", 17: '0c000100 636f756e 74657200 '04000280"_native;

}  // namespace

TEST_CASE("claim sets: key type and length") {
  // flags, type: 12 . 13 in six bits each, padded length, number in the batch
  CHECK(set_of(claim_spec(kAny4)) ==
        "3: 00000000, 4: 0000030d, 5: 00000008, 10: 00000007" + kByteOrderOfSet);
  CHECK(set_of(claim_spec(kOne4)) ==
        "3: 00000000, 4: 0000730d, 5: 0000000c, 10: 00000007" + kByteOrderOfSet);
  CHECK(set_of(claim_spec(kOne6)) ==
        "3: 00000000, 4: 0000830d, 5: 00000018, 10: 00000007" + kByteOrderOfSet);
}

TEST_CASE("target maps: data type and length, and a counter") {
  CHECK(set_of(target_spec("c", kAny4)) ==
        "3: 00000008, 4: 0000030d, 5: 00000008, 6: 000001cd, 7: 00000008, 10: 00000007" +
            kByteOrderOfMap + kCounter);
  CHECK(set_of(target_spec("c", kOne4)) ==
        "3: 00000008, 4: 0000730d, 5: 0000000c, 6: 000001cd, 7: 00000008, 10: 00000007" +
            kByteOrderOfMap + kCounter);
  CHECK(set_of(target_spec("c", kAny6)) ==
        "3: 00000008, 4: 0000030d, 5: 00000008, 6: 0000020d, 7: 00000014, 10: 00000007" +
            kByteOrderOfMap + kCounter);
  CHECK(set_of(target_spec("c", kOne6)) ==
        "3: 00000008, 4: 0000830d, 5: 00000018, 6: 0000020d, 7: 00000014, 10: 00000007" +
            kByteOrderOfMap + kCounter);
}

TEST_CASE("the owners map counts nothing") {
  CHECK(set_of(owners_spec()) ==
        "3: 00000008, 4: 00000a53, 5: 00000014, 6: 0000830d, 7: 00000018, 10: 00000007" +
            kByteOrderOfMap);
}

TEST_CASE("the standby map is keyed as owners, and leads to an endpoint of either family") {
  CHECK(set_of(standby_spec()) ==
        "3: 00000008, 4: 00000a53, 5: 00000014, 6: 0000020d, 7: 00000014, 10: 00000007" +
            kByteOrderOfMap);
}

TEST_CASE("hairpin sets are intervals of a concatenation: each field's length is said") {
  CHECK(
      set_of(hairpin_spec(Family::ipv4)) ==
      "3: 00000084, 4: 000001c7, 5: 00000008, "
      "9: '1c000280 '0c000180 '08000100 00000004 '0c000180 '08000100 00000004, 10: 00000007"_native +
          kByteOrderOfSet);
  CHECK(
      set_of(hairpin_spec(Family::ipv6)) ==
      "3: 00000084, 4: 00000208, 5: 00000020, "
      "9: '1c000280 '0c000180 '08000100 00000010 '0c000180 '08000100 00000010, 10: 00000007"_native +
          kByteOrderOfSet);
}

TEST_CASE("the sets of one batch are numbered apart") {
  Transaction transaction;
  for (SetSpec& set : network_sets("c")) transaction.operations.emplace_back(AddSet{set});
  const Batch batch = encode(transaction);
  std::string ids;
  for (const Request& request : requests_in(batch.messages.bytes()))
    if (request.name() == "NEWSET")
      ids += std::to_string(attribute_of(request.attributes(), NFTA_SET_ID).number32()) + " ";
  CHECK(ids == "1 2 3 4 ");
}

TEST_CASE("base chains: hook and priority, policy, type") {
  const std::vector<ChainSpec> chains = skeleton_chains();
  CHECK(chain_of("prerouting", chains[1].hook) ==
        "3: " + text("prerouting") +
            ", 4: '08000100 00000000 '08000200 ffffff9d, 5: 00000001, 7: "_native + text("nat"));
  CHECK(chain_of("output", chains[2].hook) ==
        "3: " + text("output") +
            ", 4: '08000100 00000003 '08000200 ffffff9d, 5: 00000001, 7: "_native + text("nat"));
  CHECK(chain_of("postrouting", chains[3].hook) ==
        "3: " + text("postrouting") +
            ", 4: '08000100 00000004 '08000200 00000063, 5: 00000001, 7: "_native + text("nat"));
  CHECK(chain_of("localnet-guard", chains[4].hook) ==
        "3: " + text("localnet-guard") +
            ", 4: '08000100 00000000 '08000200 fffffed4, 5: 00000001, 7: "_native + text("filter"));
  CHECK(chain_of("localnet-guard-input", chains[5].hook) ==
        "3: " + text("localnet-guard-input") +
            ", 4: '08000100 00000001 '08000200 00000000, 5: 00000001, 7: "_native + text("filter"));
}

TEST_CASE("the record of devices: a lone name is in the host's byte order, as key and as data") {
  // NFTNL_UDATA_SET_KEYBYTEORDER and _DATABYTEORDER
  const std::string key = std::string{0, 4} + memory_of(1);
  const std::string data = std::string{1, 4} + memory_of(1);
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    CHECK(set_of(opened_devices_spec(family)).ends_with(", 13: " + hex(key)));
    CHECK(set_of(device_users_spec(family)).ends_with(", 13: " + hex(key + data)));
  }
}

TEST_CASE("a network chain has a name and nothing else") {
  CHECK(chain_of("c", std::nullopt) == "3: " + text("c"));
}

TEST_CASE("a rule carries chain and fingerprint") {
  Messages messages;
  const Rule rule{Jump{"MESOS-WEB"}};
  encode_rule(messages, "networks", rule, 7);
  const auto requests = requests_in(messages.bytes());
  REQUIRE(requests.size() == 1);
  const Attributes attributes = requests[0].attributes();
  CHECK(attribute_of(attributes, NFTA_RULE_TABLE).text() == "nft-port-mapper");
  CHECK(attribute_of(attributes, NFTA_RULE_CHAIN).text() == "networks");
  CHECK(parse_rule_tag(attribute_of(attributes, NFTA_RULE_USERDATA).payload) == fingerprint(rule));
  CHECK(rule_of(rule) == to_chain(NFT_JUMP, "MESOS-WEB"));
}

TEST_CASE("iifname \"a\" return: compared in all sixteen bytes") {
  CHECK(rule_of({Return{}, {devices({"a"})}}) ==
        "meta 1: 00000001, 2: 00000006\n"
        "cmp 1: 00000001, 2: 00000000, 3: '14000100 61000000 00000000 00000000 00000000\n"
        "immediate 1: 00000000, 2: '0c000280 '08000100 fffffffb\n"_native);
}

TEST_CASE("iifname { a, b } return: a constant anonymous set of two, filled before the rule") {
  Messages messages;
  encode_rule(messages, "c", Rule{Return{}, {devices({"a", "b-fifteen-bytes"})}}, 7);
  const auto requests = requests_in(messages.bytes());
  CHECK(summaries(requests) ==
        "NEWSET create #1\nNEWSETELEM create #2\nNEWRULE create append #3\n");
  const std::string set = dump(requests[0].attributes());
  CHECK(
      set.substr(set.find("2: ")) ==
      "2: " + text("__set%d") +
          ", 3: 00000003, 4: 00000029, 5: 00000010, 9: '08000100 00000002, 10: 00000007, 13: "_native +
          hex(std::string{0, 4} + memory_of(1)));  // NFTNL_UDATA_SET_KEYBYTEORDER: the host's
  const std::string elements = dump(requests[1].attributes());
  CHECK(
      elements.substr(elements.find("2: ")) ==
      "2: " + text("__set%d") +
          ", 3: '1c000180 '18000180 '14000100 61000000 00000000 00000000 00000000 "
          "'1c000180 '18000180 '14000100 622d6669 66746565 6e2d6279 74657300, 4: 00000007"_native);
  CHECK(expressions(requests[2]) ==
        "meta 1: 00000001, 2: 00000006\n"
        "lookup 1: " +
            text("__set%d") +
            ", 2: 00000001, 4: 00000007\n"
            "immediate 1: 00000000, 2: '0c000280 '08000100 fffffffb\n"_native);
}

// ct label set 127: bit 127 of a number in the host's order, in a register behind the target's.
const std::string kSetLabel =
    "immediate 1: 00000003, 2: '14000100 "_native +
    (std::endian::native == std::endian::little ? "00000000 00000000 00000000 00000080"
                                                : "80000000 00000000 00000000 00000000") +
    "\nct 2: 0000000d, 4: 00000003\n"_native;

TEST_CASE("dnat of one IPv4 address: address, protocol and port side by side") {
  CHECK(rule_of({Translate{"c-hostip", kOne4}}) ==
        "meta 1: 00000001, 2: 0000000f\n"
        "cmp 1: 00000001, 2: 00000000, 3: '05000100 02000000\n"
        "payload 1: 00000001, 2: 00000001, 3: 00000010, 4: 00000004\n"
        "meta 1: 00000009, 2: 00000010\n"
        "payload 1: 0000000a, 2: 00000002, 3: 00000002, 4: 00000002\n"
        "lookup 1: "_native +
            text("c-hostip") + ", 2: 00000001, 3: 00000001\n" + kSetLabel +
            "nat 1: 00000001, 2: 00000002, 3: 00000001, 5: 00000009\n");
}

TEST_CASE("dnat of one IPv6 address: the address takes the first four slots") {
  CHECK(rule_of({Translate{"c-hostip6", kOne6}}) ==
        "meta 1: 00000001, 2: 0000000f\n"
        "cmp 1: 00000001, 2: 00000000, 3: '05000100 0a000000\n"
        "payload 1: 00000001, 2: 00000001, 3: 00000018, 4: 00000010\n"
        "meta 1: 00000002, 2: 00000010\n"
        "payload 1: 0000000d, 2: 00000002, 3: 00000002, 4: 00000002\n"
        "lookup 1: "_native +
            text("c-hostip6") + ", 2: 00000001, 3: 00000001\n" + kSetLabel +
            "nat 1: 00000001, 2: 0000000a, 3: 00000001, 5: 00000002\n");
}

TEST_CASE("dnat of any address: the other family is neither looked up nor counted") {
  CHECK(rule_of({Translate{"c-ip", kAny4}, {OnlyFamily{Family::ipv4}}}) ==
        "meta 1: 00000001, 2: 0000000f\n"
        "cmp 1: 00000001, 2: 00000000, 3: '05000100 02000000\n"
        "meta 1: 00000001, 2: 00000010\n"
        "payload 1: 00000009, 2: 00000002, 3: 00000002, 4: 00000002\n"
        "lookup 1: "_native +
            text("c-ip") + ", 2: 00000001, 3: 00000001\n" + kSetLabel +
            "nat 1: 00000001, 2: 00000002, 3: 00000001, 5: 00000009\n");
  CHECK(rule_of({Translate{"c-ip6", kAny6}, {OnlyFamily{Family::ipv6}}}) ==
        "meta 1: 00000001, 2: 0000000f\n"
        "cmp 1: 00000001, 2: 00000000, 3: '05000100 0a000000\n"
        "meta 1: 00000001, 2: 00000010\n"
        "payload 1: 00000009, 2: 00000002, 3: 00000002, 4: 00000002\n"
        "lookup 1: "_native +
            text("c-ip6") + ", 2: 00000001, 3: 00000001\n" + kSetLabel +
            "nat 1: 00000001, 2: 0000000a, 3: 00000001, 5: 00000002\n");
}

TEST_CASE("fib daddr type != local return: the type is in host byte order") {
  CHECK(rule_of(skeleton_rule("prerouting", 0)) ==
        "fib 1: 00000001, 2: 00000003, 3: 00000002\n"
        "cmp 1: 00000001, 2: 00000001, 3: '08000100 "_native +
            hex(memory_of(2)) +
            "\nimmediate 1: 00000000, 2: '0c000280 '08000100 fffffffb\n"_native);
}

TEST_CASE("published on any address: one family, and what a chain goes to") {
  CHECK(rule_of(skeleton_rule("prerouting", 4)) ==
        "meta 1: 00000001, 2: 0000000f\n"
        "cmp 1: 00000001, 2: 00000000, 3: '05000100 02000000\n"
        "meta 1: 00000001, 2: 00000010\n"
        "payload 1: 00000009, 2: 00000002, 3: 00000002, 4: 00000002\n"
        "lookup 1: "_native +
            text("published-ip") + ", 2: 00000001\n" + to_chain(NFT_GOTO, "any-address"));
}

TEST_CASE("socket wildcard 0: one byte of the socket's answer") {
  CHECK(rule_of(skeleton_rule("any-address", 0)) ==
        "socket 1: 00000002, 2: 00000001\n"
        "cmp 1: 00000001, 2: 00000000, 3: '05000100 00000000\n"
        "immediate 1: 00000000, 2: '0c000280 '08000100 fffffffb\n"_native);
}

TEST_CASE("a loopback destination whose port is not in the set: the lookup is inverted") {
  CHECK(rule_of(skeleton_rule("output", 1)) ==
        "meta 1: 00000001, 2: 0000000f\n"
        "cmp 1: 00000001, 2: 00000000, 3: '05000100 02000000\n"
        "payload 1: 00000001, 2: 00000001, 3: 00000010, 4: 00000001\n"
        "cmp 1: 00000001, 2: 00000000, 3: '05000100 7f000000\n"
        "meta 1: 00000001, 2: 00000010\n"
        "payload 1: 00000009, 2: 00000002, 3: 00000002, 4: 00000002\n"
        "lookup 1: "_native +
            text("loopback-ip") +
            ", 2: 00000001, 5: 00000001\n"
            "immediate 1: 00000000, 2: '0c000280 '08000100 fffffffb\n"_native);
}

TEST_CASE(
    "masquerade of hairpins: dnat'ed and labelled, then source and destination side by side") {
  const std::string label = std::endian::native == std::endian::little
                                ? "00000000 00000000 00000000 00000080"
                                : "80000000 00000000 00000000 00000000";
  const std::string zero = "00000000 00000000 00000000 00000000";
  const std::string head =
      "ct 1: 00000001, 2: 00000002\n"
      "bitwise 1: 00000001, 2: 00000001, 3: 00000004, 4: '08000100 "_native +
      hex(memory_of(0x20)) +  // IPS_DST_NAT
      ", 5: '08000100 00000000\n"
      "cmp 1: 00000001, 2: 00000001, 3: '08000100 00000000\n"
      "ct 1: 00000001, 2: 0000000d\n"
      "bitwise 1: 00000001, 2: 00000001, 3: 00000010, 4: '14000100 "_native +
      label + ", 5: '14000100 "_native + zero +
      "\ncmp 1: 00000001, 2: 00000001, 3: '14000100 "_native + zero +
      "\nmeta 1: 00000001, 2: 0000000f\n"_native;
  CHECK(rule_of(skeleton_rule("postrouting", 0)) ==
        head +
            "cmp 1: 00000001, 2: 00000000, 3: '05000100 02000000\n"
            "payload 1: 00000001, 2: 00000001, 3: 0000000c, 4: 00000004\n"
            "payload 1: 00000009, 2: 00000001, 3: 00000010, 4: 00000004\n"
            "lookup 1: "_native +
            text("hairpin-ip") + ", 2: 00000001\nmasq\n");
  CHECK(rule_of(skeleton_rule("postrouting", 1)) ==
        head +
            "cmp 1: 00000001, 2: 00000000, 3: '05000100 0a000000\n"
            "payload 1: 00000001, 2: 00000001, 3: 00000008, 4: 00000010\n"
            "payload 1: 00000002, 2: 00000001, 3: 00000018, 4: 00000010\n"
            "lookup 1: "_native +
            text("hairpin-ip6") + ", 2: 00000001\nmasq\n");
}

TEST_CASE("iifname != \"lo\" ip daddr 127.0.0.0/8 drop: one byte of the address is enough") {
  const std::string head =
      "meta 1: 00000001, 2: 00000006\n"
      "cmp 1: 00000001, 2: 00000001, 3: '14000100 6c6f0000 00000000 00000000 00000000\n"
      "meta 1: 00000001, 2: 0000000f\n"
      "cmp 1: 00000001, 2: 00000000, 3: '05000100 02000000\n"
      "payload 1: 00000001, 2: 00000001, 3: 000000"_native;
  const std::string loopback =
      ", 4: 00000001\ncmp 1: 00000001, 2: 00000000, 3: '05000100 7f000000\n"_native;
  const std::string drop = "immediate 1: 00000000, 2: '0c000280 '08000100 00000000\n"_native;
  CHECK(rule_of(skeleton_rule("localnet-guard", 0)) == head + "10" + loopback + drop);
  CHECK(rule_of(skeleton_rule("localnet-guard", 1)) == head + "0c" + loopback + drop);
  // In input, but for what somebody's own DNAT leads there.
  CHECK(rule_of(skeleton_rule("localnet-guard-input", 0)) ==
        head + "10" + loopback +
            "ct 1: 00000001, 2: 00000001\n"
            "cmp 1: 00000001, 2: 00000000, 3: '05000100 00000000\n"
            "ct 1: 00000001, 2: 00000002\n"
            "bitwise 1: 00000001, 2: 00000001, 3: 00000004, 4: '08000100 "_native +
            hex(memory_of(0x20)) +
            ", 5: '08000100 00000000\n"
            "cmp 1: 00000001, 2: 00000000, 3: '08000100 00000000\n"_native +
            drop);
}

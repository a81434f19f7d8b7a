// nft/encode: a transaction's bytes, taken apart again.
#include "nft/encode.hpp"

#include <doctest/doctest.h>

#include <string>

#include "nft/userdata.hpp"
#include "tests/support/example.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

constexpr std::uint8_t kInet = 1;  // NFPROTO_INET
constexpr Suffix kAny4{Family::ipv4, AddressScope::any};

Transaction transaction_of(Operation operation) {
  Transaction transaction;
  transaction.operations.push_back(std::move(operation));
  return transaction;
}

Elements claims(ElementVerb verb, std::size_t count, const std::string& userdata = {}) {
  Elements elements{verb, claim_spec(kAny4), userdata, {}};
  for (std::size_t i = 0; i < count; ++i)
    elements.elements.push_back(
        {claim_key(published("0.0.0.0", Protocol::tcp, static_cast<int>(i + 1)))});
  return elements;
}

std::string operations_of(const Batch& batch) {
  std::string text;
  for (const std::size_t operation : batch.operations) text += std::to_string(operation) + " ";
  return text;
}

// All attributes of the message that is alone in the batch.
std::string only_message(const Operation& operation) {
  const Batch batch = encode(transaction_of(operation));
  const auto requests = requests_in(batch.messages.bytes());
  REQUIRE(requests.size() == 3);
  return requests[1].name() + requests[1].flags() + " " + dump(requests[1].attributes());
}

const std::string kTableHex = hex(std::string_view("nft-port-mapper\0", 16));

}  // namespace

TEST_CASE("the batch of ruleset.nft's example: types, flags, sequence numbers") {
  const Batch batch = encode(insertion(example_plan()));
  CHECK(summaries(requests_in(batch.messages.bytes())) ==
        "BEGIN #1\n"
        "NEWSETELEM create exclusive #2\n"
        "NEWSETELEM create exclusive #3\n"
        "NEWSETELEM create exclusive #4\n"
        "NEWSETELEM create exclusive #5\n"
        "NEWSETELEM create exclusive #6\n"
        "NEWSETELEM create exclusive #7\n"
        "NEWSETELEM create exclusive #8\n"
        "NEWSETELEM create #9\nNEWSETELEM create ack #10\nEND #11\n");
  CHECK(operations_of(batch) == "0 0 1 2 3 4 5 6 7 8 ");
}

TEST_CASE("the batch that builds the skeleton") {
  const Batch batch = encode(build_tables({"c", {"a", "b"}}, std::vector<std::string>{"c"},
                                          std::vector<std::string>{"output"}));
  CHECK(
      summaries(requests_in(batch.messages.bytes())) ==
      // The table, the skeleton's sets and the network's maps.
      "BEGIN #1\nNEWTABLE create #2\n"
      "NEWSET create #3\nNEWSET create #4\nNEWSET create #5\nNEWSET create #6\n"
      "NEWSET create #7\nNEWSET create #8\nNEWSET create #9\nNEWSET create #10\n"
      "NEWSET create #11\nNEWSET create #12\nNEWSET create #13\n"
      "NEWSET create #14\nNEWSET create #15\nNEWSET create #16\nNEWSET create #17\nNEWSET create "
      "#18\nNEWSET create #19\nNEWSET create #20\n"
      // What goes first, behind the jumps.
      "NEWCHAIN create #21\nDELRULE #22\nDELRULE #23\nDELCHAIN #24\n"
      // c, networks
      "NEWCHAIN create #25\nDELRULE #26\n"
      "NEWSET create #27\nNEWSETELEM create #28\nNEWRULE create append #29\n"
      "NEWRULE create append #30\nNEWRULE create append #31\n"
      "NEWRULE create append #32\nNEWRULE create append #33\n"
      "NEWCHAIN create #34\nDELRULE #35\nNEWRULE create append #36\n"
      // any-address, prerouting, output with the set of the resolver's addresses, postrouting, guards
      "NEWCHAIN create #37\nDELRULE #38\nNEWRULE create append #39\nNEWRULE create append #40\n"
      "NEWCHAIN create #41\nDELRULE #42\nNEWRULE create append #43\n"
      "NEWRULE create append #44\nNEWRULE create append #45\nNEWRULE create append #46\n"
      "NEWRULE create append #47\nNEWRULE create append #48\n"
      "NEWCHAIN create #49\nDELRULE #50\nNEWRULE create append #51\n"
      "NEWRULE create append #52\nNEWRULE create append #53\nNEWRULE create append #54\n"
      "NEWRULE create append #55\n"
      "NEWSET create #56\nNEWSETELEM create #57\nNEWRULE create append #58\n"
      "NEWRULE create append #59\nNEWRULE create append #60\nNEWRULE create append #61\n"
      "NEWCHAIN create #62\nDELRULE #63\nNEWRULE create append #64\nNEWRULE create append #65\n"
      "NEWCHAIN create #66\nDELRULE #67\nNEWRULE create append #68\nNEWRULE create append #69\n"
      "NEWCHAIN create #70\nDELRULE #71\nNEWRULE create append ack #72\nEND #73\n");
  // The three messages of the rule with a set are one operation.
  CHECK(batch.operations[26] == batch.operations[28]);
  CHECK(batch.operations[25] + 1 == batch.operations[26]);
}

TEST_CASE("a batch begins and ends for nf_tables, everything between is of family inet") {
  const Batch batch = encode(insertion(example_plan()));
  const auto requests = requests_in(batch.messages.bytes());
  for (const Request* end : {&requests.front(), &requests.back()}) {
    CHECK(end->generic().nfgen_family == 0);
    CHECK(end->generic().version == NFNETLINK_V0);
    CHECK(be16toh(end->generic().res_id) == NFNL_SUBSYS_NFTABLES);
    CHECK(dump(end->attributes()) == "");
  }
  for (std::size_t i = 1; i + 1 < requests.size(); ++i) {
    CHECK(requests[i].generic().nfgen_family == kInet);
    CHECK(requests[i].is_nft());
    CHECK(hex(attribute_of(requests[i].attributes(), NFTA_SET_ELEM_LIST_TABLE).payload) ==
          kTableHex);
  }
}

TEST_CASE("the generation is in the batch's beginning, big-endian, where there is one") {
  Transaction transaction = insertion(example_plan());
  transaction.generation = 0x01020304;
  const Batch batch = encode(transaction);
  CHECK(dump(requests_in(batch.messages.bytes()).front().attributes()) == "1: 01020304");
  transaction.generation = 0;
  const Batch zero = encode(transaction);
  CHECK(dump(requests_in(zero.messages.bytes()).front().attributes()) == "1: 00000000");
}

TEST_CASE("removing needs the element to be there, adding does not mind") {
  CHECK(only_message(claims(ElementVerb::remove, 1)).starts_with("DELSETELEM ack "));
  CHECK(only_message(claims(ElementVerb::add, 1)).starts_with("NEWSETELEM create ack "));
  CHECK(
      only_message(claims(ElementVerb::create, 1)).starts_with("NEWSETELEM create exclusive ack "));
}

TEST_CASE("the bytes of a claim: key and userdata") {
  const Batch batch = encode(transaction_of(claims(ElementVerb::create, 1, "ab")));
  const auto attributes = requests_in(batch.messages.bytes())[1].attributes();
  CHECK(attribute_of(attributes, NFTA_SET_ELEM_LIST_SET).text() == "published-ip");
  const auto list = attribute_of(attributes, NFTA_SET_ELEM_LIST_ELEMENTS);
  // element { key { value { 06 ... } }, userdata { 61 62 } }; 80 marks nests
  CHECK(hex(list.payload) ==
        "'1c000180 '10000180 '0c000100 06000000 00010000 '06000600 61620000"_native);
}

TEST_CASE("the bytes of a target: key, data, userdata") {
  const Key key = claim_key(published("0.0.0.0", Protocol::tcp, 8080));
  const Elements target{ElementVerb::create,
                        target_spec("c", kAny4),
                        "abcd",
                        {{key, {}, target_data(endpoint("10.22.0.2", 80))}}};
  const Batch batch = encode(transaction_of(target));
  const auto attributes = requests_in(batch.messages.bytes())[1].attributes();
  CHECK(attribute_of(attributes, NFTA_SET_ELEM_LIST_SET).text() == "c-ip");
  CHECK(hex(attribute_of(attributes, NFTA_SET_ELEM_LIST_ELEMENTS).payload) ==
        "'2c000180 '10000180 '0c000100 06000000 1f900000 '10000280 '0c000100 0a160002 00500000 "
        "'08000600 61626364"_native);
}

TEST_CASE("the bytes of a hairpin: key and end of key") {
  const IpPrefix subnet = prefix("10.22.0.0/16");
  const Elements hairpin{ElementVerb::add,
                         hairpin_spec(Family::ipv4),
                         {},
                         {{hairpin_key(subnet, subnet), hairpin_key_end(subnet, subnet)}}};
  const std::string bytes =
      "'24000180 '10000180 '0c000100 0a160000 0a160000 '10000a80 '0c000100 0a16ffff 0a16ffff"_native;
  CHECK(only_message(hairpin) == "NEWSETELEM create ack 1: " + kTableHex + ", 2: " +
                                     hex(std::string_view("hairpin-ip\0", 11)) + ", 3: " + bytes);
}

TEST_CASE("removal sends keys alone: neither data nor userdata") {
  const Key key = claim_key(published("0.0.0.0", Protocol::tcp, 8080));
  const Elements target{ElementVerb::remove,
                        target_spec("c", kAny4),
                        "abcd",
                        {{key, {}, target_data(endpoint("10.22.0.2", 80))}}};
  const Batch batch = encode(transaction_of(target));
  CHECK(hex(attribute_of(requests_in(batch.messages.bytes())[1].attributes(),
                         NFTA_SET_ELEM_LIST_ELEMENTS)
                .payload) == "'14000180 '10000180 '0c000100 06000000 1f900000"_native);
}

TEST_CASE("flushing names no element and no rule, deleting the object alone") {
  CHECK(only_message(FlushSet{"s"}) == "DELSETELEM ack 1: " + kTableHex + ", 2: 7300");
  CHECK(only_message(DeleteSet{"s"}) == "DELSET ack 1: " + kTableHex + ", 2: 7300");
  CHECK(only_message(DeleteChain{"c"}) == "DELCHAIN ack 1: " + kTableHex + ", 3: 6300");
  CHECK(only_message(FlushChain{"c"}) == "DELRULE ack 1: " + kTableHex + ", 2: 6300");
}

TEST_CASE("the table: awake, with its comment for nft to list") {
  const std::string comment = encode_comment("published container ports");
  CHECK(only_message(AddTable{}) ==
        "NEWTABLE create ack 1: " + kTableHex + ", 2: 00000000, 6: " + hex(comment));
}

TEST_CASE("65,535 ports are split into messages below 64 KiB, and none is lost") {
  const std::string userdata(180, 'u');
  for (const ElementVerb verb : {ElementVerb::create, ElementVerb::remove}) {
    const Batch batch = encode(transaction_of(claims(verb, 65535, userdata)));
    const auto requests = requests_in(batch.messages.bytes());
    std::size_t count = 0;
    std::string keys;
    for (std::size_t i = 1; i + 1 < requests.size(); ++i) {
      const auto list = attribute_of(requests[i].attributes(), NFTA_SET_ELEM_LIST_ELEMENTS);
      CHECK(list.payload.size() <= 60000);
      count += element_count(requests[i]);
      for (const Attribute& element : Attributes(list.payload)) {
        const auto key = attribute_of(Attributes(element.payload), NFTA_SET_ELEM_KEY);
        const auto value = attribute_of(Attributes(key.payload), NFTA_DATA_VALUE).payload;
        keys.append(value.begin() + 4, value.begin() + 6);
      }
      CHECK(requests[i].header->nlmsg_seq == i + 1);
      CHECK(((requests[i].header->nlmsg_flags & NLM_F_ACK) != 0) == (i + 2 == requests.size()));
    }
    CHECK(count == 65535);
    std::string expected;
    for (unsigned i = 1; i <= 65535; ++i) {
      expected += static_cast<char>(i >> 8);
      expected += static_cast<char>(i & 0xff);
    }
    CHECK((keys == expected));
    CHECK(batch.operations.size() == requests.size() - 1);
    CHECK(batch.operations.back() == 0);
  }
}

TEST_CASE("an operation behind one that was split is still found by its sequence number") {
  Transaction transaction =
      transaction_of(claims(ElementVerb::create, 2000, std::string(180, 'u')));
  transaction.operations.emplace_back(FlushSet{"s"});
  const Batch batch = encode(transaction);
  const auto requests = requests_in(batch.messages.bytes());
  REQUIRE(requests.size() > 5);
  CHECK(requests[requests.size() - 2].name() == "DELSETELEM");
  CHECK(batch.operations[requests.size() - 2] == 1);
  CHECK(batch.operations[requests.size() - 3] == 0);
}

TEST_CASE("the same transaction has the same bytes, padding included") {
  const Transaction transaction =
      build_tables({"c", {"a", "b"}}, std::vector<std::string>{"c"}, {});
  const Batch first = encode(transaction);
  const Batch second = encode(transaction);
  CHECK((hex(first.messages.bytes()) == hex(second.messages.bytes())));
}

// nft/transaction: plans and installed ports in, the whole printed batch out.
#include "nft/transaction.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "nft/hairpin_tag.hpp"
#include "nft/userdata.hpp"
#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

// "create published-ip { tcp . 8080 ... }": the printed lines without the words all have.
std::string brief(const Transaction& transaction) {
  const std::string words = " element inet nft-port-mapper ";
  std::string text = to_string(transaction);
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words))
    text.replace(at, words.size(), " ");
  return text;
}

Elements elements_of(const Transaction& transaction, const std::string& set) {
  for (const Operation& operation : transaction.operations)
    if (const auto* elements = std::get_if<Elements>(&operation))
      if (elements->set.name == set) return *elements;
  FAIL("no elements of " << set);
  return {};
}

ElementData userdata_of(const Transaction& transaction, const std::string& set) {
  const std::string bytes = elements_of(transaction, set).userdata;
  return parse_element_data({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

// "published-ip 06000000..." of every element with that verb, sorted.
std::vector<std::string> keys_with(const Transaction& transaction, ElementVerb verb) {
  std::vector<std::string> keys;
  for (const Operation& operation : transaction.operations) {
    const auto* elements = std::get_if<Elements>(&operation);
    if (elements == nullptr || elements->verb != verb) continue;
    for (const Element& element : elements->elements) {
      const auto bytes = element.key.bytes();
      const auto end = element.key_end.bytes();
      keys.push_back(elements->set.name + " " + std::string(bytes.begin(), bytes.end()) +
                     std::string(end.begin(), end.end()));
    }
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace

TEST_CASE("the insertion of ruleset.nft's example") {
  CHECK(
      to_string(insertion(example_plan())) ==
      R"(create element inet nft-port-mapper published-ip { tcp . 8080 comment "container_id: abc" }
create element inet nft-port-mapper published-hostip { 192.0.2.1 . udp . 5353 comment "container_id: abc" }
create element inet nft-port-mapper published-ip6 { tcp . 8080 comment "container_id: abc" }
create element inet nft-port-mapper MESOS-WEB-ip { tcp . 8080 comment "container_id: abc" : 10.22.0.2 . 80 }
create element inet nft-port-mapper MESOS-WEB-hostip { 192.0.2.1 . udp . 5353 comment "container_id: abc" : 10.22.0.2 . 53 }
create element inet nft-port-mapper MESOS-WEB-ip6 { tcp . 8080 comment "container_id: abc" : fd00::2 . 80 }
create element inet nft-port-mapper owners { "kjuc1tc0rsd2rf4" . 0x00000000 comment "web/abc/eth0" : ::ffff:0.0.0.0 . tcp . 8080 }
create element inet nft-port-mapper owners { "kjuc1tc0rsd2rf4" . 0x00000001 comment "web/abc/eth0" : ::ffff:192.0.2.1 . udp . 5353 }
create element inet nft-port-mapper owners { "kjuc1tc0rsd2rf4" . 0x00000002 comment "web/abc/eth0" : :: . tcp . 8080 }
add element inet nft-port-mapper hairpin-ip { 10.22.0.0/16 . 10.22.0.0/16 }
add element inet nft-port-mapper hairpin-ip { 127.0.0.0/8 . 10.22.0.0/16 }
add element inet nft-port-mapper hairpin-ip6 { fd00::/64 . fd00::/64 }
add element inet nft-port-mapper hairpin-ip6 { ::1 . fd00::/64 }
)");
}

TEST_CASE("claims name their owner, owner entries their network's chain and namespace") {
  Plan plan = example_plan();
  plan.netns = {.path = "/run/netns/web", .device = 4, .inode = 7, .id = 9};
  const Transaction transaction = insertion(plan);
  const OwnerHash owner = owner_hash(plan.attachment);
  for (const char* set : {"published-ip", "published-hostip", "published-ip6"})
    CHECK(userdata_of(transaction, set) ==
          ElementData{.comment = "container_id: abc", .owner = owner});
  for (const char* set : {"MESOS-WEB-ip", "MESOS-WEB-hostip", "MESOS-WEB-ip6"})
    CHECK(userdata_of(transaction, set) == ElementData{.comment = "container_id: abc"});
  CHECK(userdata_of(transaction, "owners") ==
        ElementData{.comment = "web/abc/eth0",
                    .netns = plan.netns,
                    .chain = "MESOS-WEB",
                    .wish = HairpinWish{1 | 2 | 1 << 3 | 2 << 3, 16, 64},
                    .count = 3});
  CHECK(elements_of(transaction, "hairpin-ip").userdata.empty());
}

TEST_CASE("an owner entry whose comment may be cut keeps its network's hash, and fits") {
  PlanInput input = example_input();
  input.netns = {.path = "/run/netns/web", .device = 4, .inode = 7, .id = 9};
  const auto owner_of = [&input](std::size_t id_length) {
    input.attachment.container_id = std::string(id_length, 'x');
    return userdata_of(insertion(make_plan(input)), "owners");
  };
  CHECK(owner_of(90 - 9).comment == "web/" + std::string(81, 'x') + "/eth0");
  CHECK_FALSE(owner_of(90 - 9).network);
  CHECK_FALSE(owner_of(90 - 9).container);
  CHECK(owner_of(91 - 9).network == network_hash("web"));
  CHECK(owner_of(91 - 9).container == container_hash(std::string(82, 'x')));
  // A long network name, the chain derived from it and the ID of a real container.
  input.attachment.network = std::string(90, 'n');
  input.chain.name = derived_chain(input.attachment.network);
  const ElementData owner = owner_of(64);
  CHECK(elements_of(insertion(make_plan(input)), "owners").userdata.size() <= 254);
  CHECK(owner.network == network_hash(input.attachment.network));
  CHECK(owner.chain == input.chain.name);
  CHECK(owner.netns.inode == 7);
  CHECK(owner.comment.ends_with("..."));
}

TEST_CASE(
    "an owner entry that has everything tells its attachment by comment or hash, at the limit") {
  PlanInput input = example_input();
  input.netns = {.path = "/n", .device = 4, .inode = 7, .cookie = 9, .observer = {1, 2}};
  input.chain.name = std::string(100, 'c');
  input.addresses = {prefix("10.22.0.2/32"), prefix("fd00::2/128")};
  const auto owner_of = [&input](std::size_t length) {
    input.attachment.container_id = std::string(length - 9, 'x');
    Plan plan = make_plan(input);
    plan.is_restored = true;
    const Transaction transaction = insertion(plan);
    CHECK(elements_of(transaction, "owners").userdata.size() <= 254);
    return userdata_of(transaction, "owners");
  };
  // 254 - 3 - namespace 26, cookie 10, observer 18, chain 102, hairpin 3, wish 5, count 10, restored 2
  REQUIRE(owner_of(75).hairpin != 0);
  CHECK(owner_of(75).comment == "web/" + std::string(66, 'x') + "/eth0");
  CHECK(owner_of(75).netns.cookie == 9);
  CHECK_FALSE(owner_of(75).container);
  // Two hashes of 17 bytes more.
  CHECK(owner_of(76).comment == "web/" + std::string(34, 'x') + "...");
  CHECK(owner_of(76).container == container_hash(std::string(67, 'x')));
  CHECK(owner_of(76).network == network_hash("web"));
  CHECK(owner_of(76).netns.cookie == 9);
  Attachment attachment;
  CHECK_FALSE(parse_attachment_comment(owner_of(76).comment, attachment));
}

TEST_CASE("a comment that looks like a shortened one has its hashes") {
  PlanInput input = example_input();
  input.attachment = {"web", std::string(30, 'x'), "eth..."};  // 41 bytes
  CHECK(userdata_of(insertion(make_plan(input)), "owners").network == network_hash("web"));
  input.attachment.container_id.pop_back();
  CHECK_FALSE(userdata_of(insertion(make_plan(input)), "owners").network);
}

TEST_CASE("owner entries of a single address carry its hairpin tag") {
  PlanInput input = example_input();
  input.addresses = {prefix("10.22.0.2/32"), prefix("fd00::2/128")};
  const Plan plan = make_plan(std::move(input));
  CHECK(userdata_of(insertion(plan), "owners").hairpin == hairpin_tag(plan.hairpins));
  CHECK(hairpin_tag(plan.hairpins) != 0);
}

TEST_CASE("the removal of ruleset.nft's example leaves the subnet's hairpins to its neighbours") {
  CHECK(to_string(removal(example_holding())) ==
        R"(delete element inet nft-port-mapper owners { "kjuc1tc0rsd2rf4" . 0x00000000 }
delete element inet nft-port-mapper owners { "kjuc1tc0rsd2rf4" . 0x00000001 }
delete element inet nft-port-mapper owners { "kjuc1tc0rsd2rf4" . 0x00000002 }
delete element inet nft-port-mapper published-ip { tcp . 8080 }
delete element inet nft-port-mapper MESOS-WEB-ip { tcp . 8080 }
delete element inet nft-port-mapper published-hostip { 192.0.2.1 . udp . 5353 }
delete element inet nft-port-mapper MESOS-WEB-hostip { 192.0.2.1 . udp . 5353 }
delete element inet nft-port-mapper published-ip6 { tcp . 8080 }
delete element inet nft-port-mapper MESOS-WEB-ip6 { tcp . 8080 }
)");
}

TEST_CASE("removal takes only what is there and this owner's") {
  InstalledPorts installed = example_holding();
  installed.ports[0].claimed = false;          // another's claim
  installed.ports[1].endpoint = std::nullopt;  // its target was removed by hand
  installed.ports[2].index = std::nullopt;     // a claim that no owner entry stands for
  installed.ports[2].endpoint = std::nullopt;
  CHECK(brief(removal(installed)) ==
        "delete owners { \"kjuc1tc0rsd2rf4\" . 0x00000000 }\n"
        "delete owners { \"kjuc1tc0rsd2rf4\" . 0x00000001 }\n"
        "delete MESOS-WEB-ip { tcp . 8080 }\n"
        "delete published-hostip { 192.0.2.1 . udp . 5353 }\n"
        "delete published-ip6 { tcp . 8080 }\n");
  CHECK(to_string(removal(InstalledPorts{})) == "");
}

TEST_CASE("hairpins that are the attachment's own go with it, even if an operator was quicker") {
  InstalledPorts installed = example_holding();
  installed.ports.erase(installed.ports.begin() + 1, installed.ports.end());
  installed.hairpins = {{prefix("10.22.0.2/32"), prefix("10.22.0.2/32")},
                        {prefix("127.0.0.0/8"), prefix("10.22.0.2/32")}};
  CHECK(brief(removal(installed)) ==
        "add hairpin-ip { 10.22.0.2 . 10.22.0.2 }\n"
        "add hairpin-ip { 127.0.0.0/8 . 10.22.0.2 }\n"
        "delete owners { \"kjuc1tc0rsd2rf4\" . 0x00000000 }\n"
        "delete published-ip { tcp . 8080 }\n"
        "delete MESOS-WEB-ip { tcp . 8080 }\n"
        "delete hairpin-ip { 10.22.0.2 . 10.22.0.2 }\n"
        "delete hairpin-ip { 127.0.0.0/8 . 10.22.0.2 }\n");
}

TEST_CASE("removal mirrors insertion: every element that was created, no other") {
  for (const char* container : {"10.22.0.2/16", "10.22.0.2/32"}) {
    PlanInput input = example_input();
    input.addresses[0] = prefix(container);
    input.addresses[1] = prefix("fd00::2/128");
    const Plan plan = make_plan(std::move(input));
    InstalledPorts installed = example_holding();
    installed.hairpins = hairpins_of_tag(hairpin_tag(plan.hairpins),
                                         std::vector{address("10.22.0.2"), address("fd00::2")});
    const Transaction inserted = insertion(plan);
    std::vector<std::string> expected = keys_with(inserted, ElementVerb::create);
    // Of the hairpins, those of a single address; a subnet's stay.
    for (const std::string& key : keys_with(inserted, ElementVerb::add))
      if (key.starts_with("hairpin-ip6 ") || std::string(container).ends_with("/32"))
        expected.push_back(key);
    std::sort(expected.begin(), expected.end());
    CHECK(keys_with(removal(installed), ElementVerb::remove) == expected);
  }
}

TEST_CASE("hairpins that are replaced are removed by family") {
  CHECK(to_string(removal(std::vector<Hairpin>{})) == "");
  CHECK(brief(removal(std::vector<Hairpin>{{prefix("10.22.0.0/16"), prefix("10.22.0.0/16")},
                                           {prefix("::/0"), prefix("fd00::/64")},
                                           {prefix("127.0.0.0/8"), prefix("10.22.0.0/16")}})) ==
        "delete hairpin-ip { 10.22.0.0/16 . 10.22.0.0/16 }\n"
        "delete hairpin-ip { 127.0.0.0/8 . 10.22.0.0/16 }\n"
        "delete hairpin-ip6 { ::/0 . fd00::/64 }\n");
}

TEST_CASE("ports and hairpins of many plans can be inserted apart") {
  const Plan plan = example_plan();
  Transaction apart = insertion_of_ports(plan);
  CHECK(to_string(apart).find("hairpin") == std::string::npos);
  apart.append(addition(plan.hairpins));
  CHECK(to_string(apart) == to_string(insertion(plan)));
  CHECK(brief(addition(plan.hairpins)) ==
        "add hairpin-ip { 10.22.0.0/16 . 10.22.0.0/16 }\n"
        "add hairpin-ip { 127.0.0.0/8 . 10.22.0.0/16 }\n"
        "add hairpin-ip6 { fd00::/64 . fd00::/64 }\n"
        "add hairpin-ip6 { ::1 . fd00::/64 }\n");
}

TEST_CASE("removing the hairpins of all subnets empties both sets") {
  CHECK(to_string(hairpins_removal()) ==
        "flush set inet nft-port-mapper hairpin-ip\n"
        "flush set inet nft-port-mapper hairpin-ip6\n");
}

TEST_CASE("append keeps the order and the generation") {
  Transaction transaction = hairpins_removal();
  transaction.generation = 7;
  Transaction other;
  other.generation = 8;
  other.operations.emplace_back(FlushChain{"networks"});
  transaction.append(std::move(other));
  CHECK(brief(transaction) ==
        "flush set inet nft-port-mapper hairpin-ip\n"
        "flush set inet nft-port-mapper hairpin-ip6\n"
        "flush chain inet nft-port-mapper networks\n");
  CHECK(transaction.generation == 7);
}

// nft/read/reader: installed ports, claims and targets from crafted replies, good and hostile.
#include "nft/read/reader.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "nft/hairpin_tag.hpp"
#include "nft/key.hpp"
#include "nft/userdata.hpp"
#include "tests/support/example.hpp"
#include "tests/support/fake_table.hpp"
#include "tests/support/replies.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

const OwnerHash kOwner = owner_hash({"web", "abc", "eth0"});
const OwnerHash kOther = owner_hash({"web", "other", "eth0"});
const std::string kNotPermitted =
    "cannot read: table inet nft-port-mapper: Operation not permitted";

Buffer copy(const Key& key) {
  return {key.bytes().begin(), key.bytes().end()};
}

FakeElement owner_entry(std::uint32_t index, const PublishedPort& port,
                        const std::string& userdata = {}) {
  return {copy(owner_key(kOwner, index)), copy(owner_data(port)), userdata};
}

FakeElement claim_of(const PublishedPort& port, const std::optional<OwnerHash>& owner) {
  return {copy(claim_key(port)), {}, encode(ElementData{.comment = "c", .owner = owner})};
}

FakeElement target_of(const PublishedPort& port, const Endpoint& endpoint) {
  return {copy(claim_key(port)), copy(target_data(endpoint)), encode_comment("container_id: abc"),
          7};
}

// "chain comment path tag", then a line for each port and hairpin.
std::string text_of(const InstalledPorts& installed) {
  std::string text = installed.chain + " " + installed.comment + " " + installed.netns.path + " " +
                     std::to_string(installed.hairpin) + "\n";
  for (const InstalledPort& port : installed.ports)
    text += (port.index ? std::to_string(*port.index) : "-") + " " + to_string(port.published) +
            (port.claimed ? " claimed " : " unclaimed ") +
            (port.endpoint ? to_string(*port.endpoint) : "-") + "\n";
  for (const Hairpin& hairpin : installed.hairpins)
    text += hairpin.source.to_string() + " . " + hairpin.destination.to_string() + "\n";
  return text;
}

std::string read(FakeTransport& kernel) {
  const Result<InstalledPortsAt> held = read_installed_ports(kernel, kOwner, "hostports");
  if (!held) return held.error().message();
  CHECK(held->generation == 7);
  CHECK(held->installed.owner == kOwner);
  return text_of(held->installed);
}

const PublishedPort kTcp = published("0.0.0.0", Protocol::tcp, 8080);
const PublishedPort kUdp = published("192.0.2.1", Protocol::udp, 5353);
const Endpoint kEndpoint = endpoint("10.22.0.2", 80);

// Two ports of one owner, with claims and targets.
FakeTable two_ports(const ElementData& data) {
  FakeTable table;
  const std::string userdata = encode(data);
  const std::string chain = data.chain.empty() ? "hostports" : data.chain;
  table.elements["owners"] = {owner_entry(0, kTcp, userdata), owner_entry(1, kUdp, userdata)};
  table.elements["published-ip"] = {claim_of(kTcp, kOwner)};
  table.elements["published-hostip"] = {claim_of(kUdp, kOwner)};
  table.elements[chain + "-ip"] = {target_of(kTcp, kEndpoint)};
  table.elements[chain + "-hostip"] = {target_of(kUdp, endpoint("10.22.0.2", 53))};
  return table;
}

std::string read(const FakeTable& table) {
  FakeTransport kernel = table.transport();
  return read(kernel);
}

// So many ports, in one set, all claimed and none with a target.
FakeTable many_ports(std::uint32_t count, const ElementData& data) {
  FakeTable table;
  const std::string userdata = encode(data);
  for (std::uint32_t i = 0; i < count; ++i) {
    const PublishedPort port = published("::", Protocol::tcp, static_cast<int>(i + 1));
    table.elements["owners"].push_back(owner_entry(i, port, userdata));
    table.elements["published-ip6"].push_back(claim_of(port, kOwner));
  }
  return table;
}

std::string keyed(const std::string& message, const std::string& set, const Key& key) {
  return message + " " + set + " " + hex(key.bytes()) + "\n";
}

// Each message of one exchange: "GETSETELEM #2 owners 6b6a...", the set and the one key asked for.
std::string asked(const FakeTransport& kernel, std::size_t exchange) {
  std::string text;
  for (const Request& request : requests_in(kernel.requests.at(exchange))) {
    if (request.name() != "GETSETELEM") {
      text += request.summary() + "\n";
      continue;
    }
    if ((request.header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) {
      text += request.summary() + " " +
              std::string(attribute_of(request.attributes(), NFTA_SET_ELEM_LIST_SET).text()) + "\n";
      continue;
    }
    CHECK(element_count(request) == 1);
    const auto list = attribute_of(request.attributes(), NFTA_SET_ELEM_LIST_ELEMENTS);
    const auto element = attribute_of(Attributes(list.payload), NFTA_LIST_ELEM);
    const auto key = attribute_of(Attributes(element.payload), NFTA_SET_ELEM_KEY);
    const auto value = attribute_of(Attributes(key.payload), NFTA_DATA_VALUE);
    const auto set = attribute_of(request.attributes(), NFTA_SET_ELEM_LIST_SET);
    text += request.summary() + " " + std::string(set.text()) + " " + hex(value.payload) + "\n";
  }
  return text;
}

// What asks for owner entries: `count` messages, one key each, from that index on; at the beginning
// for the generation too, and for the table of the masqueraded, and at last who stands by.
std::string asking_owners(std::uint32_t index, std::uint32_t count) {
  std::string text;
  if (index == 0)
    text = "GETGEN #1\n" + keyed("GETSETELEM #2", "localnet-users", device_user_key(kOwner)) +
           "GETTABLE #3\n";
  for (std::uint32_t i = 0; i < count; ++i)
    text += keyed("GETSETELEM #" + std::to_string(i + (index == 0 ? 4 : 1)), "owners",
                  owner_key(kOwner, index + i));
  if (index == 0) text += "GETSETELEM dump #" + std::to_string(count + 4) + " standby\n";
  return text;
}

// What asks for kTcp of any address and kUdp of one, in claim sets or target maps.
std::string asking_two_ports(const std::string& prefix) {
  return keyed("GETSETELEM #1", prefix + "-ip", claim_key(kTcp)) +
         keyed("GETSETELEM #2", prefix + "-hostip", claim_key(kUdp));
}

std::string indexes_read(const FakeTable& table) {
  FakeTransport kernel = table.transport();
  const Result<InstalledPortsAt> held = read_installed_ports(kernel, kOwner, "hostports");
  REQUIRE(held);
  std::string text;
  std::string lost;
  std::uint32_t first = 0;
  std::uint32_t next = 0;
  const auto close = [&] {
    if (next != first) text += std::to_string(first) + "-" + std::to_string(next - 1) + " ";
  };
  for (const InstalledPort& port : held->installed.ports) {
    CHECK(port.claimed);
    if (!port.index) {
      lost += "lost " + std::to_string(port.published.port.value() - 1) + " ";
      continue;
    }
    CHECK(port.published.port.value() == *port.index + 1);
    if (*port.index != next) {
      close();
      first = *port.index;
    }
    next = *port.index + 1;
  }
  close();
  return text + lost;
}

}  // namespace

TEST_CASE("nothing held: one exchange, no error") {
  for (const bool has_table : {false, true}) {
    FakeTable table;
    if (has_table) table.elements["owners"] = {};
    FakeTransport kernel = table.transport();
    CHECK(read(kernel) == "hostports   0\n");
    REQUIRE(kernel.requests.size() == 1);
    CHECK(asked(kernel, 0) == asking_owners(0, 4));
  }
}

TEST_CASE("installed ports that tell their number take three exchanges: entries, claims, targets") {
  FakeTransport kernel =
      two_ports({.chain = "MESOS-WEB", .wish = HairpinWish{}, .count = 2}).transport();
  REQUIRE(read_installed_ports(kernel, kOwner, "hostports"));
  REQUIRE(kernel.requests.size() == 3);
  CHECK(asked(kernel, 0) == asking_owners(0, 4));
  CHECK(asked(kernel, 1) == asking_two_ports("published"));
  CHECK(asked(kernel, 2) == asking_two_ports("MESOS-WEB"));
}

TEST_CASE("installed ports that do not tell their number: asked on until an exchange finds none") {
  FakeTransport kernel = two_ports({}).transport();
  REQUIRE(read_installed_ports(kernel, kOwner, "hostports"));
  REQUIRE(kernel.requests.size() == 5);
  CHECK(asked(kernel, 0) == asking_owners(0, 4));
  CHECK(asked(kernel, 1) == asking_owners(4, 128));
  CHECK(asked(kernel, 2) == asking_two_ports("published"));
  CHECK(asked(kernel, 3) == asking_two_ports("hostports"));
}

TEST_CASE("many ports: 4 keys, then 128 at a time, and none beyond the number that is told") {
  for (const std::uint32_t told : {0U, 133U}) {
    FakeTransport kernel = many_ports(133, {.chain = "hostports", .count = told}).transport();
    REQUIRE(read_installed_ports(kernel, kOwner, "hostports"));
    REQUIRE(kernel.requests.size() == (told == 0 ? 9 : 8));  // claims and targets take two each
    CHECK(asked(kernel, 0) == asking_owners(0, 4));
    CHECK(asked(kernel, 1) == asking_owners(4, 128));
    CHECK(asked(kernel, 2) == asking_owners(132, told == 0 ? 128 : 1));
    if (told == 0) CHECK(asked(kernel, 3) == asking_owners(260, 128));
  }
}

TEST_CASE("a number of ports that cannot be, in userdata that anybody wrote, is not believed") {
  FakeTransport kernel = two_ports({.count = 0xffffffff}).transport();
  REQUIRE(read_installed_ports(kernel, kOwner, "hostports"));
  REQUIRE(kernel.requests.size() == 5);
  CHECK(asked(kernel, 1) == asking_owners(4, 128));
}

TEST_CASE(
    "installed ports: owner entries, their claims, and their targets in the chain they name") {
  CHECK(read(two_ports({.comment = "web/abc/eth0",
                        .netns = {"/run/netns/web", 4, 5, 6},
                        .chain = "MESOS-WEB",
                        .count = 2})) ==
        "MESOS-WEB web/abc/eth0 /run/netns/web 0\n"
        "0 0.0.0.0:8080/tcp claimed 10.22.0.2:80\n"
        "1 192.0.2.1:5353/udp claimed 10.22.0.2:53\n");
}

TEST_CASE("a table that nft saved and loaded has lost our userdata, and reads all the same") {
  FakeTable table = two_ports({.comment = "web/abc/eth0"});
  table.elements["published-ip"] = {claim_of(kTcp, std::nullopt)};
  table.elements["published-hostip"] = {claim_of(kUdp, std::nullopt)};
  table.elements["hostports-hostip"] = {};
  CHECK(read(table) ==
        "hostports web/abc/eth0  0\n"
        "0 0.0.0.0:8080/tcp claimed 10.22.0.2:80\n"
        "1 192.0.2.1:5353/udp claimed -\n");
}

TEST_CASE("a table that nft saved and loaded does not tell the chain: it is where the ports are") {
  FakeTable table = two_ports({.comment = "web/abc/eth0"});
  std::swap(table.elements["hostports-ip"], table.elements["OTHER-ip"]);
  std::swap(table.elements["hostports-hostip"], table.elements["OTHER-hostip"]);
  for (const char* chain : {"hostports", "MAIL", "OTHER"}) {
    table.chains.push_back({.name = chain});
    for (SetSpec& set : network_sets(chain)) table.sets.push_back(std::move(set));
  }
  CHECK(read(table) ==
        "OTHER web/abc/eth0  0\n"
        "0 0.0.0.0:8080/tcp claimed 10.22.0.2:80\n"
        "1 192.0.2.1:5353/udp claimed 10.22.0.2:53\n");
  table.elements["published-ip"] = {};  // without a claim it may be anybody's
  CHECK(read(table) ==
        "OTHER web/abc/eth0  0\n"
        "0 0.0.0.0:8080/tcp unclaimed -\n"
        "1 192.0.2.1:5353/udp claimed 10.22.0.2:53\n");
}

// Without the count all of them were asked for by key: 120,000 answers for a DEL of 40,000 ports.
TEST_CASE("thousands of ports: whole sets are read as far as that pays, counted or not") {
  for (const bool counted : {true, false})
    for (const std::uint32_t others : {0U, 20000U}) {
      FakeTable table = many_ports(2000, {.chain = "hostports", .count = 2000});
      for (std::uint32_t i = 0; i < others; ++i)
        table.elements["published-ip6"].push_back(
            claim_of(published("::", Protocol::udp, static_cast<int>(i + 1)), kOther));
      table.sets = skeleton_sets();
      table.tells_counts = counted;
      FakeTransport kernel = table.transport();
      const Result<InstalledPortsAt> held = read_installed_ports(kernel, kOwner, "hostports");
      REQUIRE(held);
      CHECK(held->others_publish == false);
      CHECK(held->installed.ports.size() == 2000);
      CHECK(held->installed.count == 2000);
      std::uint32_t index = 0;
      for (const InstalledPort& port : held->installed.ports) {
        CHECK(port.index == index++);
        CHECK(port.published.port.value() == index);
        CHECK(port.claimed);
      }
      // The first entries; of owners and of targets their number and they; by which device ::1 reaches
      // them. Of claims the same, or key by key, where a dump has shown that they are too many.
      const std::size_t claims = others == 0 ? 2 : counted ? 1 + 16 : 2 + 16;
      CHECK(kernel.requests.size() == 1 + 2 + claims + 2 + 1);
    }
}

TEST_CASE("thousands of ports: whoever reads all owners has seen whether others publish") {
  for (const std::uint32_t others : {0U, 1U, 20000U}) {
    FakeTable table = many_ports(2000, {.chain = "hostports", .count = 2000});
    for (std::uint32_t i = 0; i < others; ++i)
      table.elements["owners"].push_back(
          {copy(owner_key(kOther, i)), copy(owner_data(published("::", Protocol::udp, 53)))});
    table.sets = skeleton_sets();
    FakeTransport kernel = table.transport();
    const Result<InstalledPortsAt> held = read_installed_ports(kernel, kOwner, "hostports");
    REQUIRE(held);
    CHECK(held->others_publish == (others > 0));
    CHECK(held->installed.ports.size() == 2000);
    CHECK(held->installed.ports.back().index == 1999);
  }
}

TEST_CASE("a late DEL does not remove the port's new owner: another's claim keeps its target") {
  FakeTable table = two_ports({});
  table.elements["published-ip"] = {claim_of(kTcp, kOther)};
  table.elements["published-hostip"] = {};  // removed by hand: what is left of the port goes
  CHECK(read(table) ==
        "hostports   0\n"
        "0 0.0.0.0:8080/tcp unclaimed -\n"
        "1 192.0.2.1:5353/udp unclaimed 10.22.0.2:53\n");
}

TEST_CASE("hairpins of a single address are told by tag and targets") {
  const std::vector<Hairpin> own = {{prefix("10.22.0.2/32"), prefix("10.22.0.2/32")},
                                    {prefix("127.0.0.0/8"), prefix("10.22.0.2/32")}};
  FakeTable table = two_ports({.hairpin = hairpin_tag(own)});
  table.elements["published-hostip"] = {claim_of(kUdp, kOther)};
  table.elements["hostports-hostip"] = {target_of(kUdp, endpoint("10.22.0.9", 53))};
  CHECK(read(table) ==
        "hostports   3\n"
        "0 0.0.0.0:8080/tcp claimed 10.22.0.2:80\n"
        "1 192.0.2.1:5353/udp unclaimed -\n"
        "10.22.0.2/32 . 10.22.0.2/32\n"
        "127.0.0.0/8 . 10.22.0.2/32\n");
}

TEST_CASE("every port is found, whatever their number, whether the entries tell it or not") {
  for (const std::uint32_t count : {1U, 3U, 4U, 5U, 8U, 131U, 132U, 133U, 300U}) {
    const std::string expected = "0-" + std::to_string(count - 1) + " ";
    CHECK(indexes_read(many_ports(count, {.count = count})) == expected);
    CHECK(indexes_read(many_ports(count, {})) == expected);
  }
}

TEST_CASE("an entry that an operator deleted does not hide those behind it, nor its own claim") {
  for (const std::uint32_t gone : {0U, 3U, 4U, 150U, 299U}) {
    FakeTable table = many_ports(300, {.count = 300});
    std::vector<FakeElement>& owners = table.elements["owners"];
    owners.erase(owners.begin() + gone);
    std::string expected = gone == 0 ? "" : "0-" + std::to_string(gone - 1) + " ";
    if (gone != 299) expected += std::to_string(gone + 1) + "-299 ";
    CHECK(indexes_read(table) == expected + "lost " + std::to_string(gone) + " ");
  }
}

TEST_CASE("entries of another layout, and messages that are no elements, are passed over") {
  FakeTransport kernel;
  Buffer short_key = copy(owner_key(kOwner, 0));
  short_key.pop_back();
  Buffer short_data = copy(owner_data(kTcp));
  short_data.pop_back();
  const Attrs whole = Attrs().nest(NFTA_SET_ELEM_LIST_ELEMENTS,
                                   Attrs().nest(NFTA_LIST_ELEM, owner_entry(0, kTcp).attributes()));
  kernel.answers.push_back(Replies()
                               .generation(1, 7)
                               .elements(4, {{short_key, copy(owner_data(kTcp))}})
                               .elements(4, {{copy(owner_key(kOwner, 0)), short_data}})
                               .elements(4, {{copy(owner_key(kOwner, 0))}})
                               .elements(4, {{{}, copy(owner_data(kTcp))}})
                               .elements(4, {{}})
                               .nft_message(NFT_MSG_NEWSET, 4, whole)
                               .elements(8, {{short_key, copy(standby_data(kEndpoint))}})
                               .elements(8, {{copy(owner_key(kOwner, 0)), short_data}})
                               .done(8));
  CHECK(read(kernel) == "hostports   0\n");
}

TEST_CASE("elements that are cut short are passed over") {
  FakeTransport kernel;
  const Buffer inner = owner_entry(0, kTcp).attributes().bytes();
  Replies replies = Replies().generation(1, 7);
  for (std::uint16_t length = 0; length < inner.size() + 4; length += 4) {
    const Bytes kept = Bytes(inner).first(length == 0 ? 0U : length - 4U);
    const auto claimed = static_cast<std::uint16_t>(length == 0 ? 2 : kept.size() + 8);
    replies.nft_message(NFT_MSG_NEWSETELEM, 4,
                        Attrs().nest(NFTA_SET_ELEM_LIST_ELEMENTS,
                                     Attrs().put_with_length(NFTA_LIST_ELEM, claimed, kept)));
  }
  // No list, an empty list, and no attribute at all.
  replies.nft_message(NFT_MSG_NEWSETELEM, 4, Attrs().text(NFTA_SET_ELEM_LIST_SET, "owners"));
  replies.nft_message(NFT_MSG_NEWSETELEM, 4, Attrs().nest(NFTA_SET_ELEM_LIST_ELEMENTS, Attrs()));
  replies.message(Replies::nft(NFT_MSG_NEWSETELEM), 0, 4, {});
  kernel.answers.push_back(replies.error(8, ENOENT));
  CHECK(read(kernel) == "hostports   0\n");
}

TEST_CASE("standby elements: its own are where their ports would lead, strays, and its siblings'") {
  const auto standby = [](const OwnerHash& owner, std::uint32_t index, const ElementData& data) {
    return FakeElement{copy(owner_key(owner, index)), copy(standby_data(kEndpoint)), encode(data)};
  };
  const ElementData named{.comment = "container_id: abc"};
  FakeTable table = two_ports({.comment = "web/abc/eth0", .hairpin = 1, .count = 2});
  table.elements["published-ip"] = {claim_of(kTcp, std::nullopt)};  // loaded again: no owner
  const OwnerHash long_named = owner_hash({"long", "abc", "eth0"});
  table.elements["standby"] = {
      standby(kOwner, 0, named), standby(kOwner, 7, named), standby(kOther, 0, named),
      standby(owner_hash({"web", "x", "eth0"}), 0, {.comment = "container_id: x"}),
      standby(long_named, 0, {.comment = "cut", .container = container_hash("abc")})};
  FakeTransport kernel = table.transport();
  const Result<InstalledPortsAt> held = read_installed_ports(kernel, kOwner, "hostports");
  REQUIRE(held);
  const InstalledPorts& installed = held->installed;
  REQUIRE(installed.ports.size() == 2);
  CHECK(installed.ports[0].standby == kEndpoint);
  CHECK_FALSE(installed.ports[0].claimed);  // it is the sibling's, as is the target
  CHECK_FALSE(installed.ports[0].endpoint);
  CHECK_FALSE(installed.ports[1].standby);
  CHECK(installed.ports[1].claimed);
  CHECK(installed.standby_comment == "container_id: abc");
  CHECK(installed.strays == std::vector<std::uint32_t>{7});
  std::vector<OwnerHash> siblings = {kOther, long_named};
  std::sort(siblings.begin(), siblings.end());
  CHECK(installed.standing_by == siblings);
  CHECK(installed.hairpins.size() == 1);  // its /32 pair goes by the standby's address
  CHECK(is_whole(installed));
}

TEST_CASE("a refusal of any of the reads is the error") {
  FakeTable table = two_ports({.count = 2});
  FakeTransport kernel = table.transport();
  CHECK(read(kernel).starts_with("hostports "));
  for (table.refused = 0; table.refused < kernel.requests.size(); ++table.refused)
    CHECK(read(table) == kNotPermitted);
  CHECK(table.refused == 4);
}

TEST_CASE("claims and targets are matched to their ports by number, over several exchanges") {
  std::vector<PublishedPort> ports;
  for (int i = 1; i <= 130; ++i) ports.push_back(published("0.0.0.0", Protocol::tcp, i));
  FakeTransport kernel;
  kernel.answers.push_back(Replies().elements(128, {claim_of(ports[127], kOwner)}));
  kernel.answers.push_back(Replies().error(1, ENOENT).elements(2, {claim_of(ports[129], kOther)}));
  const auto claims = read_claims(kernel, ports);
  REQUIRE(claims);
  REQUIRE(claims->size() == 130);
  std::string found;
  for (std::size_t i = 0; i < claims->size(); ++i)
    if ((*claims)[i].exists)
      found += std::to_string(i) + ((*claims)[i].owner == kOwner ? " own " : " other ");
  CHECK(found == "127 own 129 other ");
  CHECK(requests_in(kernel.requests[0]).size() == 128);
  CHECK(requests_in(kernel.requests[1]).size() == 2);
}

TEST_CASE("replies with numbers that nobody asked for are passed over") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies()
                               .elements(0, {claim_of(kTcp, kOwner)})
                               .elements(2, {claim_of(kTcp, kOwner)})
                               .elements(4000000000U, {claim_of(kTcp, kOwner)})
                               .error(1, ENOENT));
  const auto claims = read_claims(kernel, {kTcp});
  REQUIRE(claims);
  CHECK_FALSE((*claims)[0].exists);
}

TEST_CASE("targets of each family, and of another layout") {
  const PublishedPort six = published("::", Protocol::tcp, 8080);
  FakeTransport kernel;
  kernel.answers.push_back(Replies()
                               .elements(1, {target_of(kTcp, kEndpoint)})
                               .elements(2, {target_of(six, endpoint("fd00::2", 80))})
                               .elements(3, {target_of(kUdp, endpoint("fd00::2", 80))}));
  const auto targets = read_targets(kernel, "c", {kTcp, six, kUdp});
  REQUIRE(targets);
  CHECK(to_string((*targets)[0].value()) == "10.22.0.2:80");
  CHECK(to_string((*targets)[1].value()) == "[fd00::2]:80");
  CHECK_FALSE((*targets)[2]);  // an IPv6 endpoint of an IPv4 port
}

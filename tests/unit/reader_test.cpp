// nft/reader: holdings, claims and targets from crafted replies, good and hostile.
#include "nft/reader.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "nft/hairpin_tag.hpp"
#include "nft/key.hpp"
#include "nft/userdata.hpp"
#include "tests/support/example.hpp"
#include "tests/support/replies.hpp"
#include "tests/support/requests.hpp"

using namespace portmapper;
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
std::string text_of(const Holding& holding) {
  std::string text = holding.chain + " " + holding.comment + " " + holding.netns.path + " " +
                     std::to_string(holding.hairpin) + "\n";
  for (const HeldPort& port : holding.ports)
    text += (port.index ? std::to_string(*port.index) : "-") + " " + to_string(port.published) +
            (port.claimed ? " claimed " : " unclaimed ") +
            (port.endpoint ? to_string(*port.endpoint) : "-") + "\n";
  for (const Hairpin& hairpin : holding.hairpins)
    text += hairpin.source.to_string() + " . " + hairpin.destination.to_string() + "\n";
  return text;
}

std::string read(FakeTransport& kernel) {
  const Result<Held> held = read_holding(kernel, kOwner, "hostports");
  if (!held) return held.error().message();
  CHECK(held->generation == 7);
  CHECK(held->holding.owner == kOwner);
  return text_of(held->holding);
}

const PublishedPort kTcp = published("0.0.0.0", Protocol::tcp, 8080);
const PublishedPort kUdp = published("192.0.2.1", Protocol::udp, 5353);
const Endpoint kEndpoint = endpoint("10.22.0.2", 80);

// The answer to the first request: two ports, then what is not there.
Replies two_entries(const std::string& userdata) {
  return Replies()
      .generation(1, 7)
      .elements(2, {owner_entry(0, kTcp, userdata)})
      .elements(2, {owner_entry(1, kUdp, userdata)})
      .error(2, ENOENT);
}

}  // namespace

TEST_CASE("nothing held: one exchange, no error") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().generation(1, 7).error(2, ENOENT));
  CHECK(read(kernel) == "hostports   0\n");
  REQUIRE(kernel.requests.size() == 1);
  const auto requests = requests_in(kernel.requests[0]);
  CHECK(summaries(requests) == "GETGEN #1\nGETSETELEM #2\n");
  CHECK(attribute_of(requests[1].attributes(), NFTA_SET_ELEM_LIST_SET).text() == "owners");
  CHECK(element_count(requests[1]) == 8);
}

TEST_CASE(
    "a holding: owner entries, then their claims, then their targets in the chain they name") {
  FakeTransport kernel;
  kernel.answers.push_back(two_entries(encode(ElementData{
      .comment = "web/abc/eth0", .netns = {"/run/netns/web", 4, 5, 6}, .chain = "MESOS-WEB"})));
  kernel.answers.push_back(
      Replies().elements(1, {claim_of(kTcp, kOwner)}).elements(2, {claim_of(kUdp, kOwner)}));
  kernel.answers.push_back(Replies()
                               .elements(1, {target_of(kTcp, kEndpoint)})
                               .elements(2, {target_of(kUdp, endpoint("10.22.0.2", 53))}));
  CHECK(read(kernel) ==
        "MESOS-WEB web/abc/eth0 /run/netns/web 0\n"
        "0 0.0.0.0:8080/tcp claimed 10.22.0.2:80\n"
        "1 192.0.2.1:5353/udp claimed 10.22.0.2:53\n");
  REQUIRE(kernel.requests.size() == 3);
  std::string sets;
  for (const std::size_t exchange : {1U, 2U})
    for (const Request& request : requests_in(kernel.requests[exchange]))
      sets += std::string(attribute_of(request.attributes(), NFTA_SET_ELEM_LIST_SET).text()) + " ";
  CHECK(sets == "published-ip published-hostip MESOS-WEB-ip MESOS-WEB-hostip ");
}

TEST_CASE("a table that nft saved and loaded has lost our userdata, and reads all the same") {
  FakeTransport kernel;
  kernel.answers.push_back(two_entries(encode_comment("web/abc/eth0")));
  kernel.answers.push_back(Replies()
                               .elements(1, {claim_of(kTcp, std::nullopt)})
                               .elements(2, {claim_of(kUdp, std::nullopt)}));
  kernel.answers.push_back(Replies().elements(1, {target_of(kTcp, kEndpoint)}).error(2, ENOENT));
  CHECK(read(kernel) ==
        "hostports web/abc/eth0  0\n"
        "0 0.0.0.0:8080/tcp claimed 10.22.0.2:80\n"
        "1 192.0.2.1:5353/udp claimed -\n");
}

TEST_CASE("a late DEL does not remove the port's new owner: another's claim keeps its target") {
  FakeTransport kernel;
  kernel.answers.push_back(two_entries({}));
  kernel.answers.push_back(
      Replies().elements(1, {claim_of(kTcp, kOther)}).error(2, ENOENT));  // udp's claim is gone
  kernel.answers.push_back(Replies()
                               .elements(1, {target_of(kTcp, kEndpoint)})
                               .elements(2, {target_of(kUdp, kEndpoint)}));
  CHECK(read(kernel) ==
        "hostports   0\n"
        "0 0.0.0.0:8080/tcp unclaimed -\n"
        "1 192.0.2.1:5353/udp unclaimed 10.22.0.2:80\n");
}

TEST_CASE("hairpins of a single address are told by tag and targets") {
  FakeTransport kernel;
  const std::vector<Hairpin> own = {{prefix("10.22.0.2/32"), prefix("10.22.0.2/32")},
                                    {prefix("127.0.0.0/8"), prefix("10.22.0.2/32")}};
  kernel.answers.push_back(two_entries(encode(ElementData{.hairpin = hairpin_tag(own)})));
  kernel.answers.push_back(
      Replies().elements(1, {claim_of(kTcp, kOwner)}).elements(2, {claim_of(kUdp, kOther)}));
  kernel.answers.push_back(Replies()
                               .elements(1, {target_of(kTcp, kEndpoint)})
                               .elements(2, {target_of(kUdp, endpoint("10.22.0.9", 53))}));
  CHECK(read(kernel) ==
        "hostports   3\n"
        "0 0.0.0.0:8080/tcp claimed 10.22.0.2:80\n"
        "1 192.0.2.1:5353/udp unclaimed -\n"
        "10.22.0.2/32 . 10.22.0.2/32\n"
        "127.0.0.0/8 . 10.22.0.2/32\n");
}

TEST_CASE("more than eight ports: the rest is asked for from where the first answer ended") {
  FakeTransport kernel;
  Replies first = Replies().generation(1, 7);
  for (std::uint32_t i = 0; i < 8; ++i)
    first.elements(2, {owner_entry(i, published("::", Protocol::tcp, static_cast<int>(i + 1)))});
  kernel.answers.push_back(first);
  kernel.answers.push_back(
      Replies().elements(1, {owner_entry(8, published("::", Protocol::tcp, 9))}).error(1, ENOENT));
  const Result<Held> held = read_holding(kernel, kOwner, "hostports");
  REQUIRE(held);
  CHECK(held->generation == 7);
  REQUIRE(held->holding.ports.size() == 9);
  CHECK(held->holding.ports[8].index == 8);
  const auto requests = requests_in(kernel.requests[1]);
  CHECK(summaries(requests) == "GETSETELEM #1\n");
  CHECK(element_count(requests[0]) == 128);
  const auto list = attribute_of(requests[0].attributes(), NFTA_SET_ELEM_LIST_ELEMENTS);
  CHECK(hex(list.payload.subspan(12, 20)) == hex(owner_key(kOwner, 8).bytes()));
}

TEST_CASE("entries of another layout are passed over") {
  FakeTransport kernel;
  Buffer short_key = copy(owner_key(kOwner, 0));
  short_key.pop_back();
  Buffer short_data = copy(owner_data(kTcp));
  short_data.pop_back();
  kernel.answers.push_back(Replies()
                               .generation(1, 7)
                               .elements(2, {{short_key, copy(owner_data(kTcp))}})
                               .elements(2, {{copy(owner_key(kOwner, 0)), short_data}})
                               .elements(2, {{copy(owner_key(kOwner, 0))}})
                               .elements(2, {{{}, copy(owner_data(kTcp))}})
                               .elements(2, {{}}));
  CHECK(read(kernel) == "hostports   0\n");
}

TEST_CASE("elements that are cut short are passed over") {
  FakeTransport kernel;
  const Buffer inner = owner_entry(0, kTcp).attributes().bytes();
  Replies replies = Replies().generation(1, 7);
  for (std::uint16_t length = 0; length < inner.size() + 4; length += 4) {
    const Bytes kept = Bytes(inner).first(length == 0 ? 0U : length - 4U);
    const auto claimed = static_cast<std::uint16_t>(length == 0 ? 2 : kept.size() + 8);
    replies.nft_message(NFT_MSG_NEWSETELEM, 2,
                        Attrs().nest(NFTA_SET_ELEM_LIST_ELEMENTS,
                                     Attrs().put_with_length(NFTA_LIST_ELEM, claimed, kept)));
  }
  // No list, an empty list, and no attribute at all.
  replies.nft_message(NFT_MSG_NEWSETELEM, 2, Attrs().text(NFTA_SET_ELEM_LIST_SET, "owners"));
  replies.nft_message(NFT_MSG_NEWSETELEM, 2, Attrs().nest(NFTA_SET_ELEM_LIST_ELEMENTS, Attrs()));
  replies.message(Replies::nft(NFT_MSG_NEWSETELEM), 0, 2, {});
  kernel.answers.push_back(replies);
  CHECK(read(kernel) == "hostports   0\n");
}

TEST_CASE("a refusal of any of the three reads is the error") {
  for (std::size_t failing = 0; failing < 3; ++failing) {
    FakeTransport kernel;
    kernel.answers.push_back(two_entries({}));
    kernel.answers.push_back(Replies().elements(1, {claim_of(kTcp, kOwner)}));
    kernel.answers.push_back(Replies().elements(1, {target_of(kTcp, kEndpoint)}));
    kernel.answers[failing] = Replies().error(1, EPERM);
    CHECK(read(kernel) == kNotPermitted);
  }
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
                               .elements(4000000000U, {claim_of(kTcp, kOwner)}));
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

// nft/read/reader: what list, GC and a new subnet read whole sets for.
#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "nft/key.hpp"
#include "nft/read/reader.hpp"
#include "nft/userdata.hpp"
#include "tests/support/example.hpp"
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
const std::string kInterrupted = "cannot read: table inet nft-port-mapper: Interrupted system call";

Buffer copy(const Key& key) {
  return {key.bytes().begin(), key.bytes().end()};
}

FakeElement owner_entry(const OwnerHash& owner, std::uint32_t index, const PublishedPort& port,
                        const std::string& userdata = {}) {
  return {copy(owner_key(owner, index)), copy(owner_data(port)), userdata};
}

FakeElement interval(const char* source, const char* destination) {
  FakeElement element{copy(hairpin_key(prefix(source), prefix(destination)))};
  element.key_end = copy(hairpin_key_end(prefix(source), prefix(destination)));
  return element;
}

const PublishedPort kTcp = published("0.0.0.0", Protocol::tcp, 8080);

std::string set_asked_for(const FakeTransport& kernel, std::size_t exchange) {
  const auto requests = requests_in(kernel.requests[exchange]);
  return requests[0].name() + requests[0].flags() + " " +
         std::string(attribute_of(requests[0].attributes(), NFTA_SET_ELEM_LIST_SET).text());
}

Replies owners_set(const Attrs& attributes) {
  return Replies().nft_message(NFT_MSG_NEWSET, 1, attributes);
}

// Whether others publish, to an owner of two ports, where the kernel does not count.
std::string others(const Replies& peek) {
  FakeTransport kernel;
  kernel.answers.push_back(owners_set({}));
  kernel.answers.push_back(peek);
  InstalledPorts installed;
  installed.owner = kOwner;
  installed.ports = {{0U, kTcp, true, {}}, {1U, kTcp, true, {}}};
  const Result<bool> found = others_publish(kernel, installed);
  CHECK(kernel.peeks == 1);
  CHECK(kernel.requests.size() == 2);
  CHECK(set_asked_for(kernel, 1) == "GETSETELEM dump owners");
  if (!found) return found.error().message();
  return *found ? "yes" : "no";
}

std::string text_of(const Result<std::vector<Hairpin>>& hairpins) {
  if (!hairpins) return hairpins.error().message();
  std::string text;
  for (const Hairpin& hairpin : *hairpins)
    text += hairpin.source.to_string() + " . " + hairpin.destination.to_string() + "\n";
  return text;
}

}  // namespace

TEST_CASE("others publish when the kernel counts more than one's own entries") {
  constexpr std::uint16_t kSetCount = 20;
  InstalledPorts installed;
  installed.owner = kOwner;
  installed.ports = {{0U, kTcp, true, {}}, {1U, kTcp, true, {}}, {std::nullopt, kTcp, true, {}}};
  for (const std::uint32_t count : {2U, 3U}) {
    FakeTransport kernel;
    kernel.answers.push_back(owners_set(Attrs().number(kSetCount, count)));
    const Result<bool> found = others_publish(kernel, installed);
    REQUIRE(found);
    CHECK(*found == (count == 3));
    CHECK(kernel.requests.size() == 1);
    CHECK(kernel.peeks == 0);
  }
}

TEST_CASE("others publish when an entry of another is seen at a peek") {
  const FakeElement own0 = owner_entry(kOwner, 0, kTcp);
  const FakeElement own1 = owner_entry(kOwner, 1, kTcp);
  const FakeElement other = owner_entry(kOther, 0, kTcp);
  CHECK(others(Replies().elements(1, {own0, own1}).done(1)) == "no");
  CHECK(others(Replies().elements(1, {own0, other, own1}).done(1)) == "yes");
  CHECK(others(Replies().elements(1, {other})) == "yes");
  // What has another layout is another's, even if it begins like one's own.
  Buffer beginning = own1.key;
  beginning.resize(kOwner.size());
  CHECK(others(Replies().elements(1, {own0, {beginning}}).done(1)) == "yes");
}

TEST_CASE("whether others publish is looked for until the first entry of another") {
  const FakeElement own0 = owner_entry(kOwner, 0, kTcp);
  const FakeElement own1 = owner_entry(kOwner, 1, kTcp);
  const FakeElement other = owner_entry(kOther, 0, kTcp);
  CHECK(others(Replies().elements(1, {own1}).elements(1, {own0}).done(1)) == "no");
  CHECK(others(Replies().elements(1, {own1}).elements(1, {own0, other})) == "yes");
  // What comes behind it is not read.
  CHECK(others(Replies().elements(1, {own1, other}).error(1, EPERM)) == "yes");
}

TEST_CASE("others: refused, interrupted") {
  CHECK(others(Replies().error(1, EPERM)) == kNotPermitted);
  CHECK(others(Replies().elements(1, {owner_entry(kOther, 0, kTcp)}, NLM_F_DUMP_INTR)) ==
        kInterrupted);
  CHECK(others(Replies().elements(1, {owner_entry(kOwner, 0, kTcp)}).error(1, EPERM)) ==
        kNotPermitted);
}

TEST_CASE("all owner entries, those of another layout passed over") {
  FakeTransport kernel;
  const NetworkNamespace netns{"/run/netns/web", 4, 5, 6};
  kernel.answers.push_back(Replies().generation(1, 7));
  kernel.answers.push_back(Replies().done(2));  // who stands by
  kernel.answers.push_back(
      Replies()
          .elements(1, {owner_entry(
                            kOwner, 1, kTcp,
                            encode(ElementData{
                                .comment = "web/abc/eth0", .netns = netns, .chain = "MESOS-WEB"})),
                        {unhex("01020304"), copy(owner_data(kTcp))},
                        {copy(owner_key(kOwner, 2)), unhex("01020304")}})
          .elements(1, {owner_entry(kOther, 0, published("::", Protocol::udp, 53))})
          .done(1));
  kernel.answers.push_back(Replies().generation(1, 7));
  const auto entries = read_owners(kernel);
  REQUIRE(entries);
  REQUIRE(entries->size() == 2);
  const OwnerEntry& first = (*entries)[0];
  CHECK(first.owner == kOwner);
  CHECK(first.index == 1);
  CHECK(first.comment == "web/abc/eth0");
  CHECK(first.netns == netns);
  CHECK(first.chain == "MESOS-WEB");
  CHECK(to_string(first.published) == "0.0.0.0:8080/tcp");
  const OwnerEntry& second = (*entries)[1];
  CHECK(second.owner == kOther);
  CHECK(to_string(second.published) == "[::]:53/udp");
  CHECK(second.chain.empty());
  CHECK(set_asked_for(kernel, 2) == "GETSETELEM dump owners");
}

// The kernel does not tell that a set changed during its dump.
TEST_CASE(
    "owner entries: what one reading missed while the table changed, another one saw, and each "
    "once") {
  FakeTransport kernel;
  const FakeElement a = owner_entry(kOwner, 0, kTcp);
  const FakeElement b = owner_entry(kOther, 0, published("::", Protocol::udp, 53));
  std::uint32_t generation = 7;
  const auto add_reading = [&](const std::vector<FakeElement>& seen) {
    kernel.answers.push_back(Replies().generation(1, generation++));
    kernel.answers.push_back(Replies().done(2));  // who stands by
    kernel.answers.push_back(Replies().elements(1, seen).done(1));
    kernel.answers.push_back(Replies().generation(1, generation));
  };
  for (const auto& seen : {std::vector{a, a}, std::vector{b}, std::vector{a}, std::vector{a}})
    add_reading(seen);
  kernel.answers.push_back(Replies().elements(1, {a}).elements(2, {b}));  // by key
  auto entries = read_owners(kernel);
  REQUIRE(entries);
  REQUIRE(entries->size() == 2);
  CHECK(entries->front().owner == kOwner);
  CHECK(entries->back().owner == kOther);
  CHECK(kernel.requests.size() == 17);
  // One during which nothing changed is enough.
  add_reading({b});
  kernel.answers.push_back(Replies().generation(1, generation));
  kernel.answers.push_back(Replies().done(2));
  kernel.answers.push_back(Replies().elements(1, {a}).done(1));
  kernel.answers.push_back(Replies().generation(1, generation));
  entries = read_owners(kernel);
  REQUIRE(entries);
  REQUIRE(entries->size() == 1);
  CHECK(entries->front().owner == kOwner);
}

TEST_CASE("owner entries: no table is no entry, refused and interrupted are errors") {
  const auto outcome = [](const Replies& answer) {
    FakeTransport kernel;
    kernel.answers.push_back(Replies().generation(1, 7));
    kernel.answers.push_back(Replies().done(2));
    kernel.answers.push_back(answer);
    kernel.answers.push_back(Replies().generation(1, 7));
    const auto entries = read_owners(kernel);
    return entries ? std::to_string(entries->size()) : entries.error().message();
  };
  CHECK(outcome(Replies().error(1, ENOENT)) == "0");
  CHECK(outcome(Replies().error(1, EPERM)) == kNotPermitted);
  CHECK(outcome(Replies().elements(1, {owner_entry(kOwner, 0, kTcp)}, NLM_F_DUMP_INTR).done(1)) ==
        kInterrupted);
}

TEST_CASE("a target map: endpoint, comment and how many connections") {
  const PublishedPort six = published("fd00:1::1", Protocol::sctp, 1);
  const Endpoint to = endpoint("fd00::2", 2);
  FakeTransport kernel;
  kernel.answers.push_back(
      Replies()
          .elements(1, {{copy(claim_key(six)), copy(target_data(to)), encode_comment("a"), 12345},
                        {copy(claim_key(six)), copy(target_data(endpoint("10.22.0.2", 1)))},
                        {copy(claim_key(kTcp)), copy(target_data(to))},
                        {copy(claim_key(six)), copy(target_data(to))}})
          .done(1));
  const auto entries = read_target_map(kernel, "c", {Family::ipv6, AddressScope::one});
  REQUIRE(entries);
  std::string text;
  for (const TargetEntry& entry : *entries)
    text += to_string(entry.published) + " to " + to_string(entry.endpoint) + " " + entry.comment +
            " " + std::to_string(entry.connections) + "\n";
  CHECK(text ==
        "[fd00:1::1]:1/sctp to [fd00::2]:2 a 12345\n"
        "[fd00:1::1]:1/sctp to [fd00::2]:2  0\n");
  CHECK(set_asked_for(kernel, 0) == "GETSETELEM dump c-hostip6");
}

TEST_CASE("hairpins of both families, those of another layout passed over") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies()
                               .elements(1, {interval("10.22.0.0/16", "10.22.0.0/16"),
                                             {unhex("0a160000 0a160000")},  // without an end
                                             interval("127.0.0.0/8", "10.22.0.2/32")})
                               .done(1));
  kernel.answers.push_back(Replies().elements(1, {interval("::/0", "fd00::/64")}).done(1));
  CHECK(text_of(read_hairpins(kernel)) ==
        "10.22.0.0/16 . 10.22.0.0/16\n"
        "127.0.0.0/8 . 10.22.0.2/32\n"
        "::/0 . fd00::/64\n");
  CHECK(set_asked_for(kernel, 0) == "GETSETELEM dump hairpin-ip");
  CHECK(set_asked_for(kernel, 1) == "GETSETELEM dump hairpin-ip6");
}

TEST_CASE("wanted hairpins that are covered are read by key, and no set is dumped") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies()
                               .elements(1, {interval("0.0.0.0/0", "10.22.0.0/16")})
                               .elements(2, {interval("0.0.0.0/0", "10.22.0.0/16")}));
  CHECK(text_of(read_hairpins(kernel, {{prefix("10.22.0.0/16"), prefix("10.22.0.0/16")},
                                       {prefix("127.0.0.0/8"), prefix("10.22.0.0/16")}})) ==
        "0.0.0.0/0 . 10.22.0.0/16\n"
        "0.0.0.0/0 . 10.22.0.0/16\n");
  CHECK(kernel.requests.size() == 1);
  CHECK(set_asked_for(kernel, 0) == "GETSETELEM hairpin-ip");
}

TEST_CASE("a wanted hairpin that is not covered: all of them are read") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(1, ENOENT));
  kernel.answers.push_back(
      Replies().elements(1, {interval("10.22.3.0/24", "10.22.3.0/24")}).done(1));
  kernel.answers.push_back(Replies().done(1));
  CHECK(text_of(read_hairpins(kernel, {{prefix("10.22.0.0/16"), prefix("10.22.0.0/16")}})) ==
        "10.22.3.0/24 . 10.22.3.0/24\n");
  CHECK(kernel.requests.size() == 3);
}

TEST_CASE("hairpins: refused") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(1, EPERM));
  CHECK(text_of(read_hairpins(kernel)) == kNotPermitted);
}

TEST_CASE("a network is empty when none of its four maps shows an element at a peek") {
  const auto emptiness = [](std::size_t full) {
    FakeTransport kernel;
    kernel.answers.push_back(Replies().generation(1, 7));
    for (std::size_t i = 0; i < 4; ++i)
      kernel.answers.push_back(i == full ? Replies().elements(1, {{copy(claim_key(kTcp))}})
                               : i % 2 == 0
                                   ? Replies().nft_message(NFT_MSG_NEWSETELEM, 1, Attrs()).done(1)
                                   : Replies().error(1, ENOENT));
    const Result<Emptiness> read = read_emptiness(kernel, "c");
    REQUIRE(read);
    CHECK(read->generation == 7);
    CHECK(kernel.peeks == 4);
    return read->empty;
  };
  CHECK(emptiness(4));
  for (std::size_t full = 0; full < 4; ++full) CHECK_FALSE(emptiness(full));
}

TEST_CASE("a set is empty when a peek shows nothing, or it does not exist") {
  const auto empty = [](const Replies& answer) {
    FakeTransport kernel;
    kernel.answers.push_back(answer);
    const Result<bool> read = is_set_empty(kernel, "published-hostip");
    CHECK(kernel.peeks == 1);
    CHECK(set_asked_for(kernel, 0) == "GETSETELEM dump published-hostip");
    return read ? std::string(*read ? "yes" : "no") : read.error().message();
  };
  CHECK(empty(Replies().done(1)) == "yes");
  CHECK(empty(Replies().error(1, ENOENT)) == "yes");
  CHECK(empty(Replies().elements(1, {{copy(claim_key(kTcp))}})) == "no");
  CHECK(empty(Replies().error(1, EPERM)) == kNotPermitted);
}

TEST_CASE("emptiness: refused is not empty") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().generation(1, 7));
  kernel.answers.push_back(Replies().error(1, EPERM));
  const Result<Emptiness> read = read_emptiness(kernel, "c");
  REQUIRE_FALSE(read);
  CHECK(read.error().message() == kNotPermitted);
}

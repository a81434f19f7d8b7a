// nft/parts and lib/app/carry_out: a transaction that does not fit one batch.
#include "nft/parts.hpp"

#include <doctest/doctest.h>

#include <cerrno>

#include "lib/app/carry_out.hpp"
#include "tests/support/example.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

Operation elements(ElementVerb verb, const SetSpec& set, std::uint8_t count) {
  Elements all{verb, set, {}, {}};
  for (std::uint32_t i = 0; i < count; ++i) all.elements.push_back({owner_key(OwnerHash{}, i)});
  return all;
}

// "create owners 0 1 2", an operation a line.
std::string text(const Transaction& transaction) {
  std::string all;
  for (const Operation& operation : transaction.operations) {
    const auto* const some = std::get_if<Elements>(&operation);
    if (some == nullptr) {
      all += "other\n";
      continue;
    }
    constexpr const char* kVerbs[] = {"create ", "add ", "remove "};
    all += kVerbs[static_cast<int>(some->verb)] + some->set.name;
    for (const Element& element : some->elements)
      all += " " + std::to_string(parse_owner_key(element.key.bytes())->index);
    all += "\n";
  }
  return all;
}

const SetSpec claims = claim_spec({Family::ipv4, AddressScope::any});

// Takes batches of at most `most` elements; the one with the number `refused` it does not.
struct NarrowKernel {
  std::size_t most;
  std::size_t refused = 99;
  std::size_t count = 0;
  std::vector<std::uint32_t> generations{};

  CommitResult operator()(Transport&, const Transaction& transaction) {
    std::size_t size = 0;
    for (const Operation& operation : transaction.operations)
      size += std::get<Elements>(operation).elements.size();
    if (size > most) return {.failure = mapping_failed("cannot send", "", EMSGSIZE)};
    generations.push_back(*transaction.generation);
    if (count++ == refused) return {.refusal = Refusal{.error_number = EPERM, .operation = 0}};
    return {};
  }
};

Transaction four_claims(std::uint32_t generation) {
  return {.operations = {elements(ElementVerb::create, claims, 4)}, .generation = generation};
}

}  // namespace

TEST_CASE("parts: an owner says so before it has anything, and until the last of it is gone") {
  const Transaction add{
      .operations = {AddTable{}, elements(ElementVerb::remove, owners_spec(), 2),
                     elements(ElementVerb::remove, claims, 1),
                     elements(ElementVerb::create, claims, 1),
                     elements(ElementVerb::create, owners_spec(), 2),
                     elements(ElementVerb::add, device_users_spec(Family::ipv4), 1),
                     elements(ElementVerb::add, device_users_spec(Family::ipv6), 1)},
      .generation = {}};
  CHECK(text(in_order_for_parts(add)) ==
        "other\nremove published-ip 0\nremove owners 1 0\nadd localnet-users 0\nadd loopback-users "
        "0\n"
        "create owners 0 1\ncreate published-ip 0\n");
  const Transaction del{
      .operations = {elements(ElementVerb::remove, owners_spec(), 3),
                     elements(ElementVerb::remove, claims, 1),
                     elements(ElementVerb::remove, device_users_spec(Family::ipv6), 1),
                     elements(ElementVerb::remove, opened_devices_spec(Family::ipv6), 1),
                     elements(ElementVerb::remove, device_users_spec(Family::ipv4), 1),
                     elements(ElementVerb::remove, opened_devices_spec(Family::ipv4), 1),
                     FlushSet{"hairpin-ip"}, elements(ElementVerb::create, claims, 1)},
      .generation = {}};
  CHECK(text(in_order_for_parts(del)) ==
        "remove published-ip 0\nother\ncreate published-ip 0\nremove localnet-devices 0\n"
        "remove localnet-users 0\nremove loopback-routes 0\nremove loopback-users 0\nremove owners "
        "2 1 0\n");
}

TEST_CASE("parts: halves have all elements, in order, and what is no element is not parted") {
  const Transaction whole{
      .operations = {AddTable{}, AddTable{}, elements(ElementVerb::create, owners_spec(), 3),
                     elements(ElementVerb::create, claims, 2)},
      .generation = 7};
  const auto two = halves(whole);
  REQUIRE(two);
  CHECK(text(two->first) == "other\nother\ncreate owners 0 1\n");
  CHECK(text(two->second) == "create owners 2\ncreate published-ip 0 1\n");
  const auto four = halves(two->first);
  REQUIRE(four);
  CHECK(text(four->first) == "other\nother\ncreate owners 0\n");
  CHECK(text(four->second) == "create owners 1\n");
  CHECK_FALSE(halves(four->first));
  CHECK_FALSE(halves({.operations = {AddTable{}}, .generation = {}}));
}

TEST_CASE("parts: each is sent on the generation that the one before it left") {
  FakeTransport transport;
  NarrowKernel kernel{.most = 1};
  const auto done = app::carry_out(
      transport, {}, [](const Snapshot&) -> Decision { return four_claims(0xfffffffe); },
      std::ref(kernel), [] { FAIL("nothing to undo"); });
  CHECK(done.status);
  CHECK(done.is_committed);
  CHECK(kernel.generations == std::vector<std::uint32_t>{0xfffffffe, 0xffffffff, 1, 2});
}

TEST_CASE("parts: a refusal of a later one undoes the earlier ones; of the first, nothing") {
  for (const std::size_t refused : {0U, 1U, 3U}) {
    FakeTransport transport;
    NarrowKernel kernel{.most = 1, .refused = refused};
    int undone = 0;
    const auto done = app::carry_out(
        transport, {}, [](const Snapshot&) -> Decision { return four_claims(5); }, std::ref(kernel),
        [&undone] { ++undone; });
    CHECK(undone == (refused == 0 ? 0 : 1));
    CHECK_FALSE(done.is_committed);
    REQUIRE_FALSE(done.status);
    CHECK(done.status.error().error_number == EPERM);
  }
}

// nft/read/reader: all owner entries of a large table, which are found by the claims.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "nft/key.hpp"
#include "nft/read/reader.hpp"
#include "nft/userdata.hpp"
#include "tests/support/example.hpp"
#include "tests/support/fake_table.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

constexpr std::uint32_t kOwnerCount = 600;  // of two ports each

Buffer copy(const Key& key) {
  return {key.bytes().begin(), key.bytes().end()};
}

PublishedPort port_of(std::uint32_t owner, std::uint32_t index) {
  return published(index == 0 ? "0.0.0.0" : "::", Protocol::tcp, static_cast<int>(owner + 1));
}

OwnerHash name_of(std::uint32_t owner) {
  return owner_hash({"web", std::to_string(owner), "eth0"});
}

// Two ports of each owner; the last one stands by with both.
FakeTable large_table() {
  FakeTable table;
  table.sets = skeleton_sets();
  table.tells_counts = true;
  for (std::uint32_t owner = 0; owner < kOwnerCount; ++owner)
    for (std::uint32_t index = 0; index < 2; ++index) {
      const PublishedPort port = port_of(owner, index);
      const Buffer key = copy(owner_key(name_of(owner), index));
      table.elements["owners"].push_back(
          {key, copy(owner_data(port)), encode(ElementData{.chain = "hostports", .count = 2})});
      if (owner + 1 == kOwnerCount)
        table.elements["standby"].push_back({key, copy(standby_data(endpoint("10.22.0.2", 80)))});
      else
        table.elements[index == 0 ? "published-ip" : "published-ip6"].push_back(
            {copy(claim_key(port)), {}, encode(ElementData{.owner = name_of(owner)})});
    }
  return table;
}

// How many entries, each of them once, and whether `owners` was dumped.
std::string read(const FakeTable& table) {
  FakeTransport kernel = table.transport();
  const Result<Owners> owners = read_owners_and_standby(kernel);
  if (!owners) return owners.error().message();
  std::vector<std::pair<OwnerHash, std::uint32_t>> keys;
  std::size_t standing_by = 0;
  for (const OwnerEntry& entry : owners->entries) {
    keys.emplace_back(entry.owner, entry.index);
    standing_by += entry.standby ? 1 : 0;
  }
  std::sort(keys.begin(), keys.end());
  CHECK(std::adjacent_find(keys.begin(), keys.end()) == keys.end());
  bool dumped = false;
  for (const Buffer& exchange : kernel.requests)
    for (const Request& request : requests_in(exchange))
      dumped =
          dumped || (request.flags() == " dump" &&
                     attribute_of(request.attributes(), NFTA_SET_ELEM_LIST_SET).text() == "owners");
  return std::to_string(keys.size()) + " entries, " + std::to_string(standing_by) + " stand by" +
         (dumped ? ", dumped" : "");
}

}  // namespace

// `list` of 100,000 ports took 3 seconds, two thirds of them in the kernel's dump of `owners`.
TEST_CASE("owner entries of a large table are found by the claims, and by who stands by") {
  CHECK(read(large_table()) == "1200 entries, 2 stand by");
}

TEST_CASE("owner entries that no claim leads to are found all the same") {
  FakeTable table = large_table();
  SUBCASE("a claim that an operator deleted") {
    table.elements["published-ip6"].pop_back();
  }
  SUBCASE("an owner without a claim") {
    std::erase_if(table.elements["published-ip"], [](const FakeElement& claim) {
      return claim.key == copy(claim_key(port_of(7, 0)));
    });
    std::erase_if(table.elements["published-ip6"], [](const FakeElement& claim) {
      return claim.key == copy(claim_key(port_of(7, 1)));
    });
    CHECK(read(table) == "1200 entries, 2 stand by, dumped");
    return;
  }
  CHECK(read(table) == "1200 entries, 2 stand by");
}

TEST_CASE("owner entries are dumped where claims or entries tell too little") {
  FakeTable table = large_table();
  SUBCASE("the table was loaded again, and claims name no owner") {
    table.elements["published-ip6"].back().userdata = encode_comment("container_id: abc");
  }
  SUBCASE("entries that do not say how many there are") {
    table.elements["owners"].front().userdata = encode_comment("web/0/eth0");
  }
  SUBCASE("an owner without its first entry") {
    table.elements["owners"].erase(table.elements["owners"].begin());
    CHECK(read(table) == "1199 entries, 2 stand by, dumped");
    return;
  }
  SUBCASE("a kernel that does not count") {
    table.tells_counts = false;
  }
  CHECK(read(table) == "1200 entries, 2 stand by, dumped");
}

// nft/hairpin_fit: intervals that the kernel takes beside those that it has.
#include "nft/hairpin_fit.hpp"

#include <doctest/doctest.h>

#include <bitset>
#include <random>
#include <string>

#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

Hairpin pair(const char* source, const char* destination) {
  return {prefix(source), prefix(destination)};
}

std::string fitted(const std::vector<Hairpin>& wanted, const std::vector<Hairpin>& existing) {
  const HairpinFit fit = fit_hairpins(wanted, existing);
  std::string text;
  for (const auto& [word, hairpins] : {std::pair("+ ", &fit.add), std::pair("- ", &fit.remove)})
    for (const Hairpin& hairpin : *hairpins)
      text += word + hairpin.source.to_string() + " . " + hairpin.destination.to_string() + "\n";
  return text;
}

// A toy world: only the first three bits of an address differ, so 64 pairs of addresses are all.
using World = std::bitset<64>;

World world_of(const Hairpin& hairpin) {
  World world;
  for (unsigned i = 0; i < 64; ++i) {
    const IpAddress source(Family::ipv4, {static_cast<std::uint8_t>(i / 8 << 5)});
    const IpAddress destination(Family::ipv4, {static_cast<std::uint8_t>(i % 8 << 5)});
    world[i] = hairpin.source.contains(source) && hairpin.destination.contains(destination);
  }
  return world;
}

Hairpin random_pair(std::minstd_rand& random) {
  const auto one = [&random] {
    const auto bits = static_cast<std::uint8_t>(random() % 8 << 5);
    return IpPrefix{IpAddress(Family::ipv4, {bits}), static_cast<std::uint8_t>(random() % 4)}
        .network();
  };
  const IpPrefix source = one();
  return {source, one()};
}

// Takes what overlaps nothing or is there already, as the kernel does.
bool insert(std::vector<Hairpin>& set, const Hairpin& hairpin) {
  for (const Hairpin& other : set) {
    if (other == hairpin) return true;
    if ((world_of(other) & world_of(hairpin)).any()) return false;
  }
  set.push_back(hairpin);
  return true;
}

}  // namespace

TEST_CASE("nothing there: all is added as wanted") {
  CHECK(fitted({pair("10.22.0.0/16", "10.22.0.0/16"), pair("127.0.0.0/8", "10.22.0.0/16")}, {}) ==
        "+ 10.22.0.0/16 . 10.22.0.0/16\n"
        "+ 127.0.0.0/8 . 10.22.0.0/16\n");
}

TEST_CASE("what is there already, or is covered, is not added") {
  CHECK(fitted({pair("10.22.0.0/16", "10.22.0.0/16")}, {pair("10.22.0.0/16", "10.22.0.0/16")}) ==
        "");
  CHECK(fitted({pair("10.22.0.0/16", "10.22.0.0/16"), pair("127.0.0.0/8", "10.22.0.0/16")},
               {pair("0.0.0.0/0", "10.22.0.0/16")}) == "");
}

TEST_CASE("what covers others replaces them") {
  CHECK(fitted({pair("0.0.0.0/0", "10.22.0.0/16")},
               {pair("10.22.0.0/16", "10.22.0.0/16"), pair("127.0.0.0/8", "10.22.0.0/16"),
                pair("10.23.0.0/16", "10.23.0.0/16")}) ==
        "+ 0.0.0.0/0 . 10.22.0.0/16\n"
        "- 10.22.0.0/16 . 10.22.0.0/16\n"
        "- 127.0.0.0/8 . 10.22.0.0/16\n");
  CHECK(fitted({pair("10.22.0.0/16", "10.22.0.0/16")}, {pair("10.22.3.0/24", "10.22.3.0/24")}) ==
        "+ 10.22.0.0/16 . 10.22.0.0/16\n"
        "- 10.22.3.0/24 . 10.22.3.0/24\n");
}

TEST_CASE("what crosses another is cut to what is not covered yet") {
  CHECK(fitted({pair("10.22.0.0/16", "10.22.0.0/16")}, {pair("0.0.0.0/0", "10.22.128.0/18")}) ==
        "+ 10.22.0.0/16 . 10.22.0.0/17\n"
        "+ 10.22.0.0/16 . 10.22.192.0/18\n");
  CHECK(fitted({pair("0.0.0.0/0", "10.22.0.0/24")}, {pair("128.0.0.0/2", "10.22.0.0/16")}) ==
        "+ 0.0.0.0/1 . 10.22.0.0/24\n"
        "+ 192.0.0.0/2 . 10.22.0.0/24\n");
}

TEST_CASE("families do not meet") {
  CHECK(fitted({pair("::/0", "fd00::/64")}, {pair("0.0.0.0/0", "0.0.0.0/0")}) ==
        "+ ::/0 . fd00::/64\n");
}

TEST_CASE("IPv6 prefixes are cut at their own bits") {
  CHECK(fitted({pair("::/0", "fd00::/127")}, {pair("fd00::/64", "fd00::/126")})
            .find("+ fd00:0:0:1::/64 . fd00::/127\n") != std::string::npos);
  CHECK(fit_hairpins(std::vector{pair("::/0", "fd00::/127")},
                     std::vector{pair("fd00::/64", "fd00::/126")})
            .add.size() == 64);
}

TEST_CASE("whatever is there: the kernel takes the result, which covers both and nothing else") {
  std::minstd_rand random(1);
  for (int round = 0; round < 3000; ++round) {
    std::vector<Hairpin> existing;
    World before;
    for (int i = 0; i < 8; ++i) {
      const Hairpin hairpin = random_pair(random);
      if (insert(existing, hairpin)) before |= world_of(hairpin);
    }
    const Hairpin wanted = random_pair(random);
    const HairpinFit fit = fit_hairpins(std::vector{wanted}, existing);
    for (const Hairpin& hairpin : fit.remove) REQUIRE(std::erase(existing, hairpin) > 0);
    World after;
    for (const Hairpin& hairpin : fit.add) REQUIRE(insert(existing, hairpin));
    for (const Hairpin& hairpin : existing) after |= world_of(hairpin);
    REQUIRE(after.to_string() == (before | world_of(wanted)).to_string());
  }
}

// nft/conflicts: which ports overlap.
#include <doctest/doctest.h>

#include <cerrno>
#include <string>

#include "nft/conflicts.hpp"
#include "nft/decide.hpp"
#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

Plan plan_of(const std::string& container, std::vector<PortMapping> mappings) {
  PlanInput input = example_input();
  input.attachment.container_id = container;
  input.mappings = std::move(mappings);
  return make_plan(std::move(input));
}

std::string text_of(const std::vector<PublishedPort>& ports) {
  std::string text;
  for (const PublishedPort& one : ports) text += to_string(one) + " ";
  return text;
}

std::string overlaps(const std::vector<PortMapping>& mappings,
                     const std::vector<PublishedPort>& claims) {
  const Plan plan = plan_of("abc", mappings);
  const Plan* const plans[] = {&plan};
  return text_of(overlaps_of(plans, claims));
}

bool meet(const std::vector<PortMapping>& one, const std::vector<PortMapping>& other) {
  const Plan a = plan_of("a", one);
  const Plan b = plan_of("b", other);
  const Plan* const plans[] = {&a, &b};
  return overlap_each_other(plans);
}

const PortMapping kAny = mapping("0.0.0.0", Protocol::tcp, 8080, 80);
const PortMapping kOne = mapping("192.0.2.1", Protocol::tcp, 8080, 80);
const PortMapping kTwo = mapping("192.0.2.2", Protocol::tcp, 8080, 80);

}  // namespace

TEST_CASE("overlaps: a port on any address meets every claim on one of its family") {
  const std::vector<PublishedPort> claims = {
      published("198.51.100.9", Protocol::tcp, 8080), published("127.0.0.2", Protocol::tcp, 8080),
      published("192.0.2.1", Protocol::udp, 8080),    published("192.0.2.1", Protocol::tcp, 8081),
      published("2001:db8::1", Protocol::tcp, 8080),  published("0.0.0.0", Protocol::tcp, 8080)};
  CHECK(overlaps({kAny}, claims) == "127.0.0.2:8080/tcp 198.51.100.9:8080/tcp ");
  CHECK(overlaps({mapping(nullptr, Protocol::tcp, 8080, 80)}, claims) ==
        "127.0.0.2:8080/tcp 198.51.100.9:8080/tcp [2001:db8::1]:8080/tcp ");
}

TEST_CASE("overlaps: a port on one address meets the claim on any, not those on others") {
  CHECK(overlaps({kOne},
                 {published("192.0.2.1", Protocol::tcp, 8080),
                  published("192.0.2.2", Protocol::tcp, 8080), published("::", Protocol::tcp, 8080),
                  published("0.0.0.0", Protocol::tcp, 8080)}) == "0.0.0.0:8080/tcp ");
  CHECK(overlaps({kOne}, {}) == "");
}

TEST_CASE("overlaps: of several plans that go into one batch, one with another") {
  CHECK(meet({kAny}, {kAny}));
  CHECK(meet({kAny}, {kOne}));
  CHECK(meet({kOne}, {kAny}));
  CHECK(meet({kAny, kOne}, {kTwo}));
  CHECK_FALSE(meet({kOne}, {kTwo}));
  CHECK_FALSE(meet({kAny, kOne}, {mapping("0.0.0.0", Protocol::udp, 8080, 80)}));
  CHECK_FALSE(meet({kAny}, {mapping("2001:db8::1", Protocol::tcp, 8080, 80)}));
}

TEST_CASE(
    "overlaps: what may stand in the way is the plan's ports, on any address too, and those") {
  const Plan plan = plan_of("abc", {kOne, mapping("0.0.0.0", Protocol::udp, 53, 53)});
  CHECK(text_of(overlapping_ports(plan, std::vector{published("127.0.0.2", Protocol::udp, 53)})) ==
        "0.0.0.0:8080/tcp 0.0.0.0:53/udp 127.0.0.2:53/udp 192.0.2.1:8080/tcp ");
}

TEST_CASE("overlaps: several plans are inserted under the generation, or not at all") {
  const Plan plan = plan_of("abc", {kAny});
  const Plan* const plans[] = {&plan};
  Snapshot snapshot{.generation = 7};
  const Decision more = decide_insertion(plans, snapshot);
  REQUIRE(std::holds_alternative<ReadMore>(more));
  CHECK(std::get<ReadMore>(more).section == Section::overlaps);
  snapshot.overlaps.emplace();
  const Decision decided = decide_insertion(plans, snapshot);
  REQUIRE(std::holds_alternative<Transaction>(decided));
  CHECK(std::get<Transaction>(decided).generation == 7);
  CHECK(to_string(std::get<Transaction>(decided)) == to_string(insertion_of_ports(plan)));
  snapshot.overlaps->push_back(published("127.0.0.2", Protocol::tcp, 8080));
  const Decision refused = decide_insertion(plans, snapshot);
  REQUIRE(std::holds_alternative<Error>(refused));
  CHECK(std::get<Error>(refused).error_number == EEXIST);
}

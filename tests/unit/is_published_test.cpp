// nft/is_published: whether what an attachment has in the kernel is what its record wants.
#include "nft/is_published.hpp"

#include <doctest/doctest.h>

#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

// Two ports, and what their ADD leaves in the kernel.
struct Scene {
  Plan plan;
  InstalledPorts installed;

  Scene() {
    plan.translations = {{published("0.0.0.0", Protocol::tcp, 8080), endpoint("10.22.0.2", 80)},
                         {published("0.0.0.0", Protocol::tcp, 8081), endpoint("10.22.0.2", 81)}};
    for (const Translation& one : plan.translations)
      installed.ports.push_back({.index = static_cast<std::uint32_t>(installed.ports.size()),
                                 .published = one.published,
                                 .claimed = true,
                                 .endpoint = one.endpoint});
    installed.count = 2;
  }
  [[nodiscard]] bool holds(const std::vector<IpAddress>& inside = {}) const {
    return is_published(plan, installed, inside);
  }
};

}  // namespace

TEST_CASE("published: what the ADD left, and nothing less") {
  Scene scene;
  CHECK(scene.holds());
  SUBCASE("without an owner entry") {
    scene.installed.ports.pop_back();
  }
  SUBCASE("without a claim") {
    scene.installed.ports[1].claimed = false;
  }
  SUBCASE("without a target") {
    scene.installed.ports[1].endpoint.reset();
  }
  SUBCASE("without anything") {
    scene.installed.ports.clear();
  }
  CHECK(!scene.holds() == (scene.installed != Scene().installed));
}

TEST_CASE("published: a target that another hand changed is seen") {
  Scene scene;
  scene.installed.ports[0].endpoint = endpoint("10.22.0.66", 80);
  CHECK(!scene.holds());
  CHECK(!scene.holds({*IpAddress::parse("10.22.0.2")}));
  scene.installed.ports[0].endpoint = endpoint("10.22.0.2", 82);
  CHECK(!scene.holds({*IpAddress::parse("10.22.0.2")}));
}

TEST_CASE(
    "published: another address of the same container is no change: the record may order them "
    "otherwise") {
  Scene scene;
  scene.installed.ports[0].endpoint = endpoint("10.24.0.2", 80);
  CHECK(scene.holds({*IpAddress::parse("10.22.0.2"), *IpAddress::parse("10.24.0.2")}));
}

TEST_CASE("published: what stands by for a sibling's port counts, if it would lead there") {
  Scene scene;
  InstalledPort& port = scene.installed.ports[0];
  port.claimed = false;
  port.endpoint.reset();
  port.standby = endpoint("10.22.0.2", 80);
  CHECK(scene.holds());
  port.standby = endpoint("10.22.0.66", 80);
  CHECK(!scene.holds());
}

TEST_CASE(
    "published: what an ADD left out is not missing, where the entries tell how many it "
    "published") {
  Scene scene;
  scene.installed.ports.pop_back();
  scene.installed.count = 1;
  CHECK(scene.holds());
  scene.installed.count = 0;  // a saved listing does not tell
  CHECK(!scene.holds());
}

TEST_CASE("published: another port instead of one that the record has is a change") {
  Scene scene;
  scene.installed.ports[1].published = published("0.0.0.0", Protocol::tcp, 9090);
  CHECK(!scene.holds());
}

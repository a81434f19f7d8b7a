// nft/loopback_again: what of ::1 is not as the host lets it be, and what mends it.
#include "nft/loopback_again.hpp"

#include <doctest/doctest.h>

#include "tests/support/example.hpp"
#include "tests/support/join.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

const OwnerHash kOwner = owner_hash({"web", "abc", "eth0"});

// Attachment web/abc/eth0 publishes [::]:8080/tcp, and all is as an ADD leaves it.
LoopbackView whole() {
  LoopbackView view;
  view.ports.push_back({{.owner = kOwner,
                         .comment = "web/abc/eth0",
                         .netns = {},
                         .chain = "hostports",
                         .published = published("::", Protocol::tcp, 8080)},
                        "container_id: abc",
                        address("fd00::2")});
  view.hairpins = {{prefix("::1/128"), prefix("fd00::/64")}};
  view.listed.emplace(published("::", Protocol::tcp, 8080), "container_id: abc");
  view.users[kOwner] = "cni0";
  view.recorded = {"cni0"};
  view.links[kOwner] = {"cni0", ""};
  view.routed = {"cni0"};
  return view;
}

std::string told(const LoopbackView& view) {
  const LoopbackAgain again = decide_loopback_again(view);
  std::string text = join(again.findings) + "\n" + to_string(again.repair);
  for (const auto& [device, ports] : again.routes) {
    text += "route " + device;
    for (const PublishedPort& port : ports) text += " " + to_string(port);
    text += "\n";
  }
  return text;
}

const std::string kUnlist = "delete element inet nft-port-mapper loopback-ip6 { tcp . 8080 }\n";
const std::string kList =
    "add element inet nft-port-mapper loopback-ip6 { tcp . 8080 comment \"container_id: abc\" }\n";
const std::string kPort = "port [::]:8080/tcp of web/abc/eth0 is ";

}  // namespace

TEST_CASE("loopback again: a port whose attachment wants no ::1 gets none by a neighbour's pair") {
  LoopbackView view = whole();
  const HairpinWish none;
  view.ports.front().owner.wish = none;
  view.listed.clear();
  CHECK(told(view) == "\n");
  const Hairpin both[] = {{prefix("fd00::/64"), prefix("fd00::/64")},
                          {prefix("::1/128"), prefix("fd00::/64")}};
  view.ports.front().owner.wish = hairpin_wish({both, 1});
  CHECK(told(view) == "\n");
  view.ports.front().owner.wish = hairpin_wish(both);
  CHECK(told(view) == kPort + "missing in loopback-ip6, and ::1 can reach it by cni0\n" + kList);
}

TEST_CASE("loopback again: what is as an ADD leaves it has no finding") {
  CHECK(told(whole()) == "\n");
  LoopbackView view = whole();
  view.links[kOwner].obstacle = "cni0 is down";  // as it was at the ADD
  view.listed.clear();
  CHECK(told(view) == "\n");
  view.links.clear();
  CHECK(told(view) == "\n");
}

TEST_CASE("loopback again: a port whose connections would hang is not translated any more") {
  LoopbackView view = whole();
  view.links[kOwner].obstacle = "cni0 is down";
  CHECK(told(view) == kPort +
                          "in loopback-ip6, and cni0 is down: "
                          "connections to ::1 hang\n" +
                          kUnlist);
  view.links.clear();
  CHECK(told(view) == kPort +
                          "in loopback-ip6, and no interface leads to its container: "
                          "connections to ::1 hang\n" +
                          kUnlist);
  view = whole();
  view.hairpins = {{prefix("fd00::/64"), prefix("fd00::/64")}};
  CHECK(told(view) == kPort +
                          "in loopback-ip6, and its network does not want ::1: connections to ::1 "
                          "hang\n" +
                          kUnlist);
}

TEST_CASE(
    "loopback again: a port that ::1 can reach now is let through, once for both its claims") {
  LoopbackView view = whole();
  view.listed.clear();
  view.ports.push_back(view.ports.front());
  view.ports.back().owner.published = published("::1", Protocol::tcp, 8080);
  CHECK(told(view) == kPort + "missing in loopback-ip6, and ::1 can reach it by cni0\n" + kList);
  view.hairpins = {{prefix("::/0"), prefix("fd00::/64")}};  // masqAll
  CHECK(told(view) == kPort + "missing in loopback-ip6, and ::1 can reach it by cni0\n" + kList);
}

TEST_CASE("loopback again: what nobody would remove one day is recorded, what is missing made") {
  LoopbackView view = whole();
  view.users[kOwner] = "cni1";
  CHECK(told(view) ==
        "attachment web/abc/eth0 is not in loopback-users with cni0\n"
        "delete element inet nft-port-mapper loopback-users { \"kjuc1tc0rsd2rf4\" }\n"
        "add element inet nft-port-mapper loopback-users { \"kjuc1tc0rsd2rf4\" comment "
        "\"web/abc/eth0\" : \"cni0\" }\n");
  view = whole();
  view.recorded.clear();
  view.routed.clear();
  CHECK(
      told(view) ==
      "device cni0 is missing in loopback-routes, device cni0 lacks the route of ::1: "
      "connections to ::1 hang\n"
      "add element inet nft-port-mapper loopback-routes { \"cni0\" }\nroute cni0 [::]:8080/tcp\n");
}

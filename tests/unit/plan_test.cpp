// nft/plan and the hairpin tag: config and addresses in, the whole printed plan out.
#include "nft/plan.hpp"

#include <doctest/doctest.h>

#include <string>

#include "nft/hairpin_tag.hpp"
#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

// The plan of one network without excluded devices.
std::string plan_of(std::vector<PortMapping> mappings, std::vector<IpPrefix> addresses,
                    bool snat = true, bool masq_all = false) {
  return to_string(make_plan({.attachment = {"web", "abc", "eth0"},
                              .netns = {},
                              .chain = {"hostports", {}},
                              .mappings = std::move(mappings),
                              .addresses = std::move(addresses),
                              .snat = snat,
                              .masq_all = masq_all}));
}

const std::string kHead = "attachment web/abc/eth0\nchain hostports\n";

std::string tag_round_trip(std::vector<PortMapping> mappings, std::vector<IpPrefix> addresses,
                           bool masq_all = false) {
  const Plan plan = make_plan({.attachment = {"web", "abc", "eth0"},
                               .netns = {},
                               .chain = {"hostports", {}},
                               .mappings = std::move(mappings),
                               .addresses = std::move(addresses),
                               .masq_all = masq_all});
  std::vector<IpAddress> endpoints;
  for (const Translation& translation : plan.translations)
    endpoints.push_back(translation.endpoint.address);
  Plan again;
  again.hairpins = hairpins_of_tag(hairpin_tag(plan.hairpins), endpoints);
  const std::string text = to_string(again);
  return text.substr(text.find("chain \n") + 7);
}

}  // namespace

TEST_CASE("the plan of ruleset.nft's example") {
  CHECK(to_string(example_plan()) ==
        "attachment web/abc/eth0\n"
        "chain MESOS-WEB\n"
        "exclude mesos-cni0\n"
        "exclude docker0\n"
        "publish 0.0.0.0:8080/tcp to 10.22.0.2:80\n"
        "publish 192.0.2.1:5353/udp to 10.22.0.2:53\n"
        "publish [::]:8080/tcp to [fd00::2]:80\n"
        "hairpin 10.22.0.0/16 . 10.22.0.0/16\n"
        "hairpin 127.0.0.0/8 . 10.22.0.0/16\n"
        "hairpin fd00::/64 . fd00::/64\n"
        "hairpin ::1/128 . fd00::/64\n");
}

TEST_CASE("the namespace goes into the plan as it is") {
  PlanInput input = example_input();
  input.netns = {.path = "/run/netns/web", .device = 4, .inode = 7, .id = 9};
  CHECK(make_plan(input).netns == input.netns);
}

TEST_CASE("IPv4 comes before IPv6, each in the order of the mappings") {
  CHECK(plan_of({mapping("fd00:1::1", Protocol::tcp, 3, 30), mapping(nullptr, Protocol::tcp, 2, 20),
                 mapping("192.0.2.1", Protocol::tcp, 1, 10)},
                {prefix("fd00::2/64"), prefix("10.22.0.2/16")},
                false) == kHead +
                              "publish 0.0.0.0:2/tcp to 10.22.0.2:20\n"
                              "publish 192.0.2.1:1/tcp to 10.22.0.2:10\n"
                              "publish [fd00:1::1]:3/tcp to [fd00::2]:30\n"
                              "publish [::]:2/tcp to [fd00::2]:20\n");
}

TEST_CASE("the first address of a family is where ports lead to") {
  CHECK(plan_of({mapping(nullptr, Protocol::sctp, 1, 2)},
                {prefix("10.22.0.9/16"), prefix("10.22.0.2/24")},
                false) == kHead + "publish 0.0.0.0:1/sctp to 10.22.0.9:2\n");
}

TEST_CASE("a mapping without an address is silent about the family that the container lacks") {
  CHECK(plan_of({mapping(nullptr, Protocol::tcp, 1, 2)}, {prefix("fd00::2/64")}) ==
        kHead +
            "publish [::]:1/tcp to [fd00::2]:2\n"
            "hairpin fd00::/64 . fd00::/64\n"
            "hairpin ::1/128 . fd00::/64\n");
}

TEST_CASE("0.0.0.0 and :: are any address of that family alone") {
  CHECK(plan_of({mapping("0.0.0.0", Protocol::tcp, 1, 2), mapping("::", Protocol::udp, 3, 4)},
                {prefix("10.22.0.2/16"), prefix("fd00::2/64")}) ==
        kHead +
            "publish 0.0.0.0:1/tcp to 10.22.0.2:2\n"
            "publish [::]:3/udp to [fd00::2]:4\n"
            "hairpin 10.22.0.0/16 . 10.22.0.0/16\n"
            "hairpin 127.0.0.0/8 . 10.22.0.0/16\n"
            "hairpin fd00::/64 . fd00::/64\n"
            "hairpin ::1/128 . fd00::/64\n");
}

TEST_CASE("a host address of a family that the container lacks is skipped with a note") {
  CHECK(plan_of({mapping("fd00:1::1", Protocol::tcp, 8080, 80), mapping("::", Protocol::tcp, 1, 2),
                 mapping("192.0.2.1", Protocol::udp, 3, 4)},
                {prefix("10.22.0.2/16")}) ==
        kHead +
            "publish 192.0.2.1:3/udp to 10.22.0.2:4\n"
            "hairpin 10.22.0.0/16 . 10.22.0.0/16\n"
            "note skipped [fd00:1::1]:8080/tcp: eth0 of container abc has no IPv6 address\n"
            "note skipped [::]:1/tcp: eth0 of container abc has no IPv6 address\n");
  CHECK(plan_of({mapping("192.0.2.1", Protocol::tcp, 8080, 80)}, {prefix("fd00::2/64")}) ==
        kHead + "note skipped 192.0.2.1:8080/tcp: eth0 of container abc has no IPv4 address\n");
}

TEST_CASE("masqAll masquerades everybody, which holds the two other pairs") {
  CHECK(plan_of({mapping(nullptr, Protocol::tcp, 1, 2)},
                {prefix("10.22.0.2/16"), prefix("fd00::2/64")}, true,
                true) == kHead +
                             "publish 0.0.0.0:1/tcp to 10.22.0.2:2\n"
                             "publish [::]:1/tcp to [fd00::2]:2\n"
                             "hairpin 0.0.0.0/0 . 10.22.0.0/16\n"
                             "hairpin ::/0 . fd00::/64\n");
}

TEST_CASE("without snat nothing is masqueraded, masqAll or not") {
  for (const bool masq_all : {false, true})
    CHECK(plan_of({mapping("0.0.0.0", Protocol::tcp, 1, 2)}, {prefix("10.22.0.2/16")}, false,
                  masq_all) == kHead + "publish 0.0.0.0:1/tcp to 10.22.0.2:2\n");
}

TEST_CASE("the loopback pair is there only for ports that loopback reaches") {
  const std::string pair = "hairpin 127.0.0.0/8 . 10.22.0.0/16\n";
  const auto has_pair = [&pair](const char* host) {
    const std::string text =
        plan_of({mapping(host, Protocol::tcp, 1, 2)}, {prefix("10.22.0.2/16")});
    return text.ends_with("hairpin 10.22.0.0/16 . 10.22.0.0/16\n" + pair);
  };
  CHECK(has_pair(nullptr));
  CHECK(has_pair("0.0.0.0"));
  CHECK(has_pair("127.0.0.1"));
  CHECK(has_pair("127.1.2.3"));
  CHECK_FALSE(has_pair("192.0.2.1"));
  const auto has_pair6 = [](const char* host) {
    return plan_of({mapping(host, Protocol::tcp, 1, 2)}, {prefix("fd00::2/64")})
        .ends_with("hairpin fd00::/64 . fd00::/64\nhairpin ::1/128 . fd00::/64\n");
  };
  CHECK(has_pair6(nullptr));
  CHECK(has_pair6("::"));
  CHECK(has_pair6("::1"));
  CHECK_FALSE(has_pair6("2001:db8::1"));
}

TEST_CASE("a subnet that ::1 or 127.0.0.1 is in has one pair: two would overlap, and be refused") {
  CHECK(plan_of({mapping(nullptr, Protocol::tcp, 1, 2)}, {prefix("::2/64")})
            .ends_with("\nhairpin ::/64 . ::/64\n"));
  CHECK(plan_of({mapping(nullptr, Protocol::tcp, 1, 2)}, {prefix("126.0.0.2/7")})
            .ends_with("to 126.0.0.2:2\nhairpin 126.0.0.0/7 . 126.0.0.0/7\n"));
}

TEST_CASE("who asks for ::1 is told where it cannot answer, who asks for any address is not") {
  const auto left_out = [](const char* host) {
    Plan plan = make_plan({.attachment = {"web", "abc", "eth0"},
                           .netns = {},
                           .chain = {"hostports", {}},
                           .mappings = {mapping(host, Protocol::tcp, 1, 2)},
                           .addresses = {prefix("fd00::2/64")}});
    plan.loopback6_device = "cni0";
    leave_loopback_out(plan, Family::ipv6, "why");
    CHECK(plan.loopback6_device.empty());
    const std::string text = to_string(plan);
    return text.substr(text.find("hairpin"));
  };
  CHECK(left_out("::1") ==
        "hairpin fd00::/64 . fd00::/64\nhairpin ::1/128 . fd00::/64\n"
        "note the ports do not answer on the host's ::1: why\n");
  CHECK(left_out(nullptr) == "hairpin fd00::/64 . fd00::/64\nhairpin ::1/128 . fd00::/64\n");
}

TEST_CASE("a family without a published port has no hairpin") {
  CHECK(plan_of({mapping("192.0.2.1", Protocol::tcp, 1, 2)},
                {prefix("10.22.0.2/16"), prefix("fd00::2/64")}) ==
        kHead +
            "publish 192.0.2.1:1/tcp to 10.22.0.2:2\n"
            "hairpin 10.22.0.0/16 . 10.22.0.0/16\n");
}

TEST_CASE("a container with an address and no subnet is its own hairpin") {
  CHECK(plan_of({mapping(nullptr, Protocol::tcp, 1, 2)},
                {prefix("10.22.0.2/32"), prefix("fd00::2/128")}) ==
        kHead +
            "publish 0.0.0.0:1/tcp to 10.22.0.2:2\n"
            "publish [::]:1/tcp to [fd00::2]:2\n"
            "hairpin 10.22.0.2/32 . 10.22.0.2/32\n"
            "hairpin 127.0.0.0/8 . 10.22.0.2/32\n"
            "hairpin fd00::2/128 . fd00::2/128\n"
            "hairpin ::1/128 . fd00::2/128\n");
}

TEST_CASE("nothing to publish, nothing planned") {
  CHECK(plan_of({}, {prefix("10.22.0.2/16")}) == kHead);
  CHECK(plan_of({mapping(nullptr, Protocol::tcp, 1, 2)}, {}) == kHead);
}

TEST_CASE("hairpins of a subnet leave no tag: neighbours need them") {
  CHECK(hairpin_tag(example_plan().hairpins) == 0);
  CHECK(hairpins_of_tag(0, std::vector{address("10.22.0.2")}).empty());
}

TEST_CASE("hairpins of a single address are told by their tag") {
  const std::vector<PortMapping> everywhere = {mapping(nullptr, Protocol::tcp, 1, 2),
                                               mapping(nullptr, Protocol::udp, 1, 2)};
  CHECK(tag_round_trip(everywhere, {prefix("10.22.0.2/32"), prefix("fd00::2/128")}) ==
        "hairpin 10.22.0.2/32 . 10.22.0.2/32\n"
        "hairpin 127.0.0.0/8 . 10.22.0.2/32\n"
        "hairpin ::1/128 . fd00::2/128\n"
        "hairpin fd00::2/128 . fd00::2/128\n");
  CHECK(tag_round_trip({mapping("192.0.2.1", Protocol::tcp, 1, 2)}, {prefix("10.22.0.2/32")}) ==
        "hairpin 10.22.0.2/32 . 10.22.0.2/32\n");
  CHECK(tag_round_trip(everywhere, {prefix("10.22.0.2/32"), prefix("fd00::2/128")}, true) ==
        "hairpin 0.0.0.0/0 . 10.22.0.2/32\n"
        "hairpin ::/0 . fd00::2/128\n");
  CHECK(tag_round_trip(everywhere, {prefix("10.22.0.2/16"), prefix("fd00::2/128")}) ==
        "hairpin ::1/128 . fd00::2/128\n"
        "hairpin fd00::2/128 . fd00::2/128\n");
}

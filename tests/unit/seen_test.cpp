// lib/app/ctl/seen: which of the findings of check the watch repairs.
#include "lib/app/ctl/seen.hpp"

#include <doctest/doctest.h>

using namespace portmapper;
using namespace portmapper::ctl;

namespace {

// With a port; without one it is not masqueraded.
Missing missing(bool has_port = true) {
  Missing one{{"web", "a\nbc", "eth0"}, {}};
  if (has_port)
    one.ports.push_back({IpAddress::any(Family::ipv4), Protocol::tcp, *Port::from(8080)});
  return one;
}

Audit audit() {
  Audit audit;
  audit.findings = {{.thing = "chain prerouting is missing", .advice = "its next ADD repairs that"},
                    {.thing = "attachment x is dead", .kind = Finding::Kind::outlived},
                    {.thing = "claim of y has no owner", .kind = Finding::Kind::nobodys},
                    {.thing = "device cni0 lacks route_localnet", .kind = Finding::Kind::of_host},
                    {.thing = "cni1 is exposed", .kind = Finding::Kind::exposure},
                    {.thing = "no route of ::1", .kind = Finding::Kind::loopback6}};
  return audit;
}

}  // namespace

TEST_CASE("watch: dead containers and what is nobody's are not repaired, the host's is apart") {
  TableContents contents;
  contents.exists = true;
  const watch::Seen seen = seen_of(contents, audit(), std::nullopt, false);
  CHECK(seen.is_whole);
  CHECK(seen.damage == watch::Things{"chain prerouting is missing"});
  CHECK(seen.of_host ==
        watch::Things{"cni1 is exposed", "device cni0 lacks route_localnet", "no route of ::1"});
  CHECK(!seen.missing);
}

TEST_CASE("watch: each attachment that has lost ports is a thing of its own, fit to be printed") {
  TableContents contents;
  contents.exists = true;
  const watch::Seen seen = seen_of(contents, {}, std::vector{missing()}, false);
  CHECK(seen.damage.empty());
  CHECK(seen.missing == watch::Things{"attachment web/a?bc/eth0 has lost ports"});
}

TEST_CASE(
    "watch: a table that nobody needs is not gone; one that had ports is, without the records") {
  const watch::Things gone = {"table inet nft-port-mapper is gone"};
  CHECK(seen_of({}, {}, std::vector<Missing>(), false).damage.empty());
  CHECK(seen_of({}, {}, std::nullopt, false).damage.empty());
  const watch::Seen seen = seen_of({}, {}, std::vector{missing()}, false);
  CHECK(seen.damage == gone);
  CHECK(seen.missing == watch::Things{});
  CHECK(seen_of({}, {}, std::nullopt, true).damage == gone);
  TableContents contents;
  contents.exists = true;
  CHECK(seen_of(contents, {}, std::nullopt, true).damage.empty());
}

TEST_CASE("watch: who is not masqueraded is a thing of its own, and needs no table of ports") {
  const auto without_port = std::vector{missing(/*has_port=*/false)};
  TableContents contents;
  for (const bool exists : {false, true}) {
    contents.exists = exists;
    const watch::Seen seen = seen_of(contents, {}, without_port, false);
    CHECK(seen.damage.empty());
    CHECK(seen.missing == watch::Things{"attachment web/a?bc/eth0 is not masqueraded"});
  }
}

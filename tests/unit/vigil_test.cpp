// lib/app/watch/vigil: when the watch looks, what it repairs, and when it gives up.
#include "lib/app/watch/vigil.hpp"

#include <doctest/doctest.h>

using namespace portmapper::watch;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const Time kStart{};
const std::string kChain = "chain prerouting is missing";
const std::string kLost = "attachment web/abc/eth0 has lost ports";
const std::string kSysctl = "device cni0 lacks route_localnet";

// A vigil whose first look, at its start, found nothing.
struct Calm {
  Vigil vigil{kStart};
  Time now = kStart + milliseconds(100);

  Calm() { REQUIRE(look({}).empty()); }
  Things look(Seen seen, milliseconds took = milliseconds(1)) {
    seen.begin = now;
    now += took;
    return vigil.judge(now, seen);
  }
  // One look, when the vigil wants it.
  Things next_look(const Seen& seen) {
    REQUIRE(vigil.look_at() < Time::max());
    now = std::max(now, vigil.look_at());
    return look(seen);
  }
  void changed(Hand hand) { vigil.changed(now, hand); }
  [[nodiscard]] milliseconds until_look() const {
    return std::chrono::duration_cast<milliseconds>(vigil.look_at() - now);
  }
};

Seen damage(const Things& things) {
  return {.damage = things};
}
Seen missing(const Things& things) {
  return {.missing = things};
}
Seen of_host(const Things& things) {
  return {.of_host = things};
}

}  // namespace

TEST_CASE("watch: it looks at its start, with the records, and then when something changes") {
  Vigil vigil(kStart);
  CHECK(vigil.look_at() == kStart + Vigil::kQuiet);
  CHECK(vigil.wants_records());
  CHECK(vigil.judge(kStart + milliseconds(50), {.begin = kStart + milliseconds(50)}).empty());
  CHECK(vigil.look_at() == Time::max());
  CHECK(!vigil.wants_records());
  vigil.host_changed(kStart + seconds(9));
  CHECK(vigil.look_at() == kStart + seconds(9));
}

TEST_CASE("watch: at its start, damage counts at once, and what is missing if it is no DEL's") {
  Vigil vigil(kStart);
  const auto look = [&vigil](Time now) {
    return vigil.judge(now, {.begin = now, .damage = {kChain}, .missing = Things{kLost}});
  };
  CHECK(look(kStart) == Things{kChain});
  CHECK(vigil.look_at() == kStart + Vigil::kLasts);
  CHECK(look(kStart + Vigil::kLasts) == Things{kChain, kLost});
}

TEST_CASE("watch: it waits until the table is quiet, but not for long") {
  Calm calm;
  calm.changed(Hand::others);
  CHECK(calm.until_look() == Vigil::kQuiet);
  const Time first = calm.now;
  for (int i = 0; i < 8; ++i) {
    calm.now += milliseconds(40);
    calm.changed(Hand::ours);
  }
  CHECK(calm.vigil.look_at() == first + Vigil::kSoon);
}

TEST_CASE("watch: while our programs alone change the table, it looks once a second") {
  Calm calm;
  const Time first = calm.now;
  for (int i = 0; i < 50; ++i) {
    calm.changed(Hand::ours);
    calm.now += milliseconds(40);
  }
  CHECK(calm.vigil.look_at() == first + Vigil::kLater);
}

TEST_CASE(
    "watch: looks at a large table take a quarter of the time at most, unless others changed it") {
  Calm calm;
  calm.changed(Hand::ours);
  calm.now = calm.vigil.look_at();
  CHECK(calm.look({}, milliseconds(500)).empty());
  calm.changed(Hand::ours);
  CHECK(calm.until_look() == milliseconds(1500));
  calm.changed(Hand::others);
  CHECK(calm.until_look() == Vigil::kQuiet);
}

TEST_CASE("watch: damage is repaired, whoever did it") {
  for (const Hand hand : {Hand::ours, Hand::unknown, Hand::others}) {
    Calm calm;
    calm.changed(hand);
    CHECK(calm.next_look(damage({kChain})) == Things{kChain});
  }
}

TEST_CASE("watch: an ADD that comes while it reads makes no damage") {
  Calm calm;
  calm.changed(Hand::ours);
  calm.now += Vigil::kQuiet;
  Seen seen = damage({"port 8080 has no target"});
  seen.begin = calm.now;
  calm.now += milliseconds(2);
  calm.changed(Hand::ours);
  CHECK(calm.vigil.judge(calm.now, seen).empty());
  CHECK(calm.next_look({}).empty());
  CHECK(calm.vigil.look_at() == Time::max());
}

TEST_CASE(
    "watch: damage that each look of three seconds has counts, while others change the table") {
  Calm calm;
  const auto unsteady_look = [&calm](Hand hand, const Things& things) {
    Seen seen = damage(things);
    seen.begin = calm.now;
    calm.now += milliseconds(2);
    calm.changed(hand);
    const Things repairs = calm.vigil.judge(calm.now, seen);
    calm.now += milliseconds(200);
    return repairs;
  };
  SUBCASE("not before, and not where one look does not have it") {
    for (int i = 0; i < 14; ++i) CHECK(unsteady_look(Hand::others, {kChain}).empty());
    CHECK(unsteady_look(Hand::others, {}).empty());
    for (int i = 0; i < 14; ++i) CHECK(unsteady_look(Hand::others, {kChain}).empty());
  }
  SUBCASE("after them") {
    for (int i = 0; i < 15; ++i) CHECK(unsteady_look(Hand::others, {kChain}).empty());
    CHECK(unsteady_look(Hand::others, {kChain}) == Things{kChain});
  }
  SUBCASE("never where our programs alone do") {
    for (int i = 0; i < 50; ++i) CHECK(unsteady_look(Hand::ours, {kChain}).empty());
  }
}

TEST_CASE("watch: a look that could not read everything is made again, and nothing counts") {
  Calm calm;
  calm.changed(Hand::others);
  CHECK(calm.next_look({.is_whole = false, .damage = {kChain}}).empty());
  CHECK(calm.until_look() == Vigil::kSoon);
  CHECK(calm.vigil.wants_records());
  CHECK(calm.next_look(missing({kLost})) == Things{kLost});
}

TEST_CASE(
    "watch: an attachment that our own DEL removed is not brought back, its record lives longer") {
  Calm calm;
  calm.changed(Hand::ours);
  CHECK(!calm.vigil.wants_records());
  CHECK(calm.next_look({}).empty());
  // Not even where a look saw the record for another reason.
  calm.changed(Hand::ours);
  CHECK(calm.next_look(missing({kLost})).empty());
  calm.now += seconds(100);
  calm.changed(Hand::ours);
  CHECK(calm.next_look(missing({kLost})).empty());
}

TEST_CASE("watch: what is missing counts at once where others changed the table") {
  Calm calm;
  calm.changed(Hand::ours);
  calm.changed(Hand::others);
  CHECK(calm.vigil.wants_records());
  CHECK(calm.next_look(missing({kLost})) == Things{kLost});
}

TEST_CASE("watch: after lost messages, what is missing counts if it is so for longer than a DEL") {
  Calm calm;
  calm.changed(Hand::unknown);
  CHECK(calm.vigil.wants_records());
  CHECK(calm.next_look(missing({kLost, "another"})).empty());
  CHECK(calm.until_look() == Vigil::kLasts);
  CHECK(calm.vigil.wants_records());
  calm.now += seconds(1);
  calm.changed(Hand::ours);
  CHECK(calm.next_look(missing({kLost, "a third"})).empty());
  CHECK(calm.next_look(missing({kLost, "another", "a third"})) == Things{kLost});
}

TEST_CASE("watch: what our programs set behind their batch counts when two looks find it") {
  Calm calm;
  SUBCASE("and nothing changed in between") {
    calm.vigil.host_changed(calm.now);
    CHECK(calm.next_look(of_host({kSysctl})).empty());
    CHECK(calm.until_look() == Vigil::kHostSettles);
    CHECK(calm.next_look(of_host({kSysctl})) == Things{kSysctl});
  }
  SUBCASE("not where it was set meanwhile") {
    calm.vigil.host_changed(calm.now);
    CHECK(calm.next_look(of_host({kSysctl})).empty());
    CHECK(calm.next_look({}).empty());
    CHECK(calm.vigil.look_at() == Time::max());
  }
  SUBCASE("not where containers come and go in between") {
    for (int i = 0; i < 20; ++i) {
      calm.now += milliseconds(250);
      calm.changed(Hand::ours);
      CHECK(calm.next_look(of_host({kSysctl})).empty());
    }
  }
}

TEST_CASE("watch: what cannot be repaired is said once, and tried again after others' changes") {
  Calm calm;
  const auto find = [&calm](Hand hand) {
    calm.changed(hand);
    return calm.next_look({.damage = {kChain}, .missing = Things{}});
  };
  REQUIRE(find(Hand::others) == Things{kChain});
  const Repaired repaired = calm.vigil.repaired(calm.now, {kChain}, damage({kChain}));
  CHECK(repaired.left == Things{kChain});
  CHECK(repaired.mended.empty());
  CHECK(!repaired.fight);
  CHECK(find(Hand::ours).empty());
  CHECK(find(Hand::others) == Things{kChain});
}

TEST_CASE("watch: what was gone for a while may be tried again") {
  Calm calm;
  (void)calm.vigil.repaired(calm.now, {kChain}, damage({kChain}));
  calm.changed(Hand::unknown);
  CHECK(calm.next_look({.damage = {kChain}, .missing = Things{}}).empty());
  calm.changed(Hand::unknown);
  CHECK(calm.next_look(missing({})).empty());
  calm.changed(Hand::ours);
  CHECK(calm.next_look(damage({kChain})) == Things{kChain});
}

TEST_CASE("watch: it gives up what it repaired three times within a minute") {
  Calm calm;
  const auto repair = [&calm](const std::string& thing) {
    return calm.vigil.repaired(calm.now, {thing}, {});
  };
  CHECK(!repair(kChain).fight);
  calm.now += seconds(20);
  CHECK(!repair(kChain).fight);
  SUBCASE("but not what it repaired less often") {
    calm.now += seconds(1);
    CHECK(!repair(kLost).fight);
  }
  SUBCASE("but not after a minute") {
    calm.now += seconds(40);
    CHECK(!repair(kChain).fight);
    calm.now += seconds(19);
    CHECK(repair(kChain).fight == kChain);
  }
  SUBCASE("just within it") {
    calm.now += seconds(39);
    CHECK(repair(kChain).fight == kChain);
  }
}

TEST_CASE(
    "watch: what others remove again while it is repaired is no failure and no repair, and is "
    "tried "
    "again, but not for ever") {
  Calm calm;
  for (std::size_t i = 1; i <= Vigil::kMostTries; ++i) {
    calm.changed(Hand::others);
    REQUIRE(calm.next_look(damage({kChain})) == Things{kChain});
    calm.changed(Hand::ours);
    calm.changed(Hand::others);
    const Repaired repaired = calm.vigil.repaired(calm.now, {kChain}, damage({kChain}));
    CHECK(repaired.left.empty());
    CHECK(repaired.mended.empty());
    CHECK(calm.until_look() <= Vigil::kSoon);
    CHECK(repaired.fight.has_value() == (i == Vigil::kMostTries));
  }
}

TEST_CASE("watch: a rule whose table another hand removed during the repair is not repaired") {
  Calm calm;
  calm.changed(Hand::others);
  REQUIRE(calm.next_look(damage({kChain})) == Things{kChain});
  calm.changed(Hand::others);
  CHECK(calm.vigil.repaired(calm.now, {kChain}, damage({"table is gone"})).mended.empty());
  CHECK(calm.next_look(damage({"table is gone"})) == Things{"table is gone"});
  calm.changed(Hand::ours);
  CHECK(calm.vigil.repaired(calm.now, {"table is gone"}, damage({})).mended ==
        Things{"table is gone"});
}

TEST_CASE("watch: what cannot be repaired hides no repair that was made beside it") {
  Calm calm;
  calm.changed(Hand::others);
  REQUIRE(calm.next_look(damage({kChain, "owned"})) == Things{kChain, "owned"});
  const Repaired repaired = calm.vigil.repaired(calm.now, {kChain, "owned"}, damage({"owned"}));
  CHECK(repaired.mended == Things{kChain});
  CHECK(repaired.left == Things{"owned"});
}

TEST_CASE("watch: where there was no need for a repair it is none, and counts for no fight") {
  Calm calm;
  for (int i = 0; i < 9; ++i) {
    const Repaired repaired = calm.vigil.repaired(calm.now, {kLost}, {}, Work::none);
    CHECK(repaired.mended.empty());
    CHECK(!repaired.fight);
  }
}

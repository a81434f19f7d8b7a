#include "nft/missing_hairpins.hpp"

#include <doctest/doctest.h>

using namespace portmapper;
using namespace portmapper::nft;

namespace {

const IpPrefix subnet = *IpPrefix::parse("10.22.0.0/16");
const IpAddress container = *IpAddress::parse("10.22.0.2");
const IpAddress neighbour = *IpAddress::parse("10.22.0.3");
const Hairpin self{subnet, subnet};
const Hairpin from_loopback{IpPrefix::loopback(Family::ipv4), subnet};
const Hairpin from_all{IpPrefix::everything(Family::ipv4), subnet};

HairpinNeed need(const std::vector<Hairpin>& wanted, const IpAddress& endpoint = container,
                 bool is_by_loopback = true) {
  return {hairpin_wish(wanted), endpoint, is_by_loopback};
}

std::vector<Hairpin> missing(const std::vector<HairpinNeed>& needs,
                             const std::vector<Hairpin>& existing) {
  return missing_hairpins(needs, existing);
}

using Pairs = std::vector<Hairpin>;

}  // namespace

TEST_CASE("missing hairpins: a set that somebody flushed") {
  CHECK(missing({need({self, from_loopback})}, {}) == Pairs{self, from_loopback});
  CHECK(missing({need({self, from_loopback})}, {self}) == Pairs{from_loopback});
  CHECK(missing({need({self, from_loopback})}, {self, from_loopback}) == Pairs{});
  CHECK(missing({need({self, from_loopback}), need({self, from_loopback}, neighbour)}, {}) ==
        Pairs{self, from_loopback});
}

TEST_CASE("missing hairpins: what a wider pair covers is there") {
  CHECK(missing({need({self, from_loopback})}, {from_all}) == Pairs{});
}

TEST_CASE("missing hairpins: a pair of loopback addresses is needed by those whom they reach") {
  CHECK(missing({need({self, from_loopback}, container, false)}, {self}) == Pairs{});
}

TEST_CASE("missing hairpins: a network that has changed its mind since is left alone") {
  CHECK(missing({need({self, from_loopback})}, {from_loopback}) == Pairs{});
  CHECK(missing({need({self, from_loopback}, container, false)}, {}) == Pairs{});
  CHECK(missing({need({from_all})}, {self, from_loopback}) == Pairs{});
  CHECK(missing({need({from_all})}, {}) == Pairs{self, from_loopback});
}

TEST_CASE("missing hairpins: in words") {
  CHECK(to_string_missing(self) ==
        "pair 10.22.0.0/16 . 10.22.0.0/16 is missing in hairpin-ip: containers there do not reach"
        " their own published ports");
  CHECK(to_string_missing(from_loopback) ==
        "pair 127.0.0.0/8 . 10.22.0.0/16 is missing in hairpin-ip: connections to 127.0.0.1 hang");
}

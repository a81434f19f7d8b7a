// Dumps that a change interrupts are read again, by everybody who dumps.
#include "lib/app/retry.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>

#include "lib/app/ctl/listing.hpp"
#include "nft/key.hpp"
#include "nft/userdata.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::test;

TEST_CASE("retry: what a change interrupted is read again, every other answer is the answer") {
  int tries = 0;
  const auto third = [&tries]() -> Result<int> {
    if (++tries < 3) return mapping_failed("cannot read", "owners", tries == 1 ? EINTR : EAGAIN);
    return 7;
  };
  CHECK(*app::retried(third) == 7);
  CHECK(tries == 3);
  tries = 0;
  const auto refused = [&tries]() -> Result<int> {
    ++tries;
    return mapping_failed("cannot read", "owners", EPERM);
  };
  CHECK(app::retried(refused).error().error_number == EPERM);
  CHECK(tries == 1);
}

namespace {

std::chrono::steady_clock::time_point slow_now;
std::chrono::steady_clock::time_point slow_clock() {
  return slow_now;
}

int tries_that_take(std::chrono::milliseconds each) {
  int tries = 0;
  for (app::Retry retry(slow_clock); retry.again(); ++tries) slow_now += each;
  return tries;
}

}  // namespace

// While the kernel loads modules one try took a second, and of 32 ADDs at once 31 gave up.
TEST_CASE("retry: a slow machine gives up by tries, a fast one by time") {
  CHECK(tries_that_take(std::chrono::seconds(3)) == 100);
  CHECK(tries_that_take(std::chrono::milliseconds(50)) == 201);
}

TEST_CASE("retry: a list is whole though its dumps were interrupted") {
  const nft::PublishedPort port = {*IpAddress::parse("0.0.0.0"), Protocol::tcp, *Port::from(8080)};
  const nft::Key key = nft::owner_key(nft::owner_hash({"web", "abc", "eth0"}), 0);
  const nft::Key data = nft::owner_data(port);
  const FakeElement owner{{key.bytes().begin(), key.bytes().end()},
                          {data.bytes().begin(), data.bytes().end()}};
  FakeTransport kernel;
  kernel.answers.push_back(Replies().generation(1, 7));
  kernel.answers.push_back(Replies().done(2));  // who stands by
  kernel.answers.push_back(Replies().elements(1, {}, NLM_F_DUMP_INTR | NLM_F_MULTI).done(1));
  kernel.answers.push_back(Replies().generation(1, 8));
  kernel.answers.push_back(Replies().done(2));
  kernel.answers.push_back(Replies().elements(1, {owner}, NLM_F_MULTI).done(1));
  kernel.answers.push_back(Replies().generation(1, 8));
  const Result<std::vector<ctl::ListedPort>> ports = ctl::list_ports(kernel);
  REQUIRE(ports);
  REQUIRE(ports->size() == 1);
  CHECK(ports->front().published == port);
}

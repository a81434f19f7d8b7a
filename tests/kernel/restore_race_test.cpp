// nft-port-mapperctl restore while runtimes add and delete: what was deleted stays deleted.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "tests/support/cni_cache.hpp"
#include "tests/support/connection.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// Two containers, published and then flushed; restore runs while a test goes on.
struct Host {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  CniCache cache{lab};

  Host() {
    REQUIRE(cache.add("abc", {{8080, 80}}) == done);
    REQUIRE(cache.add("def", {{9090, 80}}) == done);
    nft(lab.host(), "flush ruleset");
  }
  [[nodiscard]] std::future<std::string> start() const {
    return std::async(std::launch::async, [this] {
      const RunResult result = ctl(lab, {"restore", "--from", cache.directory()});
      return std::to_string(result.status) + "\n" + result.out + result.err;
    });
  }
  [[nodiscard]] bool has(const std::string& container) const {
    return listing(lab.host()).find("web/" + container + "/eth0") != std::string::npos;
  }
  void wait_for(const std::string& container) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!has(container)) REQUIRE(std::chrono::steady_clock::now() < deadline);
  }
};

const std::string kBoth = "restored 2 attachments; 0 published already, 0 gone\n";
const std::string kAbc = "restored web/abc/eth0 (2 ports)\n";
const std::string kDef = "restored web/def/eth0 (2 ports)\n";
const std::string kTookBack = "took back web/abc/eth0 (2 ports): it was deleted meanwhile\n";

}  // namespace

TEST_CASE("restore race: a DEL whose file goes only after restore read it stays deleted") {
  const Host host;
  // Our plugin's DEL is over (the flush has left it nothing), the bridge's is under way.
  REQUIRE(host.cache.plugin_del("abc") == done);
  std::future<std::string> restoring = host.start();
  host.wait_for("abc");
  const Connection connection(host.abc, 80, host.lab.client(), "192.0.2.1", 8080);
  host.cache.forget("abc");
  CHECK(restoring.get() ==
        "0\n" + kDef + kTookBack + "restored 1 attachment; 0 published already, 0 gone\n");
  CHECK(!host.has("abc"));
  CHECK(host.has("def"));
  CHECK(connection.ends());
}

TEST_CASE("restore race: a DEL that has taken the interface but not yet the file stays deleted") {
  Host host;
  std::future<std::string> restoring = host.start();
  host.wait_for("abc");
  host.lab.remove("abc");
  CHECK(restoring.get() ==
        "0\n" + kDef + kTookBack + "restored 1 attachment; 0 published already, 1 gone\n");
  CHECK(!host.has("abc"));
}

TEST_CASE("restore race: a DEL after restore published again needs nobody's help") {
  const Host host;
  std::future<std::string> restoring = host.start();
  host.wait_for("abc");
  REQUIRE(host.cache.del("abc") == done);
  CHECK(restoring.get() == "0\n" + kDef + "restored 1 attachment; 0 published already, 0 gone\n");
  CHECK(!host.has("abc"));
}

TEST_CASE("restore race: a container that is restarted meanwhile keeps its new ports") {
  Host host;
  std::future<std::string> restoring = host.start();
  host.wait_for("abc");
  // The entry of the new ADD is not written yet: only its namespace tells that it is a new one.
  REQUIRE(host.cache.del("abc") == done);
  host.lab.remove("abc");
  host.lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(host.cache.plugin_add("abc", {{8081, 80}}) == done);
  CHECK(restoring.get() == "0\n" + kDef + "restored 1 attachment; 0 published already, 0 gone\n");
  CHECK(host.has("abc"));
}

TEST_CASE("restore race: an entry that is written anew is the business of its ADD") {
  const Host host;
  std::future<std::string> restoring = host.start();
  host.wait_for("abc");
  SUBCASE("with other ports") {
    REQUIRE(host.cache.add("abc", {{8081, 80}}) == done);
    CHECK(restoring.get() == "0\n" + kDef + "restored 1 attachment; 1 published already, 0 gone\n");
    CHECK(connections(host.lab, "MESOS-WEB-ip", "tcp . 8081") == "0");
  }
  SUBCASE("without ports, so that its ADD removed what was restored") {
    REQUIRE(host.cache.add("abc", {}) == done);
    CHECK(restoring.get() == "0\n" + kDef + "restored 1 attachment; 0 published already, 0 gone\n");
    CHECK(!host.has("abc"));
  }
}

TEST_CASE("restore race: an entry that is half written is read again, a new one is restored too") {
  const Host host;
  const std::string whole = host.cache.entry("abc", {{8080, 80}});
  SUBCASE("half written") {
    host.cache.write("abc", whole.substr(0, whole.size() / 2));
  }
  SUBCASE("not there yet: the flush came between its ADD and its entry") {
    host.cache.forget("abc");
  }
  std::future<std::string> restoring = host.start();
  host.wait_for("def");
  host.cache.write("abc", whole);
  CHECK(restoring.get() == "0\n" + kAbc + kDef + kBoth);
  CHECK(host.has("abc"));
}

TEST_CASE(
    "restore race: an entry that is half written is waited for, even where it is the only one") {
  const Host host;
  host.cache.forget("def");
  const std::string whole = host.cache.entry("abc", {{8080, 80}});
  host.cache.write("abc", whole.substr(0, whole.size() / 2));
  std::future<std::string> restoring = host.start();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  host.cache.write("abc", whole);
  CHECK(restoring.get() == "0\n" + kAbc + "restored 1 attachment; 0 published already, 0 gone\n");
}

TEST_CASE("restore race: where entries never stop coming and going, the last is looked at again") {
  Lab lab;
  const CniCache cache(lab);
  const auto name = [](int number) { return "c" + std::to_string(number); };
  const auto remember = [&](int number) {
    lab.container(name(number), "10.22.0." + std::to_string(number) + "/16");
    cache.write(name(number),
                cache.entry(name(number), {{static_cast<std::uint16_t>(8000 + number), 80}}));
  };
  remember(2);
  std::atomic<bool> over = false;
  std::future<std::string> restoring = std::async(std::launch::async, [&] {
    const RunResult result = ctl(lab, {"restore", "--from", cache.directory()});
    over = true;
    return std::to_string(result.status) + "\n" + result.err;
  });
  // Each look finds one that is new, and that its DEL has passed already.
  int number = 2;
  for (; !over; ++number) {
    while (!over && listing(lab.host()).find("web/" + name(number) + "/eth0") == std::string::npos)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    remember(number + 1);
    cache.forget(name(number));
  }
  CHECK(restoring.get() == "0\n");
  CHECK(number > 2);
  CHECK(listing(lab.host()).find("web/") == std::string::npos);
}

TEST_CASE("restore race: flushes, restores, ADDs and DELs at once end in what the cache says") {
  Lab lab;
  const CniCache cache(lab);
  constexpr int containers = 6;
  const auto name = [](int number) { return "c" + std::to_string(number); };
  for (int i = 0; i < containers; ++i)
    lab.container(name(i), "10.22.0." + std::to_string(i + 2) + "/16");
  // One stays, so that restore always finds something that lives.
  lab.container("stays", "10.22.0.100/16");
  REQUIRE(cache.add("stays", {{9000, 80}}) == done);
  std::vector<std::future<void>> runtimes;
  for (int i = 0; i < containers; ++i)
    runtimes.push_back(std::async(std::launch::async, [&, i] {
      const Mappings ports = {{static_cast<std::uint16_t>(8000 + i), 80}};
      for (int round = 0; round < 20; ++round) {
        REQUIRE(cache.add(name(i), ports) == done);
        REQUIRE(cache.del(name(i)) == done);
      }
      if (i % 2 == 0) REQUIRE(cache.add(name(i), ports) == done);
    }));
  std::atomic<bool> over = false;
  std::future<void> operators = std::async(std::launch::async, [&] {
    while (!over) {
      nft(lab.host(), "flush ruleset");
      REQUIRE(ctl(lab, {"restore", "--from", cache.directory()}).err == "");
    }
  });
  for (std::future<void>& runtime : runtimes) runtime.get();
  over = true;
  operators.get();
  REQUIRE(ctl(lab, {"restore", "--from", cache.directory()}).status == 0);
  const std::string table = listing(lab.host());
  CHECK(table.find("web/stays/eth0") != std::string::npos);
  for (int i = 0; i < containers; ++i) {
    CAPTURE(i);
    CHECK((table.find("web/" + name(i) + "/eth0") != std::string::npos) == (i % 2 == 0));
  }
}

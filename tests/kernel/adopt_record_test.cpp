// lib/app/adopt/record: a runtime's record that names ours, and what it said before.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lib/app/adopt/record.hpp"
#include "lib/base/base64.hpp"
#include "lib/host/exchange_file.hpp"
#include "tests/support/files.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

std::string record_naming(const std::string& plugin) {
  return R"({"config":")" +
         encode_base64(R"({"plugins":[{"type":"bridge"},{"type":")" + plugin + R"("}]})") + "\"}\n";
}

struct Record {
  ScratchDirectory scratch{};
  std::string path = scratch.path("results/web-abc-eth0");

  explicit Record(const std::string& plugin) {
    std::filesystem::create_directory(scratch.path("results"));
    std::ofstream(path) << record_naming(plugin);
  }
};

}  // namespace

TEST_CASE("adopt's record: changed, and as it was where the ports did not become ours") {
  const Record record("portmap");
  adopt::RecordChange change;
  REQUIRE(change.make(record.path, host::file_state(record.path)));
  CHECK(read_file(record.path) == record_naming("nft-port-mapper"));
  REQUIRE(change.undo());
  CHECK(read_file(record.path) == record_naming("portmap"));
}

TEST_CASE("adopt's record: one that its runtime removed meanwhile is not brought back") {
  const Record record("portmap");
  const host::FileState state = host::file_state(record.path);
  adopt::RecordChange change;
  REQUIRE(change.make(record.path, state));
  CHECK(unlink(record.path.c_str()) == 0);
  CHECK(change.undo());
  CHECK(!std::filesystem::exists(record.path));
  const Result<bool> again = change.make(record.path, state);
  REQUIRE(again);
  CHECK(!*again);
}

TEST_CASE("adopt's record: of what names ours already nothing is written") {
  const Record record("nft-port-mapper");
  const host::FileState state = host::file_state(record.path);
  adopt::RecordChange change;
  REQUIRE(change.make(record.path, state));
  CHECK(host::file_state(record.path) == state);
  CHECK(change.undo());
  CHECK(host::file_state(record.path) == state);
}

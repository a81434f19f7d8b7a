// lib/host/exchange_file: another program's file, if it is still the one that was read.
#include "lib/host/exchange_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/files.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::size_t entries_in(const std::string& directory) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(directory), {}));
}

struct Cache {
  ScratchDirectory scratch{};
  std::string path = scratch.path("results/web-abc-eth0");

  Cache() {
    std::filesystem::create_directory(scratch.path("results"));
    write(path, "old");
    CHECK(chmod(path.c_str(), 0600) == 0);
  }
  // Nothing of ours is left, neither here nor where the runtime looks.
  void check_left(std::size_t records) const {
    CHECK(entries_in(scratch.path()) == 1);
    CHECK(entries_in(scratch.path("results")) == records);
  }
};

}  // namespace

TEST_CASE("exchange_file: the new content, with the mode, the time and the attributes of the old") {
  const Cache cache;
  REQUIRE(setxattr(cache.path.c_str(), "trusted.whose", "libcni", 6, 0) == 0);
  const host::FileState before = host::file_state(cache.path);
  const auto replaced = host::exchange_file(cache.path, before, "new");
  REQUIRE(replaced);
  CHECK(*replaced == host::file_state(cache.path));
  CHECK(read_file(cache.path) == "new");
  struct stat status {};
  CHECK(stat(cache.path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  CHECK(host::file_state(cache.path).modified == before.modified);
  std::string whose(6, '\0');
  CHECK(getxattr(cache.path.c_str(), "trusted.whose", whose.data(), whose.size()) == 6);
  CHECK(whose == "libcni");
  cache.check_left(1);
}

TEST_CASE("exchange_file: a file that was written again meanwhile keeps what it says") {
  const Cache cache;
  const host::FileState before = host::file_state(cache.path);
  write(cache.path, "another");
  const auto replaced = host::exchange_file(cache.path, before, "new");
  REQUIRE(replaced);
  CHECK(!*replaced);
  CHECK(read_file(cache.path) == "another");
  cache.check_left(1);
}

TEST_CASE("exchange_file: a file that its owner removed is not brought back") {
  const Cache cache;
  const host::FileState before = host::file_state(cache.path);
  CHECK(unlink(cache.path.c_str()) == 0);
  const auto replaced = host::exchange_file(cache.path, before, "new");
  REQUIRE(replaced);
  CHECK(!*replaced);
  cache.check_left(0);
}

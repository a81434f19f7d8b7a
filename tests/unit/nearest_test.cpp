// lib/base/nearest: what a mistyped word was meant to be.
#include "lib/base/nearest.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace portmapper;

namespace {

constexpr std::string_view kNames[] = {"list",   "owner",  "check", "prune",   "release", "restore",
                                       "render", "doctor", "flush", "version", "help"};

std::string meant(std::string_view word) {
  return std::string(nearest(word, kNames).value_or("nothing"));
}

}  // namespace

TEST_CASE("nearest: one letter put in, left out, another, or two exchanged") {
  CHECK(meant("lisst") == "list");
  CHECK(meant("lst") == "list");
  CHECK(meant("lisk") == "list");
  CHECK(meant("lsit") == "list");
  CHECK(meant("doctro") == "doctor");
  CHECK(meant("list") == "list");
}

TEST_CASE("nearest: longer words may have more of it") {
  CHECK(meant("lits") == "list");
  CHECK(meant("vesrion") == "version");
  CHECK(meant("realese") == "release");
  CHECK(meant("resotrr") == "restore");
  CHECK(meant("lats") == "nothing");
}

TEST_CASE("nearest: a beginning that one name alone has") {
  CHECK(meant("doc") == "doctor");
  CHECK(meant("rest") == "restore");
  CHECK(meant("re") == "nothing");
}

TEST_CASE("nearest: nothing for what is not near, empty, or long without end") {
  CHECK(meant("") == "nothing");
  CHECK(meant("iptables") == "nothing");
  CHECK(meant(std::string(100000, 'l')) == "nothing");
  CHECK_FALSE(nearest("list", {}));
}

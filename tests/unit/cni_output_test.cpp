#include <doctest/doctest.h>

#include <cerrno>
#include <utility>

#include "lib/cni/output.hpp"

using namespace portmapper;
using namespace portmapper::cni;

TEST_CASE("every kind of error has CNI's or the design's code") {
  const std::pair<ErrorKind, int> codes[] = {
      {ErrorKind::unsupported_version, 1}, {ErrorKind::try_again_later, 11},
      {ErrorKind::not_available, 50},      {ErrorKind::unreadable_input, 100},
      {ErrorKind::invalid_input, 101},     {ErrorKind::delegate_failed, 102},
      {ErrorKind::delegate_missing, 102},  {ErrorKind::mapping_failed, 103},
      {ErrorKind::port_taken, 103},        {ErrorKind::unsupported_command, 104},
  };
  for (const auto& [kind, code] : codes) CHECK(cni_code(kind) == code);
}

TEST_CASE("an error object on one line, whatever the text") {
  Error error;
  error.kind = ErrorKind::mapping_failed;
  error.what = "cannot create \"x\"\n\x1b[31m\xff";
  error.object = "map MESOS-WEB-ip";
  error.error_number = EPERM;
  CHECK(error_object("1.0.0", error) ==
        R"({"cniVersion":"1.0.0","code":103,"msg":"cannot create \"x\"\n\u001b[31m\ufffd: )"
        "map MESOS-WEB-ip: Operation not permitted\"}\n");
}

TEST_CASE("a delegate's own words are the details") {
  Error error;
  error.kind = ErrorKind::delegate_failed;
  error.what = "delegate bridge failed";
  error.details = R"({"code":7,"msg":"no"})";
  CHECK(error_object("0.2.0", error) ==
        R"({"cniVersion":"0.2.0","code":102,"msg":"delegate bridge failed",)"
        R"("details":"{\"code\":7,\"msg\":\"no\"}"})"
        "\n");
}

TEST_CASE("the version object lists all that is supported") {
  CHECK(version_object("0.4.0") ==
        R"({"cniVersion":"0.4.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0",)"
        "\"1.0.0\",\"1.1.0\"]}\n");
}

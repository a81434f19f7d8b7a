#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "lib/cni/result.hpp"

using namespace portmapper;
using namespace portmapper::cni;

namespace {

// The addresses, or the error.
std::string read(std::string_view json) {
  const Result<std::vector<IpPrefix>> addresses = container_addresses(json, "eth0", "prevResult");
  if (!addresses) {
    CHECK(addresses.error().kind == ErrorKind::invalid_input);
    return addresses.error().message();
  }
  std::string text;
  for (const IpPrefix& prefix : *addresses) text += prefix.to_string() + " ";
  return text;
}

struct Case {
  std::string json;
  std::string expected;
};

const std::string kInterfaces =
    R"("interfaces":[{"name":"br0"},{"name":"eth0","sandbox":"/n"},{"name":"eth1","sandbox":"/n"},)"
    R"({"name":"eth0"}])";

}  // namespace

TEST_CASE("the addresses of the container's interface, in every form of result") {
  const std::vector<Case> cases = {
      {"{}", ""},
      {R"({"ip4":null,"ips":null})", ""},
      {R"({"cniVersion":"0.2.0","ip4":{"ip":"10.22.0.2/16","gateway":"10.22.0.1"},)"
       R"("ip6":{"ip":"fd00::2/64"},"dns":{}})",
       "10.22.0.2/16 fd00::2/64 "},
      {R"({"cniVersion":"0.4.0","interfaces":[{"name":"eth0","sandbox":"/n"}],)"
       R"("ips":[{"version":"4","interface":0,"address":"10.88.0.2/16"}]})",
       "10.88.0.2/16 "},
      {"{" + kInterfaces +
           R"(,"ips":[{"interface":0,"address":"10.0.0.1/24"},)"
           R"({"interface":1,"address":"10.0.0.2/24"},{"interface":2,"address":"10.0.0.3/24"},)"
           R"({"interface":3,"address":"10.0.0.4/24"},{"interface":1,"address":"fd00::2/64"}]})",
       "10.0.0.2/24 fd00::2/64 "},
      // Without an index nothing says that the address is not the container's.
      {"{" + kInterfaces +
           R"(,"ips":[{"address":"10.0.0.2/24"},)"
           R"({"interface":-1,"address":"10.0.0.3/24"}]})",
       "10.0.0.2/24 10.0.0.3/24 "},
      {R"({"ips":[{"interface":2,"address":"10.0.0.2/24"}]})", "10.0.0.2/24 "},
      {R"({"interfaces":[],"ips":[{"interface":0,"address":"10.0.0.2/24"}]})", "10.0.0.2/24 "},
      {R"({"ips":[{"address":"10.0.0.2/24"},{"address":"10.0.0.2/24"}]})", "10.0.0.2/24 "},
  };
  for (const Case& item : cases) {
    CAPTURE(item.json);
    CHECK(read(item.json) == item.expected);
  }
}

TEST_CASE("what is wrong with a result is said with its path and value") {
  const std::vector<Case> cases = {
      {"", "prevResult is empty"},
      {"[]", "prevResult is an array, not an object"},
      {R"({"ips":[],"ips":[]})", "prevResult has the key ips twice"},
      {R"({"ip4":{}})", "prevResult: ip4.ip is missing"},
      {R"({"ip4":"10.0.0.1/8","ip6":{"ip":"10.0.0.1/8"}})",
       "prevResult: ip4: \"10.0.0.1/8\" is not an object; ip6.ip: \"10.0.0.1/8\" is not an IPv6 "
       "address with prefix length, as fd00::2/64"},
      {R"({"ip4":{"ip":"10.0.0.1"}})",
       "prevResult: ip4.ip: \"10.0.0.1\" is not an IPv4 address with prefix length, as "
       "10.22.0.2/16"},
      {R"({"ips":{}})", "prevResult: ips: an object is not an array"},
      {R"({"interfaces":7,"ips":["x",{},{"address":7},{"address":"10.0.0.1/33"}]})",
       "prevResult: interfaces: 7 is not an array; ips[0]: \"x\" is not an object; ips[1].address "
       "is missing; ips[2].address: 7 is not a string; ips[3].address: \"10.0.0.1/33\" is not an "
       "address with prefix length, as 10.22.0.2/16"},
      {"{" + kInterfaces +
           R"(,"ips":[{"interface":4,"address":"10.0.0.1/24"},)"
           R"({"interface":"1","address":"10.0.0.1/24"}]})",
       "prevResult: ips[0].interface: 4 is not in 0..3; ips[1].interface: \"1\" is not an integer "
       "in 0..3"},
  };
  for (const Case& item : cases) CHECK(read(item.json) == item.expected);
}

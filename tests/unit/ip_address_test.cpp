// lib/base/ip_address: addresses and prefixes at their edges.
#include "lib/base/ip_address.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/bytes.hpp"

using namespace portmapper;
using portmapper::test::hex;
using portmapper::test::unhex;

namespace {

// The text of what was parsed, "-" for nothing.
std::string parsed(std::string_view text) {
  const auto address = IpAddress::parse(text);
  return address ? address->to_string() : "-";
}

IpPrefix prefix(const char* text) {
  return IpPrefix::parse(text).value();
}

IpAddress address(const char* text) {
  return IpAddress::parse(text).value();
}

}  // namespace

TEST_CASE("addresses are printed in their canonical form") {
  CHECK(parsed("192.0.2.1") == "192.0.2.1");
  CHECK(parsed("0.0.0.0") == "0.0.0.0");
  CHECK(parsed("255.255.255.255") == "255.255.255.255");
  CHECK(parsed("::") == "::");
  CHECK(parsed("FD00:0:0::0002") == "fd00::2");
  CHECK(parsed("2001:db8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");
  CHECK(parsed("::ffff:192.0.2.1") == "::ffff:192.0.2.1");
  CHECK(parsed("::ffff:0:0") == "::ffff:0.0.0.0");
}

TEST_CASE("the longest address there is") {
  const std::string longest = "0000:0000:0000:0000:0000:ffff:255.255.255.255";
  REQUIRE(longest.size() == 45);
  CHECK(parsed(longest) == "::ffff:255.255.255.255");
  CHECK(parsed("0" + longest) == "-");
  CHECK(parsed(std::string(4096, '1')) == "-");
}

TEST_CASE("what is no address") {
  for (const char* text : {"",
                           " ",
                           "10.1",
                           "10.22.0",
                           "10.22.0.2.3",
                           "10.22.0.256",
                           "010.22.0.2",
                           "10.22.0.2 ",
                           " 10.22.0.2",
                           "10.22.0.2/16",
                           "0x0a.0.0.1",
                           "localhost",
                           ":",
                           ":::",
                           "1::2::3",
                           "fe80::1%eth0",
                           "[::1]",
                           "::1/128",
                           "12345::",
                           "::ffff:1.2.3.256",
                           "1.2.3.4:80"})
    CHECK_MESSAGE(parsed(text) == "-", text);
  CHECK(parsed(std::string_view("10.22.0.2\0", 10)) == "-");
  CHECK(parsed(std::string_view("10.22.0.2\0.9", 12)) == "-");
}

TEST_CASE("a view into a longer text is not read beyond its end") {
  CHECK(parsed(std::string_view("10.22.0.255").substr(0, 9)) == "10.22.0.2");
}

TEST_CASE("bytes are in network order, the rest of an IPv4 address is 0") {
  CHECK(hex(address("192.0.2.1").bytes()) == "c0000201 00000000 00000000 00000000");
  CHECK(hex(address("fd00::2").bytes()) == "fd000000 00000000 00000000 00000002");
  CHECK(address("192.0.2.1").length() == 4);
  CHECK(address("::").length() == 16);
  const auto bytes = unhex("0a160002 ffffffff");
  CHECK(IpAddress::from_bytes(Family::ipv4, bytes.data()) == address("10.22.0.2"));
}

TEST_CASE("any and loopback") {
  CHECK(IpAddress() == address("0.0.0.0"));
  CHECK(IpAddress::any(Family::ipv4) == address("0.0.0.0"));
  CHECK(IpAddress::any(Family::ipv6) == address("::"));
  CHECK(IpAddress::any(Family::ipv4) != IpAddress::any(Family::ipv6));
  CHECK(address("0.0.0.0").is_any());
  CHECK(address("::").is_any());
  CHECK_FALSE(address("0.0.0.1").is_any());
  CHECK_FALSE(address("::ffff:0.0.0.0").is_any());
  for (const char* text : {"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1"})
    CHECK_MESSAGE(address(text).is_loopback(), text);
  for (const char* text : {"126.255.255.255", "128.0.0.0", "::", "::2", "1::1", "::ffff:127.0.0.1"})
    CHECK_MESSAGE(!address(text).is_loopback(), text);
}

TEST_CASE("mapped and unmapped are each other's reverse, and leave IPv6 alone") {
  CHECK(address("192.0.2.1").mapped() == address("::ffff:192.0.2.1"));
  CHECK(address("::ffff:192.0.2.1").unmapped() == address("192.0.2.1"));
  CHECK(address("0.0.0.0").mapped() == address("::ffff:0.0.0.0"));
  CHECK(address("::ffff:0.0.0.0").unmapped() == address("0.0.0.0"));
  CHECK(address("192.0.2.1").unmapped() == address("192.0.2.1"));
  for (const char* text : {"::", "::1", "fd00::2", "::192.0.2.1", "::fffe:192.0.2.1",
                           "::1:ffff:192.0.2.1", "1::ffff:192.0.2.1"}) {
    CHECK_MESSAGE(address(text).unmapped() == address(text), text);
    CHECK_MESSAGE(address(text).mapped() == address(text), text);
  }
}

TEST_CASE("IPv4 addresses sort before IPv6 ones, and by their bytes") {
  CHECK(address("255.255.255.255") < address("::"));
  CHECK(address("9.0.0.0") < address("10.0.0.0"));
  CHECK(address("128.0.0.0") > address("127.0.0.0"));
}

TEST_CASE("prefixes are parsed with their length, which keeps the host's bits") {
  CHECK(prefix("10.22.0.2/16").to_string() == "10.22.0.2/16");
  CHECK(prefix("10.22.0.2/0").to_string() == "10.22.0.2/0");
  CHECK(prefix("fd00::2/128").to_string() == "fd00::2/128");
}

TEST_CASE("what is no prefix") {
  for (const char* text :
       {"", "/", "10.22.0.2", "10.22.0.2/", "/16", "10.22.0.2/33", "10.22.0.2/256", "10.22.0.2/-1",
        "10.22.0.2/+8", "10.22.0.2/ 8", "10.22.0.2/8 ", "10.22.0.2/8/8", "10.22.0.2/1000",
        "10.22.0.2/0016", "10.22.0.2/0x8", "fd00::2/129", "fd00::2/255.0.0.0", "10.22/16",
        "10.22.0.2/a"})
    CHECK_MESSAGE(!IpPrefix::parse(text), text);
}

TEST_CASE("network and last of every kind of length") {
  CHECK(prefix("10.22.3.2/16").network() == prefix("10.22.0.0/16"));
  CHECK(prefix("10.22.3.2/16").last() == address("10.22.255.255"));
  CHECK(prefix("10.22.3.130/25").network() == prefix("10.22.3.128/25"));
  CHECK(prefix("10.22.3.130/25").last() == address("10.22.3.255"));
  CHECK(prefix("10.22.3.2/31").last() == address("10.22.3.3"));
  CHECK(prefix("10.22.3.2/32").network() == prefix("10.22.3.2/32"));
  CHECK(prefix("10.22.3.2/32").last() == address("10.22.3.2"));
  CHECK(prefix("10.22.3.2/0").network() == prefix("0.0.0.0/0"));
  CHECK(prefix("10.22.3.2/0").last() == address("255.255.255.255"));
  CHECK(prefix("fd00::2/64").network() == prefix("fd00::/64"));
  CHECK(prefix("fd00::2/64").last() == address("fd00::ffff:ffff:ffff:ffff"));
  CHECK(prefix("fd00::2/127").last() == address("fd00::3"));
  CHECK(prefix("fd00::2/0").network() == prefix("::/0"));
  CHECK(prefix("fd00::2/0").last() == address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
  CHECK(prefix("fd00::2/128").last() == address("fd00::2"));
}

TEST_CASE("an IPv4 prefix leaves the unused bytes 0, so that addresses stay equal") {
  CHECK(hex(prefix("10.22.0.2/0").last().bytes()) == "ffffffff 00000000 00000000 00000000");
}

TEST_CASE("one address, everything") {
  CHECK(IpPrefix::host(address("10.22.0.2")) == prefix("10.22.0.2/32"));
  CHECK(IpPrefix::host(address("fd00::2")) == prefix("fd00::2/128"));
  CHECK(IpPrefix::host(address("10.22.0.2")).is_host());
  CHECK(prefix("fd00::2/128").is_host());
  CHECK_FALSE(prefix("fd00::2/32").is_host());
  CHECK_FALSE(prefix("10.22.0.2/31").is_host());
  CHECK(IpPrefix::everything(Family::ipv4) == prefix("0.0.0.0/0"));
  CHECK(IpPrefix::everything(Family::ipv6) == prefix("::/0"));
}

TEST_CASE("a prefix contains its addresses, whatever its own host bits") {
  CHECK(prefix("10.22.9.9/16").contains(address("10.22.0.0")));
  CHECK(prefix("10.22.9.9/16").contains(address("10.22.255.255")));
  CHECK_FALSE(prefix("10.22.9.9/16").contains(address("10.23.0.0")));
  CHECK_FALSE(prefix("10.22.9.9/16").contains(address("10.21.255.255")));
  CHECK(prefix("0.0.0.0/0").contains(address("255.255.255.255")));
  CHECK_FALSE(prefix("0.0.0.0/0").contains(address("::")));
  CHECK_FALSE(prefix("::/0").contains(address("10.22.0.2")));
  CHECK(prefix("10.22.0.2/32").contains(address("10.22.0.2")));
  CHECK_FALSE(prefix("10.22.0.2/32").contains(address("10.22.0.3")));
}

TEST_CASE("a prefix contains itself and the narrower ones in it") {
  CHECK(prefix("10.22.0.0/16").contains(prefix("10.22.1.1/16")));
  CHECK(prefix("10.22.0.0/16").contains(prefix("10.22.255.0/24")));
  CHECK_FALSE(prefix("10.22.0.0/16").contains(prefix("10.22.0.0/15")));
  CHECK_FALSE(prefix("10.22.0.0/16").contains(prefix("10.23.0.0/24")));
  CHECK_FALSE(prefix("0.0.0.0/0").contains(prefix("fd00::/64")));
}

// nft/key: the bytes of keys and data, against the layout that nft itself gives them.
#include "nft/key.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "nft/set.hpp"
#include "tests/support/bytes.hpp"
#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

constexpr Suffix kAny4{Family::ipv4, AddressScope::any};
constexpr Suffix kOne4{Family::ipv4, AddressScope::one};
constexpr Suffix kAny6{Family::ipv6, AddressScope::any};
constexpr Suffix kOne6{Family::ipv6, AddressScope::one};

template <typename T>
std::string text(const std::optional<T>& parsed) {
  return parsed ? to_string(*parsed) : "-";
}

std::string claim(const char* bytes, Suffix suffix) {
  return text(parse_claim_key(unhex(bytes), suffix));
}

std::string interval(const char* source, const char* destination) {
  const Key from = hairpin_key(prefix(source), prefix(destination));
  const Key to = hairpin_key_end(prefix(source), prefix(destination));
  return format_interval(hairpin_spec(prefix(source).address.family()).key, from.bytes(),
                         to.bytes());
}

}  // namespace

TEST_CASE("a field is padded with zeros to four bytes") {
  Key key;
  CHECK(key.empty());
  key.add(unhex("01"));
  key.add(unhex("0203"));
  key.add(unhex("04050607"));
  CHECK_FALSE(key.empty());
  CHECK(hex(key.bytes()) == "01000000 02030000 04050607");
}

TEST_CASE("a key has room for 32 bytes") {
  Key key;
  key.add(Buffer(16, 0x11));
  key.add(Buffer(16, 0x22));
  CHECK(hex(key.bytes()) ==
        "11111111 11111111 11111111 11111111 22222222 22222222 22222222 22222222");
}

TEST_CASE("claims: [address .] protocol . port") {
  CHECK(hex(claim_key(published("0.0.0.0", Protocol::tcp, 8080)).bytes()) == "06000000 1f900000");
  CHECK(hex(claim_key(published("::", Protocol::sctp, 65535)).bytes()) == "84000000 ffff0000");
  CHECK(hex(claim_key(published("192.0.2.1", Protocol::udp, 1)).bytes()) ==
        "c0000201 11000000 00010000");
  CHECK(hex(claim_key(published("2001:db8::1", Protocol::tcp, 256)).bytes()) ==
        "20010db8 00000000 00000000 00000001 06000000 01000000");
}

TEST_CASE("endpoints: address . port") {
  CHECK(hex(target_data(endpoint("10.22.0.2", 80)).bytes()) == "0a160002 00500000");
  CHECK(hex(target_data(endpoint("fd00::2", 8080)).bytes()) ==
        "fd000000 00000000 00000000 00000002 1f900000");
}

TEST_CASE("owner entries: hash . index, which is in host byte order") {
  std::uint32_t index = 0x01020304;
  std::array<std::uint8_t, 4> mark{};
  std::memcpy(mark.data(), &index, mark.size());
  CHECK(hex(owner_key(owner_hash({"web", "abc", "eth0"}), index).bytes()) ==
        "6b6a7563 31746330 72736432 72663400 " + hex(mark));
}

TEST_CASE("keys of owner entries parse to what they were built from, others are nothing") {
  const OwnerHash hash = owner_hash({"web", "abc", "eth0"});
  const auto parsed = parse_owner_key(owner_key(hash, 0x01020304).bytes());
  REQUIRE(parsed);
  CHECK(parsed->owner == hash);
  CHECK(parsed->index == 0x01020304);
  CHECK_FALSE(parse_owner_key({}));
  CHECK_FALSE(parse_owner_key(Buffer(19, 6)));
  CHECK(parse_owner_key(Buffer(20, 6)));
  CHECK_FALSE(parse_owner_key(Buffer(21, 6)));
}

TEST_CASE("owned ports: IPv4 as mapped IPv6, any of each family apart") {
  CHECK(hex(owner_data(published("0.0.0.0", Protocol::tcp, 8080)).bytes()) ==
        "00000000 00000000 0000ffff 00000000 06000000 1f900000");
  CHECK(hex(owner_data(published("192.0.2.1", Protocol::udp, 5353)).bytes()) ==
        "00000000 00000000 0000ffff c0000201 11000000 14e90000");
  CHECK(hex(owner_data(published("::", Protocol::tcp, 8080)).bytes()) ==
        "00000000 00000000 00000000 00000000 06000000 1f900000");
}

TEST_CASE("hairpins: from the first of both to the last of both, without host bits") {
  CHECK(hex(hairpin_key(prefix("10.22.0.2/16"), prefix("10.23.9.9/24")).bytes()) ==
        "0a160000 0a170900");
  CHECK(hex(hairpin_key_end(prefix("10.22.0.2/16"), prefix("10.23.9.9/24")).bytes()) ==
        "0a16ffff 0a1709ff");
  CHECK(hex(hairpin_key(prefix("::/0"), prefix("fd00::2/128")).bytes()) ==
        "00000000 00000000 00000000 00000000 fd000000 00000000 00000000 00000002");
  CHECK(hex(hairpin_key_end(prefix("::/0"), prefix("fd00::2/128")).bytes()) ==
        "ffffffff ffffffff ffffffff ffffffff fd000000 00000000 00000000 00000002");
}

TEST_CASE("what was built parses to what it was built from") {
  for (const char* host : {"0.0.0.0", "192.0.2.1", "127.0.0.1", "::", "fd00::2", "::1"})
    for (const Protocol protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp})
      for (const int number : {1, 255, 256, 65535}) {
        const PublishedPort port = published(host, protocol, number);
        CHECK(text(parse_owner_data(owner_data(port).bytes())) == to_string(port));
        CHECK(text(parse_claim_key(claim_key(port).bytes(), suffix_of(port))) == to_string(port));
      }
  for (const Endpoint& one : {endpoint("10.22.0.2", 1), endpoint("fd00::2", 65535)})
    CHECK(text(parse_target_data(target_data(one).bytes(), one.address.family())) ==
          to_string(one));
}

TEST_CASE("published ports and endpoints are printed as operators write them") {
  CHECK(to_string(published("192.0.2.1", Protocol::tcp, 8080)) == "192.0.2.1:8080/tcp");
  CHECK(to_string(published("::", Protocol::sctp, 1)) == "[::]:1/sctp");
  CHECK(to_string(endpoint("10.22.0.2", 80)) == "10.22.0.2:80");
  CHECK(to_string(endpoint("fd00::2", 80)) == "[fd00::2]:80");
}

TEST_CASE("claims of another layout are nothing") {
  CHECK(claim("06000000 1f900000", kAny4) == "0.0.0.0:8080/tcp");
  CHECK(claim("06000000 1f900000", kAny6) == "[::]:8080/tcp");
  CHECK(claim("06000000 1f900000", kOne4) == "-");
  CHECK(claim("c0000201 06000000 1f900000", kOne4) == "192.0.2.1:8080/tcp");
  CHECK(claim("c0000201 06000000 1f900000", kAny4) == "-");
  CHECK(claim("c0000201 06000000 1f900000", kOne6) == "-");
  CHECK(claim("06000000 1f9000", kAny4) == "-");
  CHECK(claim("06000000 1f900000 00", kAny4) == "-");
  CHECK(claim("", kAny4) == "-");
  CHECK(claim("", kOne6) == "-");
}

TEST_CASE("unknown protocols and port 0 are nothing") {
  CHECK(claim("21000000 1f900000", kAny4) == "-");
  CHECK(claim("00000000 1f900000", kAny4) == "-");
  CHECK(claim("06000000 00000000", kAny4) == "-");
  CHECK(text(parse_owner_data(unhex("00000000 00000000 0000ffff 00000000 06000000 00000000"))) ==
        "-");
  CHECK(text(parse_owner_data(unhex("00000000 00000000 0000ffff 00000000 01000000 1f900000"))) ==
        "-");
  CHECK(text(parse_target_data(unhex("0a160002 00000000"), Family::ipv4)) == "-");
}

TEST_CASE("owned ports and endpoints of another size are nothing") {
  CHECK_FALSE(parse_owner_data({}));
  CHECK_FALSE(parse_owner_data(Buffer(23, 6)));
  CHECK(parse_owner_data(Buffer(24, 6)));
  CHECK_FALSE(parse_owner_data(Buffer(25, 6)));
  CHECK_FALSE(parse_target_data({}, Family::ipv4));
  CHECK_FALSE(parse_target_data(Buffer(7, 1), Family::ipv4));
  CHECK(parse_target_data(Buffer(8, 1), Family::ipv4));
  CHECK_FALSE(parse_target_data(Buffer(8, 1), Family::ipv6));
  CHECK_FALSE(parse_target_data(Buffer(20, 1), Family::ipv4));
  CHECK(parse_target_data(Buffer(20, 1), Family::ipv6));
}

TEST_CASE("keys are printed as nft prints them") {
  const auto claim_text = [](const char* host, Protocol protocol) {
    const PublishedPort port = published(host, protocol, 8080);
    return format_key(claim_spec(suffix_of(port)).key, claim_key(port).bytes());
  };
  CHECK(claim_text("0.0.0.0", Protocol::tcp) == "tcp . 8080");
  CHECK(claim_text("192.0.2.1", Protocol::udp) == "192.0.2.1 . udp . 8080");
  CHECK(claim_text("fd00::2", Protocol::sctp) == "fd00::2 . sctp . 8080");
  CHECK(format_key(claim_spec(kAny4).key, unhex("21000000 00000000")) == "33 . 0");
}

TEST_CASE("owner entries are printed as nft prints them") {
  const OwnerHash hash = owner_hash({"web", "abc", "eth0"});
  CHECK(format_key(owners_spec().key, owner_key(hash, 26).bytes()) ==
        "\"kjuc1tc0rsd2rf4\" . 0x0000001a");
  CHECK(format_key(owners_spec().data,
                   owner_data(published("192.0.2.1", Protocol::udp, 5353)).bytes()) ==
        "::ffff:192.0.2.1 . udp . 5353");
  const Buffer unterminated(20, 'x');  // sixteen bytes without a NUL
  CHECK(format_key(owners_spec().key, unterminated) == "\"xxxxxxxxxxxxxxxx\" . 0x78787878");
}

TEST_CASE("intervals are printed as prefixes, single addresses without a length") {
  CHECK(interval("10.22.0.2/16", "10.22.0.2/16") == "10.22.0.0/16 . 10.22.0.0/16");
  CHECK(interval("127.0.0.0/8", "10.22.0.2/32") == "127.0.0.0/8 . 10.22.0.2");
  CHECK(interval("10.22.0.2/32", "10.22.0.2/32") == "10.22.0.2 . 10.22.0.2");
  CHECK(interval("0.0.0.0/0", "10.22.3.4/25") == "0.0.0.0/0 . 10.22.3.0/25");
  CHECK(interval("fd00::2/64", "fd00::2/127") == "fd00::/64 . fd00::2/127");
  CHECK(interval("::/0", "fd00::2/128") == "::/0 . fd00::2");
}

TEST_CASE("hairpins parse to the prefixes that they were built from") {
  const auto parsed = [](const char* source, const char* destination) {
    const Key from = hairpin_key(prefix(source), prefix(destination));
    const Key to = hairpin_key_end(prefix(source), prefix(destination));
    const auto pair =
        parse_hairpin_key(from.bytes(), to.bytes(), prefix(source).address.family()).value();
    return pair.first.to_string() + " . " + pair.second.to_string();
  };
  CHECK(parsed("10.22.0.2/16", "10.22.3.4/25") == "10.22.0.0/16 . 10.22.3.0/25");
  CHECK(parsed("0.0.0.0/0", "10.22.0.2/32") == "0.0.0.0/0 . 10.22.0.2/32");
  CHECK(parsed("::/0", "fd00::2/64") == "::/0 . fd00::/64");
}

TEST_CASE("hairpins of another size are nothing") {
  const Buffer four(4), eight(8), nine(9), sixteen(16), thirty_two(32);
  CHECK(parse_hairpin_key(eight, eight, Family::ipv4));
  CHECK(parse_hairpin_key(thirty_two, thirty_two, Family::ipv6));
  CHECK_FALSE(parse_hairpin_key({}, {}, Family::ipv4));
  CHECK_FALSE(parse_hairpin_key(four, four, Family::ipv4));
  CHECK_FALSE(parse_hairpin_key(nine, nine, Family::ipv4));
  CHECK_FALSE(parse_hairpin_key(eight, {}, Family::ipv4));
  CHECK_FALSE(parse_hairpin_key(eight, nine, Family::ipv4));
  CHECK_FALSE(parse_hairpin_key(eight, eight, Family::ipv6));
  CHECK_FALSE(parse_hairpin_key(sixteen, sixteen, Family::ipv6));
}

TEST_CASE("field types have nft's names, numbers and lengths") {
  std::string all;
  for (const FieldType type : {FieldType::ipv4_addr, FieldType::ipv6_addr, FieldType::inet_proto,
                               FieldType::inet_service, FieldType::ifname, FieldType::mark})
    all += std::string(field(type).name) + " " + std::to_string(field(type).type_id) + " " +
           std::to_string(field(type).length) + "\n";
  CHECK(all ==
        "ipv4_addr 7 4\n"
        "ipv6_addr 8 16\n"
        "inet_proto 12 1\n"
        "inet_service 13 2\n"
        "ifname 41 16\n"
        "mark 19 4\n");
}

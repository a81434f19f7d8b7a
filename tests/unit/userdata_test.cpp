// nft/userdata: the bytes beside the bytes, ours and nft's.
#include "nft/userdata.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/bytes.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

const OwnerHash kOwnerHash = owner_hash({"web", "abc", "eth0"});  // "kjuc1tc0rsd2rf4"

NetworkNamespace netns(const std::string& path) {
  return {.path = path, .device = 4, .inode = 0xf0000001, .id = 0x0102030405060708};
}

ElementData parsed(std::string_view bytes) {
  return parse_element_data(bytes_of(bytes));
}

ElementData parsed_hex(const char* bytes) {
  return parse_element_data(unhex(bytes));
}

}  // namespace

TEST_CASE("a comment alone is what nft would write") {
  CHECK(hex(encode_comment("abc")) == "00046162 6300");
  CHECK(hex(encode(ElementData{.comment = "abc"})) == "00046162 6300");
  CHECK(hex(encode_comment("")) == "000100");
}

TEST_CASE("a claim's bytes: comment and owner") {
  const Buffer expected = unhex("00 04 61626300  a0 0f 6b6a75633174633072736432726634");
  CHECK(hex(encode(ElementData{.comment = "abc", .owner = kOwnerHash})) == hex(expected));
}

TEST_CASE("an owner entry's bytes: comment, namespace, chain, hairpin, count, network, path") {
  const std::string bytes = encode(ElementData{.comment = "a",
                                               .netns = netns("/n"),
                                               .chain = "MESOS",
                                               .hairpin = 0x25,
                                               .count = 0x01020304,
                                               .network = kOwnerHash});
  const Buffer expected = unhex(
      "00 02 61 00"
      "a1 18 0000000000000004 00000000f0000001 0102030405060708"
      "a3 05 4d45534f53"
      "a4 01 25"
      "a6 08 0000000001020304"
      "a7 0f 6b6a75633174633072736432726634"
      "a2 02 2f6e");
  CHECK(hex(bytes) == hex(expected));
}

TEST_CASE("what was encoded is parsed again") {
  const ElementData all{.comment = "web/abc/eth0",
                        .owner = kOwnerHash,
                        .netns = netns("/run/netns/web"),
                        .chain = "MESOS-WEB",
                        .hairpin = 255,
                        .count = 65535,
                        .network = owner_hash({"web", {}, {}})};
  CHECK(parsed(encode(all)) == all);
  CHECK(parsed(encode(ElementData{})) == ElementData{});
  const ElementData claim{.comment = "container_id: abc", .owner = kOwnerHash};
  CHECK(parsed(encode(claim)) == claim);
}

TEST_CASE("who recorded a namespace goes with its numbers, and not without them") {
  ElementData data{.comment = "a", .netns = netns("/n")};
  data.netns.observer = {.pid_namespace = 0xeffffffc, .mount_namespace = 0xf0000002};
  CHECK(hex(encode(data)) == hex(unhex("00 02 61 00"
                                       "a1 18 0000000000000004 00000000f0000001 0102030405060708"
                                       "a9 10 00000000effffffc 00000000f0000002"
                                       "a2 02 2f6e")));
  CHECK(parsed(encode(data)) == data);
  data.netns.observer.mount_namespace = 0;
  CHECK(parsed(encode(data)).netns.observer == Observer());
  CHECK(hex(encode(ElementData{.comment = "a", .netns = {.path = {}, .observer = {1, 2}}})) ==
        "00026100");
}

TEST_CASE("a namespace's cookie is a type of its own, which an older version skips") {
  ElementData data{.comment = "a", .netns = netns("/n")};
  data.netns.id = 0;
  data.netns.cookie = 0x0102030405060708;
  CHECK(hex(encode(data)) == hex(unhex("00 02 61 00"
                                       "a1 18 0000000000000004 00000000f0000001 0000000000000000"
                                       "ae 08 0102030405060708"
                                       "a2 02 2f6e")));
  CHECK(parsed(encode(data)) == data);
  CHECK(parsed_hex("ae07 01020304 050607") == ElementData{});
  CHECK(parsed_hex("ae09 01020304 05060708 09") == ElementData{});
  data.netns.inode = 0;  // the number of nothing
  CHECK(hex(encode(data)) == "00026100 a2022f6e");
}

TEST_CASE("a namespace that is not known leaves no numbers, but its path") {
  const ElementData data{.comment = "a", .netns = {.path = "/n"}};
  CHECK(hex(encode(data)) == "00026100 a2022f6e");
  CHECK(parsed(encode(data)) == data);
}

TEST_CASE("a path stays while all is 254 bytes, and goes alone when it is 255") {
  // 4 bytes of comment, 26 of numbers, 11 of chain, 3 of hairpin, 2 before the path
  const auto data = [](std::size_t length) {
    return ElementData{.comment = "a",
                       .netns = netns(std::string(length, 'p')),
                       .chain = "MESOS-WEB",
                       .hairpin = 1};
  };
  CHECK(encode(data(254 - 46)).size() == 254);
  CHECK(parsed(encode(data(254 - 46))) == data(254 - 46));
  CHECK(encode(data(255 - 46)).size() == 44);
  CHECK(parsed(encode(data(255 - 46))) == data(0));
  CHECK(parsed(encode(data(5000))) == data(0));
}

TEST_CASE("a comment is cut where the rest needs its place: the kernel refuses 255 bytes") {
  // 3 bytes around the comment, 26 of numbers, 102 of chain: 123 are left
  const auto data = [](std::size_t length) {
    return ElementData{
        .comment = std::string(length, 'c'), .netns = netns({}), .chain = std::string(100, 'h')};
  };
  CHECK(encode(data(123)).size() == 254);
  CHECK(parsed(encode(data(123))) == data(123));
  CHECK(encode(data(124)).size() == 254);
  CHECK(parsed(encode(data(124))).comment == std::string(120, 'c') + "...");
  CHECK(parsed(encode(data(124))).chain == data(0).chain);
}

TEST_CASE("the longest comment leaves room for its length") {
  const std::string comment(128, 'c');
  CHECK(encode_comment(comment).substr(0, 3) == std::string("\0\x81"
                                                            "c",
                                                            3));
  CHECK(parsed(encode_comment(comment)).comment == comment);
}

TEST_CASE("unknown types are skipped, known ones of another length are not there") {
  CHECK(parsed_hex("0104 ffffffff  0002 6100").comment == "a");
  CHECK(parsed_hex("a00e 6b6b6b6b 6b6b6b6b 6b6b6b6b 6b6b") == ElementData{});
  CHECK(parsed_hex("a010 6b6b6b6b 6b6b6b6b 6b6b6b6b 6b6b6b6b") == ElementData{});
  CHECK(parsed_hex("a108 00000000 00000004") == ElementData{});
  CHECK(parsed_hex("a402 0101") == ElementData{});
  CHECK(parsed_hex("a908 00000000 00000004") == ElementData{});
  CHECK(parsed_hex("a604 01010101") == ElementData{});
  CHECK(parsed_hex("a70e 6b6b6b6b 6b6b6b6b 6b6b6b6b 6b6b") == ElementData{});
  CHECK(parsed_hex("aa0e 6b6b6b6b 6b6b6b6b 6b6b6b6b 6b6b") == ElementData{});
  CHECK(parsed_hex("aa0f 6b6b6b6b 6b6b6b6b 6b6b6b6b 6b6b6b").container);
  CHECK(parsed_hex("a400") == ElementData{});
}

TEST_CASE("what is cut short is not there, what lies before it is") {
  CHECK(parsed_hex("") == ElementData{});
  CHECK(parsed_hex("00") == ElementData{});
  CHECK(parsed_hex("0002") == ElementData{});
  CHECK(parsed_hex("0002 61") == ElementData{});
  CHECK(parsed_hex("0002 6100 a3ff 4d").comment == "a");
  CHECK(parsed_hex("0002 6100 a3ff 4d").chain.empty());
  CHECK(parsed_hex("0002 6100 a3").comment == "a");
}

TEST_CASE("every beginning of a good one is parsed without reading beyond it") {
  const std::string whole = encode(ElementData{.comment = "web/abc/eth0",
                                               .owner = kOwnerHash,
                                               .netns = netns("/run/netns/web"),
                                               .chain = "MESOS-WEB",
                                               .hairpin = 1});
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const Buffer exact(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(parse_element_data(exact).comment == (length >= 15 ? "web/abc/eth0" : ""));
    CHECK(parse_rule_tag(exact) == 0);
  }
}

TEST_CASE("a comment ends at its NUL, or where there is none at its end") {
  CHECK(parsed_hex("0004 61006200").comment == "a");
  CHECK(parsed_hex("0002 6162").comment == "ab");
  CHECK(parsed_hex("0000").comment == "");
}

TEST_CASE("a rule's tag is its fingerprint, big-endian") {
  CHECK(hex(encode_rule_tag(0x0102030405060708)) == "a5080102 03040506 0708");
  CHECK(parse_rule_tag(bytes_of(encode_rule_tag(0x0102030405060708))) == 0x0102030405060708);
  CHECK(parse_rule_tag(bytes_of(encode_rule_tag(UINT64_MAX))) == UINT64_MAX);
}

TEST_CASE("a rule without our tag, or with one of another length, is not ours") {
  CHECK(parse_rule_tag({}) == 0);
  CHECK(parse_rule_tag(bytes_of(encode_comment("a comment"))) == 0);
  CHECK(parse_rule_tag(unhex("a608 01020304 05060708")) == 0);
  CHECK(parse_rule_tag(unhex("a507 01020304 050607")) == 0);
  CHECK(parse_rule_tag(unhex("a509 01020304 05060708 09")) == 0);
  CHECK(parse_rule_tag(unhex("a508 01020304 050607")) == 0);
  CHECK(parse_rule_tag(unhex("0002 6100 a508 00000000 00000007")) == 7);
}

TEST_CASE("a rule of a network chain tells its place, which an older version skips") {
  const std::string tag = encode_rule_tag(7, {.number = 2, .count = 5});
  CHECK(hex(tag) == "a5080000 00000000 0007af10 00000000 00000002 00000000 00000005");
  CHECK(parse_rule_tag(bytes_of(tag)) == 7);
  CHECK(parse_rule_place(bytes_of(tag)) == RulePlace{2, 5});
  CHECK(parse_rule_place(bytes_of(encode_rule_tag(7))) == RulePlace{});
  for (const char* wrong :
       {"af10 00000000 00000000 00000000 00000005", "af10 00000000 00000006 00000000 00000005",
        "af10 00000000 00000001 00000000 00010000", "af10 00000001 00000001 00000001 00000005",
        "af08 00000000 00000001"})
    CHECK(parse_rule_place(unhex(wrong)) == RulePlace{});
}

TEST_CASE("userdata: no path makes it longer than the kernel takes, whatever its length") {
  ElementData data{.comment = std::string(128, 'x'),
                   .netns = {.path = {}, .device = 4, .inode = 7, .id = 9, .observer = {1, 2}},
                   .chain = "MESOS-WEB",
                   .wish = HairpinWish{7, 16, 64},
                   .count = 3};
  data.network = network_hash("web");
  data.container = container_hash("abc");
  for (std::size_t length = 1; length < 40; ++length) {
    data.netns.path = std::string(length, 'p');
    CHECK(encode(data).size() <= 254);
  }
}

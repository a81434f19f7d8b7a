// nft/names: what the kernel and operators see of us.
#include "nft/names.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

// "network|container|interface", "-" where the comment tells no attachment.
std::string parsed(std::string_view comment) {
  Attachment attachment{"untouched", {}, {}};
  if (!parse_attachment_comment(comment, attachment))
    return attachment.network == "untouched" ? "-" : "changed though it failed";
  return attachment.network + "|" + attachment.container_id + "|" + attachment.ifname;
}

std::string hash_of(const char* network, const char* container, const char* ifname) {
  return std::string(to_string(owner_hash({network, container, ifname})));
}

}  // namespace

TEST_CASE("claim sets and target maps have the same four suffixes") {
  std::string claims;
  std::string targets;
  for (const Suffix suffix : kSuffixes) {
    claims += claim_set(suffix) + " ";
    targets += target_map("MESOS-WEB", suffix) + " ";
  }
  CHECK(claims == "published-ip published-hostip published-ip6 published-hostip6 ");
  CHECK(targets == "MESOS-WEB-ip MESOS-WEB-hostip MESOS-WEB-ip6 MESOS-WEB-hostip6 ");
  CHECK(hairpin_set(Family::ipv4) == "hairpin-ip");
  CHECK(hairpin_set(Family::ipv6) == "hairpin-ip6");
}

TEST_CASE("the suffix of a published port is its family, and whether it has an address") {
  const auto set = [](const char* host) {
    return claim_set(suffix_of(published(host, Protocol::tcp, 80)));
  };
  CHECK(set("0.0.0.0") == "published-ip");
  CHECK(set("192.0.2.1") == "published-hostip");
  CHECK(set("::") == "published-ip6");
  CHECK(set("::1") == "published-hostip6");
}

TEST_CASE("a comment of 128 bytes is whole, one of 129 ends in three dots at 128") {
  // nft's limit, which it names when it refuses 129: "comment too long, 128 characters maximum".
  const std::string fits(128 - 14, 'x');
  CHECK(container_comment("abc") == "container_id: abc");
  CHECK(container_comment(fits) == "container_id: " + fits);
  CHECK(container_comment(fits + "y") == "container_id: " + fits.substr(3) + "...");
  CHECK(container_comment(std::string(4000, 'x')) == "container_id: " + fits.substr(3) + "...");
}

TEST_CASE("an attachment's comment is network, container, interface; shortened at its end") {
  CHECK(attachment_comment({"web", "abc", "eth0"}) == "web/abc/eth0");
  const std::string id(128 - 9, 'x');
  CHECK(attachment_comment({"web", id, "eth0"}) == "web/" + id + "/eth0");
  CHECK(attachment_comment({"web", id + "x", "eth0"}) == "web/" + id + "x/...");
  CHECK(attachment_comment({std::string(200, 'n'), "abc", "eth0"}) ==
        std::string(125, 'n') + "...");
}

TEST_CASE("a comment that was not shortened tells its attachment") {
  CHECK(parsed("web/abc/eth0") == "web|abc|eth0");
  CHECK(parsed("a.b_c-d/e.f/g") == "a.b_c-d|e.f|g");
  // What an operator or another program wrote: first and last slash decide.
  CHECK(parsed("a/b/c/d") == "a|b/c|d");
  CHECK(parsed("//") == "||");
}

TEST_CASE("a comment that was shortened, or is another's, tells none") {
  for (const char* comment : {"", "web", "web/abc", "/", "..."})
    CHECK_MESSAGE(parsed(comment) == "-", comment);
  CHECK(parsed(attachment_comment({"web", std::string(120, 'x'), "eth0"})) == "-");
  CHECK(parsed(attachment_comment({"web", std::string(500, 'x'), "eth0"})) == "-");
}

TEST_CASE("an interface may be called with dots: only a comment of full length was shortened") {
  CHECK(parsed("web/abc/eth...") == "web|abc|eth...");
  CHECK(parsed("web/abc/...") == "web|abc|...");
}

TEST_CASE("a comment of 41 bytes may have been cut for the owner entry's sake, one of 40 was not") {
  const auto of_length = [](std::size_t length) {
    return "web/" + std::string(length - 8, 'x') + "/...";
  };
  CHECK(parsed(of_length(40)) == "web|" + std::string(32, 'x') + "|...");
  CHECK(parsed(of_length(41)) == "-");
  const std::string whole = std::string(83, 'x');  // 92 bytes in all, and it ends in no dots
  CHECK(parsed("web/" + whole + "/eth0") == "web|" + whole + "|eth0");
}

TEST_CASE("what a comment that was cut still tells: each part that a '/' follows") {
  const auto parts = [](std::string_view comment) {
    const Attachment known = known_parts(comment);
    return known.network + "|" + known.container_id + "|" + known.ifname;
  };
  const std::string name(60, 'n');
  CHECK(parts("web/abc/eth0") == "web|abc|eth0");
  CHECK(parts(name + "/abc/e...") == name + "|abc|?");
  CHECK(parts(name + "/ab...") == name + "|ab...|?");
  CHECK(parts(name + "...") == "?|" + name + "...|?");
  CHECK(parts("an operator's") == "?|an operator's|?");
}

TEST_CASE("the container of a claim's comment, if it is whole") {
  CHECK(parse_container_comment(container_comment("abc")) == "abc");
  CHECK_FALSE(parse_container_comment(container_comment(std::string(200, 'x'))));
  CHECK_FALSE(parse_container_comment("abc"));
  CHECK(container_hash("abc") != network_hash("abc"));
}

TEST_CASE("the network of a comment, as far as it was kept") {
  CHECK(is_of_network("web/abc/eth0", "web"));
  CHECK_FALSE(is_of_network("web2/abc/eth0", "web"));
  CHECK_FALSE(is_of_network("web/abc/eth0", "web2"));
  CHECK_FALSE(is_of_network("web", "web"));
  CHECK_FALSE(is_of_network("", "web"));
  CHECK(is_of_network(attachment_comment({"web", std::string(500, 'x'), "eth0"}), "web"));
  CHECK_FALSE(is_of_network(attachment_comment({"web", std::string(500, 'x'), "eth0"}), "we"));
  const std::string name(130, 'n');  // its end was cut, so it may be another's
  CHECK_FALSE(is_of_network(attachment_comment({name, "abc", "eth0"}), name));
}

TEST_CASE("long names of networks are told apart by their hash") {
  CHECK(std::string(to_string(network_hash(std::string(150, 'n')))) == "kptv9pbrhtalfii");
  CHECK(network_hash("a") != network_hash("b"));
}

TEST_CASE("what fits is not shortened") {
  CHECK(shortened("abcdef", 6) == "abcdef");
  CHECK(shortened("abcdefg", 6) == "abc...");
  CHECK(shortened("", 6) == "");
}

TEST_CASE("the hash of an attachment never changes: DEL must find what an older version added") {
  CHECK(hash_of("web", "abc", "eth0") == "kjuc1tc0rsd2rf4");
  CHECK(hash_of("web", "abc", "eth1") == "kjfpjtekrsjhd87");
  CHECK(hash_of("a", "b", "c") == "kqtl7msj6jieeo9");
}

TEST_CASE("hashes are k and 14 digits of base 32, all of which occur") {
  std::set<char> digits;
  for (int i = 0; i < 200; ++i) {
    const std::string hash = hash_of("web", std::to_string(i).c_str(), "eth0");
    REQUIRE(hash.size() == 15);
    CHECK(hash[0] == 'k');
    CHECK(hash.find_first_not_of("0123456789abcdefghijklmnopqrstuv", 1) == std::string::npos);
    digits.insert(hash.begin() + 1, hash.end());
  }
  CHECK(digits.size() == 32);
}

TEST_CASE("attachments that only together spell the same have different hashes") {
  const std::set<std::string> hashes = {hash_of("ab", "c", "d"), hash_of("a", "bc", "d"),
                                        hash_of("a", "b", "cd"), hash_of("abc", "", "d"),
                                        hash_of("a", "b", "c"),  hash_of("A", "b", "c")};
  CHECK(hashes.size() == 6);
}

TEST_CASE("derived chains: the network's name, up to 100 bytes in all") {
  CHECK(derived_chain("web") == "hostports-web");
  const std::string fits(90, 'n');
  CHECK(derived_chain(fits) == "hostports-" + fits);
}

TEST_CASE("derived chains of long names are told apart by a hash, and are 100 bytes") {
  const std::string start = "hostports-" + std::string(74, 'n') + "-";
  CHECK(derived_chain(std::string(91, 'n')) == start + "kbj3g2lfg95dttj");
  CHECK(derived_chain(std::string(90, 'n') + "m") == start + "k34it68cgc3g6hl");
  CHECK(derived_chain(std::string(150, 'n')) == start + "kptv9pbrhtalfii");
  CHECK(derived_chain(std::string(150, 'n')).size() == 100);
}

#include "lib/config/chain_name.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace portmapper;
using namespace portmapper::config;

namespace {

struct Case {
  std::string text;
  std::string expected;
};

}  // namespace

TEST_CASE("chain names that nft can read again, and that are not ours") {
  const std::string rule =
      " is not an nft chain name: a letter, '_' or '.', then letters, digits, '_', '.', '-', '/'; "
      "at most 100 bytes";
  const std::string nft = " is a word of nft's own language";
  const std::string ours = " is a name of nft-port-mapper's own";
  for (const char* name : {"MESOS-WEB", "a", "_", "..", ".a", "a/b", "a.b_c-9", "ACCEPT", "Ip",
                           "ip-x", "owners", "published-ip", "last", "hostports"})
    CHECK(chain_name_complaint(name).empty());
  CHECK(chain_name_complaint(std::string(100, 'a')).empty());
  const std::vector<Case> cases = {
      {"", rule},
      {".", rule},
      {"1a", rule},
      {"-a", rule},
      {"/a", rule},
      {"a b", rule},
      {"a\nb", rule},
      {"a\"b", rule},
      {"a;b", rule},
      {"a\\b", rule},
      {"a*", rule},
      {"\xc3\xbc", rule},
      {"ip", nft},
      {"accept", nft},
      {"xt", nft},
      {"lshift", nft},
      {"auto-merge", nft},
      {"jump", nft},
      {"hairpin", ours},
      {"networks", ours},
      {"prerouting", ours},
      {"output", ours},
      {"published", ours},
      {"postrouting", ours},
      {"localnet-guard", ours},
      {"any-address", ours},
  };
  for (const Case& item : cases)
    CHECK(" " + std::string(chain_name_complaint(item.text)) == item.expected);
  CHECK(" " + std::string(chain_name_complaint(std::string(101, 'a'))) == rule);
}

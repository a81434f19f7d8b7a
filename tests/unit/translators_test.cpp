// nft/read/translators: whose chains may translate destinations.
#include "nft/read/translators.hpp"

#include <doctest/doctest.h>
#include <linux/netfilter.h>

#include <cerrno>

#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

struct ChainOf {
  std::uint8_t family;
  const char* table;
  const char* type = nullptr;  // none: no base chain
  std::uint32_t hook = NF_INET_PRE_ROUTING;
};

Buffer message_of(const ChainOf& chain) {
  Attrs all;
  all.text(NFTA_CHAIN_TABLE, chain.table).text(NFTA_CHAIN_NAME, "prerouting");
  if (chain.type != nullptr) {
    all.nest(NFTA_CHAIN_HOOK, Attrs().number(NFTA_HOOK_HOOKNUM, chain.hook));
    all.text(NFTA_CHAIN_TYPE, chain.type);
  }
  Buffer body = {chain.family, 0, 0, 0};
  body.insert(body.end(), all.bytes().begin(), all.bytes().end());
  return body;
}

bool translate(const ChainOf& chain, Family family = Family::ipv4) {
  FakeTransport kernel;
  kernel.answers.push_back(
      Replies()
          .message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, NLM_F_MULTI, 1, message_of(chain))
          .done(1));
  const Result<bool> others = others_translate(kernel, family);
  REQUIRE(others);
  return *others;
}

}  // namespace

TEST_CASE("translators: a nat chain of another table where destinations are translated") {
  for (const std::uint32_t hook : {NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT}) {
    CHECK(translate({NFPROTO_IPV4, "nat", "nat", hook}));
    CHECK(translate({NFPROTO_INET, "firewalld", "nat", hook}));
    CHECK(translate({NFPROTO_IPV4, "nft-port-mapper", "nat", hook}));
    CHECK(translate({NFPROTO_IPV6, "nat", "nat", hook}, Family::ipv6));
    CHECK_FALSE(translate({NFPROTO_IPV6, "nat", "nat", hook}));
    CHECK_FALSE(translate({NFPROTO_IPV4, "nat", "nat", hook}, Family::ipv6));
    CHECK_FALSE(translate({NFPROTO_INET, "nft-port-mapper", "nat", hook}));
    CHECK_FALSE(translate({NFPROTO_INET, "firewall", "filter", hook}));
  }
  CHECK_FALSE(translate({NFPROTO_IPV4, "nat", "nat", NF_INET_POST_ROUTING}));
  CHECK_FALSE(translate({NFPROTO_IPV4, "nat", "nat", NF_INET_LOCAL_IN}));
  CHECK_FALSE(translate({NFPROTO_IPV4, "nat"}));
}

TEST_CASE("translators: what could not be read whole is no proof that there is nobody") {
  FakeTransport kernel;
  kernel.answers.push_back(Replies().error(1, EPERM));
  CHECK(others_translate(kernel, Family::ipv4).error().message() ==
        "cannot read: the tables: Operation not permitted");
  kernel.answers.push_back(Replies()
                               .message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN,
                                        NLM_F_MULTI | NLM_F_DUMP_INTR, 1,
                                        message_of({NFPROTO_IPV4, "filter", "filter"}))
                               .done(1));
  CHECK(others_translate(kernel, Family::ipv4).error().error_number == EINTR);
}

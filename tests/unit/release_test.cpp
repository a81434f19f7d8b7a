// nft/read/release: which events of the kernel may have freed a port that somebody waits for.
#include "nft/read/release.hpp"

#include <doctest/doctest.h>

#include <string>

#include "nft/key.hpp"
#include "tests/support/replies.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

PublishedPort port(const char* address, int number, Protocol protocol = Protocol::tcp) {
  return {*IpAddress::parse(address), protocol, *Port::from(number)};
}

// Wants 0.0.0.0:8080/tcp and [2001:db8::1]:53/udp.
const Release& release() {
  static const Release wanted = [] {
    Plan plan;
    for (const PublishedPort& published :
         {port("0.0.0.0", 8080), port("2001:db8::1", 53, Protocol::udp)})
      plan.translations.push_back({published, {*IpAddress::parse("10.22.0.2"), *Port::from(80)}});
    return Release(plan);
  }();
  return wanted;
}

Attrs element(const PublishedPort& published) {
  const Key data = owner_data(published);
  return FakeElement{Buffer(20), {data.bytes().begin(), data.bytes().end()}}.attributes();
}

Attrs elements(const Attrs& list, const std::string& set = "owners",
               const std::string& table = "nft-port-mapper") {
  return Attrs()
      .text(NFTA_SET_ELEM_LIST_TABLE, table)
      .text(NFTA_SET_ELEM_LIST_SET, set)
      .nest(NFTA_SET_ELEM_LIST_ELEMENTS, list);
}

bool frees(const Replies& event) {
  return release().in(*reinterpret_cast<const nlmsghdr*>(event.bytes().data()));
}

bool frees(unsigned type, const Attrs& attributes) {
  return frees(Replies().nft_message(type, 0, attributes));
}

bool frees(const PublishedPort& published) {
  return frees(NFT_MSG_DELSETELEM, elements(Attrs().nest(NFTA_LIST_ELEM, element(published))));
}

}  // namespace

TEST_CASE("release: an owner entry of a wanted port that goes, on whatever address") {
  CHECK(frees(port("0.0.0.0", 8080)));
  CHECK(frees(port("192.0.2.1", 8080)));
  CHECK(frees(port("::", 53, Protocol::udp)));
  CHECK_FALSE(frees(port("0.0.0.0", 8081)));
  CHECK_FALSE(frees(port("0.0.0.0", 8080, Protocol::udp)));
  CHECK_FALSE(frees(port("::", 8080)));
  CHECK_FALSE(frees(port("192.0.2.1", 53, Protocol::udp)));
  CHECK(frees(NFT_MSG_DELSETELEM,
              elements(Attrs()
                           .nest(NFTA_LIST_ELEM, element(port("0.0.0.0", 1)))
                           .nest(NFTA_LIST_ELEM, element(port("0.0.0.0", 8080))))));
}

TEST_CASE("release: what cannot be read may have been ours, what is no deletion of ours was not") {
  const Attrs ours = Attrs().nest(NFTA_LIST_ELEM, element(port("0.0.0.0", 8080)));
  CHECK(frees(NFT_MSG_DELSETELEM,
              elements(Attrs().nest(NFTA_LIST_ELEM, FakeElement{Buffer(20)}.attributes()))));
  CHECK_FALSE(frees(NFT_MSG_NEWSETELEM, elements(ours)));
  CHECK_FALSE(frees(NFT_MSG_DELSETELEM, elements(ours, "published-ip")));
  CHECK_FALSE(frees(NFT_MSG_DELSETELEM, elements(ours, "owners", "other")));
  CHECK_FALSE(frees(NFT_MSG_DELSETELEM, Attrs()));
  CHECK_FALSE(frees(NFT_MSG_DELSETELEM, elements(Attrs())));
  CHECK_FALSE(frees(Replies().message(Replies::nft(NFT_MSG_DELSETELEM), 0, 0, Buffer(2))));
  CHECK_FALSE(frees(Replies().done(0)));
  Buffer other_family = {2, 0, 0, 0};
  const Buffer attributes = elements(ours).bytes();
  other_family.insert(other_family.end(), attributes.begin(), attributes.end());
  CHECK_FALSE(frees(Replies().message(Replies::nft(NFT_MSG_DELSETELEM), 0, 0, other_family)));
}

TEST_CASE("release: the whole table, or the set of owner entries") {
  CHECK(frees(NFT_MSG_DELTABLE, Attrs().text(NFTA_TABLE_NAME, "nft-port-mapper")));
  CHECK_FALSE(frees(NFT_MSG_DELTABLE, Attrs().text(NFTA_TABLE_NAME, "other")));
  CHECK_FALSE(frees(NFT_MSG_NEWTABLE, Attrs().text(NFTA_TABLE_NAME, "nft-port-mapper")));
  const auto set = [](const char* table, const char* name) {
    return Attrs().text(NFTA_SET_TABLE, table).text(NFTA_SET_NAME, name);
  };
  CHECK(frees(NFT_MSG_DELSET, set("nft-port-mapper", "owners")));
  CHECK_FALSE(frees(NFT_MSG_DELSET, set("nft-port-mapper", "WEB-ip")));
  CHECK_FALSE(frees(NFT_MSG_DELSET, set("other", "owners")));
}

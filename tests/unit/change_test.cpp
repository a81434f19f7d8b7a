// nft/change: which of nftables' messages tell of our table, and whose name stands behind a batch.
#include "nft/change.hpp"

#include <doctest/doctest.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <string>

using namespace portmapper::nft;

namespace {

// nfgenmsg and one text, as all of these messages begin.
class Message {
 public:
  Message(int type, int family, int attribute, const std::string& text) {
    nlmsghdr* const header = mnl_nlmsg_put_header(buffer_.data());
    header->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
    auto* const body = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
    body->nfgen_family = static_cast<std::uint8_t>(family);
    mnl_attr_put_strz(header, static_cast<std::uint16_t>(attribute), text.c_str());
  }
  [[nodiscard]] nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(buffer_.data()); }

 private:
  alignas(nlmsghdr) std::array<char, 512> buffer_{};
};

// "-" nothing, "ours", "others"
std::string told(ChangeReader& reader, Message message) {
  const auto change = reader.read(message.header());
  if (!change) return "-";
  return change->is_ours ? "ours" : "others";
}

Message of_table(int type, const std::string& table, int family = NFPROTO_INET) {
  return {type, family, NFTA_TABLE_NAME, table};
}

Message generation(const std::string& process) {
  return {NFT_MSG_NEWGEN, NFPROTO_UNSPEC, NFTA_GEN_PROC_NAME, process};
}

}  // namespace

TEST_CASE("change: a batch that touched our table is told once, with the name behind it") {
  for (const int type :
       {NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN, NFT_MSG_NEWRULE,
        NFT_MSG_DELRULE, NFT_MSG_NEWSET, NFT_MSG_DELSET, NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM}) {
    CAPTURE(type);
    for (const char* table : {"nft-port-mapper", "nft-port-mapper-egress"}) {
      ChangeReader reader;
      CHECK(told(reader, of_table(type, table)) == "-");
      CHECK(told(reader, of_table(type, table)) == "-");
      CHECK(told(reader, generation("nft")) == "others");
      CHECK(told(reader, generation("nft")) == "-");
    }
  }
}

TEST_CASE("change: of our two programs, the kernel keeps one name") {
  ChangeReader reader;
  (void)told(reader, of_table(NFT_MSG_NEWSETELEM, "nft-port-mapper"));
  CHECK(told(reader, generation("nft-port-mapper")) == "ours");
  (void)told(reader, of_table(NFT_MSG_NEWSETELEM, "nft-port-mapper"));
  CHECK(told(reader, generation("nft-port-mappe")) == "others");
  (void)told(reader, of_table(NFT_MSG_NEWSETELEM, "nft-port-mapper"));
  CHECK(told(reader, {NFT_MSG_NEWGEN, NFPROTO_UNSPEC, NFTA_GEN_ID, ""}) == "others");
}

TEST_CASE("change: others' tables do not matter, whatever their names are like") {
  ChangeReader reader;
  CHECK(told(reader, of_table(NFT_MSG_DELTABLE, "nft-port-mapper-trace-7")) == "-");
  CHECK(told(reader, of_table(NFT_MSG_DELTABLE, "filter")) == "-");
  CHECK(told(reader, of_table(NFT_MSG_DELTABLE, "nft-port-mapper", NFPROTO_IPV4)) == "-");
  CHECK(told(reader, of_table(NFT_MSG_NEWOBJ, "nft-port-mapper")) == "-");
  CHECK(told(reader, generation("nft")) == "-");
}

TEST_CASE(
    "change: what is malformed, of another subsystem, or cut off by lost messages tells nothing") {
  ChangeReader reader;
  Message other = of_table(NFT_MSG_DELTABLE, "nft-port-mapper");
  other.header().nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8);
  CHECK(told(reader, other) == "-");
  Message cut = of_table(NFT_MSG_DELTABLE, "nft-port-mapper");
  cut.header().nlmsg_len = NLMSG_LENGTH(2);
  CHECK(told(reader, cut) == "-");
  CHECK(told(reader, generation("nft")) == "-");
  CHECK(told(reader, of_table(NFT_MSG_DELTABLE, "nft-port-mapper")) == "-");
  reader.forget();
  CHECK(told(reader, generation("nft")) == "-");
}

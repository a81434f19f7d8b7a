// lib/app/ctl/audit: what of the table is damaged, and what puts it back.
#include "lib/app/ctl/audit.hpp"

#include <doctest/doctest.h>

#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::ctl;
using portmapper::test::endpoint;
using portmapper::test::published;

namespace {

const nft::OwnerHash kOwner = nft::owner_hash({"web", "abc", "eth0"});
const std::string kComment = "web/abc/eth0";

// One attachment with two ports, which 127.0.0.1 reaches by cni0.
TableContents whole() {
  TableContents contents;
  contents.exists = true;
  contents.chains = {"NET-WEB"};
  contents.chain_damage["NET-WEB"];
  contents.life[kOwner];
  std::uint32_t index = 0;
  for (const int number : {8080, 8081}) {
    const nft::PublishedPort port = published("0.0.0.0", Protocol::tcp, number);
    contents.owners.push_back({.owner = kOwner,
                               .index = index++,
                               .comment = kComment,
                               .netns = {},
                               .chain = "NET-WEB",
                               .published = port});
    contents.claims.emplace(port, nft::ClaimEntry{port, "abc", kOwner});
    contents.targets.emplace(std::pair("NET-WEB", port),
                             nft::TargetEntry{port, endpoint("10.22.0.2", 80), "abc", 0});
    contents.loopback[port] = "abc";
  }
  contents.localnet_devices = {"cni0"};
  contents.localnet_users[kOwner] = "cni0";
  return contents;
}

using Findings = std::vector<std::string>;

Findings findings(const Audit& audit) {
  Findings texts;
  for (const Finding& finding : audit.findings) texts.push_back(to_string(finding));
  return texts;
}

}  // namespace

TEST_CASE("audit: a table that is whole") {
  CHECK(findings(audit_table(whole())) == Findings{});
}

TEST_CASE(
    "audit: whose a device is, is said once for all ports, and put back where its address tells") {
  TableContents contents = whole();
  contents.localnet_users.clear();
  SUBCASE("no interface leads there") {
    contents.lost_users[kOwner];
    const Audit audit = audit_table(contents);
    CHECK(findings(audit) ==
          Findings{
              "attachment web/abc/eth0 is missing in localnet-users; its next ADD repairs that"});
    CHECK(audit.mendable() == 0);
  }
  SUBCASE("one does") {
    contents.lost_users[kOwner] = "cni0";
    const Audit audit = audit_table(contents);
    CHECK(findings(audit) == Findings{"attachment web/abc/eth0 is missing in localnet-users"});
    CHECK(audit.mendable() == 1);
    CHECK(audit.repair.operations.size() == 1);
  }
}

TEST_CASE("audit: an open device without a record is the operator's, unless it was seen recorded") {
  TableContents contents = whole();
  contents.localnet_devices.clear();
  CHECK(findings(audit_table(contents)) == Findings{});
  contents.known_devices = {"cni0", "cni7"};
  const Audit audit = audit_table(contents);
  CHECK(findings(audit) == Findings{"device cni0 is missing in localnet-devices"});
  CHECK(nft::to_string(audit.repair) ==
        "add element inet nft-port-mapper localnet-devices { \"cni0\" }\n");
  contents.gone_devices = {"cni0"};
  CHECK(audit_table(contents).mendable() == 0);
}

TEST_CASE("audit: whoever opens a device answers for it") {
  TableContents contents = whole();
  contents.closed_devices = {"cni0"};
  CHECK(audit_table(contents).repair.operations.empty());
  contents.localnet_devices.clear();
  const Audit audit = audit_table(contents);
  CHECK(audit.open_devices == std::vector<std::string>{"cni0"});
  CHECK(nft::to_string(audit.repair) ==
        "add element inet nft-port-mapper localnet-devices { \"cni0\" }\n");
}

TEST_CASE(
    "audit: a set of another type goes before it comes back, and the rules that look into it "
    "before") {
  TableContents contents = whole();
  contents.other_types = {{nft::Damage::Kind::other_type, "published-ip", "type inet_proto"}};
  const std::string repair = nft::to_string(audit_table(contents).repair);
  const auto at = [&repair](const char* text) { return repair.find(text); };
  CHECK(at("flush chain inet nft-port-mapper output") <
        at("delete set inet nft-port-mapper published-ip"));
  CHECK(at("delete set inet nft-port-mapper published-ip") <
        at("add set inet nft-port-mapper published-ip"));
}

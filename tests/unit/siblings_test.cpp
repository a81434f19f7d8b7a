// nft/siblings: who stands by for a port, and who gets it when its publisher leaves.
#include "nft/siblings.hpp"

#include <doctest/doctest.h>

#include "nft/conflicts.hpp"
#include "nft/decide.hpp"
#include "nft/transaction.hpp"
#include "nft/userdata.hpp"
#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

const NetworkNamespace kNetns{.path = "/run/netns/abc", .device = 4, .inode = 7, .id = 9};
const NetworkNamespace kOtherNetns{.path = "/run/netns/new", .device = 4, .inode = 8, .id = 10};
const PublishedPort kAny = published("0.0.0.0", Protocol::tcp, 8080);
const PublishedPort kOne = published("192.0.2.1", Protocol::tcp, 8080);
const PublishedPort kOther = published("0.0.0.0", Protocol::tcp, 9090);

Plan plan_of(const std::string& network, const char* address,
             const std::vector<PortMapping>& mappings, const NetworkNamespace& netns = kNetns) {
  return make_plan({.attachment = {network, "abc", "eth0"},
                    .netns = netns,
                    .chain = {.name = network == "web" ? "WEB" : "DB", .exclude_devices = {}},
                    .mappings = mappings,
                    .addresses = {prefix(address)}});
}

// What an ADD of the plan leaves in the kernel.
InstalledPorts installed_of(const Plan& plan, bool standby) {
  InstalledPorts installed;
  installed.owner = owner_hash(plan.attachment);
  installed.comment = attachment_comment(plan.attachment);
  installed.netns = plan.netns;
  installed.chain = plan.chain.name;
  std::uint32_t index = 0;
  for (const Translation& t : plan.translations) {
    InstalledPort& port = installed.ports.emplace_back(InstalledPort{index++, t.published, {}, {}});
    port.claimed = !standby;
    (standby ? port.standby : port.endpoint) = t.endpoint;
  }
  if (standby) installed.standby_comment = container_comment(plan.attachment.container_id);
  return installed;
}

Occupancy occupancy_of(const InstalledPorts& owner, NamespaceState netns) {
  Occupancy occupancy;
  for (const InstalledPort& port : owner.ports)
    occupancy.ports.push_back({port.published, true, owner.owner, std::nullopt});
  occupancy.owners[owner.owner] = {owner, {netns}};
  return occupancy;
}

// "8080 9090": those that stand by.
std::string standing_by(const Plan& plan) {
  std::string text;
  for (const Translation& t : plan.translations)
    if (t.standby) text += (text.empty() ? "" : " ") + to_string(t.published);
  return text;
}

// "<chain>: <port> to <endpoint>" for each promoted port.
std::string text_of(const std::vector<InstalledPorts>& successors) {
  std::string text;
  for (const InstalledPorts& successor : successors)
    for (const InstalledPort& port : successor.ports)
      text += successor.chain + ": " + to_string(port.published) + " to " +
              to_string(*port.standby) +
              (port.endpoint ? " after " + to_string(*port.endpoint) : "") + "\n";
  return text;
}

const std::vector<PortMapping> kMappings = {mapping("0.0.0.0", Protocol::tcp, 8080, 80)};
const Plan kWeb = plan_of("web", "10.22.0.2/16", kMappings);
const Plan kDb = plan_of("db", "10.23.0.2/16", kMappings);

// The siblings that stand by for what `leaving` has, which is all that is claimed.
std::map<OwnerHash, Sibling> siblings_of(InstalledPorts& leaving, const std::vector<Plan>& plans) {
  std::map<OwnerHash, Sibling> siblings;
  for (const Plan& plan : plans) {
    Sibling& sibling = siblings[owner_hash(plan.attachment)];
    sibling.state = {installed_of(plan, true), {NamespaceState::exists}};
    for (const InstalledPort& port : leaving.ports)
      sibling.around.push_back({port.published, true, leaving.owner, std::nullopt});
    leaving.standing_by.push_back(owner_hash(plan.attachment));
  }
  return siblings;
}

}  // namespace

TEST_CASE("siblings: a port that the container has on another network is stood by for") {
  const InstalledPorts web = installed_of(kWeb, false);
  Plan db = kDb;
  stand_by(db, occupancy_of(web, NamespaceState::exists));
  CHECK(standing_by(db) == "0.0.0.0:8080/tcp");
  CHECK(to_string(insertion_of_ports(db)) ==
        "create element inet nft-port-mapper owners { \"" +
            std::string(to_string(owner_hash(db.attachment))) +
            "\" . 0x00000000 comment \"db/abc/eth0\" : ::ffff:0.0.0.0 . tcp . 8080 }\n"
            "create element inet nft-port-mapper standby { \"" +
            std::string(to_string(owner_hash(db.attachment))) +
            "\" . 0x00000000 comment \"container_id: abc\" : ::ffff:10.23.0.2 . 80 }\n");
  // Its namespace is gone: it is no sibling of anybody that lives.
  stand_by(db, occupancy_of(web, NamespaceState::gone));
  CHECK(standing_by(db) == "");
}

TEST_CASE("siblings: ports that nobody has are published beside those that are stood by for") {
  Plan db = plan_of(
      "db", "10.23.0.2/16",
      {mapping("0.0.0.0", Protocol::tcp, 8080, 80), mapping("0.0.0.0", Protocol::tcp, 9090, 90)});
  stand_by(db, occupancy_of(installed_of(kWeb, false), NamespaceState::exists));
  CHECK(standing_by(db) == "0.0.0.0:8080/tcp");
  const std::string text = to_string(insertion_of_ports(db));
  CHECK(text.find("published-ip { tcp . 9090") != std::string::npos);
  CHECK(text.find("published-ip { tcp . 8080") == std::string::npos);
  CHECK(text.find("DB-ip { tcp . 8080") == std::string::npos);
}

TEST_CASE("siblings: the same ID in another namespace is another container; unknown is the same") {
  InstalledPorts web = installed_of(kWeb, false);
  CHECK(is_sibling(web, kDb));
  CHECK_FALSE(is_sibling(web, plan_of("db", "10.23.0.2/16", kMappings, kOtherNetns)));
  CHECK(is_sibling(web, plan_of("db", "10.23.0.2/16", kMappings, {})));
  web.netns = {};
  CHECK(is_sibling(web, plan_of("db", "10.23.0.2/16", kMappings, kOtherNetns)));
  Plan namesake = plan_of("db", "10.23.0.2/16", kMappings, kOtherNetns);
  const Result<Transaction> refused =
      resolve_conflicts(namesake, occupancy_of(installed_of(kWeb, false), NamespaceState::exists));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message() ==
        "cannot publish ports of container abc: 0.0.0.0:8080/tcp is published by container abc of "
        "network web (eth0) in another network namespace; stop that container or choose another "
        "host port");
}

TEST_CASE("siblings: another cookie is another container; one without a cookie may be the same") {
  const NetworkNamespace older{.path = "/run/netns/abc", .device = 4, .inode = 7};
  NetworkNamespace first = older;
  first.cookie = 1;
  NetworkNamespace second = older;
  second.cookie = 2;
  InstalledPorts web = installed_of(kWeb, false);
  const auto is_sibling_in = [&web](const NetworkNamespace& a, const NetworkNamespace& b) {
    web.netns = a;
    return is_sibling(web, plan_of("db", "10.23.0.2/16", kMappings, b));
  };
  CHECK(is_sibling_in(first, first));
  CHECK_FALSE(is_sibling_in(first, second));
  CHECK(is_sibling_in(older, second));
  CHECK(is_sibling_in(first, older));
  CHECK(same_record(first, first));
  CHECK_FALSE(same_record(older, first));
}

TEST_CASE("siblings: a record is withdrawn only while nobody made another one") {
  InstalledPorts web = installed_of(kWeb, false);
  web.netns = {.path = "/run/netns/abc", .device = 4, .inode = 7};
  const Withdrawal dead{.owner = web.owner, .chain = "WEB", .only = web.netns};
  const auto withdrawn = [&] {
    const Decision decision = decide_withdrawal(dead, {.installed = web, .others_publish = true});
    return !std::get<Transaction>(decision).operations.empty();
  };
  CHECK(withdrawn());
  web.netns.cookie = 1;  // added again, in a namespace that has the number now
  CHECK_FALSE(withdrawn());
}

TEST_CASE("siblings: names too long for a comment tell their container by its hash") {
  Plan web = kWeb;
  web.attachment.network = std::string(150, 'n');
  InstalledPorts installed = installed_of(web, false);
  CHECK_FALSE(is_sibling(installed, kDb));  // as an older version has written it
  installed.container = container_hash("abc");
  CHECK(is_sibling(installed, kDb));
  installed.container = container_hash("abd");
  CHECK_FALSE(is_sibling(installed, kDb));
}

TEST_CASE("siblings: the DEL of the publisher hands its port on in the same batch") {
  InstalledPorts web = installed_of(kWeb, false);
  Snapshot snapshot{.installed = web, .others_publish = true};
  const auto siblings = siblings_of(*snapshot.installed, {kDb});
  const Withdrawal withdrawal{.owner = web.owner, .chain = "WEB"};
  const Decision more = decide_withdrawal(withdrawal, snapshot);
  REQUIRE(std::holds_alternative<ReadMore>(more));
  CHECK(std::get<ReadMore>(more).section == Section::siblings);
  snapshot.siblings = siblings;
  const Decision decision = decide_withdrawal(withdrawal, snapshot);
  REQUIRE(std::holds_alternative<Transaction>(decision));
  const std::string web_key = "\"" + std::string(to_string(web.owner)) + "\" . 0x00000000";
  const std::string db_key =
      "\"" + std::string(to_string(owner_hash(kDb.attachment))) + "\" . 0x00000000";
  const std::string table = " inet nft-port-mapper ";
  CHECK(to_string(std::get<Transaction>(decision)) ==
        "delete element" + table + "owners { " + web_key + " }\n" + "delete element" + table +
            "published-ip { tcp . 8080 }\n" + "delete element" + table + "WEB-ip { tcp . 8080 }\n" +
            "delete element" + table + "standby { " + db_key + " }\n" + "create element" + table +
            "published-ip { tcp . 8080 comment \"container_id: abc\" }\n" + "create element" +
            table + "DB-ip { tcp . 8080 comment \"container_id: abc\" : 10.23.0.2 . 80 }\n");
  CHECK(std::get<Transaction>(decision).generation == snapshot.generation);
}

TEST_CASE("siblings: of several that stand by, the lowest hash gets the port, whole") {
  InstalledPorts web = installed_of(kWeb, false);
  const Plan third = plan_of("mail", "10.24.0.2/16", kMappings);
  const auto siblings = siblings_of(web, {kDb, third});
  const bool db_first = owner_hash(kDb.attachment) < owner_hash(third.attachment);
  CHECK(text_of(successors(web, {}, siblings)) == (db_first
                                                       ? "DB: 0.0.0.0:8080/tcp to 10.23.0.2:80\n"
                                                       : "DB: 0.0.0.0:8080/tcp to 10.24.0.2:80\n"));
}

TEST_CASE("siblings: nobody is promoted who is gone, another container's, or in another's way") {
  InstalledPorts web = installed_of(kWeb, false);
  auto siblings = siblings_of(web, {kDb});
  Sibling& db = siblings.begin()->second;
  const auto promoted = [&](const std::vector<Translation>& kept = {}) {
    return text_of(successors(web, kept, siblings));
  };
  const std::string expected = "DB: 0.0.0.0:8080/tcp to 10.23.0.2:80\n";
  REQUIRE(promoted() == expected);
  CHECK(promoted(kWeb.translations) == "");  // published again
  db.state.life.netns = NamespaceState::gone;
  CHECK(promoted() == "");
  db.state.life.netns = NamespaceState::unknown;
  CHECK(promoted() == expected);
  db.state.installed.netns = kOtherNetns;
  CHECK(promoted() == "");
  db.state.installed.netns = {};
  CHECK(promoted() == expected);
  db.state.installed.comment = "db/abd/eth0";
  CHECK(promoted() == "");
  db.state.installed.comment = "db/abc/eth0";
  db.around.push_back({kOne, true, owner_hash({"web", "other", "eth0"}), std::nullopt});
  CHECK(promoted() == "");
  db.around.back().owner = db.state.installed.owner;  // its own claim does not hinder it
  CHECK(promoted() == expected);
  db.around.back().claimed = false;
  CHECK(promoted() == expected);
  db.around.front().target = endpoint("10.23.0.9", 80);  // an operator's leftover
  CHECK(promoted() == "DB: 0.0.0.0:8080/tcp to 10.23.0.2:80 after 10.23.0.9:80\n");
}

TEST_CASE("siblings: an owner entry is needed, whatever stands by without one") {
  InstalledPorts web = installed_of(kWeb, false);
  auto siblings = siblings_of(web, {kDb});
  siblings.begin()->second.state.installed.ports.clear();
  siblings.begin()->second.state.installed.strays = {0};
  CHECK(successors(web, {}, siblings).empty());
  // The next ADD of that attachment, and its DEL, remove what is left of it.
  InstalledPorts rest;
  rest.owner = owner_hash(kDb.attachment);
  rest.strays = {0, 3};
  const std::string removals = to_string(removal(rest));
  CHECK(removals.find("0x00000000 }") != std::string::npos);
  CHECK(removals.find("0x00000003 }") != std::string::npos);
  Plan db = kDb;
  Occupancy occupancy;
  occupancy.owners[rest.owner].installed = rest;
  const Result<Transaction> way = resolve_conflicts(db, occupancy);
  REQUIRE(way);
  CHECK(to_string(*way) == removals);
}

TEST_CASE("siblings: ADD again that drops a port hands it on, and keeps the others") {
  Plan both = plan_of(
      "web", "10.22.0.2/16",
      {mapping("0.0.0.0", Protocol::tcp, 8080, 80), mapping("0.0.0.0", Protocol::tcp, 9090, 90)});
  InstalledPorts web = installed_of(both, false);
  Plan db = both;
  db.attachment.network = "db";
  db.chain.name = "DB";
  const auto siblings = siblings_of(web, {db});
  CHECK(text_of(successors(web, kWeb.translations, siblings)) ==
        "DB: 0.0.0.0:9090/tcp to 10.22.0.2:90\n");
}

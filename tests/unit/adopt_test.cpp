// Whose portmap's rules are, and whether their ports can be ours.
#include <doctest/doctest.h>
#include <linux/netfilter.h>

#include "lib/app/adopt/join.hpp"
#include "lib/app/adopt/record.hpp"
#include "lib/app/restore/record_types.hpp"
#include "lib/base/base64.hpp"
#include "lib/cni/plugin_input.hpp"

using namespace portmapper;
using namespace portmapper::adopt;
using nft::foreign::PortmapMapping;
using nft::foreign::PortmapPart;
using restore::Seen;
using restore::Standing;

namespace {

using Whose = host::PortmapProgram::Whose;

PortmapMapping mapping(std::uint16_t port, const std::string& container = "10.22.0.2") {
  return {{IpAddress::any(Family::ipv4), Protocol::tcp, *Port::from(port)},
          {*IpAddress::parse(container), *Port::from(80)}};
}

PortmapPart part(const std::string& container, std::uint16_t port,
                 const std::string& address = "10.22.0.2") {
  PortmapPart made{.table = {NFPROTO_IPV4, "nat"},
                   .chain = nft::portmap::container_chain("web", container),
                   .network = "web",
                   .container = container,
                   .mappings = {mapping(port, address)}};
  made.removal.rules = {{NFPROTO_IPV4, "nat", made.chain, port}};
  return made;
}

Seen record(const std::string& container, std::uint16_t port, const std::string& network = "web",
            const std::string& address = "10.22.0.2") {
  Seen seen{.path = "/cache/" + network + "-" + container + "-eth0",
            .names = {network, container, "eth0"},
            .standing = Standing::restored,
            .config = R"({"type":"portmap"})"};
  seen.plan.emplace();
  seen.plan->attachment = seen.names;
  seen.plan->netns.path = "/run/netns/" + container;
  const PortmapMapping one = mapping(port, address);
  seen.plan->translations = {{one.published, one.endpoint}};
  return seen;
}

Facts facts(Publisher publisher = Publisher::ours) {
  return {.networks = {{"web", {publisher, "/net.d/web.conflist"}}},
          .portmap = {.whose = Whose::another, .path = "/opt/cni/bin/portmap"}};
}

std::string reason(const std::vector<PortmapPart>& parts, const std::vector<Seen>& seen,
                   const Facts& known = facts()) {
  const std::vector<Entry> entries = join(parts, seen, known);
  REQUIRE(!entries.empty());
  return entries.front().reason;
}

constexpr char kAgain[] = "start the container again, and its ports are ours";

}  // namespace

TEST_CASE("adopt: rules that publish what the record of a living container says") {
  const std::vector<Entry> entries = join({part("abc", 8080)}, {record("abc", 8080)}, facts());
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].reason == "");
  CHECK(entries[0].names == Attachment{"web", "abc", "eth0"});
  CHECK(entries[0].path == "/cache/web-abc-eth0");
  CHECK(entries[0].where == "ip nat " + nft::portmap::container_chain("web", "abc"));
  CHECK(entries[0].removal.rules.size() == 1);
}

TEST_CASE("adopt: records without rules are no entries") {
  CHECK(join({}, {record("abc", 8080)}, facts()).empty());
}

TEST_CASE("adopt: no record") {
  const std::vector<Entry> entries = join({part("abc", 8080)}, {record("def", 8080)}, facts());
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].reason ==
        "no runtime has a record of it: where its directory is another, name it with --from");
  CHECK(entries[0].names == Attachment{"web", "abc", ""});
}

TEST_CASE("adopt: a container that is dead gets no ports") {
  Seen dead = record("abc", 8080);
  dead.standing = Standing::gone;
  CHECK(reason({part("abc", 8080)}, {dead}) ==
        "it is gone: no network namespace /run/netns/abc has its address");
}

TEST_CASE("adopt: rules that were changed by hand, or publish something else") {
  PortmapPart odd = part("abc", 8080);
  odd.oddities = {"rule ip nat X handle 9 is not one of portmap's", "another"};
  CHECK(reason({odd}, {record("abc", 8080)}) ==
        "rule ip nat X handle 9 is not one of portmap's; and 1 more such rules: was it changed by"
        " hand?");
  CHECK(reason({part("abc", 8080)}, {record("abc", 8081)}) ==
        "its rules publish 0.0.0.0:8080/tcp to 10.22.0.2:80, its record says 0.0.0.0:8081/tcp to"
        " 10.22.0.2:80");
}

TEST_CASE("adopt: what ours would not do as portmap does") {
  Seen marked = record("abc", 8080);
  marked.config = R"({"type":"portmap","markMasqBit":10})";
  CHECK(reason({part("abc", 8080)}, {marked}) ==
        std::string("its markMasqBit is 10, by which rules of yours may know its packets; ours set"
                    " no mark: ") +
            kAgain);
  marked.config = R"({"type":"portmap","markMasqBit":13})";
  CHECK(reason({part("abc", 8080)}, {marked}) == "");
  Seen picky = record("abc", 8080);
  picky.plan->chain.conditions_v6.emplace_back();
  CHECK(reason({part("abc", 8080)}, {picky}) ==
        std::string("it has conditionsV6, which its rules have in words of their own: ") + kAgain);
  Seen refused = record("abc", 8080);
  refused.plan.reset();
  refused.problem = "/cache/web-abc-eth0: externalSetMarkChain: is refused";
  CHECK(reason({part("abc", 8080)}, {refused}) == refused.problem);
}

TEST_CASE("adopt: a port that another owner of ours holds") {
  Seen refused = record("abc", 8080);
  refused.standing = Standing::refused;
  refused.problem = "port 8080/tcp is published already by container def";
  CHECK(reason({part("abc", 8080)}, {refused}) == refused.problem);
}

TEST_CASE("adopt: iptables-legacy is only reported") {
  PortmapPart legacy = part("abc", 8080);
  legacy.table.is_legacy = true;
  CHECK(reason({legacy}, {record("abc", 8080)}) ==
        std::string("its rules are in iptables-legacy, which adopt does not change: ") + kAgain);
}

TEST_CASE("adopt: only where the next DEL comes to us") {
  const std::vector<PortmapPart> parts = {part("abc", 8080)};
  const std::vector<Seen> seen = {record("abc", 8080)};
  CHECK(reason(parts, seen, {}) ==
        "no configuration of network \"web\" was found, so its DEL may not come to us: name its"
        " directory with --config");
  CHECK(reason(parts, seen, facts(Publisher::portmap)) ==
        "network \"web\" in /net.d/web.conflist still says portmap, so its DEL would not come to"
        " us: change the type first");
  CHECK(reason(parts, seen, facts(Publisher::nobody)) ==
        "network \"web\" in /net.d/web.conflist has no nft-port-mapper, so its DEL would not come"
        " to us: add it first");
  Facts unclear = facts(Publisher::portmap);
  unclear.portmap = {Whose::unclear, "/a/portmap", "/b/portmap"};
  CHECK(reason(parts, seen, unclear) ==
        "network \"web\" in /net.d/web.conflist says portmap, and of /a/portmap and /b/portmap one"
        " is ours: set CNI_PATH to the runtime's directory");
}

TEST_CASE("adopt: a rule that stays must not get the port of one that goes") {
  Seen dead = record("def", 8080, "web", "10.22.0.3");
  dead.standing = Standing::gone;
  const std::vector<PortmapPart> parts = {part("abc", 8080), part("def", 8080, "10.22.0.3"),
                                          part("ghi", 9090, "10.22.0.4")};
  const std::vector<Seen> seen = {record("abc", 8080), dead,
                                  record("ghi", 9090, "web", "10.22.0.4")};
  const std::vector<Entry> entries = join(parts, seen, facts());
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].reason ==
        "portmap has another rule for 0.0.0.0:8080/tcp, in ip nat " +
            nft::portmap::container_chain("web", "def") +
            ", that would get the port: remove one of the two (of what is gone, nft-port-mapperctl"
            " doctor says how)");
  CHECK(entries[1].reason == "it is gone: no network namespace /run/netns/def has its address");
  CHECK(entries[2].reason == "");
}

TEST_CASE("adopt: one that stays for another's sake keeps a third") {
  // b meets a on 1 and c on 2; a is unknown.
  PortmapPart b = part("b", 1, "10.22.0.3");
  b.mappings.push_back(mapping(2, "10.22.0.3"));
  Seen record_b = record("b", 1, "web", "10.22.0.3");
  record_b.plan->translations.push_back(
      {mapping(2, "10.22.0.3").published, mapping(2, "10.22.0.3").endpoint});
  const std::vector<Entry> entries = join({part("a", 1), b, part("c", 2, "10.22.0.4")},
                                          {record_b, record("c", 2, "web", "10.22.0.4")}, facts());
  REQUIRE(entries.size() == 3);
  const auto met = [](const char* port, const char* whose) {
    return std::string("portmap has another rule for 0.0.0.0:") + port + "/tcp, in ip nat " +
           nft::portmap::container_chain("web", whose) +
           ", that would get the port: remove one of the two (of what is gone, nft-port-mapperctl"
           " doctor says how)";
  };
  CHECK(entries[0].reason == met("1", "a"));
  CHECK(entries[1].reason == met("2", "b"));
  CHECK(entries[2].reason ==
        "no runtime has a record of it: where its directory is another, name it with --from");
}

TEST_CASE("adopt: two attachments of one container stand by for each other") {
  PortmapPart second = part("abc", 8080, "10.23.0.2");
  second.chain = nft::portmap::container_chain("other", "abc");
  Facts both = facts();
  both.networks["other"] = {Publisher::ours, "/net.d/other.conflist"};
  const std::vector<Entry> entries =
      join({part("abc", 8080), second},
           {record("abc", 8080), record("abc", 8080, "other", "10.23.0.2")}, both);
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].reason == "");
  CHECK(entries[1].reason == "");
}

TEST_CASE("adopt: rules of the nftables backend belong to the attachment with their address") {
  PortmapPart one = part("abc", 8080);
  one.chain.clear();
  one.network.clear();
  one.address = IpAddress::parse("10.22.0.2");
  const std::vector<Entry> entries =
      join({one}, {record("abc", 8080, "other", "10.23.0.2"), record("abc", 8080)}, facts());
  REQUIRE(entries.size() == 1);
  CHECK(entries[0].names.network == "web");
  CHECK(entries[0].reason == "");
}

TEST_CASE("adopt: whose plugin a network's configuration names") {
  const auto list = [](const std::string& name, const std::string& type) {
    return NetworkFile{
        "/" + name + type,
        R"({"name":")" + name + R"(","plugins":[{"type":"bridge"},{"type":")" + type + "\"}]}"};
  };
  const std::vector<NetworkFile> files = {list("a", "nft-port-mapper"), list("b", "portmap"),
                                          list("c", "firewall"),        {"/broken", "{"},
                                          list("d", "nft-port-mapper"), list("d", "portmap")};
  const Networks real = networks_of(files, /*portmap_is_ours=*/false);
  CHECK(real.size() == 4);
  CHECK(real.at("a").publisher == Publisher::ours);
  CHECK(real.at("b").publisher == Publisher::portmap);
  CHECK(real.at("c").publisher == Publisher::nobody);
  CHECK(real.at("d").publisher == Publisher::portmap);
  const Networks ours = networks_of(files, /*portmap_is_ours=*/true);
  CHECK(ours.at("b").publisher == Publisher::ours);
  CHECK(ours.at("d").publisher == Publisher::ours);
}

TEST_CASE("adopt: a network file that others may write, or that cannot be read") {
  constexpr char kWeb[] = R"({"name":"web","plugins":[{"type":"nft-port-mapper"}]})";
  const auto reason_with = [&kWeb](NetworkFile another) {
    const std::vector<NetworkFile> files = {{"/net.d/web.conflist", kWeb}, std::move(another)};
    Facts known = facts();
    known.networks = networks_of(files, /*portmap_is_ours=*/false);
    return reason({part("abc", 8080)}, {record("abc", 8080)}, known);
  };
  CHECK(reason_with({"/net.d/shop.conflist", R"({"name":"shop"})", "/shop is writable"}) == "");
  CHECK(reason_with({"/net.d/00-web.conflist", kWeb, "/00-web is writable by everybody"}) ==
        "/net.d/00-web.conflist may say something else of network \"web\", so its DEL may not come"
        " to us: /00-web is writable by everybody");
  CHECK(reason_with({"/net.d/00-web.conflist", "", "/00-web has more than 5 bytes"}) ==
        "/net.d/00-web.conflist may say something else of network \"web\", so its DEL may not come"
        " to us: /00-web has more than 5 bytes");
  CHECK(reason_with({"/net.d/broken.conflist", "{"}) == "");
}

TEST_CASE("adopt: a container whose port a stranger's rule decides about stays, with that reason") {
  PortmapPart judged = part("abc", 8080);
  judged.others = "rule ip nat PREROUTING handle 9 is not portmap's";
  CHECK(reason({judged}, {record("abc", 8080)}) ==
        "rule ip nat PREROUTING handle 9 is not portmap's");
}

TEST_CASE(
    "adopt: a runtime that deletes by its record calls ours, and gets back what else it wrote") {
  const std::string before = R"({ "kind":"cniCacheV1", "config":")";
  const std::string after = R"(","result":{"n":18446744073709551615}})";
  const auto with = [&](const std::string& config) {
    return before + encode_base64(config) + after;
  };
  const Result<std::string> changed = naming_ours(
      with(R"({"name":"web", "plugins":[ {"type":"bridge"},{"type" :"portmap","x":1}]})"),
      "/cache/web-abc-eth0");
  REQUIRE(changed);
  CHECK(
      *changed ==
      with(R"({"name":"web", "plugins":[ {"type":"bridge"},{"type" :"nft-port-mapper","x":1}]})"));
  CHECK(*naming_ours(*changed, "/x") == *changed);
  const Result<std::string> backend =
      naming_ours(with(R"({"plugins":[{"backend":"iptables","type":"portmap"}]})"), "/x");
  REQUIRE(backend);
  CHECK(*backend == with(R"({"plugins":[{"backend":"nftables","type":"nft-port-mapper"}]})"));
  const Result<std::string> single = naming_ours(with(R"({"type":"portmap"})"), "/x");
  REQUIRE(!single);
  CHECK(single.error().message() ==
        "the configuration in /x has no list of plugins: nft-port-mapper needs one, in a file that"
        " ends in .conflist, behind the plugin that makes the interface");
}

TEST_CASE("restore: records that name portmap are ours where the program of that name is") {
  using Types = std::vector<std::string_view>;
  CHECK(restore::types_of(/*portmap_is_ours=*/false)("/x", {}) == Types{cni::kOurType});
  CHECK(restore::types_of(/*portmap_is_ours=*/true)("/x", {}) ==
        Types{cni::kOurType, cni::kPortmapType});
}

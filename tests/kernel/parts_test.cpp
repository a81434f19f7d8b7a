// Parts: attachments with more ports than a user namespace may send in one batch.
#include "nft/parts.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <map>

#include "lib/base/netlink.hpp"
#include "nft/commit.hpp"
#include "nft/decide.hpp"
#include "nft/read/reader.hpp"
#include "nft/transaction.hpp"
#include "tests/support/example.hpp"
#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

Mappings many(std::uint16_t first, std::size_t count) {
  Mappings ports;
  for (std::size_t i = 0; i < count; ++i)
    ports.push_back({static_cast<std::uint16_t>(first + i), 80});
  return ports;
}

// Runs a script in a user namespace that owns its network namespace: `call COMMAND CONTAINER` reads
// the configuration CONTAINER.json, `elements SET` counts.
std::string in_user_namespace(const std::map<std::string, std::string>& configs,
                              const std::string& script) {
  const ScratchDirectory directory;
  for (const auto& [name, text] : configs) std::ofstream(directory.path(name + ".json")) << text;
  const std::string functions =
      "cd " + directory.path() +
      "; ip link set lo up; mount -t sysfs none /sys 2>/dev/null\n"
      "call() { CNI_COMMAND=$1 CNI_CONTAINERID=$2 CNI_IFNAME=eth0 CNI_NETNS=/proc/self/ns/net "
      "CNI_PATH=/none " PLUGIN
      " < $3.json > $3.out 2> $3.err; status=$?; "
      "[ $status = 0 ] && echo $1 $2: done || echo $1 $2: $(cut -c1-300 $3.err); }\n"
      "elements() { nft list set inet nft-port-mapper $1 | grep -o comment | wc -l; }\n"
      "map() { nft list map inet nft-port-mapper $1 | grep -o comment | wc -l; }\n";
  const RunResult result = run(
      {"unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", functions + script},
      {.environment = tool_environment()});
  return result.out + result.err;
}

std::string config(const std::string& address, const Mappings& ports) {
  return chained_config("web", result_of(address, "fd00::2/64"), to_json(ports),
                        R"("chain":"A","snat":false)");
}

}  // namespace

TEST_CASE("parts: 1,500 ports in a user namespace, published, published again and removed") {
  const std::string said = in_user_namespace(
      {{"abc", config("10.22.0.2/16", many(2000, 1500))}},
      "call ADD abc abc; elements published-ip; elements published-ip6; map A-ip; map owners\n"
      "call CHECK abc abc\n"
      "call ADD abc abc; elements published-ip; map A-ip6; map owners\n"
      "call DEL abc abc; elements published-ip; map A-ip; map owners; call DEL abc abc\n");
  CHECK(said ==
        "ADD abc: done\n1500\n1500\n1500\n3000\nCHECK abc: done\n"
        "ADD abc: done\n1500\n1500\n3000\n"
        "DEL abc: done\n0\n0\n0\nDEL abc: done\n");
}

TEST_CASE("parts: a port of another container, among the last of 1,500, takes all of them back") {
  const std::string said = in_user_namespace(
      {{"def", config("10.22.0.3/16", {{3499, 80}})},
       {"abc", config("10.22.0.2/16", many(2000, 1500))}},
      "call ADD def def; nft list ruleset > before\n"
      "call ADD abc abc; nft list ruleset > after; cmp before after && echo unchanged\n");
  CHECK(said ==
        "ADD def: done\n"
        "ADD abc: nft-port-mapper: cannot publish ports of container abc: 0.0.0.0:3499/tcp is "
        "published by container def of network web (eth0), [::]:3499/tcp is published by container "
        "def of network web (eth0); stop that container or choose another host port\n"
        "unchanged\n");
}

TEST_CASE("parts: a DEL removes whatever beginning an ADD or a DEL was cut off behind") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Runtime runtime(lab);
  const Mappings ports = many(2000, 40);
  REQUIRE(runtime.add("abc", ports) == done);
  REQUIRE(runtime.del("abc") == done);
  const std::string empty = listing(lab.host());
  const nft::Plan plan = [&] {
    nft::PlanInput input{.attachment = {"web", "abc", "eth0"}, .chain = {"MESOS-WEB", {}}};
    for (const Mapping& port : ports)
      input.mappings.push_back({{}, Protocol::tcp, *Port::from(port.host_port), *Port::from(80)});
    input.addresses = {*IpPrefix::parse("10.22.0.2/16"), *IpPrefix::parse("fd00::2/64")};
    return nft::make_plan(std::move(input));
  }();
  // Of an ADD's transaction, and of a DEL's behind a whole ADD, the first `eighths` of it.
  const auto cut_off = [&](const nft::Transaction& whole, int eighths) {
    std::vector<nft::Transaction> parts = {nft::in_order_for_parts(whole)};
    for (int halving = 0; halving < 3; ++halving) {
      std::vector<nft::Transaction> smaller;
      for (const nft::Transaction& part : parts) {
        auto two = nft::halves(part);
        REQUIRE(two);
        smaller.push_back(std::move(two->first));
        smaller.push_back(std::move(two->second));
      }
      parts = std::move(smaller);
    }
    Lab::in(lab.host(), [&] {
      Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
      REQUIRE(netlink);
      for (int i = 0; i < eighths; ++i)
        REQUIRE(nft::commit(*netlink, parts[static_cast<std::size_t>(i)]));
    });
  };
  for (int eighths = 1; eighths <= 8; ++eighths) {
    CAPTURE(eighths);
    cut_off(nft::insertion(plan), eighths);
    CHECK(runtime.del("abc") == done);
    CHECK(difference(listing(lab.host()), empty) == "");
    REQUIRE(runtime.add("abc", ports) == done);
    const nft::Transaction removal = Lab::in(lab.host(), [&] {
      Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
      REQUIRE(netlink);
      const auto held =
          nft::read_installed_ports(*netlink, nft::owner_hash(plan.attachment), "MESOS-WEB");
      REQUIRE(held);
      return nft::removal(held->installed);
    });
    cut_off(removal, eighths);
    CHECK(runtime.del("abc") == done);
    CHECK(difference(listing(lab.host()), empty) == "");
  }
}

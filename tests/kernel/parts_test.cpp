// Parts: attachments with more ports than a user namespace may send in one batch.
#include <doctest/doctest.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <fstream>
#include <map>

#include "lib/app/publish.hpp"
#include "lib/base/netlink.hpp"
#include "nft/owner_entry.hpp"
#include "nft/plan.hpp"
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

struct Killed {};

// Takes batches of some kilobytes, and is killed before the one behind `batches`.
class Narrow final : public Transport {
 public:
  Narrow(Netlink netlink, std::size_t batches) : netlink_(std::move(netlink)), batches_(batches) {}

  Status exchange(std::span<const std::uint8_t> requests, const OnReply& on_reply) override {
    const auto* const first = reinterpret_cast<const nlmsghdr*>(requests.data());
    if (first->nlmsg_type == NFNL_MSG_BATCH_BEGIN) {
      if (requests.size() > 2500) return mapping_failed("cannot send", "", EMSGSIZE);
      if (batches_-- == 0) throw Killed();
    }
    return netlink_.exchange(requests, on_reply);
  }
  Status peek(std::span<const std::uint8_t> requests, const OnReply& on_reply,
              const IsEnough& is_enough) override {
    return netlink_.peek(requests, on_reply, is_enough);
  }

 private:
  Netlink netlink_;
  std::size_t batches_;
};

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
        "published by container def of network web (eth0); [::]:3499/tcp is published by container "
        "def of network web (eth0); stop that container or choose another host port\n"
        "unchanged\n");
}

TEST_CASE("parts: a DEL removes whatever an ADD or a DEL leaves that is killed between two parts") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Runtime runtime(lab);
  const Mappings ports = many(2000, 40);
  REQUIRE(runtime.add("abc", ports) == done);
  REQUIRE(runtime.del("abc") == done);
  const std::string empty = listing(lab.host());
  nft::PlanInput input{.attachment = {"web", "abc", "eth0"},
                       .chain = {"MESOS-WEB", {}, {}, {}, {}, "web"}};
  for (const Mapping& port : ports)
    input.mappings.push_back({{}, Protocol::tcp, *Port::from(port.host_port), *Port::from(80)});
  input.addresses = {*IpPrefix::parse("10.22.0.2/16"), *IpPrefix::parse("fd00::2/64")};
  nft::Plan plan = nft::make_plan(std::move(input));
  plan.localnet_device = "cni0";
  // True: it was killed behind `batches`.
  const auto is_killed = [&](std::size_t batches, const auto& act) {
    return Lab::in(lab.host(), [&] {
      Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
      REQUIRE(netlink);
      Narrow narrow(*std::move(netlink), batches);
      try {
        act(narrow);
      } catch (const Killed&) {
        return true;
      }
      return false;
    });
  };
  std::size_t adds = 0;
  while (is_killed(++adds, [&](Transport& transport) {
    const auto published = app::publish(transport, plan);  // CHECK would catch the end of it
    CHECK(published);
  })) {
    CAPTURE(adds);
    CHECK(listing(lab.host()) != empty);
    CHECK(runtime.del("abc") == done);
    CHECK(difference(listing(lab.host()), empty) == "");
  }
  CHECK(adds > 8);
  std::size_t dels = 0;
  std::vector<std::string> notes;
  const nft::Withdrawal all{nft::owner_hash(plan.attachment), "MESOS-WEB"};
  do {
    CAPTURE(dels);
    REQUIRE(runtime.del("abc") == done);
    CHECK(difference(listing(lab.host()), empty) == "");
    CHECK(read_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet") == "0");
    REQUIRE(runtime.add("abc", ports) == done);
  } while (is_killed(++dels, [&](Transport& transport) {
    const auto gone = app::withdraw(transport, all, notes);
    CHECK(gone);
  }));
  CHECK(dels > 3);
  CHECK(difference(listing(lab.host()), empty) == "");
}

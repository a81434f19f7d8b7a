// CHECK of both forms, and its price: the delegate's CHECK, and as many messages at any table size.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/traced.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string result =
    R"({"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"/x"}],)"
    R"("ips":[{"address":"10.22.0.2/16","interface":0}],"vendor":{ "kept" : 1.50 }})";

std::string delegating(const std::string& more, const std::string& version = "1.0.0") {
  return R"({"cniVersion":")" + version +
         R"(","name":"web","type":"nft-port-mapper","chain":"MESOS-WEB",)"
         R"("delegate":{"type":"fake","mtu":9000},"runtimeConfig":{"portMappings":)" +
         to_json({{8080, 80}}) + "}" + more + "}";
}

// A delegate that notes each command and the last input, and does `then` for a command.
ScratchDirectory& make_fake(ScratchDirectory& scratch, const std::string& command,
                            const std::string& then) {
  scratch.script("fake", "echo \"$CNI_COMMAND $CNI_CONTAINERID\" >>" + scratch.path("calls") +
                             "\ncat >" + scratch.path("input") + "\n[ $CNI_COMMAND != ADD ] || " +
                             "printf '%s' '" + result + "'\n[ $CNI_COMMAND != " + command +
                             " ] || { " + then + "; }");
  return scratch;
}

// The lines that strace writes of one call: one a system call of the network.
std::size_t network_calls(const Lab& lab, const std::string& container, const std::string& config) {
  const Traced traced;
  const Plugin plugin = traced.plugin("-e trace=network -e signal=none");
  REQUIRE(verdict(plugin.call(lab, lab.host(), "CHECK", container, config)) == "ok");
  const std::string trace = traced.calls();
  return static_cast<std::size_t>(std::count(trace.begin(), trace.end(), '\n'));
}

}  // namespace

TEST_CASE("check: the delegate's CHECK runs with prevResult after ours, and not before") {
  Lab lab;
  lab.bare("abc");
  ScratchDirectory scratch;
  make_fake(scratch, "NONE", ":");
  const Plugin plugin{PLUGIN, scratch.path()};
  const auto call = [&](const std::string& command, const std::string& config) {
    return plugin.call(lab, lab.host(), command, "abc", config);
  };
  REQUIRE(call("ADD", delegating("")).status == 0);
  const std::string config = delegating(",\"prevResult\":" + result);
  CHECK(verdict(call("CHECK", config)) == "ok");
  CHECK(read_file(scratch.path("calls")) == "ADD abc\nCHECK abc\n");
  CHECK(read_file(scratch.path("input")) ==
        R"({"cniVersion":"1.0.0","name":"web","type":"fake","mtu":9000,)"
        R"("runtimeConfig":{"portMappings":)" +
            to_json({{8080, 80}}) + R"(},"prevResult":)" + result + "}");

  nft(lab.host(), "flush map inet nft-port-mapper MESOS-WEB-ip");
  CHECK(verdict(call("CHECK", config)) ==
        "103 cniVersion 1.0.0: the ports of container abc are not as ADD builds them: "
        "element of 0.0.0.0:8080/tcp in MESOS-WEB-ip is missing");
  CHECK(read_file(scratch.path("calls")) == "ADD abc\nCHECK abc\n");
}

TEST_CASE("check: a delegate's CHECK that fails is 102 with the delegate's own words") {
  Lab lab;
  lab.bare("abc");
  ScratchDirectory scratch;
  const std::string own = R"({"cniVersion":"1.0.0","code":7,"msg":"eth0 has another MAC address"})";
  make_fake(scratch, "CHECK", "printf '%s' '" + own + "'; exit 1");
  const Plugin plugin{PLUGIN, scratch.path()};
  REQUIRE(plugin.call(lab, lab.host(), "ADD", "abc", delegating("")).status == 0);
  CHECK(verdict(plugin.call(lab, lab.host(), "CHECK", "abc",
                            delegating(",\"prevResult\":" + result))) ==
        "102 cniVersion 1.0.0: delegate CHECK ended with exit status 1: " + scratch.path("fake") +
            " | " + own);
}

TEST_CASE("check: both forms want the prevResult") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  ScratchDirectory scratch;
  make_fake(scratch, "NONE", ":");
  const Plugin plugin{PLUGIN, scratch.path()};
  CHECK(verdict(plugin.call(lab, lab.host(), "CHECK", "abc",
                            chained_config("web", "", to_json({{8080, 80}})))) ==
        "101 cniVersion 1.0.0: prevResult is missing: without a delegate, the plugin before this "
        "one makes the interface");
  CHECK(verdict(plugin.call(lab, lab.host(), "CHECK", "abc", delegating(""))) ==
        "101 cniVersion 1.0.0: prevResult is missing");
}

TEST_CASE("check: it needs as many system calls with 10,000 other ports as with none") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Runtime runtime(lab, example_options);
  REQUIRE(runtime.add("abc", example_ports) == done);
  const std::string config =
      chained_config("web", lab.previous_result("abc"), to_json(example_ports), example_options);
  const std::size_t alone = network_calls(lab, "abc", config);
  CHECK(alone > 10);
  Mappings many;
  for (int port = 10000; port < 20000; ++port)
    many.push_back({static_cast<std::uint16_t>(port), 80, port % 2 == 0 ? "tcp" : "udp"});
  REQUIRE(runtime.add("crowd", many, {.result = result_of("10.22.0.9/16", "fd00::9/64")}) == done);
  CHECK(network_calls(lab, "abc", config) == alone);
  many.resize(5000);
  for (Mapping& mapping : many) mapping.host_address = "192.0.2.11";
  for (Mapping& mapping : many)
    mapping.host_port = static_cast<std::uint16_t>(mapping.host_port + 20000);
  REQUIRE(Runtime(lab, "", "mail")
              .add("crowd2", many, {.result = result_of("10.22.0.10/16", "fd00::a/64")}) == done);
  CHECK(network_calls(lab, "abc", config) == alone);
}

// STATUS, VERSION and what a call may ask for: nothing of it changes the ruleset.
#include <doctest/doctest.h>

#include <array>

#include "lib/cni/versions.hpp"
#include "nft/read/query.hpp"
#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::cni;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

const std::string supported = R"(["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"])";

std::string named(const std::string& version, const std::string& more = "") {
  return R"({"cniVersion":")" + version + R"(","name":"web","type":"nft-port-mapper")" + more + "}";
}

RunResult call(const Lab& lab, const std::string& command, const std::string& input,
               const Plugin& plugin = {PLUGIN}) {
  return plugin.call(lab, lab.host(), command, "abc", input,
                     {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"});
}

// Every committed batch counts it up.
std::uint32_t generation(const Lab& lab) {
  return Lab::in(lab.host(), [] {
    Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
    REQUIRE(bool(netlink));
    Query query;
    query.generation();
    REQUIRE(bool(query.run(*netlink, [](const nlmsghdr&) {})));
    return query.found_generation();
  });
}

std::string whole_ruleset(const Lab& lab) {
  return run({"nft", "-a", "list", "ruleset"}, {.ns = lab.host()}).out;
}

// The plugin behind a command that takes something from it first.
Plugin wrapped(const ScratchDirectory& scratch, const std::string& command) {
  scratch.script("wrapped", "exec " + command + " " PLUGIN);
  return {scratch.path("wrapped"), scratch.path()};
}

}  // namespace

TEST_CASE("status: it succeeds with and without a table, and changes nothing") {
  Lab lab;
  const std::uint32_t before = generation(lab);
  CHECK(verdict(call(lab, "STATUS", named("1.1.0"))) == "ok");
  CHECK(verdict(call(lab, "STATUS", named("1.1.0", R"(,"chain":"MESOS-WEB")"))) == "ok");
  CHECK(generation(lab) == before);
  CHECK(whole_ruleset(lab) == "");

  REQUIRE(Runtime(lab, example_options)
              .add("abc", example_ports, {.result = result_of("10.22.0.2/16")}) == done);
  test::nft(lab.host(), "flush chain inet nft-port-mapper networks");  // to be repaired by an ADD
  const std::string ruleset = whole_ruleset(lab);
  const std::uint32_t after_add = generation(lab);
  CHECK(after_add != before);
  for (const char* options : {example_options.c_str(), R"("chain":"NEW","excludeDevices":["lo"])"})
    CHECK(verdict(call(lab, "STATUS", named("1.1.0", std::string(",") + options))) == "ok");
  CHECK(generation(lab) == after_add);
  CHECK(whole_ruleset(lab) == ruleset);
}

TEST_CASE("status: without CAP_NET_ADMIN it is 50, and says why") {
  Lab lab;
  const ScratchDirectory scratch;
  const Plugin plugin = wrapped(scratch, "setpriv --bounding-set=-net_admin --inh-caps=-net_admin");
  scratch.script("fake", "echo called >>" + scratch.path("calls"));
  const std::string input = named("1.1.0", R"(,"chain":"MESOS-WEB","delegate":{"type":"fake"})");
  CHECK(verdict(call(lab, "STATUS", input, plugin)) ==
        "50 cniVersion 1.1.0: nf_tables cannot be used here: cannot read: table inet "
        "nft-port-mapper: "
        "Operation not permitted");
  CHECK(!std::filesystem::exists(scratch.path("calls")));
}

TEST_CASE("status: the delegate's STATUS is run with its own object, and its failure is 102") {
  Lab lab;
  const ScratchDirectory scratch;
  const Plugin plugin{PLUGIN, scratch.path()};
  const std::string input = named(
      "1.1.0", R"(,"chain":"MESOS-WEB","cni.dev/new":1,"delegate":{"type":"fake","mtu":9000})");
  scratch.script(
      "fake", "echo $CNI_COMMAND >>" + scratch.path("calls") + "\ncat >" + scratch.path("input"));
  CHECK(verdict(call(lab, "STATUS", input, plugin)) == "ok");
  CHECK(read_file(scratch.path("calls")) == "STATUS\n");
  CHECK(read_file(scratch.path("input")) ==
        R"({"cniVersion":"1.1.0","name":"web","type":"fake","mtu":9000,"cni.dev/new":1})");
  const std::string own = R"({"cniVersion":"1.1.0","code":51,"msg":"no more addresses"})";
  scratch.script("fake", "printf '%s' '" + own + "'; exit 1");
  CHECK(verdict(call(lab, "STATUS", input, plugin)) ==
        "102 cniVersion 1.1.0: delegate STATUS ended with exit status 1: " + scratch.path("fake") +
            " | " + own);
  CHECK(verdict(call(lab, "STATUS", input, {PLUGIN, "/none"})) ==
        "102 cniVersion 1.1.0: delegate \"fake\": no executable file of that name in CNI_PATH "
        "\"/none\"; install the plugin there, or add its directory to CNI_PATH");
}

TEST_CASE("status: VERSION answers in the version asked for") {
  Lab lab;
  for (const std::string_view version : kCniVersions) {
    const std::string text(version);
    const RunResult answer = call(lab, "VERSION", R"({"cniVersion":")" + text + "\"}");
    CHECK(answer.status == 0);
    CHECK(answer.err == "");
    CHECK(answer.out ==
          R"({"cniVersion":")" + text + R"(","supportedVersions":)" + supported + "}\n");
  }
  // Whatever it is asked with, it says what it can.
  for (const char* input : {"", "{}", "null", "not JSON", R"({"cniVersion":"9.9.9"})"}) {
    CAPTURE(std::string(input));
    const RunResult answer = call(lab, "VERSION", input);
    CHECK(answer.status == 0);
    CHECK(answer.err == "");
    const std::string version = std::string(input) == "{}" ? "0.1.0" : "1.1.0";
    CHECK(answer.out ==
          R"({"cniVersion":")" + version + R"(","supportedVersions":)" + supported + "}\n");
  }
}

TEST_CASE("status: a version that is not supported is error 1 for every command") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  for (const char* command : {"ADD", "DEL", "CHECK", "GC", "STATUS"}) {
    CAPTURE(std::string(command));
    const RunResult result =
        Plugin{PLUGIN}.call(lab, lab.host(), command, "abc",
                            chained_config("web", lab.previous_result("abc"), "[]", "", "0.5.0"));
    CHECK(verdict(result) ==
          "1 cniVersion 1.1.0: cniVersion: \"0.5.0\" is not a supported version; those are 0.1.0, "
          "0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0");
  }
}

TEST_CASE("status: a command that the version does not have is refused by name") {
  struct Since {
    const char* command;
    const char* version;
  };
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  const std::string before = listing(lab.host());
  for (const Since& since :
       {Since{"CHECK", "0.4.0"}, Since{"GC", "1.1.0"}, Since{"STATUS", "1.1.0"}})
    for (const std::string_view version : kCniVersions) {
      const std::string text(version);
      const std::string input = chained_config(
          "web", lab.previous_result("abc"), to_json({{8080, 80}}),
          R"("chain":"MESOS-WEB","cni.dev/valid-attachments":[{"containerID":"abc","ifname":"eth0"}])",
          text);
      const std::string answer =
          verdict(Plugin{PLUGIN}.call(lab, lab.host(), since.command, "abc", input));
      CHECK(answer == (version_at_least(version, since.version)
                           ? "ok"
                           : "104 cniVersion " + text + ": CNI_COMMAND " + since.command +
                                 " needs cniVersion " + since.version +
                                 " or later; the configuration has " + text));
    }
  CHECK(listing(lab.host()) == before);
  CHECK(verdict(call(lab, "UPDATE", named("1.1.0"))) ==
        "104 cniVersion 1.1.0: CNI_COMMAND: \"UPDATE\" is not one of ADD, DEL, CHECK, GC, STATUS, "
        "VERSION");
  CHECK(verdict(call(lab, "add", named("1.0.0"))) ==
        "104 cniVersion 1.0.0: CNI_COMMAND: \"add\" is not one of ADD, DEL, CHECK, GC, STATUS, "
        "VERSION");
}

TEST_CASE("status: results of every version are read, and only for the container's interface") {
  struct Form {
    const char* version;
    const char* result;  // what the delegate prints, its cniVersion left out
  };
  const std::string interfaces =
      R"("interfaces":[{"name":"cni0","mac":"02:00:00:00:00:01"},{"name":"veth1"},)"
      R"({"name":"eth0","sandbox":"/x"},{"name":"net1","sandbox":"/x"},{"name":"eth0"}],"ips":[)";
  const std::string old_ips =
      interfaces +
      R"({"version":"4","address":"10.99.0.1/16","interface":0},)"
      R"({"version":"6","address":"fd99::1/64","interface":1},)"
      R"({"version":"4","address":"10.98.0.1/16","interface":3},)"
      R"({"version":"6","address":"fd97::1/64","interface":4},)"
      R"({"version":"4","address":"10.22.0.2/16","gateway":"10.22.0.1","interface":2},)"
      R"({"version":"6","address":"fd00::2/64","interface":2}])";
  const std::string new_ips =
      interfaces +
      R"({"address":"fd99::1/64","interface":0},{"address":"10.97.0.1/16","interface":4},)"
      R"({"address":"10.98.0.1/16","interface":3},{"address":"fd00::2/64","interface":2},)"
      R"({"address":"10.22.0.2/16","interface":2}])";
  const std::string oldest = R"("ip4":{"ip":"10.22.0.2/16"},"ip6":{"ip":"fd00::2/64"})";
  const std::array forms = {Form{"0.1.0", oldest.c_str()},  Form{"0.2.0", oldest.c_str()},
                            Form{"0.3.0", old_ips.c_str()}, Form{"0.3.1", old_ips.c_str()},
                            Form{"0.4.0", old_ips.c_str()}, Form{"1.0.0", new_ips.c_str()},
                            Form{"1.1.0", new_ips.c_str()}};
  for (const Form& form : forms) {
    Lab lab;
    lab.bare("abc");
    const ScratchDirectory scratch;
    const std::string result =
        R"({"cniVersion":")" + std::string(form.version) + "\"," + form.result + "}";
    CAPTURE(result);
    scratch.script("fake", "cat >/dev/null\nprintf '%s' '" + result + "'");
    const RunResult added = Plugin{PLUGIN, scratch.path()}.call(
        lab, lab.host(), "ADD", "abc",
        named(form.version, R"(,"chain":"MESOS-WEB","delegate":{"type":"fake"},)"
                            R"("runtimeConfig":{"portMappings":)" +
                                to_json({{8080, 80}}) + "}"));
    CHECK(added.err == "");
    CHECK(added.status == 0);
    CHECK(added.out == result);
    const std::string table = listing(lab.host());
    CHECK(table.find(": 10.22.0.2 . 80 }") != std::string::npos);
    CHECK(table.find(": fd00::2 . 80 }") != std::string::npos);
    for (const char* other : {"10.97.", "10.98.", "10.99.", "fd97:", "fd99:"})
      CHECK(table.find(other) == std::string::npos);
  }
}

TEST_CASE("status: an address of the host's side alone is no address to publish to") {
  Lab lab;
  lab.bare("abc");
  const std::string result =
      R"({"cniVersion":"1.0.0","interfaces":[{"name":"eth0"},{"name":"eth1","sandbox":"/x"}],)"
      R"("ips":[{"address":"10.22.0.1/16","interface":0},{"address":"10.22.0.3/16","interface":1}]})";
  CHECK(Runtime(lab).add("abc", {{8080, 80}}, {.result = result}) ==
        "cannot publish ports of container abc: eth0 has no IP address in the prevResult");
  CHECK(Runtime(lab).add("abc", {{8080, 80}},
                         {.result = result, .environment = {"CNI_IFNAME=eth1"}}) == done);
  CHECK(listing(lab.host()).find(": 10.22.0.3 . 80 }") != std::string::npos);
}

TEST_CASE("status: run by hand it says what it is, and reads nothing") {
  Lab lab;
  const ScratchDirectory scratch;
  // A terminal where nobody types anything: a pipe that stays open.
  scratch.script("by-hand", "mkfifo " + scratch.path("nothing") + "\nexec 3<>" +
                                scratch.path("nothing") + "\nexec " PLUGIN " \"$@\" <&3");
  for (const std::vector<std::string>& environment :
       {std::vector<std::string>{}, {"CNI_PATH=/usr/lib/cni", "CNI_IFNAME=eth0"}}) {
    std::filesystem::remove(scratch.path("nothing"));
    std::vector<std::string> variables = {"PATH=/usr/bin:/bin"};
    variables.insert(variables.end(), environment.begin(), environment.end());
    const RunResult result =
        run({scratch.path("by-hand")}, {.environment = variables,
                                        .ns = lab.host(),
                                        .time_limit = std::chrono::milliseconds(5000)});
    CHECK(result.status == 1);
    CHECK(
        result.out ==
        R"({"cniVersion":"1.1.0","code":101,"msg":"CNI_COMMAND is not set: this program is a CNI )"
        R"(plugin, which container runtimes call; it is not meant to be run by hand"})"
        "\n");
    CHECK(result.err ==
          "nft-port-mapper 0.1.0: a CNI plugin that publishes container ports with nftables.\n"
          "Container runtimes run it. To see and repair what it has published, run"
          " nft-port-mapperctl.\n"
          "CNI versions: 0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0\n"
          "nft-port-mapper: CNI_COMMAND is not set: this program is a CNI plugin, which"
          " container runtimes call; it is not meant to be run by hand\n");
  }
}

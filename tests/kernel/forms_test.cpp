// The chained and the delegating form: what is called, what is printed, and that both publish.
#include <doctest/doctest.h>

#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/traced.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string ports_of_mesos =
    R"({"org.apache.mesos":{"network_info":{"port_mappings":[{"host_port":8080,"container_port":80}]}}})";

std::string mesos_config(const std::string& delegate, const std::string& args = ports_of_mesos) {
  return R"({"cniVersion":"0.2.0","name":"web","type":"nft-port-mapper","chain":"MESOS-WEB",)"
         R"("excludeDevices":["mesos-cni0"],"portWait":0,"delegate":)" +
         delegate + R"(,"args":)" + args + "}";
}

// A delegate that notes command and input in <scratch>/calls, and prints what <scratch>/result has.
void make_fake(const ScratchDirectory& scratch, const std::string& result) {
  scratch.script("fake", "echo \"$CNI_COMMAND $CNI_CONTAINERID ${CNI_NETNS:+netns}\" >>" +
                             scratch.path("calls") + "\ncat >" + scratch.path("input") +
                             "\n[ $CNI_COMMAND != ADD ] || printf '%s' '" + result + "'");
}

}  // namespace

TEST_CASE("forms: a chained plugin prints its prevResult byte for byte") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16");
  const std::string result =
      "{ \"ips\" : [\t{\"address\":\"10.22.0.2\\/16\", \"interface\":0, \"odd\":1e3}],\n"
      "  \"vendor\":{\"n\":12345678901234567890,\"t\":\"\\u00e9\xc3\xa9\"},\"routes\":[],"
      "\"interfaces\":[{\"sandbox\":\"/x\",\"name\":\"eth0\"}] ,\"cniVersion\":\"0.4.0\"}";
  const Plugin plugin{PLUGIN};
  const RunResult added =
      plugin.call(lab, lab.host(), "ADD", "abc",
                  chained_config("web", result, to_json({{8080, 80}}), "", "0.4.0"));
  CHECK(added.err.empty());
  CHECK(added.status == 0);
  CHECK(added.out == result);
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
}

TEST_CASE("forms: a delegate's result is printed byte for byte, and its ports are published") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16");
  const ScratchDirectory scratch;
  const std::string result =
      "{\"cniVersion\":\"0.2.0\" ,\n\t\"ip4\":{\"ip\":\"10.22.0.2/16\"}, \"x\":1.50 }\n\n";
  make_fake(scratch, result);
  const Plugin plugin{PLUGIN, scratch.path()};
  const RunResult added =
      plugin.call(lab, lab.host(), "ADD", "abc", mesos_config(R"({"type":"fake","mtu":9000})"));
  CHECK(added.err.empty());
  CHECK(added.status == 0);
  CHECK(added.out == result);
  CHECK(read_file(scratch.path("input")) ==
        R"({"cniVersion":"0.2.0","name":"web","type":"fake","mtu":9000,"args":)" + ports_of_mesos +
            "}");
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(ask(lab.host(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.1");

  const RunResult deleted =
      plugin.call(lab, lab.host(), "DEL", "abc", mesos_config(R"({"type":"fake"})"), {"CNI_NETNS"});
  CHECK(deleted.status == 0);
  CHECK(deleted.out.empty());
  CHECK(deleted.err.empty());
  CHECK(read_file(scratch.path("calls")) == "ADD abc netns\nDEL abc \n");
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
}

TEST_CASE("forms: when the ports are taken, the delegate's interface is deleted again") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  const std::string before = listing(lab.host());
  lab.bare("def");
  const ScratchDirectory scratch;
  make_fake(scratch, R"({"cniVersion":"0.2.0","ip4":{"ip":"10.22.0.3/16"}})");
  const Plugin plugin{PLUGIN, scratch.path()};
  const std::string message = conflict("def", published_by("0.0.0.0:8080/tcp", "abc"));
  const RunResult refused =
      plugin.call(lab, lab.host(), "ADD", "def", mesos_config(R"({"type":"fake"})"));
  CHECK(refused.status == 1);
  CHECK(refused.out == R"({"cniVersion":"0.2.0","code":103,"msg":")" + message + "\"}\n");
  CHECK(refused.err == "nft-port-mapper: " + message + "\n");
  CHECK(read_file(scratch.path("calls")) == "ADD def netns\nDEL def netns\n");
  CHECK(difference(listing(lab.host()), before) == "");
}

// The delegate's DEL gives the address to whoever comes next.
TEST_CASE("forms: a refused ADD again leaves no port that leads to the address released") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const Server server(lab.container("def", "10.22.0.3/16"), "def", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  const std::string before = listing(lab.host());
  const ScratchDirectory scratch;
  scratch.script("fake", "cat >/dev/null\nif [ $CNI_COMMAND = ADD ]; then echo '" +
                             result_of("10.22.0.3/16") +
                             "'; exit; fi\nnft list map inet nft-port-mapper owners |"
                             " grep -c web/def/ >>" +
                             scratch.path("seen") + "\nexit 0");
  const Plugin plugin{PLUGIN, scratch.path()};
  const auto add = [&](const Mappings& ports) {
    return plugin.call(lab, lab.host(), "ADD", "def",
                       chained_config("web", "", to_json(ports),
                                      R"("chain":"MESOS-WEB","delegate":{"type":"fake"})"));
  };
  REQUIRE(add({{9090, 80}}).status == 0);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "def 192.0.2.2");
  const std::string message = conflict("def", published_by("0.0.0.0:8080/tcp", "abc"));
  CHECK(add({{9090, 80}, {8080, 80}}).err == "nft-port-mapper: " + message + "\n");
  CHECK(read_file(scratch.path("seen")) == "0\n");
  CHECK(difference(listing(lab.host()), before) == "");
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "refused");
}

TEST_CASE("forms: a chained plugin's ADD again that is refused leaves the ports as they were") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const Server server(lab.container("def", "10.22.0.3/16"), "def", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  REQUIRE(Runtime(lab).add("def", {{9090, 80}}) == done);
  const std::string before = listing(lab.host());
  CHECK(Runtime(lab).add("def", {{9091, 80}, {8080, 80}}) ==
        conflict("def", published_by("0.0.0.0:8080/tcp", "abc")));
  CHECK(difference(listing(lab.host()), before) == "");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "def 192.0.2.2");
}

TEST_CASE("forms: ADD again without ports closes those of the ADD before") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16");
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  const ScratchDirectory scratch;
  make_fake(scratch, result_of("10.22.0.2/16"));
  const Plugin plugin{PLUGIN, scratch.path()};
  REQUIRE(Runtime(lab).add("other", {{9090, 80}}, {.result = result_of("10.22.0.9/16")}) == done);
  const std::string before = listing(lab.host());
  for (const bool chained : {true, false})
    for (const char* none :
         {"null", "[]", R"([{"hostPort":8080,"containerPort":80,"hostIP":"::"}])"}) {
      CAPTURE(chained);
      CAPTURE(std::string(none));
      const auto add = [&](const std::string& ports) {
        return plugin.call(lab, lab.host(), "ADD", "abc",
                           chained_config("web", chained ? lab.previous_result("abc") : "", ports,
                                          std::string(R"("chain":"MESOS-WEB")") +
                                              (chained ? "" : R"(,"delegate":{"type":"fake"})")));
      };
      REQUIRE(add(to_json({{8080, 80}})).status == 0);
      CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
      CHECK(add(none).status == 0);
      CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
      CHECK(difference(listing(lab.host()), before) == "");
    }
}

TEST_CASE("forms: ADD without ports makes no table, asks once, and does without netfilter") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const Traced traced;
  const std::string config = chained_config("web", lab.previous_result("abc"), "[]");
  const RunResult added =
      traced.plugin("-e trace=sendto,socket").call(lab, lab.host(), "ADD", "abc", config);
  CHECK(added.status == 0);
  CHECK(added.out == lab.previous_result("abc"));
  CHECK(added.err == "");
  const auto count = [&traced](const std::string& call) {
    const std::string calls = traced.calls();
    std::size_t number = 0;
    for (std::size_t at = calls.find(call); at != std::string::npos; at = calls.find(call, at + 1))
      ++number;
    return number;
  };
  CHECK(count("socket(AF_NETLINK") == 1);
  CHECK(count("sendto(") == 1);
  CHECK(run({"nft", "list", "tables"}, {.ns = lab.host()}).out == "");
  const RunResult without = traced.plugin("-e trace=socket -e inject=socket:error=EPROTONOSUPPORT")
                                .call(lab, lab.host(), "ADD", "abc", config);
  CHECK(without.status == 0);
  CHECK(without.err == "");
}

TEST_CASE("forms: a delegate whose ADD fails, is killed or takes too long gets its DEL") {
  Lab lab;
  lab.bare("abc");
  const ScratchDirectory scratch;
  const auto add = [&](const std::string& does, const std::string& after = "") {
    std::filesystem::remove(scratch.path("calls"));
    scratch.script(
        "fake", "echo \"$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME ${CNI_NETNS:+netns} $(cat)\" >>" +
                    scratch.path("calls") + "\nif [ $CNI_COMMAND = ADD ]; then " + does + "; fi\n" +
                    after);
    return verdict(Plugin{PLUGIN, scratch.path()}.call(
                       lab, lab.host(), "ADD", "abc",
                       R"({"cniVersion":"1.0.0","name":"web","type":"t","chain":"MESOS-WEB",)"
                       R"("delegateTimeout":1,"delegate":{"type":"fake","mtu":9000}})"),
                   after.empty() ? ""
                                 : "nft-port-mapper: after the failed ADD, delegate DEL ended with "
                                   "exit status 3: " +
                                       scratch.path("fake") + "\n");
  };
  const std::string input = R"({"cniVersion":"1.0.0","name":"web","type":"fake","mtu":9000})";
  const std::string both = "ADD abc eth0 netns " + input + "\nDEL abc eth0 netns " + input + "\n";
  const std::string failed = "102 cniVersion 1.0.0: delegate ADD ";
  CHECK(add(R"(echo '{"code":7}'; exit 1)") ==
        failed + "ended with exit status 1: " + scratch.path("fake") + R"( | {"code":7})");
  CHECK(read_file(scratch.path("calls")) == both);
  CHECK(add("kill -9 $$") == failed + "was killed by SIGKILL: " + scratch.path("fake"));
  CHECK(read_file(scratch.path("calls")) == both);
  CHECK(add("exec sleep 20") ==
        failed +
            "took longer than the 1 s of delegateTimeout and was killed: " + scratch.path("fake"));
  CHECK(read_file(scratch.path("calls")) == both);
  // The error is the ADD's, whatever the DEL says.
  CHECK(add("exit 1", "exit 3") == failed + "ended with exit status 1: " + scratch.path("fake"));
  CHECK(read_file(scratch.path("calls")) == both);
}

TEST_CASE(
    "forms: a delegate's ADD that fails closes the ports of the ADD before; one that is not there "
    "does not") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16");
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  const ScratchDirectory scratch;
  make_fake(scratch, result_of("10.22.0.2/16"));
  const auto add = [&](const std::string& path) {
    return Plugin{PLUGIN, path}
        .call(lab, lab.host(), "ADD", "abc",
              chained_config("web", "", to_json({{8080, 80}}),
                             R"("chain":"MESOS-WEB","delegate":{"type":"fake"})"))
        .status;
  };
  REQUIRE(add(scratch.path()) == 0);
  CHECK(add("/nowhere") == 1);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  scratch.script("fake",
                 "echo $CNI_COMMAND >>" + scratch.path("later") + "; [ $CNI_COMMAND = DEL ]");
  CHECK(add(scratch.path()) == 1);
  CHECK(read_file(scratch.path("later")) == "ADD\nDEL\n");
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
}

TEST_CASE("forms: Debian's bridge and host-local as the delegate, as the Mesos agent calls it") {
  Lab lab;
  const ScratchDirectory scratch;
  const std::string abc = lab.bare("abc");
  const std::string config = mesos_config(
      R"({"type":"bridge","bridge":"mesos-cni0","isGateway":true,"ipMasq":false,"ipam":)"
      R"({"type":"host-local","dataDir":")" +
      scratch.path("ipam") + R"(","subnet":"10.24.0.0/16","routes":[{"dst":"0.0.0.0/0"}]}})");
  const Plugin plugin{PLUGIN};
  const RunResult added = plugin.call(lab, lab.host(), "ADD", "abc", config);
  CHECK(added.err == "");
  REQUIRE(added.status == 0);
  CHECK(added.out.find(R"("ip": "10.24.0.2/16")") != std::string::npos);
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(ask(lab.host(), Protocol::tcp, "10.24.0.1", 8080) == "abc 10.24.0.1");
  CHECK(probe(abc, Protocol::tcp, "192.0.2.1", 8080) == "refused");  // excluded: its own bridge

  for (int repetition = 0; repetition < 2; ++repetition) {
    const RunResult deleted = plugin.call(lab, lab.host(), "DEL", "abc", config);
    CHECK(deleted.err == "");
    CHECK(deleted.status == 0);
    CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
    CHECK(run({"ip", "link", "show", "eth0"}, {.ns = abc}).status == 1);
    CHECK(listing(lab.host()).find("elements") == std::string::npos);
  }
}

TEST_CASE("forms: both kinds of port mappings in one configuration are published") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16");
  const std::string config = chained_config("web", lab.previous_result("abc"),
                                            to_json({{9090, 80}}), R"("args":)" + ports_of_mesos);
  REQUIRE(Plugin{PLUGIN}.call(lab, lab.host(), "ADD", "abc", config).status == 0);
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "abc 192.0.2.2");
}

TEST_CASE("forms: the inputs of podman and containerd are published as they are") {
  for (const std::string& runtime : {std::string("podman"), std::string("containerd")}) {
    CAPTURE(runtime);
    Lab lab;
    const bool podman = runtime == "podman";
    lab.network("cni-podman0", "10.88.0.1/16", "fd00:88::1/64");
    const std::string abc = lab.container("abc", podman ? "10.88.0.2/16" : "10.88.0.5/16",
                                          "fd00:88::5/64", {.bridge = "cni-podman0"});
    const std::string config = read_file(SHARED_INPUTS "/" + runtime + "-add.json");
    const RunResult added = Plugin{PLUGIN}.call(lab, lab.host(), "ADD", "abc", config);
    CHECK(added.err == "");
    CHECK(added.status == 0);
    const Server web(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
    if (podman) continue;
    const Server udp(abc, "abc", Protocol::udp, "0.0.0.0", 9090);
    CHECK(ask(lab.client(), Protocol::udp, "192.0.2.1", 9090) == "abc 192.0.2.2");
    const Server web6(abc, "abc", Protocol::tcp, "::", 80);
    CHECK(ask(lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
  }
}

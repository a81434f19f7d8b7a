// The chained and the delegating form: what is called, what is printed, and that both publish.
#include <doctest/doctest.h>

#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string ports_of_mesos =
    R"({"org.apache.mesos":{"network_info":{"port_mappings":[{"host_port":8080,"container_port":80}]}}})";

std::string mesos_config(const std::string& delegate, const std::string& args = ports_of_mesos) {
  return R"({"cniVersion":"0.2.0","name":"web","type":"nft-port-mapper","chain":"MESOS-WEB",)"
         R"("excludeDevices":["mesos-cni0"],"delegate":)" +
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

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "lib/cni/result.hpp"
#include "lib/config/delegate_input.hpp"
#include "lib/config/net_config.hpp"
#include "tests/unit/net_conf_fixture.hpp"

using namespace portmapper;
using namespace portmapper::cni;
using namespace portmapper::config;

namespace {

std::string input(const std::string& name) {
  const std::filesystem::path inputs = SHARED_INPUTS;
  std::ifstream file(inputs / name, std::ios::binary);
  REQUIRE_MESSAGE(file, name);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string printed(const PortMapping& mapping) {
  return (mapping.host_address ? mapping.host_address->to_string() : "any") + " " +
         std::string(to_string(mapping.protocol)) + " " +
         std::to_string(mapping.host_port.value()) + "->" +
         std::to_string(mapping.container_port.value());
}

std::string printed(const std::vector<PortMapping>& mappings) {
  std::string text;
  for (const PortMapping& mapping : mappings) text += (text.empty() ? "" : ", ") + printed(mapping);
  return text;
}

// A chained configuration that is right, with `members` before its end.
std::string chained(std::string_view members) {
  return R"({"cniVersion":"1.0.0","name":"net","type":"t","prevResult":{})" +
         (members.empty() ? std::string() : "," + std::string(members)) + "}";
}

std::string with_mappings(std::string_view entries) {
  return chained(R"("runtimeConfig":{"portMappings":[)" + std::string(entries) + "]}");
}

std::string with_mesos_mappings(std::string_view entries) {
  return chained(R"("args":{"org.apache.mesos":{"network_info":{"port_mappings":[)" +
                 std::string(entries) + "]}}}");
}

struct Case {
  std::string text;
  std::string expected;
};

void check_errors(const std::vector<Case>& cases) {
  for (const Case& item : cases) {
    CAPTURE(item.text.substr(0, 400));
    CHECK(error_of(item.text) == item.expected);
    CHECK(item.expected.find("not found") == std::string::npos);
  }
}

}  // namespace

TEST_CASE("mesos-add.json, for ADD and for DEL") {
  for (const Command command : {Command::add, Command::del}) {
    const NetConf conf = parsed(input("mesos-add.json"), command);
    CHECK(conf.cni_version == "0.2.0");
    CHECK(conf.name == "web");
    CHECK(conf.chain == "MESOS-WEB");
    CHECK(conf.exclude_devices == std::vector<std::string>{"mesos-cni0", "docker0"});
    CHECK(printed(conf.mappings) == "any tcp 8080->80, any udp 5353->53, any tcp 8443->443");
    CHECK_FALSE(conf.prev_result);
    CHECK(conf.delegate_timeout == std::chrono::seconds(120));
    REQUIRE(conf.delegate);
    CHECK(conf.delegate->type == "bridge");
    CHECK(conf.delegate->input ==
          R"({"cniVersion":"0.2.0","name":"web","bridge":"mesos-cni0","ipMasq":true,)"
          R"("ipam":{"routes":[{"dst":"0.0.0.0/0"}],"subnet":"10.22.0.0/16","type":"host-local"},)"
          R"("isGateway":true,"type":"bridge","args":{"org.apache.mesos":{"network_info":{)"
          R"("labels":{"labels":[{"key":"app","value":"web"}]},"name":"web","port_mappings":[)"
          R"({"container_port":80,"host_port":8080,"protocol":"tcp"},)"
          R"({"container_port":53,"host_port":5353,"protocol":"UDP"},)"
          R"({"container_port":443,"host_port":8443}]}}}})");
  }
}

TEST_CASE("containerd-add.json: entries in title case, prevResult byte for byte") {
  const std::string text = input("containerd-add.json");
  const NetConf conf = parsed(text, Command::add);
  CHECK(conf.name == "containerd-net");
  CHECK_FALSE(conf.chain);
  CHECK_FALSE(conf.delegate);
  CHECK(conf.snat);
  CHECK_FALSE(conf.masq_all);
  CHECK(printed(conf.mappings) == "any tcp 8080->80, 192.0.2.1 udp 9090->9090");
  REQUIRE(conf.prev_result);
  const std::size_t start = text.find("\"prevResult\":") + 13;
  CHECK(*conf.prev_result == text.substr(start, text.rfind('}') - start));
  CHECK(container_addresses(*conf.prev_result, "eth0", "prevResult")->size() == 2);
}

TEST_CASE("podman-add.json") {
  const NetConf conf = parsed(input("podman-add.json"), Command::add);
  CHECK(conf.cni_version == "0.4.0");
  CHECK(printed(conf.mappings) == "any tcp 8080->80, 127.0.0.1 tcp 8443->443");
  REQUIRE(conf.prev_result);
  CHECK(container_addresses(*conf.prev_result, "eth0", "prevResult")->at(0).to_string() ==
        "10.88.0.2/16");
}

TEST_CASE("nomad-del.json: null lists and results") {
  const NetConf conf = parsed(input("nomad-del.json"), Command::del);
  CHECK(conf.name == "nomad");
  CHECK(conf.mappings.empty());
  CHECK_FALSE(conf.prev_result);
}

TEST_CASE("gc.json: the valid attachments, for GC only") {
  const NetConf conf = parsed(input("gc.json"), Command::gc);
  REQUIRE(conf.valid_attachments);
  REQUIRE(conf.valid_attachments->size() == 1);
  CHECK(conf.valid_attachments->at(0).container_id == "still-here");
  CHECK(conf.valid_attachments->at(0).ifname == "eth0");
  CHECK_FALSE(parsed(input("gc.json"), Command::status).valid_attachments);
}

TEST_CASE("no list of valid attachments is not an empty one") {
  CHECK_FALSE(parsed(R"({"name":"n"})", Command::gc).valid_attachments);
  // Go writes an empty list as null.
  for (const char* empty : {"[]", "null"}) {
    const NetConf none = parsed(
        R"({"name":"n","cni.dev/valid-attachments":)" + std::string(empty) + "}", Command::gc);
    REQUIRE(none.valid_attachments);
    CHECK(none.valid_attachments->empty());
  }
  CHECK(error_of(R"({"name":"n","cni.dev/valid-attachments":{}})", Command::gc) ==
        "\"cni.dev/valid-attachments\": an object is not an array");
  CHECK(error_of(
            R"({"name":"n","cni.dev/valid-attachments":[7,{},{"containerID":"c","ifname":false}]})",
            Command::gc) ==
        "\"cni.dev/valid-attachments\"[0]: 7 is not an object; "
        "\"cni.dev/valid-attachments\"[1].containerID is missing; "
        "\"cni.dev/valid-attachments\"[1].ifname is missing; "
        "\"cni.dev/valid-attachments\"[2].ifname: false is not a string");
}

TEST_CASE("text that is no configuration") {
  check_errors({
      {"", "the configuration is empty"},
      {std::string("{\"a\":\0}", 7), "the configuration has a NUL byte, at byte 6"},
      {"{\"name\":\"\xff\"}", "the configuration is not UTF-8, at byte 10"},
      {R"({"name":"a","delegate":{"type":"b","type":"c"}})",
       "the configuration has the key delegate.type twice"},
      {std::string(1U << 20U, 'x'), "the configuration is not JSON, at byte 1: \"" +
                                        std::string(64, 'x') + "\"... (1048576 bytes)"},
      {"{\"a\":" + std::string(10000, '[') + std::string(10000, ']') + "}",
       "the configuration is nested deeper than 256 levels, at byte 261"},
  });
}

TEST_CASE("the network's name") {
  const std::string rule =
      " is not a network name: a letter or digit, then letters, digits, '_', '.', '-'";
  for (const Command command :
       {Command::add, Command::del, Command::check, Command::gc, Command::status}) {
    CHECK(error_of(R"({"prevResult":{}})", command) == "name is missing");
    CHECK(error_of(R"({"name":null,"prevResult":{}})", command) == "name is missing");
    CHECK(error_of(R"({"name":7,"prevResult":{}})", command) == "name: 7 is not a string");
    CHECK(error_of(R"({"name":"","prevResult":{}})", command) == "name: \"\"" + rule);
    CHECK(error_of(R"({"name":"a/../b\n\u0000","prevResult":{}})", command) ==
          "name: \"a/../b\\n\\u0000\"" + rule);
  }
  CHECK(error_of(R"({"name":"not found)" + std::string(4096, ' ') + R"(","prevResult":{}})") ==
        "name: \"not\\u0020found" + std::string(55, ' ') + "\"... (4105 bytes)" + rule);
}

TEST_CASE("the version") {
  CHECK(parsed(R"({"name":"n"})", Command::del).cni_version == "0.1.0");
  CHECK(parsed(R"({"name":"n","cniVersion":""})", Command::del).cni_version == "0.1.0");
  CHECK(parsed(R"({"cniVersion":"1.1.0"})", Command::version).cni_version == "1.1.0");
  CHECK(error_of(R"({"cniVersion":1})") == "cniVersion: 1 is not a string");
  const Result<NetConf> conf = parse_net_conf(R"({"cniVersion":"2.0.0"})", Command::del);
  REQUIRE_FALSE(conf);
  CHECK(conf.error().kind == ErrorKind::unsupported_version);
  CHECK(conf.error().message() ==
        "cniVersion: \"2.0.0\" is not a supported version; those are 0.1.0, 0.2.0, 0.3.0, 0.3.1, "
        "0.4.0, 1.0.0, 1.1.0");
}

TEST_CASE("an answer has the version that was asked in, if it can") {
  const std::vector<Case> cases = {
      {R"({"cniVersion":"0.3.1"})", "0.3.1"}, {"{}", "0.1.0"}, {R"({"cniVersion":7})", "1.1.0"},
      {R"({"cniVersion":"7"})", "1.1.0"},     {"", "1.1.0"},   {"{", "1.1.0"},
  };
  for (const Case& item : cases) CHECK(answer_version(item.text) == item.expected);
}

TEST_CASE("the delegate, and what it needs") {
  const std::string rule =
      " is not the name of a plugin: a file in CNI_PATH, without '/' and control characters";
  check_errors({
      {R"({"name":"n","delegate":{}})",
       "chain is missing: a configuration with a delegate must name its nft chain;"
       " delegate.type is missing"},
      {R"({"name":"n","chain":"C","delegate":"bridge"})", "delegate: \"bridge\" is not an object"},
      {R"({"name":"n","chain":"C","delegate":{"type":7}})", "delegate.type: 7 is not a string"},
      {R"({"name":"n","chain":"C","delegate":{"type":""}})", "delegate.type: \"\"" + rule},
      {R"({"name":"n","chain":"C","delegate":{"type":"/sh"}})", "delegate.type: \"/sh\"" + rule},
      {R"({"name":"n","chain":"C","delegate":{"type":".."}})", "delegate.type: \"..\"" + rule},
      {R"({"name":"n","chain":"C","delegate":{"type":"a\u0000b"}})",
       "delegate.type: \"a\\u0000b\"" + rule},
      {R"({"name":"n","chain":"C","delegate":{"type":"b"},"prevResult":7})",
       "prevResult: 7 is not an object"},
      {R"({"name":"n","chain":"C","delegate":{"type":"b"}})", "no error"},
  });
}

TEST_CASE("the delegate's own members stay byte for byte, the call's members are ours") {
  const NetConf conf = parsed(
      R"({"name":"n","chain":"C","cniVersion":"1.1.0","runtimeConfig": {"a" : 1.50},"args":null,)"
      R"("cni.dev/attachments":[ ],"other":1,"delegate": {"type":"b","na\u006de":"x",)"
      R"("cniVersion":"0.1.0","args":{"own":1},"runtimeConfig":{"own":1},"prevResult":{"old":1},)"
      R"("big":123456789012345678901234567890, "text" : "\u0041\n\"" , "list": [ 1e400 ] }})",
      Command::gc);
  CHECK(conf.delegate->input ==
        R"({"cniVersion":"1.1.0","name":"n","type":"b","args":{"own":1},)"
        R"("big":123456789012345678901234567890,"text":"\u0041\n\"","list":[ 1e400 ],)"
        R"("runtimeConfig":{"a" : 1.50},"cni.dev/attachments":[ ]})");
  CHECK(with_prev_result(R"({"cniVersion":"1.1.0","name":"n"})", "{ \"a\" : 1 }") ==
        R"({"cniVersion":"1.1.0","name":"n","prevResult":{ "a" : 1 }})");
}

TEST_CASE("without a delegate ADD and CHECK need a prevResult, the others do not") {
  const std::string missing =
      "prevResult is missing: without a delegate, the plugin before this one makes the interface";
  for (const Command command : {Command::add, Command::check}) {
    CHECK(error_of(R"({"name":"n"})", command) == missing);
    CHECK(error_of(R"({"name":"n","prevResult":null})", command) == missing);
    CHECK(error_of(R"({"name":"n","prevResult":[]})", command) ==
          "prevResult: an array is not an object");
  }
  for (const Command command : {Command::del, Command::gc, Command::status})
    for (const char* text : {R"({"name":"n"})", R"({"name":"n","prevResult":null})",
                             R"({"name":"n","prevResult":[]})"})
      CHECK_FALSE(parsed(text, command).prev_result);
}

TEST_CASE(
    "a chain name that cannot be is refused, but does not keep DEL from releasing an address") {
  const std::string rule =
      " is not an nft chain name: a letter, '_' or '.', then letters, digits, '_', '.', '-', '/'; "
      "at most 100 bytes";
  const std::string word = chained(R"("chain":"ip")");
  const std::string number = chained(R"("chain":5)");
  const std::string endless = chained(R"("chain":"})" + std::string(4095, 'x') + "\"");
  for (const Command command : {Command::add, Command::check, Command::gc, Command::status}) {
    CHECK(error_of(word, command) == "chain: \"ip\" is a word of nft's own language");
    CHECK(error_of(number, command) == "chain: 5 is not a string");
    CHECK(error_of(endless, command) ==
          "chain: \"}" + std::string(63, 'x') + "\"... (4096 bytes)" + rule);
  }
  for (const std::string& text : {word, number, endless})
    CHECK_FALSE(parsed(text, Command::del).chain);
}

TEST_CASE("options of the wrong type or value") {
  const std::string device =
      " is not the name of one interface, or its beginning and '*': 1 to 15 bytes, not '.' or "
      "'..', "
      "without '/', ':', '\"', '\\', white space, control characters, and without '*' before its "
      "end";
  check_errors({
      {chained(R"("snat":"yes","masqAll":1)"),
       "snat: \"yes\" is not true or false; masqAll: 1 is not true or false"},
      {chained(R"("excludeDevices":"eth0")"), "excludeDevices: \"eth0\" is not an array"},
      {chained(R"("excludeDevices":["ok",7,"*","a\"b","a\\b","","a\nb","not found"])"),
       "excludeDevices[1]: 7 is not a string; excludeDevices[2]: \"*\"" + device +
           "; excludeDevices[3]: \"a\\\"b\"" + device + "; excludeDevices[4]: \"a\\\\b\"" + device +
           "; excludeDevices[5]: \"\"" + device + "; excludeDevices[6]: \"a\\nb\"" + device +
           "; excludeDevices[7]: \"not\\u0020found\"" + device},
      {chained(R"("conditionsV4":["!","-s","10.0.0.0/8"],"conditionsV6":"x")"),
       "conditionsV4[0]: \"!\" belongs to iptables; conditions are words of an nft match"
       " expression; conditionsV6: \"x\" is not an array"},
      {chained(R"("conditionsV6":[[],"log",7])"),
       "conditionsV6[0]: an array is not a string; conditionsV6[2]: 7 is not a string"},
      {chained(
           R"("conditionsV4":["tcp","dport","0x"],"conditionsV6":["tcp dport", "{ 80"],"snat":0)"),
       "snat: 0 is not true or false; conditionsV4[2]: \"0x\" is not a port (0-65535) or a range "
       "such as 1024-65535; conditionsV6[1]: \"{\" opens a set that does not end"},
      {chained(R"("backend":"iptables")"),
       "backend: \"iptables\" is not \"nftables\", the only backend"},
      {chained(R"("backend":true)"), "backend: true is not \"nftables\", the only backend"},
      {chained(R"("markMasqBit":"13")"), "markMasqBit: \"13\" is not an integer in 0..31"},
      {chained(R"("externalSetMarkChain":"KUBE-MARK-MASQ")"),
       "externalSetMarkChain: \"KUBE-MARK-MASQ\" is refused: it names an iptables chain, and no "
       "mark is used here"},
      {chained(R"("delegateTimeout":-1)"), "delegateTimeout: -1 is not in 0..86400"},
      {chained(R"("delegateTimeout":86401)"), "delegateTimeout: 86401 is not in 0..86400"},
      {chained(R"("delegateTimeout":1.5)"), "delegateTimeout: 1.5 is not an integer in 0..86400"},
      {chained(R"("portWait":-1)"), "portWait: -1 is not in 0..60"},
      {chained(R"("portWait":61)"), "portWait: 61 is not in 0..60"},
      {chained(R"("portWait":0.5)"), "portWait: 0.5 is not an integer in 0..60"},
      {chained(R"("portWait":"5")"), "portWait: \"5\" is not an integer in 0..60"},
      {chained(R"("runtimeConfig":[],"args":"a=b")"),
       "runtimeConfig: an array is not an object; args: \"a=b\" is not an object"},
      {chained(R"("args":{"org.apache.mesos":{"network_info":7}})"),
       "args.\"org.apache.mesos\".network_info: 7 is not an object"},
      {chained(R"("runtimeConfig":{"portMappings":{}})"),
       "runtimeConfig.portMappings: an object is not an array"},
      {chained(R"("unknown":[{}],"capabilities":{"portMappings":true})"), "no error"},
  });
}

TEST_CASE("options that are right") {
  const NetConf conf = parsed(
      chained(R"("snat":false,"masqAll":true,"backend":"nftables","markMasqBit":13,)"
              R"("conditionsV4":["ip","saddr","10.0.0.0/8"],"conditionsV6":null,"chain":"C",)"
              R"("excludeDevices":["a","b","a"],"delegateTimeout":0,"externalSetMarkChain":null)"),
      Command::check);
  CHECK_FALSE(conf.snat);
  CHECK(conf.masq_all);
  CHECK(conf.conditions_v4 ==
        std::vector<Match>{{.field = MatchField::ip_saddr,
                            .values = {MatchValue::prefix(*IpPrefix::parse("10.0.0.0/8"))}}});
  CHECK(conf.conditions_v6.empty());
  CHECK(conf.chain == "C");
  CHECK(conf.exclude_devices == std::vector<std::string>{"a", "b"});
  CHECK(conf.delegate_timeout == std::chrono::seconds(0));
}

TEST_CASE("port mappings that are right") {
  const std::vector<Case> cases = {
      {with_mappings(""), ""},
      {chained(R"("runtimeConfig":{"portMappings":null})"), ""},
      {chained(R"("runtimeConfig":null,"args":{"org.apache.mesos":null})"), ""},
      {with_mappings(R"({"hostport":1,"CONTAINERPORT":65535,"Protocol":"SCTP","hostip":"::"})"),
       ":: sctp 1->65535"},
      {with_mappings(R"({"hostPort":1,"containerPort":2,"protocol":"","hostIP":null})"),
       "any tcp 1->2"},
      {with_mappings(R"({"hostPort":1,"containerPort":2,"hostIP":"::ffff:192.0.2.1"})"),
       "192.0.2.1 tcp 1->2"},
      {with_mesos_mappings(R"({"host_port":1,"container_port":2},{"Host_Port":3,)"
                           R"("container_port":4,"protocol":"UDP","hostIP":7})"),
       "any tcp 1->2, any udp 3->4"},
      // The same twice is the same.
      {with_mappings(R"({"hostPort":1,"containerPort":2},{"HostPort":1,"ContainerPort":2})"),
       "any tcp 1->2"},
      // Any address of both families covers any address of one.
      {with_mappings(R"({"hostPort":1,"containerPort":2,"hostIP":"0.0.0.0"},)"
                     R"({"hostPort":1,"containerPort":2,"hostIP":"::"},)"
                     R"({"hostPort":1,"containerPort":2})"),
       "any tcp 1->2"},
      {with_mappings(R"({"hostPort":1,"containerPort":2,"hostIP":"0.0.0.0"},)"
                     R"({"hostPort":1,"containerPort":3,"hostIP":"::"})"),
       "0.0.0.0 tcp 1->2, :: tcp 1->3"},
      {with_mappings(R"({"hostPort":1,"containerPort":2,"HostIP":"::1"})"), "::1 tcp 1->2"},
      // One address wins over any.
      {with_mappings(R"({"hostPort":1,"containerPort":2},)"
                     R"({"hostPort":1,"containerPort":3,"hostIP":"192.0.2.1"},)"
                     R"({"hostPort":1,"containerPort":2,"protocol":"udp"})"),
       "any tcp 1->2, 192.0.2.1 tcp 1->3, any udp 1->2"},
  };
  for (const Case& item : cases) {
    CAPTURE(item.text.substr(0, 400));
    CHECK(printed(parsed(item.text, Command::add).mappings) == item.expected);
  }
}

TEST_CASE("port mappings that ADD and CHECK refuse, and DEL passes over") {
  const std::string at = "runtimeConfig.portMappings";
  const std::vector<Case> cases = {
      {with_mappings(R"({"hostPort":1,"containerPort":2},{"hostPort":70000,"containerPort":80})"),
       at + "[1].hostPort: 70000 is not in 1..65535"},
      {with_mappings(R"({"hostPort":0,"containerPort":0})"),
       at + "[0].hostPort: 0 is not in 1..65535; " + at +
           "[0].containerPort: 0 is not in 1..65535"},
      {with_mappings(
           R"({"hostPort":"80","containerPort":80.0},{"hostPort":1e3,"containerPort":-1})"),
       at + "[0].hostPort: \"80\" is not an integer in 1..65535; " + at +
           "[0].containerPort: 80.0 is not an integer in 1..65535; " + at +
           "[1].hostPort: 1e3 is not an integer in 1..65535; " + at +
           "[1].containerPort: -1 is not in 1..65535"},
      {with_mappings(R"({"hostPort":99999999999999999999999,"containerPort":true})"),
       at + "[0].hostPort: 99999999999999999999999 is not in 1..65535; " + at +
           "[0].containerPort: true is not an integer in 1..65535"},
      {with_mappings(R"({},7)"), at + "[0].hostPort is missing; " + at +
                                     "[0].containerPort is missing; " + at +
                                     "[1]: 7 is not an object"},
      {with_mappings(R"({"hostPort":1,"containerPort":2,"protocol":"icmp","hostIP":"10.1"})"),
       at + "[0].protocol: \"icmp\" is not tcp, udp or sctp; " + at +
           "[0].hostIP: \"10.1\" is not an IP address"},
      {with_mappings(R"({"hostPort":1,"containerPort":2,"protocol":6,"hostIP":7})"),
       at + "[0].protocol: 6 is not a string; " + at + "[0].hostIP: 7 is not a string"},
      {with_mappings(R"({"hostPort":1,"HostPort":1,"containerPort":2})"),
       at + "[0]: hostPort and HostPort are the same key"},
      {with_mesos_mappings(R"({"host_port":0,"container_port":2,"protocol":"x\ny"},{})"),
       "args.\"org.apache.mesos\".network_info.port_mappings[0].host_port: 0 is not in 1..65535; "
       "args.\"org.apache.mesos\".network_info.port_mappings[0].protocol: \"x\\ny\" is not tcp, "
       "udp or sctp; "
       "args.\"org.apache.mesos\".network_info.port_mappings[1].host_port is missing; "
       "args.\"org.apache.mesos\".network_info.port_mappings[1].container_port is missing"},
      {with_mappings(R"({"hostPort":1,"containerPort":2},{"hostPort":1,"containerPort":3})"),
       at + "[1] (any address, tcp 1, to container port 3) contradicts " + at +
           "[0] (any address, tcp 1, to container port 2)"},
      {with_mappings(R"({"hostPort":9,"containerPort":1},{"hostPort":9,"containerPort":2},)"
                     R"({"hostPort":8,"containerPort":1},{"hostPort":8,"containerPort":2})"),
       at + "[1] (any address, tcp 9, to container port 2) contradicts " + at +
           "[0] (any address, tcp 9, to container port 1); " + at +
           "[3] (any address, tcp 8, to container port 2) contradicts " + at +
           "[2] (any address, tcp 8, to container port 1)"},
      {with_mappings(R"({"hostPort":1,"containerPort":2,"hostIP":"::ffff:192.0.2.1"},)"
                     R"({"hostPort":1,"containerPort":3,"hostIP":"192.0.2.1"})"),
       at + "[1] (192.0.2.1, tcp 1, to container port 3) contradicts " + at +
           "[0] (192.0.2.1, tcp 1, to container port 2)"},
      {with_mappings(R"({"hostPort":1,"containerPort":2,"hostIP":"0.0.0.0"},)"
                     R"({"hostPort":1,"containerPort":3})"),
       at + "[1] (any address, tcp 1, to container port 3) contradicts " + at +
           "[0] (0.0.0.0, tcp 1, to container port 2)"},
      {with_mappings(R"({"hostPort":1,"containerPort":2,"protocol":"udp"},)"
                     R"({"hostPort":1,"containerPort":3,"protocol":"udp","hostIP":"::"})"),
       at + "[1] (::, udp 1, to container port 3) contradicts " + at +
           "[0] (any address, udp 1, to container port 2)"},
      {chained(R"("runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":2}]},)"
               R"("args":{"org.apache.mesos":{"network_info":{"port_mappings":[)"
               R"({"host_port":1,"container_port":3}]}}})"),
       "args.\"org.apache.mesos\".network_info.port_mappings[0] (any address, tcp 1, to container "
       "port 3) contradicts runtimeConfig.portMappings[0] (any address, tcp 1, to container port "
       "2)"},
  };
  check_errors(cases);
  for (const Case& item : cases) {
    CAPTURE(item.text.substr(0, 400));
    CHECK(error_of(item.text, Command::check) == item.expected);
    for (const Command command : {Command::del, Command::gc, Command::status})
      CHECK(error_of(item.text, command) == "no error");
  }
}

TEST_CASE("DEL keeps what it can use of a configuration that ADD refuses") {
  const NetConf conf = parsed(
      chained(R"("snat":"x","masqAll":7,"excludeDevices":["a b","c"],"conditionsV4":["-s"],)"
              R"("conditionsV6":7,"backend":"iptables","markMasqBit":"x","delegateTimeout":"x",)"
              R"("externalSetMarkChain":"X","args":7,"runtimeConfig":{"portMappings":[)"
              R"({"hostPort":0,"containerPort":1},{"hostPort":1,"containerPort":1},)"
              R"({"hostPort":2,"HostPort":2,"containerPort":1}]})"),
      Command::del);
  CHECK(printed(conf.mappings) == "any tcp 1->1");
  CHECK(conf.exclude_devices == std::vector<std::string>{"c"});
  CHECK(conf.delegate_timeout == std::chrono::seconds(120));
  CHECK(conf.snat);
}

TEST_CASE("problems of all kinds are told at once") {
  CHECK(error_of(R"({"name":"-","chain":"ip","snat":0,"runtimeConfig":{"portMappings":[{}]}})") ==
        "name: \"-\" is not a network name: a letter or digit, then letters, digits, '_', '.', "
        "'-'; chain: \"ip\" is a word of nft's own language; prevResult is missing: without a "
        "delegate, the plugin before this one makes the interface; snat: 0 is not true or false; "
        "runtimeConfig.portMappings[0].hostPort is missing; "
        "runtimeConfig.portMappings[0].containerPort is missing");
}

TEST_CASE("every port of every protocol at once, right and wrong") {
  std::string right;
  std::string wrong;
  for (const char* protocol : {"tcp", "udp", "sctp"})
    for (int port = 1; port <= 65535; ++port) {
      const std::string number = std::to_string(port);
      const std::string rest =
          R"(,"containerPort":)" + number + R"(,"protocol":")" + protocol + "\"}";
      right += (right.empty() ? "" : ",") + (R"({"hostPort":)" + number) + rest;
      wrong += (wrong.empty() ? "" : ",") + std::string(R"({"hostPort":0)") + rest;
    }
  CHECK(parsed(with_mappings(right), Command::add).mappings.size() == 196605);
  std::string expected;
  for (int i = 0; i < 20; ++i)
    expected +=
        "runtimeConfig.portMappings[" + std::to_string(i) + "].hostPort: 0 is not in 1..65535; ";
  CHECK(error_of(with_mappings(wrong)) == expected + "and 196585 more");
}

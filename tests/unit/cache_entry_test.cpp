#include "lib/cni/cache_entry.hpp"

#include <doctest/doctest.h>

#include "lib/config/net_config.hpp"

using namespace portmapper;
using namespace portmapper::cni;
using namespace portmapper::config;

namespace {

// {"cniVersion":"0.4.0","name":"web","plugins":[{"type":"bridge"},{"type":"nft-port-mapper",
// "chain":"WEB","capabilities":{"portMappings":true,"aliases":false},"runtimeConfig":{"x":1}}]}
const std::string kList =
    "eyJjbmlWZXJzaW9uIjoiMC40LjAiLCJuYW1lIjoid2ViIiwicGx1Z2lucyI6W3sidHlwZSI6ImJyaWRnZSJ9LHsidHlwZS"
    "I6Im5mdC1wb3J0LW1hcHBlciIsImNoYWluIjoiV0VCIiwiY2FwYWJpbGl0aWVzIjp7InBvcnRNYXBwaW5ncyI6dHJ1ZSwi"
    "YWxpYXNlcyI6ZmFsc2V9LCJydW50aW1lQ29uZmlnIjp7IngiOjF9fV19";
// {"cniVersion":"1.0.0","name":"web","type":"nft-port-mapper","snat":false}
const std::string kSingle =
    "eyJjbmlWZXJzaW9uIjoiMS4wLjAiLCJuYW1lIjoid2ViIiwidHlwZSI6Im5mdC1wb3J0LW1hcHBlciIsInNuYXQiOmZhbH"
    "NlfQ==";
const std::string kBridge = "eyJuYW1lIjoid2ViIiwidHlwZSI6ImJyaWRnZSJ9";  // {"name":"web","type":...
const std::string kOther = "eyJuYW1lIjoib3RoZXIiLCJ0eXBlIjoibmZ0LXBvcnQtbWFwcGVyIn0=";

// An entry with these members of its own; each `key:value,` as JSON.
std::string entry(const std::string& config, const std::string& rest) {
  return R"({"kind":"cniCacheV1","containerId":"abc","config":")" + config +
         R"(","ifName":"eth0","networkName":"web")" + rest + "}";
}

// The entry's parts, a line each, or the error.
std::string read(const std::string& text) {
  const Result<CacheEntry> read = parse_cache_entry(text, "nft-port-mapper");
  if (!read) {
    CHECK(read.error().kind == ErrorKind::invalid_input);
    return read.error().message();
  }
  return cache_file_name(read->attachment) + "\n" + read->netns + "\n" +
         read->config.value_or("no plugin of ours");
}

}  // namespace

TEST_CASE("cache entry: the configuration is what libcni gave the plugin on stdin") {
  CHECK(read(entry(kList, R"(,"netns":"/run/netns/x","capabilityArgs":{"aliases":{"web":["a"]},)"
                          R"("portMappings":[{"hostPort":8080}]},"result":{"ips":[]})")) ==
        "web-abc-eth0\n/run/netns/x\n"
        R"({"type":"nft-port-mapper","chain":"WEB",)"
        R"("capabilities":{"portMappings":true,"aliases":false},"name":"web","cniVersion":"0.4.0",)"
        R"("runtimeConfig":{"portMappings":[{"hostPort":8080}]},"prevResult":{"ips":[]}})");
  // Without capability arguments, its own runtimeConfig stays; without netns, the sandbox tells.
  CHECK(
      read(entry(kList,
                 R"(,"result":{"interfaces":[{"name":"eth0"},{"name":"eth0","sandbox":"/n"}]})")) ==
      "web-abc-eth0\n/n\n"
      R"({"type":"nft-port-mapper","chain":"WEB",)"
      R"("capabilities":{"portMappings":true,"aliases":false},"runtimeConfig":{"x":1},)"
      R"("name":"web","cniVersion":"0.4.0",)"
      R"("prevResult":{"interfaces":[{"name":"eth0"},{"name":"eth0","sandbox":"/n"}]}})");
  CHECK(read(entry(kSingle, R"(,"cniArgs":[["A","1"]],"result":{})")) ==
        "web-abc-eth0\n\n"
        R"({"type":"nft-port-mapper","snat":false,"name":"web","cniVersion":"1.0.0",)"
        R"("prevResult":{}})");
  CHECK(read(entry(kBridge, "")) == "web-abc-eth0\n\nno plugin of ours");
}

TEST_CASE("cache entry: what podman 4.3 wrote for a container with two ports") {
  const std::string text =
      R"({"kind":"cniCacheV1","containerId":"9367005312b4","config":"ewogICJjbmlWZXJzaW9uIjogIjAu)"
      "NC4wIiwKICAibmFtZSI6ICJwb2RtYW4iLAogICJwbHVnaW5zIjogWwogICAgewogICAgICAidHlwZSI6ICJicmlkZ2Ui"
      "LAogICAgICAiYnJpZGdlIjogImNuaS1wb2RtYW4wIiwKICAgICAgImlzR2F0ZXdheSI6IHRydWUsCiAgICAgICJoYWly"
      "cGluTW9kZSI6IHRydWUsCiAgICAgICJpcGFtIjogewogICAgICAgICJ0eXBlIjogImhvc3QtbG9jYWwiLAogICAgICAg"
      "ICJyb3V0ZXMiOiBbeyAiZHN0IjogIjAuMC4wLjAvMCIgfV0sCiAgICAgICAgInJhbmdlcyI6IFtbeyAic3VibmV0Ijog"
      "IjEwLjg4LjAuMC8xNiIsICJnYXRld2F5IjogIjEwLjg4LjAuMSIgfV1dCiAgICAgIH0KICAgIH0sCiAgICB7CiAgICAg"
      "ICJ0eXBlIjogIm5mdC1wb3J0LW1hcHBlciIsCiAgICAgICJjYXBhYmlsaXRpZXMiOiB7ICJwb3J0TWFwcGluZ3MiOiB0"
      R"(cnVlIH0KICAgIH0KICBdCn0K","ifName":"eth0","networkName":"podman","cniArgs":)"
      R"([["IgnoreUnknown","1"],["K8S_POD_NAME","t"]],"capabilityArgs":{"aliases":{"podman":)"
      R"(["9367005312b4"]},"portMappings":[{"hostPort":8443,"containerPort":443,"protocol":"tcp",)"
      R"("hostIP":"127.0.0.1"},{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]},"result":)"
      R"({"cniVersion":"0.4.0","dns":{},"interfaces":[{"mac":"7a:b5:f1:34:a4:2d","name":)"
      R"("cni-podman0"},{"mac":"a2:cb:46:1d:68:ee","name":"vethc78b0446"},{"mac":)"
      R"("6a:1a:6d:e2:e5:f4","name":"eth0","sandbox":)"
      R"("/run/netns/netns-2e47bb81-2418-8058-7e74-18c2c155963b"}],"ips":[{"address":)"
      R"("10.88.0.2/16","gateway":"10.88.0.1","interface":2,"version":"4"}],"routes":)"
      R"([{"dst":"0.0.0.0/0"}]}})";
  const Result<CacheEntry> read = parse_cache_entry(text, "nft-port-mapper");
  REQUIRE(read);
  CHECK(read->attachment == Attachment{"podman", "9367005312b4", "eth0"});
  CHECK(read->netns == "/run/netns/netns-2e47bb81-2418-8058-7e74-18c2c155963b");
  REQUIRE(read->config);
  const Result<NetConf> conf = parse_net_conf(*read->config, Command::add);
  REQUIRE(conf);
  CHECK(conf->mappings.size() == 2);
  CHECK(conf->prev_result->starts_with(R"({"cniVersion":"0.4.0","dns":{})"));
}

TEST_CASE("cache entry: what is wrong is named") {
  struct Case {
    std::string text;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {"", "the cache entry is empty"},
      {"[]", "the cache entry is an array, not an object"},
      {R"({"cniVersion":"0.4.0"})",
       "kind is missing: only libcni 0.8 and later records how an attachment was made"},
      {R"({"kind":"cniCacheV2"})", R"(kind: "cniCacheV2" is not "cniCacheV1")"},
      {R"({"kind":"cniCacheV1","containerId":"../x","ifName":1})",
       "networkName is missing; containerId: \"../x\" is not a name that CNI allows; ifName: 1 is "
       "not a string"},
      {entry("e30", ""), "config is not a configuration in base64"},
      {entry("Zm9v", ""), R"(its configuration is not JSON, at byte 1: "foo")"},
      {entry(kOther, R"(,"result":{})"),
       R"(its configuration: name: "other" is not the network's name, web)"},
      {entry(kSingle, ""), "result is missing"},
      {entry(kSingle, R"(,"result":[])"), "result: an array is not an object"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.text);
    CHECK(read(one.text) == one.expected);
  }
}

// lib/config/known_keys: which keys are known, and which one another was meant to be.
#include "lib/config/known_keys.hpp"

#include <doctest/doctest.h>

#include "tests/unit/net_conf_fixture.hpp"

using namespace portmapper;
using namespace portmapper::config;

namespace {

// A chained configuration that is right, with `members` before its end.
std::string with(std::string_view members) {
  return R"({"cniVersion":"1.0.0","name":"net","type":"t","prevResult":{},)" +
         std::string(members) + "}";
}

std::vector<std::string> notes(std::string_view members, cni::Command command = cni::Command::add) {
  return parsed(with(members), command).notes;
}

std::string note(const std::string& key, const std::string& meant) {
  return key + " is not a key of nft-port-mapper and has no effect; " + meant +
         " was probably meant";
}

}  // namespace

TEST_CASE("known keys: a misspelt key is the one that it is like") {
  struct Case {
    const char* key;
    const char* meant;  // "" for none
  };
  for (const auto& row : {
           Case{"excludedDevices", "excludeDevices"},
           {"excludeDevice", "excludeDevices"},
           {"exclude_devices", "excludeDevices"},
           {"ExcludeDevices", "excludeDevices"},
           {"excludeAdress", "excludeAddresses"},
           {"excludeAddress", "excludeAddresses"},
           {"capability", "capabilities"},
           {"capabilites", "capabilities"},
           {"Capabilities", "capabilities"},
           {"conditionV4", "conditionsV4"},
           {"conditionsV5", "conditionsV4"},
           {"conditionsv6", "conditionsV6"},
           {"runtimeconfig", "runtimeConfig"},
           {"runtimeConfigs", "runtimeConfig"},
           {"chian", "chain"},  // exchanged letters are one change
           {"chan", "chain"},
           {"masqall", "masqAll"},
           {"masquerade", ""},
           {"delegates", "delegate"},
           {"portwait", "portWait"},
           {"closeConnection", "closeConnections"},
           {"prevresult", "prevResult"},
           {"SNAT", "snat"},
           {"arg", "args"},
           {"portMappings", "runtimeConfig.portMappings"},
           {"portMapping", "runtimeConfig.portMappings"},
           // Not like any: what people and other plugins write.
           {"$comment", ""},
           {"_comment", ""},
           {"hairpinMode", ""},
           {"isGateway", ""},
           {"bridge", ""},
           {"mtu", ""},
           {"vlan", ""},
           {"mode", ""},
           {"ip", ""},
           {"", ""},
           {"chainchainchainchainchainchain", ""},
       }) {
    const auto& [key, meant] = row;
    INFO(row.key);
    CHECK_FALSE(is_known_key(KeyPlace::plugin, key));
    CHECK(meant_key(KeyPlace::plugin, key) == meant);
  }
}

TEST_CASE("known keys: those of an entry are known in any letter case, others are not") {
  CHECK(is_known_key(KeyPlace::mapping, "HostIp"));
  CHECK(is_known_key(KeyPlace::mesos_mapping, "HOST_PORT"));
  CHECK_FALSE(is_known_key(KeyPlace::plugin, "Chain"));
  CHECK_FALSE(is_known_key(KeyPlace::list, "Plugins"));
  CHECK(meant_key(KeyPlace::mapping, "protocl") == "protocol");
  CHECK(meant_key(KeyPlace::mapping, "hostIPs") == "hostIP");
  CHECK(meant_key(KeyPlace::mapping, "host_port") == "hostPort");
  CHECK(meant_key(KeyPlace::mesos_mapping, "hostPort") == "host_port");
  CHECK(meant_key(KeyPlace::mapping, "Label") == "");
  CHECK(meant_key(KeyPlace::list, "plugin") == "plugins");
  CHECK(meant_key(KeyPlace::runtime_config, "port_mappings") == "portMappings");
  CHECK(meant_key(KeyPlace::runtime_config, "ipRanges") == "");
}

TEST_CASE("known keys: every key of the examples and of libcni is known") {
  for (const char* key : {"cniVersion",
                          "name",
                          "type",
                          "chain",
                          "excludeDevices",
                          "excludeAddresses",
                          "snat",
                          "masqAll",
                          "conditionsV4",
                          "conditionsV6",
                          "backend",
                          "markMasqBit",
                          "externalSetMarkChain",
                          "capabilities",
                          "delegate",
                          "delegateTimeout",
                          "portWait",
                          "hostListeners",
                          "closeConnections",
                          "runtimeConfig",
                          "args",
                          "prevResult",
                          "ipam",
                          "dns",
                          "ipMasq",
                          "cni.dev/valid-attachments",
                          "cni.dev/attachments"}) {
    CAPTURE(key);
    CHECK(is_known_key(KeyPlace::plugin, key));
  }
}

TEST_CASE("known keys: ADD notes what was misspelt, at the top and where the ports are asked for") {
  CHECK(notes(R"("excludedDevices":["lo"],"chain":"C")") ==
        std::vector{note("excludedDevices", "excludeDevices")});
  CHECK(notes(R"("runtimeConfig":{"portMapping":[],"ipRanges":[]})") ==
        std::vector{note("runtimeConfig.portMapping", "runtimeConfig.portMappings")});
  CHECK(notes(R"("capabilities":{"portmappings":true,"bandwidth":true},"capability":{})") ==
        std::vector{note("capability", "capabilities"),
                    note("capabilities.portmappings", "capabilities.portMappings")});
  CHECK(notes(R"("$comment":"chain is missing","mtu":1500,"runtimeConfig":null)").empty());
  CHECK(notes(R"("excludedDevices":["lo"])", cni::Command::del).empty());
  CHECK(notes(R"("excludedDevices":["lo"])", cni::Command::check).empty());
}

TEST_CASE("known keys: a key that a message names is printable") {
  CHECK(notes("\"cha\\u001bin\":1") == std::vector{note(R"("cha\u001bin")", "chain")});
}

TEST_CASE("known keys: of very many misspelt keys the first twenty are noted") {
  std::string members = R"("mtu":1)";
  for (char a = 'A'; a <= 'Z'; ++a) members += std::string(",\"exclude") + a + "Devices\":[]";
  CHECK(notes(members).size() == 20);
  CHECK(notes(members).front() == note("excludeADevices", "excludeDevices"));
}

TEST_CASE("known keys: an error of an ADD says what was misspelt, too") {
  CHECK(error_of(R"({"name":"n","chian":"C","delegate":{"type":"t"}})") ==
        "chain is missing: a configuration with a delegate must name its nft chain; " +
            note("chian", "chain"));
  CHECK(error_of(R"({"name":"n","chian":"C","delegate":{"type":"t"}})", cni::Command::check) ==
        "chain is missing: a configuration with a delegate must name its nft chain");
}

// lib/config/net_config: portWait, hostListeners, closeConnections, and what the shared chain does not take.
#include <doctest/doctest.h>

#include <string>

#include "lib/config/net_config.hpp"
#include "tests/unit/net_conf_fixture.hpp"

using namespace portmapper;
using namespace portmapper::cni;
using namespace portmapper::config;

namespace {

std::string chained(std::string_view members) {
  return R"({"cniVersion":"1.0.0","name":"net","type":"t","prevResult":{})" +
         (members.empty() ? std::string() : "," + std::string(members)) + "}";
}

}  // namespace

TEST_CASE("portWait: 5 seconds where nothing is said, 0 to 60") {
  CHECK(parsed(chained(""), Command::add).port_wait == std::chrono::seconds(5));
  CHECK(parsed(chained(R"("portWait":null)"), Command::add).port_wait == std::chrono::seconds(5));
  CHECK(parsed(chained(R"("portWait":0)"), Command::add).port_wait == std::chrono::seconds(0));
  CHECK(parsed(chained(R"("portWait":60)"), Command::add).port_wait == std::chrono::seconds(60));
  const std::string mesos = R"({"name":"n","chain":"C","portWait":7,"delegate":{"type":"t"}})";
  CHECK(parsed(mesos, Command::add).port_wait == std::chrono::seconds(7));
  CHECK(parsed(chained(R"("portWait":61)"), Command::del).port_wait == std::chrono::seconds(5));
}

TEST_CASE("hostListeners: hidden where nothing is said, noted or refused where it is") {
  const auto wish = [](const std::string& value, Command command = Command::add) {
    return parsed(chained("\"hostListeners\":" + value), command).host_listeners;
  };
  CHECK(parsed(chained(""), Command::add).host_listeners == HostListeners::hidden);
  CHECK(wish("null") == HostListeners::hidden);
  CHECK(wish("\"hidden\"") == HostListeners::hidden);
  CHECK(wish("\"noted\"") == HostListeners::noted);
  CHECK(wish("\"refused\"") == HostListeners::refused);
  const std::string mesos =
      R"({"name":"n","chain":"C","hostListeners":"refused","delegate":{"type":"t"}})";
  CHECK(parsed(mesos, Command::add).host_listeners == HostListeners::refused);
  CHECK(wish("\"Refused\"", Command::del) == HostListeners::hidden);
  const std::string complaint = " is not \"hidden\", \"noted\" or \"refused\"";
  CHECK(error_of(chained(R"("hostListeners":"Refused")")) ==
        "hostListeners: \"Refused\"" + complaint);
  CHECK(error_of(chained(R"("hostListeners":"")")) == "hostListeners: \"\"" + complaint);
  CHECK(error_of(chained(R"("hostListeners":true)")) == "hostListeners: true is not a string");
}

TEST_CASE("closeConnections: true where nothing is said; DEL and GC read it too, and forgive it") {
  for (const Command command : {Command::add, Command::del, Command::gc}) {
    CHECK(parsed(chained(""), command).close_connections);
    CHECK(parsed(chained(R"("closeConnections":null)"), command).close_connections);
    CHECK(parsed(chained(R"("closeConnections":true)"), command).close_connections);
    CHECK_FALSE(parsed(chained(R"("closeConnections":false)"), command).close_connections);
  }
  CHECK(error_of(chained(R"("closeConnections":"no")"), Command::add) ==
        "closeConnections: \"no\" is not true or false");
  CHECK(parsed(chained(R"("closeConnections":"no")"), Command::del).close_connections);
}

TEST_CASE("the chain that networks share takes no restrictions of one of them") {
  const auto complaint = [](const std::string& key) {
    return "chain: \"hostports\" is shared by networks without " + key +
           "; name another chain, or leave it out, and this network gets one of its own";
  };
  const std::string devices = R"("excludeDevices":["docker0"])";
  const std::string shared = R"("chain":"hostports",)";
  for (const Command command : {Command::add, Command::check, Command::status}) {
    CHECK(error_of(chained(shared + devices), command) == complaint("excludeDevices"));
    CHECK(error_of(chained(shared + R"("conditionsV4":["ip saddr 10.0.0.1"])"), command) ==
          complaint("conditionsV4"));
    CHECK(error_of(chained(shared + R"("conditionsV6":["ip6 saddr fd00::1"])"), command) ==
          complaint("conditionsV6"));
  }
  CHECK(error_of(R"({"name":"n","chain":"hostports","delegate":{"type":"t"},)" + devices + "}") ==
        "chain: \"hostports\" is shared by networks without excludeDevices; name another chain");
  for (const Command command : {Command::del, Command::gc})
    CHECK(error_of(chained(shared + devices), command) == "no error");
  CHECK(error_of(chained(shared + R"("excludeDevices":[],"conditionsV4":null)")) == "no error");
  CHECK(error_of(chained(R"("chain":"hostports2",)" + devices)) == "no error");
  CHECK(error_of(chained(devices)) == "no error");
}

// lib/config/excluded, and host addresses: what may be excluded, and what may be published on.
#include "lib/config/excluded.hpp"

#include <doctest/doctest.h>

#include <string>

#include "lib/config/net_config.hpp"
#include "nft/rule_form.hpp"
#include "nft/ruleset.hpp"
#include "tests/unit/net_conf_fixture.hpp"

using namespace portmapper;
using namespace portmapper::cni;
using namespace portmapper::config;

namespace {

std::string with(const std::string& members) {
  return R"({"cniVersion":"1.0.0","name":"net","type":"t","prevResult":{},)" + members + "}";
}

std::string with_host_ip(const std::string& address) {
  return with(R"("runtimeConfig":{"portMappings":[{"hostPort":1,"containerPort":2,"hostIP":")" +
              address + R"("}]})");
}

// What is excluded of the list, or the complaint.
std::string excluded(const std::string& list) {
  const std::string text = with(R"("excludeAddresses":)" + list);
  const std::string error = error_of(text);
  if (error != "no error") return error;
  std::string all;
  for (const IpPrefix& prefix : parsed(text, Command::add).exclude_addresses)
    all += prefix.to_string() + " ";
  return all;
}

nft::NetworkChain excluding(const std::vector<std::string>& prefixes) {
  nft::NetworkChain network{.name = "c", .network = "web"};
  std::string_view complaint;
  for (const std::string& prefix : prefixes)
    network.exclude_addresses.push_back(*parse_excluded_prefix(prefix, complaint));
  return network;
}

std::string rules(const nft::NetworkChain& network) {
  std::string text;
  for (const nft::Rule& rule : network_chain(network).rules)
    if (std::holds_alternative<nft::Return>(rule.action)) text += to_string(rule) + "\n";
  return text;
}

bool is_part(const nft::RuleForm& form, const char* chain) {
  return nft::part_of_network_chain(form, chain).has_value();
}

bool leaves(const nft::NetworkChain& network, const char* address) {
  bool found = false;
  for (const nft::Rule& rule : network_chain(network).rules)
    found = found || nft::excludes(nft::rule_form(rule), *IpAddress::parse(address));
  return found;
}

}  // namespace

TEST_CASE("excluded: devices by their names, or by the beginning of these") {
  for (const char* name : {"eth0", "veth*", "v*", "abcdefghijklmn*", "abcdefghijklmno"})
    CHECK(is_excludable_device(name));
  for (const char* name : {"*", "**", "a**", "a*b", "*a", "abcdefghijklmno*", "a\"*", "a\\*",
                           "a b*", "", ".", "..", "a/*", "a:*"})
    CHECK_FALSE(is_excludable_device(name));
}

TEST_CASE("excluded: addresses and prefixes") {
  CHECK(excluded(R"(["10.96.0.1/12","192.0.2.7","fd96::10/112","fd96::1"])") ==
        "10.96.0.0/12 192.0.2.7/32 fd96::/112 fd96::1/128 ");
  CHECK(excluded("[]") == "");
  CHECK(excluded("null") == "");
  CHECK(excluded(R"("10.96.0.0/12")") == R"(excludeAddresses: "10.96.0.0/12" is not an array)");
  CHECK(
      excluded(R"(["10.96/12",7,"0.0.0.0/0","::/0","::ffff:10.0.0.1"])") ==
      "excludeAddresses[0]: \"10.96/12\" is not an IP address or a prefix such as 10.96.0.0/12; "
      "excludeAddresses[1]: 7 is not a string; "
      "excludeAddresses[2]: \"0.0.0.0/0\" excludes every address; publish such ports with a hostIP "
      "instead; "
      "excludeAddresses[3]: \"::/0\" excludes every address; publish such ports with a hostIP "
      "instead; "
      "excludeAddresses[4]: \"::ffff:10.0.0.1\" is an IPv4 address within IPv6, which no packet "
      "has; write it as IPv4");
  std::string many = R"(["10.0.0.1")";
  for (int i = 1; i < 257; ++i) many += R"(,"10.0.0.1")";
  CHECK(excluded(many + "]") == "excludeAddresses: an array has more than 256 entries");
  CHECK(error_of(with(R"("excludeAddresses":["x"])"), Command::del) == "no error");
  for (const char* all :
       {R"(["0.0.0.0/1","128.0.0.0/1"])", R"(["128.0.0.0/2","0.0.0.0/1","192.0.0.0/2"])"})
    CHECK(error_of(with(R"("ipMasq":true,"nonMasqueradeCIDRs":)" + std::string(all))) ==
          "nonMasqueradeCIDRs: an array has all of 0.0.0.0/0, which leaves nothing to "
          "masquerade; that is \"ipMasq\": false");
  CHECK(error_of(with(R"("ipMasq":true,"nonMasqueradeCIDRs":["::/1","8000::/1"])")) ==
        "nonMasqueradeCIDRs: an array has all of ::/0, which leaves nothing to masquerade; "
        "that is \"ipMasq\": false");
  CHECK(error_of(
            with(R"("ipMasq":true,"nonMasqueradeCIDRs":["0.0.0.0/1","128.0.0.0/2","8000::/1"])")) ==
        "no error");
  CHECK(
      error_of(with(R"("chain":"hostports","excludeAddresses":["10.0.0.1"])")) ==
      "chain: \"hostports\" is shared by networks without excludeAddresses; name another chain, or "
      "leave it out, and this network gets one of its own");
}

TEST_CASE("excluded: the rules, in the order and the form in which nft lists them") {
  CHECK(rules(excluding({})) == "");
  CHECK(rules(excluding({"192.0.2.7", "10.96.0.0/12", "fd96::/112"})) ==
        "ip daddr { 10.96.0.0/12, 192.0.2.7 } return\nip6 daddr fd96::/112 return\n");
  CHECK(rules(excluding({"10.0.0.128/25", "10.0.0.0/25", "10.0.1.0/24", "10.0.2.0/24"})) ==
        "ip daddr 10.0.0.0-10.0.2.255 return\n");
  nft::NetworkChain devices{.name = "c", .exclude_devices = {"docker0", "veth*", "veth1"}};
  CHECK(rules(devices) == "iifname \"docker0\" return\niifname \"veth*\" return\n");
  devices.exclude_devices = {"veth*"};
  CHECK(rules(devices) == "iifname \"veth*\" return\n");
  // Neighbours, which nft would join to a range that it cannot list.
  devices.exclude_devices = {"eth1*", "eth0*", "eth1", "lo", "eth00*", "docker0"};
  CHECK(rules(devices) ==
        "iifname { \"lo\", \"docker0\" } return\niifname \"eth0*\" return\n"
        "iifname \"eth1*\" return\n");
  const auto restricted = [](std::vector<std::string> names) {
    return nft::restrictions({.name = "c", .exclude_devices = std::move(names)});
  };
  CHECK(restricted({"lam*", "lan*"}) != restricted({"lam"}));
  CHECK(restricted({"lam*", "lan*"}) != restricted({"lam*"}));
  CHECK(restricted({"lam*", "lan*"}) == restricted({"lan*", "lan0", "lam*"}));
  // A chain whose network excludes other addresses has other restrictions; the order is no matter.
  CHECK(nft::restrictions(excluding({"10.0.0.1"})) != nft::restrictions(excluding({})));
  CHECK(nft::restrictions(excluding({"10.0.0.1"})) != nft::restrictions(excluding({"10.0.0.2"})));
  CHECK(nft::restrictions(excluding({"10.0.0.1", "fd00::1"})) ==
        nft::restrictions(excluding({"fd00::1", "10.0.0.1"})));
  CHECK(nft::restrictions(excluding({})) == nft::restrictions({.name = "other"}));
}

TEST_CASE("excluded: a rule that was read tells which addresses it excludes") {
  for (const std::vector<std::string>& prefixes :
       {std::vector<std::string>{"10.96.0.0/12", "fd96::/112"},
        {"10.96.0.0/15", "10.100.0.0/14", "fd96::/113", "fd96::8000/113"},
        {"10.96.0.0/24", "10.96.1.0/24", "10.96.2.0/23", "10.97.0.0/16", "fd96::/112", "fd97::1"},
        {"10.96.0.1", "10.96.0.0", "10.96.0.255", "10.97.255.255", "fd96::1", "fd96::ffff",
         "fd96::8000"}}) {
    const nft::NetworkChain network = excluding(prefixes);
    CAPTURE(rules(network));
    for (const char* address : {"10.96.0.0", "10.96.0.1", "10.96.0.255", "10.97.255.255", "fd96::1",
                                "fd96::8000", "fd96::ffff"})
      CHECK(leaves(network, address) == true);
    for (const char* address :
         {"10.95.255.255", "10.112.0.0", "9.96.0.0", "11.96.0.0", "fd96::1:0", "fd95::", "::"})
      CHECK(leaves(network, address) == false);
    for (const nft::Rule& rule : network_chain(network).rules)
      CHECK(is_part(nft::rule_form(rule), "c"));
  }
  CHECK_FALSE(is_part({"meta:15+0 == 02", "nh+12 == 0a", "return"}, "c"));
  CHECK_FALSE(is_part({"meta:15+0 == 0a", "nh+16 == 0a", "return"}, "c"));
}

TEST_CASE("a host address that no translated connection can have is refused by name") {
  const auto complaint = [](const std::string& address) {
    const std::string error = error_of(with_host_ip(address));
    const std::string head =
        "runtimeConfig.portMappings[0].hostIP: \"" + address + "\" is refused: ";
    return error.starts_with(head) ? error.substr(head.size()) : error;
  };
  const std::string link_local =
      "a link-local address means another host on each interface, so link-local traffic stays the "
      "host's; use another address, or the port on any address";
  const std::string multicast =
      "it is a multicast address, and what is sent there is not translated; use an address of one "
      "interface, or the port on any address";
  const std::string broadcast =
      "it is a broadcast address, and what is sent there is not translated; use an address of one "
      "interface, or the port on any address";
  for (const char* address : {"fe80::1", "FE80::", "febf:ffff::1"})
    CHECK(complaint(address) == link_local);
  for (const char* address :
       {"224.0.0.1", "239.255.255.255", "::ffff:224.0.0.1", "::ffff:e000:1", "ff02::1", "ff00::"})
    CHECK(complaint(address) == multicast);
  for (const char* address : {"255.255.255.255", "::ffff:255.255.255.255", "127.255.255.255"})
    CHECK(complaint(address) == broadcast);
  for (const char* address : {"", "0.0.0.0", "::", "::ffff:0.0.0.0", "0.1.2.3", "223.255.255.255",
                              "240.0.0.1", "255.255.255.254", "fe7f::1", "fec0::1", "127.0.0.53"})
    CHECK(complaint(address) == "no error");
  CHECK(error_of(with_host_ip("fe80::1"), Command::del) == "no error");
}

// Operator accidents between two ADDs: the next one puts everything back.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>

#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// The design's example, and a second container that is added after the accident.
struct Scene {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  Runtime runtime{lab, example_options};
  Server abc4{abc, "abc", Protocol::tcp, "0.0.0.0", 80};
  Server abc6{abc, "abc", Protocol::tcp, "::", 80};
  Server def4{def, "def", Protocol::tcp, "0.0.0.0", 80};

  [[nodiscard]] std::string now() const { return normalise(listing(lab.host())); }
  // "abc 192.0.2.2" or why not, of the client, the host, by IPv6, and of a neighbour in that order.
  [[nodiscard]] std::string traffic_to_abc() const {
    return probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) + ", " +
           probe(lab.host(), Protocol::tcp, "192.0.2.1", 8080) + ", " +
           probe(lab.client(), Protocol::tcp, "2001:db8::1", 8080) + ", " +
           probe(def, Protocol::tcp, "192.0.2.1", 8080);
  }
};

const std::string all_flows = "abc 192.0.2.2, abc 192.0.2.1, abc 2001:db8::2, abc 10.22.0.1";

enum class Elements { stay, go };

// A listing with its chains in alphabetical order: one that was made again is listed last.
std::string by_name(const std::string& listing) {
  const std::size_t first = listing.find("\tchain ");
  if (first == std::string::npos) return listing;
  std::vector<std::string> chains;
  const std::string end = "\t}\n";
  for (std::size_t at = first; listing.compare(at, 7, "\tchain ") == 0;) {
    const std::size_t next = listing.find(end, at) + end.size();
    chains.push_back(listing.substr(at, next - at));
    at = listing.compare(next, 1, "\n") == 0 ? next + 1 : next;
  }
  std::sort(chains.begin(), chains.end());
  std::string text = listing.substr(0, first);
  for (const std::string& chain : chains) text += chain + "\n";
  return text;
}

// What is not as in the golden.
std::string damage(const Scene& scene) {
  return difference(by_name(scene.now()), by_name(golden_listing()));
}

// What holds after every accident: the next container's ADD mends the ruleset.
void check_mended(const Scene& scene, Elements elements) {
  REQUIRE(scene.runtime.add("def", {{9090, 80}}) == done);
  CHECK(ask(scene.lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "def 192.0.2.2");
  CHECK(difference(by_name(without_elements(scene.now())),
                   by_name(without_elements(golden_listing()))) == "");
  if (elements == Elements::stay) {
    CHECK(scene.traffic_to_abc() == all_flows);
    REQUIRE(scene.runtime.del("def") == done);
    CHECK(damage(scene) == "");
  }
  REQUIRE(scene.runtime.add("abc", example_ports) == done);
  CHECK(scene.runtime.del("def") == done);
  CHECK(scene.traffic_to_abc() == all_flows);
  CHECK(damage(scene) == "");
}

// Loads `script` over the intact example and expects the next ADDs to undo it. `$HANDLE{text}` in
// the script stands for the handle of the rule that begins with `text`.
void check_accident(const Scene& scene, const std::string& script, Elements elements) {
  CAPTURE(script);
  REQUIRE(scene.runtime.add("abc", example_ports) == done);
  REQUIRE(damage(scene) == "");
  std::string commands = script;
  const std::string handles =
      run({"nft", "-a", "list", "table", "inet", "nft-port-mapper"}, {.ns = scene.lab.host()}).out;
  for (std::size_t at = commands.find("$HANDLE{"); at != std::string::npos;
       at = commands.find("$HANDLE{")) {
    const std::size_t end = commands.find('}', at);
    const std::size_t rule = handles.find("\t\t" + commands.substr(at + 8, end - at - 8));
    REQUIRE(rule != std::string::npos);
    const std::size_t number = handles.find("# handle ", rule) + 2;
    commands.replace(at, end + 1 - at, handles.substr(number, handles.find('\n', number) - number));
  }
  nft(scene.lab.host(), commands);
  if (elements == Elements::stay) REQUIRE(damage(scene) != "");
  check_mended(scene, elements);
}

}  // namespace

TEST_CASE("accident: after `nft flush chain`, whichever, the next ADD works and traffic flows") {
  const Scene scene;
  for (const std::string& chain :
       {std::string("MESOS-WEB"), std::string("networks"), std::string("prerouting"),
        std::string("output"), std::string("postrouting"), std::string("localnet-guard")})
    check_accident(scene, "flush chain inet nft-port-mapper " + chain, Elements::stay);
  check_accident(scene, "flush table inet nft-port-mapper", Elements::stay);  // rules, not elements
}

TEST_CASE("accident: after `nft delete table` or `nft flush ruleset` the next ADD works") {
  const Scene scene;
  check_accident(scene, "delete table inet nft-port-mapper", Elements::go);
  check_accident(scene, "flush ruleset", Elements::go);
  // As Debian's nftables.service does on reload.
  check_accident(
      scene,
      "flush ruleset\ntable inet filter {\nchain input {\ntype filter hook input priority "
      "filter;\n}\n}",
      Elements::go);
}

TEST_CASE("accident: a rule that was deleted is back after the next ADD") {
  const Scene scene;
  const std::string table = "delete rule inet nft-port-mapper ";
  for (const std::string& rule :
       {std::string("MESOS-WEB $HANDLE{iifname }"),
        std::string("MESOS-WEB $HANDLE{meta nfproto ipv4 ct label set 127 dnat ip to ip daddr}"),
        std::string("MESOS-WEB $HANDLE{meta nfproto ipv4 ct label set 127 dnat ip to meta}"),
        std::string("MESOS-WEB $HANDLE{meta nfproto ipv6 ct label set 127 dnat ip6 to meta}"),
        std::string("networks $HANDLE{jump MESOS-WEB}"),
        std::string("postrouting $HANDLE{ct status dnat ct label 127 ip saddr}"),
        std::string("postrouting $HANDLE{ct status dnat ct label 127 ip6 saddr}"),
        std::string("localnet-guard $HANDLE{iifname != }")})
    check_accident(scene, table + rule, Elements::stay);
}

TEST_CASE("accident: rules replaced, reordered or added by hand are as ours after the next ADD") {
  const Scene scene;
  const std::string table = "inet nft-port-mapper ";
  const std::string first =
      "MESOS-WEB $HANDLE{meta nfproto ipv4 ct label set 127 dnat ip to ip daddr}";
  const std::string any = "MESOS-WEB $HANDLE{meta nfproto ipv4 ct label set 127 dnat ip to meta}";
  for (const std::string& script : {
           // replaced
           "replace rule " + table + any + " return",
           "replace rule " + table + "networks $HANDLE{jump MESOS-WEB} drop",
           "replace rule " + table + "localnet-guard $HANDLE{iifname != } accept",
           // reordered
           "delete rule " + table + first + "\nadd rule " + table +
               "MESOS-WEB meta nfproto ipv4 ct label set 127 dnat ip to ip daddr . meta l4proto . "
               "th dport map @MESOS-WEB-hostip",
           // added
           "insert rule " + table + "MESOS-WEB accept",
           "add rule " + table + "MESOS-WEB accept",
           "insert rule " + table + "prerouting tcp dport 8080 accept",
           "add rule " + table + "postrouting ip saddr 10.0.0.0/8 masquerade",
           "insert rule " + table + "localnet-guard accept",
       })
    check_accident(scene, script, Elements::stay);
}

TEST_CASE("accident: a rule added to chain networks does not cut off the ports of the next ADD") {
  const Scene scene;
  check_accident(scene, "insert rule inet nft-port-mapper networks return", Elements::stay);
}

TEST_CASE("accident: a table that was loaded from its listing counts as ours, and serves") {
  const Scene scene;
  REQUIRE(scene.runtime.add("abc", example_ports) == done);
  const std::string saved = listing(scene.lab.host());
  nft(scene.lab.host(), "delete table inet nft-port-mapper\n" + saved);
  REQUIRE(scene.runtime.add("def", {{9090, 80}}) == done);
  CHECK(ask(scene.lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
  CHECK(connections(scene.lab, "MESOS-WEB-ip6", "tcp . 8080") == "1");
  REQUIRE(scene.runtime.del("def") == done);
  CHECK(damage(scene) == "");
}

TEST_CASE("accident: a base chain with another priority, type or policy is as ours after an ADD") {
  const Scene scene;
  const std::string table = "inet nft-port-mapper ";
  const auto recreated = [&table](const std::string& chain, const std::string& hook) {
    return "flush chain " + table + chain + "\ndelete chain " + table + chain + "\nadd chain " +
           table + chain + " { " + hook + " }";
  };
  for (const std::string& script : {
           recreated("prerouting", "type nat hook prerouting priority dstnat;"),
           recreated("prerouting", "type filter hook prerouting priority dstnat + 1;"),
           recreated("output", "type nat hook output priority 0;"),
           recreated("postrouting", "type nat hook postrouting priority srcnat;"),
           recreated("postrouting", "type nat hook input priority 99;"),
           recreated("localnet-guard", "type filter hook prerouting priority filter;"),
           std::string("flush chain ") + table + "output\ndelete chain " + table + "output",
           "chain " + table + "prerouting { policy drop; }",
           "chain " + table + "localnet-guard { policy drop; }",
       })
    check_accident(scene, script, Elements::stay);
}

TEST_CASE(
    "accident: a base chain that was made again without its hook does not stop the next ADD") {
  const Scene scene;
  const std::string chain = "chain inet nft-port-mapper output\n";
  check_accident(scene, "flush " + chain + "delete " + chain + "add " + chain, Elements::stay);
}

TEST_CASE("accident: a table that was put to sleep is awake after the next ADD") {
  const Scene scene;
  check_accident(scene, "add table inet nft-port-mapper { flags dormant; }", Elements::stay);
}

TEST_CASE("accident: a chain of an operator's own in the table is no network's") {
  const Scene scene;
  REQUIRE(scene.runtime.add("abc", example_ports) == done);
  nft(scene.lab.host(),
      "add chain inet nft-port-mapper mine\nadd rule inet nft-port-mapper mine drop\n"
      "flush chain inet nft-port-mapper networks");
  REQUIRE(scene.runtime.add("def", {{9090, 80}}) == done);
  CHECK(listing(scene.lab.host()).find("jump mine") == std::string::npos);
  CHECK(scene.traffic_to_abc() == all_flows);
}

TEST_CASE("accident: the jumps of all networks are back when chain networks was flushed") {
  Lab lab;
  const Runtime web(lab);
  const Runtime mail(lab, R"("chain":"MAIL")", "mail");
  const Runtime shared(lab, "", "third");
  std::vector<std::unique_ptr<Server>> servers;
  int host = 2;
  for (const char* name : {"a", "b", "c", "d"}) {
    const std::string ns = lab.container(name, "10.22.0." + std::to_string(host++) + "/16");
    servers.push_back(std::make_unique<Server>(ns, name, Protocol::tcp, "0.0.0.0", 80));
  }
  REQUIRE(web.add("a", {{8080, 80}}) == done);
  REQUIRE(mail.add("b", {{8081, 80}}) == done);
  REQUIRE(shared.add("c", {{8082, 80}}) == done);
  const std::string before = without_elements(listing(lab.host()));
  for (const std::string& chain :
       {std::string("networks"), std::string("prerouting"), std::string("MAIL")}) {
    nft(lab.host(), "flush chain inet nft-port-mapper " + chain);
    const Runtime& next = chain == "MAIL" ? mail : web;
    REQUIRE(next.add("d", {{9090, 80}}) == done);
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "a 192.0.2.2");
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8081) == "b 192.0.2.2");
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8082) == "c 192.0.2.2");
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "d 192.0.2.2");
    REQUIRE(next.del("d") == done);
  }
  std::string jumps = listing(lab.host());
  for (const std::string& chain :
       {std::string("MESOS-WEB"), std::string("MAIL"), std::string("hostports")})
    CHECK(jumps.find("\t\tjump " + chain + "\n") != std::string::npos);
  CHECK(without_elements(jumps).size() == before.size());
}

TEST_CASE("accident: after another network's jump was deleted, that network's next ADD mends it") {
  Lab lab;
  const Runtime web(lab);
  const Runtime mail(lab, R"("chain":"MAIL")", "mail");
  const std::string a = lab.container("a", "10.22.0.2/16");
  lab.container("b", "10.22.0.3/16");
  const Server server(a, "a", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(mail.add("a", {{8081, 80}}) == done);
  nft(lab.host(), "flush chain inet nft-port-mapper networks");
  REQUIRE(mail.add("a", {{8081, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8081) == "a 192.0.2.2");
  REQUIRE(web.add("b", {{8080, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8081) == "a 192.0.2.2");
}

TEST_CASE("accident: somebody else's tables are never touched") {
  Lab lab;
  const Runtime runtime(lab);
  lab.container("abc", "10.22.0.2/16");
  nft(lab.host(),
      "table ip nft-port-mapper {\nset published-ip {\ntype inet_proto . inet_service\n"
      "elements = { tcp . 8080 }\n}\nchain networks {\naccept\n}\n}\n"
      "table inet filter {\nchain helper {\naccept\n}\n"
      "chain input {\ntype filter hook input priority 0;\njump helper\n}\n}");
  const auto others = [&lab] {
    return run({"nft", "list", "table", "ip", "nft-port-mapper"}, {.ns = lab.host()}).out +
           run({"nft", "list", "table", "inet", "filter"}, {.ns = lab.host()}).out;
  };
  const std::string before = others();
  REQUIRE(runtime.add("abc", {{8080, 80}}) == done);
  nft(lab.host(), "flush chain inet nft-port-mapper networks");
  REQUIRE(runtime.add("abc", {{8080, 80}}) == done);
  REQUIRE(runtime.del("abc") == done);
  CHECK(difference(others(), before) == "");
}

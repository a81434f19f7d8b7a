// nft-port-mapperctl against the kernel: what it lists, and what it says when it cannot.
#include <doctest/doctest.h>

#include <regex>

#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

RunResult ctl(const Lab& lab, std::vector<std::string> words) {
  words.insert(words.begin(), CTL);
  return run(words, {.ns = lab.host()});
}

// Root without CAP_NET_ADMIN, so that the program can be executed wherever it was built.
RunResult without_privileges(const Lab& lab, std::vector<std::string> words) {
  words.insert(words.begin(), {"setpriv", "--bounding-set", "-net_admin", CTL});
  return run(words, {.ns = lab.host()});
}

const std::string headings = "PROTO  HOST  ENDPOINT  CONTAINER  NETWORK  CONNECTIONS  STATE\n";

}  // namespace

TEST_CASE("ctl: list shows every published port with its connections") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  lab.container("0123456789abcdef", "10.22.0.3/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}, {5353, 53, "udp", "192.0.2.1"}}) == done);
  REQUIRE(Runtime(lab, "", "mail").add("0123456789abcdef", {{25, 2525}}) == done);
  const Server v4(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  const Server v6(abc, "abc", Protocol::tcp, "::", 80);
  const Server dns(abc, "abc", Protocol::udp, "0.0.0.0", 53);
  for (int i = 0; i < 11; ++i)
    REQUIRE(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  REQUIRE(ask(lab.host(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::1");
  REQUIRE(ask(lab.client(), Protocol::udp, "192.0.2.1", 5353) == "abc 192.0.2.2");
  REQUIRE(ask(lab.client(), Protocol::udp, "192.0.2.1", 5353) == "abc 192.0.2.2");
  RunResult listed = ctl(lab, {"list"});
  CHECK(listed.out ==
        "PROTO  HOST            ENDPOINT        CONTAINER     NETWORK  CONNECTIONS  STATE\n"
        "tcp    0.0.0.0:25      10.22.0.3:2525  0123456789ab  mail     0            alive\n"
        "tcp    0.0.0.0:8080    10.22.0.2:80    abc           web      11           alive\n"
        "tcp    [::]:8080       [fd00::2]:80    abc           web      1            alive\n"
        "udp    192.0.2.1:5353  10.22.0.2:53    abc           web      2            alive\n");
  CHECK(listed.err == "");
  CHECK(listed.status == 0);

  lab.remove("0123456789abcdef");
  listed = ctl(lab, {"list", "--network", "mail", "--no-trunc"});
  CHECK(listed.out ==
        "PROTO  HOST        ENDPOINT        CONTAINER         NETWORK  CONNECTIONS  STATE\n"
        "tcp    0.0.0.0:25  10.22.0.3:2525  0123456789abcdef  mail     0            dead\n");
}

TEST_CASE("ctl: list shows a port whose target an operator deleted, and reloaded owners") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}, {8081, 80}}) == done);
  nft(lab.host(), "delete element inet nft-port-mapper MESOS-WEB-ip { tcp . 8081 }");
  const std::string expected =
      "PROTO  HOST          ENDPOINT      CONTAINER  NETWORK  CONNECTIONS  STATE\n"
      "tcp    0.0.0.0:8080  10.22.0.2:80  abc        web      0            alive\n"
      "tcp    0.0.0.0:8081  missing       abc        web      0            alive\n";
  CHECK(ctl(lab, {"list"}).out == expected);
  nft(lab.host(), "delete table inet nft-port-mapper\n" + listing(lab.host()));
  CHECK(ctl(lab, {"list"}).out == expected);
}

TEST_CASE("ctl: list of a host without the table, and of an empty one, has headings only") {
  Lab lab;
  CHECK(ctl(lab, {"list"}).out == headings);
  CHECK(ctl(lab, {"list"}).status == 0);
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  REQUIRE(Runtime(lab).del("abc") == done);
  CHECK(ctl(lab, {"list"}).out == headings);
  CHECK(ctl(lab, {"list"}).status == 0);
}

TEST_CASE("ctl: ten thousand ports are all listed") {
  Lab lab;
  Mappings ports;
  for (int port = 10000; port < 20000; ++port)
    ports.push_back({static_cast<std::uint16_t>(port), 80});
  REQUIRE(Runtime(lab).add("abc", ports, {.result = result_of("10.22.0.2/16")}) == done);
  const RunResult listed = ctl(lab, {"list"});
  CHECK(listed.status == 0);
  std::string expected =
      "PROTO  HOST           ENDPOINT      CONTAINER  NETWORK  CONNECTIONS  STATE\n";
  for (int port = 10000; port < 20000; ++port)
    expected += "tcp    0.0.0.0:" + std::to_string(port) +
                "  10.22.0.2:80  abc        web      0            alive\n";
  CHECK(difference(listed.out, expected) == "");
}

TEST_CASE("ctl: version") {
  Lab lab;
  const RunResult version = ctl(lab, {"version"});
  static const std::regex line("nft-port-mapperctl [0-9]+\\.[0-9]+\\.[0-9]+\n");
  CHECK(std::regex_match(version.out, line));
  CHECK(version.err == "");
  CHECK(version.status == 0);
}

TEST_CASE("ctl: wrong usage says what is wrong and how it goes, with status 2") {
  Lab lab;
  const std::string usage = ctl(lab, {"--help"}).out;
  CHECK(usage.starts_with("Usage: nft-port-mapperctl COMMAND [OPTION...]\n"));
  for (const std::vector<std::string>& words : {std::vector<std::string>{"-h"}, {"help"}})
    CHECK(ctl(lab, words).out == usage);
  CHECK(ctl(lab, {"help", "ls"}).out == ctl(lab, {"list", "-h"}).out);
  const auto check_wrong = [&lab](const std::vector<std::string>& words, const std::string& text) {
    const RunResult result = ctl(lab, words);
    CHECK(result.err == text);
    CHECK(result.out == "");
    CHECK(result.status == 2);
  };
  check_wrong({}, usage);
  check_wrong({"lsit"},
              "nft-port-mapperctl: there is no command 'lsit'; did you mean 'list'?\n\n" + usage);
  check_wrong({""}, "nft-port-mapperctl: there is no command ''\n\n" + usage);
  const std::string help = ctl(lab, {"list", "--help"}).out;
  CHECK(help.starts_with("Usage: nft-port-mapperctl list [OPTION...]\n"));
  check_wrong({"list", "8080"}, "nft-port-mapperctl list: too many words: '8080'\n\n" + help);
  check_wrong({"list", "--bogus"},
              "nft-port-mapperctl list: there is no option '--bogus'\n\n" + help);
  check_wrong({"list", "--network"},
              "nft-port-mapperctl list: --network needs a value: --network NAME\n\n" + help);
  check_wrong({"ls", "--contianer", "a"},
              "nft-port-mapperctl list: there is no option '--contianer'; did you mean"
              " '--container'?\n\n" +
                  help);
  check_wrong({"help", "flsuh"},
              "nft-port-mapperctl: there is no command 'flsuh'; did you mean 'flush'?\n\n" + usage);
  check_wrong({"list", "--state", "daed"},
              "nft-port-mapperctl: --state: 'daed' is not alive, dead or unknown; did you mean"
              " 'dead'?\n\n" +
                  usage);
  check_wrong(
      {"list", "--columns", "host,pods"},
      "nft-port-mapperctl: --columns: 'pods' is not a column; list --help names them; did you"
      " mean 'pod'?\n\n" +
          usage);
  check_wrong({"list", "-o", "yaml"},
              "nft-port-mapperctl: --output: 'yaml' is not table, wide or json\n\n" + usage);
  check_wrong({"list", "--port", "http"},
              "nft-port-mapperctl: 'http' is not PORT/PROTOCOL, for example 8080/tcp; the protocols"
              " are tcp, udp and sctp\n\n" +
                  usage);
  check_wrong(
      {"list", "--watch", "soon"},
      "nft-port-mapperctl: --watch: 'soon' is not a number of seconds from 0.1 to 86400\n\n" +
          usage);
}

TEST_CASE("ctl: without privileges it says which one is missing") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  const RunResult listed = without_privileges(lab, {"list"});
  CHECK(listed.err ==
        "nft-port-mapperctl: cannot read: table inet nft-port-mapper: Operation not permitted\n"
        "It needs CAP_NET_ADMIN: run it as root.\n");
  CHECK(listed.out == "");
  CHECK(listed.status == 3);
  CHECK(without_privileges(lab, {"version"}).status == 0);
}

TEST_CASE("ctl: a plugin without privileges fails, and says so") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  for (const std::string& command : {std::string("ADD"), std::string("DEL")}) {
    const RunResult refused =
        run({"setpriv", "--bounding-set", "-net_admin", PLUGIN},
            {.input = chained_config("web", lab.previous_result("abc"), to_json({{8080, 80}})),
             .environment = {"CNI_COMMAND=" + command, "CNI_CONTAINERID=abc",
                             "CNI_NETNS=" + namespace_path(lab.ns("abc")), "CNI_IFNAME=eth0",
                             "CNI_PATH=/usr/lib/cni"},
             .ns = lab.host()});
    CHECK(refused.status == 1);
    CHECK(
        refused.out ==
        R"({"cniVersion":"1.0.0","code":103,"msg":"CAP_NET_ADMIN is missing, and nf_tables needs it: )"
        R"(run the runtime as root, or give it this capability (AmbientCapabilities= of systemd, )"
        R"(--cap-add=NET_ADMIN of a container): cannot read: table inet nft-port-mapper: Operation )"
        R"(not permitted"})"
        "\n");
    CHECK(listing(lab.host()).empty());
  }
}

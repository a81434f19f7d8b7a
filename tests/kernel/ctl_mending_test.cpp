// nft-port-mapperctl's commands that answer, mend and remove: owner, check, prune, render, flush.
#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// "STATUS OUT ERR" of one call.
std::string ctl(const Lab& lab, std::vector<std::string> words, const std::string& input = "") {
  words.insert(words.begin(), CTL);
  const RunResult result = run(words, {.input = input, .ns = lab.host()});
  return std::to_string(result.status) + "\n" + result.out + result.err;
}

std::string elements_of(const Lab& lab) {
  return normalise(listing(lab.host()));
}

}  // namespace

TEST_CASE("ctl: owner says who publishes a port, or which process of the host listens there") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  lab.container("def", "10.22.0.3/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}, {9090, 90, "tcp", "192.0.2.1"}}) == done);
  REQUIRE(Runtime(lab).add("def", {{9090, 91, "tcp", "192.0.2.11"}}) == done);
  const std::string abc =
      "0.0.0.0:8080/tcp is published by container abc of network web (eth0) and leads to "
      "10.22.0.2:80.\n";
  CHECK(ctl(lab, {"owner", "8080/tcp"}) == "0\n" + abc);
  CHECK(ctl(lab, {"owner", "8080", "192.0.2.1"}) == "0\n" + abc);
  CHECK(ctl(lab, {"owner", "8080/udp"}) == "1\nnobody publishes 8080/udp.\n");
  CHECK(ctl(lab, {"owner", "9090", "192.0.2.11"}) ==
        "0\n192.0.2.11:9090/tcp is published by container def of network web (eth0) and leads to "
        "10.22.0.3:91.\n");
  CHECK(ctl(lab, {"owner", "9090", "192.0.2.3"}) == "1\nnobody publishes 9090/tcp on 192.0.2.3.\n");
  CHECK(
      ctl(lab, {"owner", "0/tcp"})
          .starts_with("2\n"
                       "nft-port-mapperctl: '0/tcp' is not PORT/PROTOCOL, for example 8080/tcp; the"
                       " protocols are tcp, udp and sctp\n"));
  const Server server(lab.host(), "host", Protocol::tcp, "0.0.0.0", 7070);
  const std::string answer = ctl(lab, {"owner", "7070/tcp"});
  CHECK(answer == "1\nnobody publishes 7070/tcp.\nthe host's process kernel-tests (pid " +
                      std::to_string(getpid()) + ") listens on 0.0.0.0:7070/tcp.\n");
}

TEST_CASE("ctl: check finds what does not agree, and --repair mends what can be mended") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}, {9090, 90}}) == done);
  const std::string intact = elements_of(lab);
  CHECK(ctl(lab, {"check"}) == "0\nno findings\n");
  nft(lab.host(),
      "delete element inet nft-port-mapper published-ip { tcp . 8080 }\n"
      "add element inet nft-port-mapper published-ip { tcp . 7070 }\n"
      "add element inet nft-port-mapper MESOS-WEB-ip { tcp . 6060 : 10.22.0.9 . 60 }\n"
      "flush chain inet nft-port-mapper networks\n"
      "flush chain inet nft-port-mapper localnet-guard\n");
  const std::string findings =
      "device cni0 has route_localnet without the guard: its neighbours reach the host's"
      " 127.0.0.1\n"
      "chain localnet-guard lacks rule: iifname != \"lo\" ip daddr 127.0.0.0/8 drop\n"
      "chain localnet-guard lacks rule: iifname != \"lo\" ip saddr 127.0.0.0/8 drop\n"
      "chain networks lacks rule: jump MESOS-WEB\n"
      "port 0.0.0.0:8080/tcp of web/abc/eth0 has no claim\n"
      "claim of 0.0.0.0:7070/tcp () has no owner\n"
      "target of 0.0.0.0:6060/tcp in chain MESOS-WEB () has no owner\n";
  CHECK(ctl(lab, {"check"}) ==
        "1\n" + findings + "nft-port-mapperctl check --repair repairs 7 of these.\n");
  CHECK(ctl(lab, {"check", "--repair"}) == "0\n" + findings + "mended 7 of 7\n");
  CHECK(ctl(lab, {"check"}) == "0\nno findings\n");
  CHECK(elements_of(lab) == intact);
  nft(lab.host(), "delete element inet nft-port-mapper MESOS-WEB-ip { tcp . 9090 }\n");
  CHECK(ctl(lab, {"check", "--repair"}) ==
        "1\n"
        "port 0.0.0.0:9090/tcp of web/abc/eth0 has no target; run nft-port-mapperctl"
        " restore, or start the container again\n"
        "mended 0 of 1\n");
}

TEST_CASE("ctl: prune removes the ports of containers that are gone, and no others") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  lab.container("def", "10.22.0.3/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  const std::string before = elements_of(lab);
  REQUIRE(Runtime(lab).add("def", {{9090, 80}, {9091, 80}}) == done);
  CHECK(ctl(lab, {"prune"}) ==
        "0\n"
        "every owner is alive; nothing to remove\n");
  lab.remove("def");
  CHECK(ctl(lab, {"prune", "--dry-run"}) == "0\nwould remove web/def/eth0 (2 ports)\n");
  CHECK(elements_of(lab) != before);
  CHECK(ctl(lab, {"prune"}) == "0\nremoved web/def/eth0 (2 ports)\n");
  CHECK(elements_of(lab) == before);
}

TEST_CASE("ctl: what render prints, loaded by nft, lists as the ADD does") {
  Lab added;
  added.container("abc", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(Runtime(added, example_options).add("abc", example_ports) == done);
  Lab rendered;
  rendered.container("abc", "10.22.0.2/16", "fd00::2/64");
  const std::string config = chained_config("web", rendered.previous_result("abc"),
                                            to_json(example_ports), example_options);
  const std::string script = ctl(rendered, {"render", "--container", "abc", "-"}, config);
  REQUIRE(script.starts_with("0\n"));
  CHECK(listing(rendered.host()).empty());
  nft(rendered.host(), script.substr(2));
  CHECK(elements_of(rendered) == elements_of(added));
  CHECK(ctl(rendered, {"render", "-"}, R"({"name":"n","cniVersion":"1.0.0"})") ==
        "1\nnft-port-mapperctl: prevResult is missing: without a delegate, the plugin before this "
        "one makes the interface\n");
}

TEST_CASE("ctl: flush removes all that is ours, or all of one network, sysctl included") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
  lab.container("def", "10.23.0.2/16", "", {.bridge = "cni1"});
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  REQUIRE(Runtime(lab, R"("chain":"MAIL")", "mail").add("def", {{25, 25}}) == done);
  REQUIRE(read_sysctl(lab.host(), "net/ipv4/conf/cni1/route_localnet") == "1");
  CHECK(ctl(lab, {"flush", "--network", "mail", "--yes"}) ==
        "0\nremoved 1 published ports of network mail\n");
  CHECK(listing(lab.host()).find("MAIL") == std::string::npos);
  CHECK(read_sysctl(lab.host(), "net/ipv4/conf/cni1/route_localnet") == "0");
  CHECK(read_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet") == "1");
  CHECK(ctl(lab, {"flush", "--yes"}) == "0\nremoved table inet nft-port-mapper\n");
  CHECK(listing(lab.host()).empty());
  CHECK(read_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet") == "0");
  CHECK(ctl(lab, {"flush"}) == "0\nthere is no table inet nft-port-mapper\n");
}

TEST_CASE("ctl: flush of a network leaves no target in a table that was saved and loaded again") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}, {9090, 90}}) == done);
  nft(lab.host(), "delete table inet nft-port-mapper\n" + listing(lab.host()));
  CHECK(ctl(lab, {"flush", "--network", "web", "--yes"}) ==
        "0\nremoved 2 published ports of network web\n");
  CHECK(listing(lab.host()).find("MESOS-WEB") == std::string::npos);
}

TEST_CASE("ctl: list --watch prints again, without a terminal's codes, until it is stopped") {
  const Lab lab;
  const RunResult watched = run({"timeout", "3", CTL, "list", "--watch"}, {.ns = lab.host()});
  const std::string once = "PROTO  HOST  ENDPOINT  CONTAINER  NETWORK  CONNECTIONS  STATE\n";
  CHECK(watched.out == once + once);
  CHECK(watched.status == 124);
}

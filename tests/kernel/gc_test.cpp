// GC: what a runtime does not know any more goes, and nothing else.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/files.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string web_chain = R"("chain":"MESOS-WEB")";

std::string valid(const std::vector<std::string>& containers, const std::string& ifname = "eth0") {
  std::string list;
  for (const std::string& container : containers)
    list += (list.empty() ? "" : ",") + (R"({"containerID":")" + container) + R"(","ifname":")" +
            ifname + "\"}";
  return R"("cni.dev/valid-attachments":[)" + list + "]";
}

// As a runtime calls GC: no container, no interface, no namespace.
RunResult call_gc(const Lab& lab, const std::string& network, const std::string& more,
                  const Plugin& plugin = {PLUGIN}) {
  return plugin.call(
      lab, lab.host(), "GC", "unused",
      R"({"cniVersion":"1.1.0","name":")" + network + R"(","type":"nft-port-mapper",)" + more + "}",
      {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"});
}

std::string gc(const Lab& lab, const std::string& network, const std::string& more) {
  return verdict(call_gc(lab, network, more));
}

// The containers a, b, c, ... have the addresses 10.22.0.11, 12, 13, ...
std::string result_number(int number) {
  return result_of("10.22.0." + std::to_string(10 + number) + "/16",
                   "fd00::" + std::to_string(10 + number) + "/64");
}

std::string add(const Lab& lab, int number, const std::string& network,
                const std::string& container, const std::string& more = web_chain,
                const std::string& ifname = "eth0") {
  std::string result = replaced(result_number(number), "\"eth0\"", "\"" + ifname + "\"");
  const Mappings ports = {{static_cast<std::uint16_t>(8000 + number), 80},
                          {static_cast<std::uint16_t>(8000 + number), 53, "udp", "192.0.2.1"}};
  return Runtime(lab, more, network)
      .add(container, ports, {.result = result, .environment = {"CNI_IFNAME=" + ifname}});
}

// The listing with its sets and chains in an order that does not depend on which was made first.
std::string normal(const Lab& lab) {
  std::vector<std::string> blocks;
  const std::string end = "\n\t}\n";
  std::string rest = normalise(listing(lab.host()));
  for (std::size_t at = rest.find(end); at != std::string::npos; at = rest.find(end)) {
    blocks.push_back(rest.substr(0, at + end.size()));
    rest.erase(0, at + end.size() + (rest.substr(at + end.size(), 1) == "\n" ? 1 : 0));
  }
  std::sort(blocks.begin(), blocks.end());
  std::string text;
  for (const std::string& block : blocks) text += block;
  return text + rest;
}

// A delegate that notes commands and input, and ends with `status`.
void make_fake(const ScratchDirectory& scratch, int status) {
  scratch.script("fake", "echo \"$CNI_COMMAND $CNI_CONTAINERID\" >>" + scratch.path("calls") +
                             "\ncat >" + scratch.path("input") +
                             "\necho 'the delegate is broken' >&2\nexit " + std::to_string(status));
}

}  // namespace

TEST_CASE("gc: attachments that are not listed go, listed ones and other networks stay") {
  Lab lab;
  Lab wanted;
  for (Lab* one : {&lab, &wanted}) {
    REQUIRE(add(*one, 1, "web", "kept") == done);
    // Names that begin as this one or contain it, and the same container in two networks.
    REQUIRE(add(*one, 2, "web-2", "gone") == done);
    REQUIRE(add(*one, 3, "we", "gone") == done);
    REQUIRE(add(*one, 4, "webweb", "gone") == done);
    REQUIRE(add(*one, 5, "web.", "gone") == done);
    REQUIRE(add(*one, 6, "mail", "gone", "") == done);
    REQUIRE(add(*one, 7, "web", "kept-too", "") == done);
  }
  const std::string expected = normal(wanted);
  REQUIRE(add(lab, 8, "web", "gone") == done);
  REQUIRE(add(lab, 9, "web", "gone-too", "") == done);
  REQUIRE(add(lab, 10, "web", "kept", web_chain, "eth1") == done);
  CHECK(normal(lab) != expected);
  // In the configuration of one chain: the owner entries say where the others are.
  CHECK(gc(lab, "web", web_chain + "," + valid({"kept", "kept-too", "never-seen"})) == "ok");
  CHECK(normal(lab) == expected);
  CHECK(gc(lab, "web", web_chain + "," + valid({"kept", "kept-too"})) == "ok");
  CHECK(normal(lab) == expected);
}

TEST_CASE("gc: an attachment is container and interface, both") {
  Lab lab;
  REQUIRE(add(lab, 1, "web", "abc", web_chain, "eth0") == done);
  REQUIRE(add(lab, 2, "web", "abc", web_chain, "eth1") == done);
  CHECK(gc(lab, "web", web_chain + "," + valid({"abc"}, "eth1")) == "ok");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 8001") == "none");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 8002") == "0");
}

TEST_CASE("gc: without a list nothing goes, with an empty one all of that network") {
  Lab lab;
  REQUIRE(add(lab, 1, "web", "abc") == done);
  REQUIRE(add(lab, 2, "web", "def") == done);
  REQUIRE(add(lab, 3, "mail", "abc", "") == done);
  const std::string before = listing(lab.host());
  for (const char* list :
       {R"("chain":"MESOS-WEB")", R"("chain":"MESOS-WEB","cni.dev/attachments":[])"}) {
    CAPTURE(std::string(list));
    CHECK(gc(lab, "web", list) == "ok");
    CHECK(listing(lab.host()) == before);
  }
  CHECK(gc(lab, "web", web_chain + "," + valid({})) == "ok");
  Lab wanted;
  REQUIRE(add(wanted, 3, "mail", "abc", "") == done);
  CHECK(normal(lab) == normal(wanted));
  CHECK(gc(lab, "mail", valid({})) == "ok");
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

// An empty list of Go is nil, and becomes null.
TEST_CASE("gc: null, which is how libcni writes an empty list, means that none is valid") {
  Lab lab;
  const ScratchDirectory scratch;
  make_fake(scratch, 0);
  REQUIRE(add(lab, 1, "web", "abc") == done);
  CHECK(
      verdict(call_gc(lab, "web",
                      web_chain + R"(,"cni.dev/valid-attachments":null,"delegate":{"type":"fake"})",
                      {PLUGIN, scratch.path()}),
              "the delegate is broken\n") == "ok");
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
  CHECK(read_file(scratch.path("input")) ==
        R"({"cniVersion":"1.1.0","name":"web","type":"fake","cni.dev/valid-attachments":null})");
}

TEST_CASE("gc: a list that is not one removes nothing") {
  Lab lab;
  REQUIRE(add(lab, 1, "web", "abc") == done);
  const std::string before = listing(lab.host());
  const std::string list = R"("cni.dev/valid-attachments":)";
  CHECK(gc(lab, "web", list + R"({"containerID":"abc","ifname":"eth0"})") ==
        "101 cniVersion 1.1.0: \"cni.dev/valid-attachments\": an object is not an array");
  CHECK(gc(lab, "web", list + R"([{"containerID":"abc"}])") ==
        "101 cniVersion 1.1.0: \"cni.dev/valid-attachments\"[0].ifname is missing");
  CHECK(gc(lab, "web", list + R"([{"containerID":"def","ifname":"eth0"},"abc"])") ==
        "101 cniVersion 1.1.0: \"cni.dev/valid-attachments\"[1]: \"abc\" is not an object");
  CHECK(gc(lab, "web", list + R"([{"containerID":7,"ifname":"eth0"}])") ==
        "101 cniVersion 1.1.0: \"cni.dev/valid-attachments\"[0].containerID: 7 is not a string");
  CHECK(listing(lab.host()) == before);
}

TEST_CASE("gc: chain and maps of a network go with its last attachment, not before") {
  Lab lab;
  REQUIRE(add(lab, 1, "web", "abc") == done);
  REQUIRE(add(lab, 2, "web", "def") == done);
  REQUIRE(add(lab, 3, "shop", "abc") == done);  // the same chain
  REQUIRE(add(lab, 4, "mail", "abc", "") == done);
  const auto has_chain = [&] {
    const std::string text = listing(lab.host());
    const std::string parts =
        std::string(text.find("\tchain MESOS-WEB {") != std::string::npos ? "chain" : "") +
        (text.find("jump MESOS-WEB\n") != std::string::npos ? " jump" : "") +
        (text.find("map MESOS-WEB-") != std::string::npos ? " maps" : "");
    return parts;
  };
  CHECK(gc(lab, "web", web_chain + "," + valid({"def"})) == "ok");
  CHECK(has_chain() == "chain jump maps");
  CHECK(gc(lab, "web", web_chain + "," + valid({})) == "ok");
  CHECK(has_chain() == "chain jump maps");  // shop's are in it
  CHECK(gc(lab, "shop", web_chain + "," + valid({})) == "ok");
  CHECK(has_chain() == "");
  Lab wanted;
  REQUIRE(add(wanted, 4, "mail", "abc", "") == done);
  CHECK(normal(lab) == normal(wanted));
  // An emptied chain that DEL left goes as well, and the network starts again.
  REQUIRE(add(lab, 1, "web", "abc") == done);
  REQUIRE(Runtime(lab, web_chain).del("abc") == done);
  CHECK(has_chain() == "chain jump maps");
  CHECK(gc(lab, "web", web_chain + "," + valid({"abc"})) == "ok");
  CHECK(has_chain() == "");
  CHECK(normal(lab) == normal(wanted));
  CHECK(add(lab, 1, "web", "abc") == done);
  CHECK(has_chain() == "chain jump maps");
}

TEST_CASE("gc: without a table there is nothing to do") {
  Lab lab;
  CHECK(gc(lab, "web", valid({})) == "ok");
  CHECK(gc(lab, "web", web_chain + "," + valid({"abc"})) == "ok");
  CHECK(listing(lab.host()).empty());
}

TEST_CASE("gc: it goes on past what fails, and reports it") {
  Lab lab;
  REQUIRE(add(lab, 1, "web", "abc") == done);
  REQUIRE(add(lab, 2, "web", "def") == done);
  // An operator's rule holds the chain, so it cannot be deleted; what is in it can.
  nft(lab.host(),
      "add chain inet nft-port-mapper mine\n"
      "add rule inet nft-port-mapper mine jump MESOS-WEB\n");
  ScratchDirectory scratch;
  make_fake(scratch, 3);
  const std::string config =
      web_chain + R"(,"delegate":{"type":"fake"},)" + valid({}) + R"(,"cni.dev/attachments":[])";
  CHECK(
      verdict(call_gc(lab, "web", config, {PLUGIN, scratch.path()}), "the delegate is broken\n") ==
      "103 cniVersion 1.1.0: 2 failures, the first: nftables refused: delete chain inet "
      "nft-port-mapper MESOS-WEB: Device or resource busy");
  CHECK(listing(lab.host()).find("container_id") == std::string::npos);
  CHECK(read_file(scratch.path("calls")) == "GC \n");

  nft(lab.host(), "delete chain inet nft-port-mapper mine\n");
  CHECK(
      verdict(call_gc(lab, "web", config, {PLUGIN, scratch.path()}), "the delegate is broken\n") ==
      "102 cniVersion 1.1.0: delegate GC ended with exit status 3: " + scratch.path("fake") +
          " | the delegate is broken");
  CHECK(listing(lab.host()).find("MESOS-WEB") == std::string::npos);
}

TEST_CASE("gc: an attachment that cannot be removed does not keep the next one") {
  Lab lab;
  REQUIRE(add(lab, 1, "web", "abc") == done);
  REQUIRE(Runtime(lab, web_chain).add("def", {{9090, 80}}, {.result = result_number(2)}) == done);
  REQUIRE(Runtime(lab, web_chain).add("ghi", {{9091, 80}}, {.result = result_number(3)}) == done);
  // An operator made the set of "abc" one that the kernel does not change while a rule uses it.
  nft(lab.host(),
      "flush chain inet nft-port-mapper prerouting\nflush chain inet nft-port-mapper output\n"
      "delete set inet nft-port-mapper published-hostip\n"
      "add set inet nft-port-mapper published-hostip { type ipv4_addr . inet_proto . inet_service; "
      "flags constant; elements = { 192.0.2.1 . udp . 8001 }; }\n"
      "add chain inet nft-port-mapper mine\n"
      "add rule inet nft-port-mapper mine ip daddr . meta l4proto . th dport @published-hostip\n");
  CHECK(gc(lab, "web", web_chain + "," + valid({})) ==
        "103 cniVersion 1.1.0: nftables refused: delete element inet nft-port-mapper "
        "published-hostip { 192.0.2.1 . udp . 8001 }: Device or resource busy");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 8001") == "0");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 9090") == "none");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 9091") == "none");
}

TEST_CASE("gc: the delegate gets its own object and the cni.dev keys as they came in") {
  Lab lab;
  ScratchDirectory scratch;
  make_fake(scratch, 0);
  const std::string keys =
      R"("cni.dev/valid-attachments":[ {"containerID":"abc", "ifname":"eth0"} ],)"
      R"("cni.dev/attachments":[{"containerID":"abc","ifname":"eth0"}],"cni.dev/new":{"a" : 1.0})";
  CHECK(verdict(call_gc(lab, "web",
                        web_chain + R"(,"excludeDevices":["cni0"],)" + keys +
                            R"(,"delegate":{"type":"fake","ipam":{"type":"host-local"}})",
                        {PLUGIN, scratch.path()}),
                "the delegate is broken\n") == "ok");
  CHECK(read_file(scratch.path("input")) ==
        R"({"cniVersion":"1.1.0","name":"web","type":"fake","ipam":{"type":"host-local"},)" + keys +
            "}");
  CHECK(read_file(scratch.path("calls")) == "GC \n");
  // Without a list it is forwarded all the same.
  CHECK(verdict(call_gc(lab, "web", web_chain + R"(,"delegate":{"type":"fake"})",
                        {PLUGIN, scratch.path()}),
                "the delegate is broken\n") == "ok");
  CHECK(read_file(scratch.path("calls")) == "GC \nGC \n");
}

TEST_CASE("gc: container IDs that do not fit a comment are told apart") {
  Lab lab;
  Lab wanted;
  const std::string kept = std::string(200, 'c') + "1";
  const std::string gone = std::string(200, 'c') + "2";
  REQUIRE(add(wanted, 1, "web", kept) == done);
  REQUIRE(add(wanted, 3, "web-2", gone) == done);
  REQUIRE(add(lab, 1, "web", kept) == done);
  REQUIRE(add(lab, 2, "web", gone) == done);
  REQUIRE(add(lab, 3, "web-2", gone) == done);
  CHECK(listing(lab.host()).find("comment \"web/" + std::string(121, 'c') + "...\"") !=
        std::string::npos);
  CHECK(gc(lab, "web", web_chain + "," + valid({kept})) == "ok");
  CHECK(normal(lab) == normal(wanted));
  CHECK(gc(lab, "web", web_chain + "," + valid({})) == "ok");
  CHECK(gc(lab, "web-2", web_chain + "," + valid({})) == "ok");
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("gc: two networks whose names differ only behind what a comment holds stay apart") {
  Lab lab;
  const std::string begin(130, 'n');
  REQUIRE(add(lab, 1, begin + "1", "abc") == done);
  REQUIRE(add(lab, 2, begin + "2", "abc") == done);
  CHECK(gc(lab, begin + "1", web_chain + "," + valid({"abc"})) == "ok");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 8001") == "0");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 8002") == "0");
  CHECK(gc(lab, begin + "2", web_chain + "," + valid({})) == "ok");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 8001") == "0");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 8002") == "none");
}

TEST_CASE("gc: more owner entries than one answer of the kernel holds") {
  Lab lab;
  Lab wanted;
  for (Lab* one : {&lab, &wanted}) {
    Mappings many;
    for (int port = 20000; port < 22000; ++port)
      many.push_back({static_cast<std::uint16_t>(port), 80});
    REQUIRE(Runtime(*one, web_chain).add("kept", many, {.result = result_number(1)}) == done);
  }
  for (int i = 2; i < 40; ++i)
    REQUIRE(add(lab, i, "web", "gone-" + std::to_string(i), i % 2 == 0 ? web_chain : "") == done);
  CHECK(gc(lab, "web", web_chain + "," + valid({"kept"})) == "ok");
  CHECK(normal(lab) == normal(wanted));
}

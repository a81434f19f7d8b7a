// A port that somebody has: a living owner keeps it and is named, a dead one is replaced.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "tests/support/files.hpp"
#include "tests/support/monitor.hpp"
#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

std::size_t generations(const std::string& events) {
  std::size_t count = 0;
  for (std::size_t at = events.find("# new generation"); at != std::string::npos;
       at = events.find("# new generation", at + 1))
    ++count;
  return count;
}

}  // namespace

TEST_CASE("conflict: a living owner keeps its port and is named") {
  Lab lab;
  const Runtime runtime(lab);
  const std::string a = lab.container("a", "10.22.0.2/16", "fd00::2/64");
  lab.container("b", "10.22.0.3/16", "fd00::3/64");
  const Server server(a, "a", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(runtime.add("a", {{8080, 80}}) == done);
  const std::string before = listing(lab.host());
  CHECK(runtime.add("b", {{8080, 80}}) ==
        conflict("b", published_by("0.0.0.0:8080/tcp", "a") + "; " +
                          published_by("[::]:8080/tcp", "a")));
  CHECK(runtime.add("b", {{9090, 80}, {8080, 80, "tcp", "0.0.0.0"}}) ==
        conflict("b", published_by("0.0.0.0:8080/tcp", "a")));
  CHECK(difference(listing(lab.host()), before) == "");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "a 192.0.2.2");
  CHECK(runtime.add("b", {{8080, 80, "udp"}, {8081, 80}}) == done);
}

TEST_CASE("conflict: every owner is named, of whatever network; of many ports the first eight") {
  Lab lab;
  const Runtime runtime(lab);
  lab.container("a", "10.22.0.2/16");
  lab.container("b", "10.22.0.3/16");
  lab.container("c", "10.22.0.4/16");
  REQUIRE(Runtime(lab, "", "mail").add("a", {{25, 25}}) == done);
  Mappings many;
  for (std::uint16_t port = 8001; port <= 8010; ++port) many.push_back({port, 80});
  REQUIRE(runtime.add("b", many) == done);
  const std::string refused = runtime.add("c", {{25, 25}, {8001, 80}});
  const std::string mail = published_by("0.0.0.0:25/tcp", "a", "mail");
  const std::string web = published_by("0.0.0.0:8001/tcp", "b");
  CHECK(
      (refused == conflict("c", mail + "; " + web) || refused == conflict("c", web + "; " + mail)));
  std::string named;
  for (std::uint16_t port = 8001; port <= 8008; ++port)
    named += published_by("0.0.0.0:" + std::to_string(port) + "/tcp", "b") + "; ";
  CHECK(runtime.add("c", many) == conflict("c", named + "and 2 more"));
}

TEST_CASE("conflict: an owner whose namespace is gone is replaced in one batch") {
  Lab lab;
  const Runtime runtime(lab);
  lab.container("a", "10.22.0.2/16", "fd00::2/64");
  const std::string b = lab.container("b", "10.22.0.3/16", "fd00::3/64");
  const Server server(b, "b", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(runtime.add("a", {{8080, 80}, {9090, 90}}) == done);
  lab.remove("a");
  Monitor monitor(lab.host());
  REQUIRE(runtime.add("b", {{8080, 80}}) == done);
  const std::string events = monitor.stop();
  CHECK(generations(events) == 1);
  CHECK(events.find("delete element inet nft-port-mapper published-ip { tcp . 9090") !=
        std::string::npos);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "b 192.0.2.2");
  const std::string after = listing(lab.host());
  CHECK(after.find("container_id: a") == std::string::npos);
  CHECK(after.find("web/a/") == std::string::npos);

  // The runtime of the dead container comes to it at last.
  CHECK(runtime.del("a") == done);
  CHECK(difference(listing(lab.host()), after) == "");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "b 192.0.2.2");
}

TEST_CASE("conflict: an overlapping owner whose namespace is gone is replaced, both ways round") {
  Lab lab;
  const Runtime runtime(lab);
  lab.container("b", "10.22.0.3/16", "fd00::3/64");
  const Server server(lab.ns("b"), "b", Protocol::tcp, "0.0.0.0", 80);
  const Mappings any{{8080, 80}};
  const Mappings one{{8080, 80, "tcp", "192.0.2.1"}};
  for (const bool any_first : {true, false}) {
    lab.container("a", "10.22.0.2/16", "fd00::2/64");
    REQUIRE(runtime.add("a", any_first ? any : one) == done);
    lab.remove("a");
    REQUIRE(runtime.add("b", any_first ? one : any) == done);
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "b 192.0.2.2");
    CHECK(listing(lab.host()).find("container_id: a") == std::string::npos);
    REQUIRE(runtime.del("b") == done);
  }
}

// Of two networks with chains of their own, a port's claim is all that one knows of the other.
TEST_CASE("conflict: a living owner keeps its port though an operator flushed the claims") {
  Lab lab;
  const std::string a = lab.container("a", "10.22.0.2/16");
  lab.container("b", "10.22.0.3/16");
  const Server server(a, "a", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(Runtime(lab).add("a", {{8080, 80}}) == done);
  nft(lab.host(), "flush set inet nft-port-mapper published-ip");
  CHECK(Runtime(lab).add("b", {{8080, 80}}) ==
        conflict("b", published_by("0.0.0.0:8080/tcp", "a")));
  // Without its claim a port is not looked at; its own ADD and check --repair claim it again.
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  REQUIRE(Runtime(lab).add("a", {{8080, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "a 192.0.2.2");
}

TEST_CASE("conflict: an owner entry that an operator deleted does not block its port for good") {
  Lab lab;
  lab.container("a", "10.22.0.2/16");
  const std::string b = lab.container("b", "10.22.0.3/16");
  const Server server(b, "b", Protocol::tcp, "0.0.0.0", 80);
  const auto delete_second_entry = [&lab] {
    const std::string text = listing(lab.host());
    const std::size_t end = text.find("\" . 0x00000001");
    REQUIRE(end != std::string::npos);
    nft(lab.host(), "delete element inet nft-port-mapper owners { \"" + text.substr(end - 15, 15) +
                        "\" . 0x00000001 }");
  };
  REQUIRE(Runtime(lab).add("a", {{8080, 80}, {9090, 80}}) == done);
  delete_second_entry();
  REQUIRE(Runtime(lab).add("a", {{8080, 80}, {9090, 80}}) == done);
  delete_second_entry();
  lab.remove("a");
  REQUIRE(Runtime(lab).add("b", {{9090, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 9090) == "b 192.0.2.2");
}

TEST_CASE("conflict: a dead owner of another network leaves no target in that network's map") {
  Lab lab;
  lab.container("a", "10.22.0.2/16");
  const std::string b = lab.container("b", "10.22.0.3/16");
  const Server server(b, "b", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(Runtime(lab, R"("chain":"MAIL")", "mail").add("a", {{8080, 80}, {25, 25}}) == done);
  CHECK(Runtime(lab).add("b", {{8080, 80}}) ==
        conflict("b", published_by("0.0.0.0:8080/tcp", "a", "mail")));
  lab.remove("a");
  REQUIRE(Runtime(lab).add("b", {{8080, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "b 192.0.2.2");
  CHECK(connections(lab, "MAIL-ip", "tcp . 8080") == "none");
  CHECK(connections(lab, "MAIL-ip", "tcp . 25") == "none");
}

TEST_CASE("conflict: a dead owner does not go when a living one refuses the ADD all the same") {
  Lab lab;
  const Runtime runtime(lab);
  lab.container("dead", "10.22.0.2/16");
  lab.container("living", "10.22.0.3/16");
  lab.container("new", "10.22.0.4/16");
  REQUIRE(runtime.add("dead", {{8080, 80}}) == done);
  REQUIRE(runtime.add("living", {{9090, 80}}) == done);
  lab.remove("dead");
  const std::string before = listing(lab.host());
  CHECK(runtime.add("new", {{8080, 80}, {9090, 80}}) ==
        conflict("new", published_by("0.0.0.0:9090/tcp", "living")));
  CHECK(difference(listing(lab.host()), before) == "");
}

TEST_CASE("conflict: an owner whose address was just given to us is replaced") {
  Lab lab;
  const Runtime runtime(lab);
  // Nobody else's on this machine, where other tests may run: an address that is anywhere counts.
  const std::string address = "10.22." + std::to_string(getpid() / 50 % 250 + 1) + "." +
                              std::to_string(getpid() % 50 * 5 + 4) + "/16";
  lab.container("a", address);
  REQUIRE(runtime.add("a", {{8080, 80}}) == done);
  // Its namespace is still there, as after a crash of the runtime, but its address is another's.
  run({"ip", "link", "del", lab.host_interface("a")}, {.ns = lab.host()});
  const std::string b = lab.container("b", address);
  const Server server(b, "b", Protocol::tcp, "0.0.0.0", 80);
  CHECK(runtime.add("b", {{8080, 80}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "b 192.0.2.2");
  const std::string after = listing(lab.host());
  CHECK(after.find("web/a/") == std::string::npos);
  CHECK(runtime.del("a") == done);
  CHECK(difference(listing(lab.host()), after) == "");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "b 192.0.2.2");
}

TEST_CASE("conflict: a namespace that lost its name and has a process is alive until that ends") {
  Lab lab;
  const Runtime runtime(lab);
  const ScratchDirectory scratch;
  lab.container("a", "10.22.0.2/16");
  lab.container("b", "10.22.0.3/16");
  REQUIRE(runtime.add("a", {{8080, 80}}) == done);
  auto process = std::async(std::launch::async, [&lab, &scratch] {
    const std::string script = "touch " + scratch.path("ready") + "; while [ ! -e " +
                               scratch.path("stop") + " ]; do sleep 0.02; done";
    return run({"sh", "-c", script}, {.ns = lab.ns("a")}).status;
  });
  while (!std::filesystem::exists(scratch.path("ready"))) std::this_thread::yield();
  remove_namespace(lab.ns("a"));
  CHECK_FALSE(namespace_exists(lab.ns("a")));
  CHECK(runtime.add("b", {{8080, 80}}) == conflict("b", published_by("0.0.0.0:8080/tcp", "a")));
  scratch.script("stop", "");
  CHECK(process.get() == 0);
  CHECK(runtime.add("b", {{8080, 80}}) == done);
}

TEST_CASE("conflict: the same attachment again, with other ports, replaces its own at once") {
  Lab lab;
  const Runtime runtime(lab);
  const std::string a = lab.container("a", "10.22.0.2/16", "fd00::2/64");
  const Server server(a, "a", Protocol::tcp, "0.0.0.0", 80);
  Lab other;  // what the table ought to be
  other.container("a", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(runtime.add("a", {{8080, 80}, {8081, 80}, {8082, 80}}) == done);
  const std::vector<Mappings> changes = {{{8081, 80}, {9090, 80}},
                                         {{7070, 80}},
                                         {{7071, 80}, {7070, 80, "tcp", "192.0.2.1"}},
                                         {{7070, 80}},
                                         {{7070, 80}}};
  for (const Mappings& ports : changes) {
    Monitor monitor(lab.host());
    REQUIRE(runtime.add("a", ports) == done);
    CHECK(generations(monitor.stop()) == 1);
    REQUIRE(Runtime(other).add("a", ports) == done);
    CHECK(difference(normalise(listing(lab.host())), normalise(listing(other.host()))) == "");
    REQUIRE(Runtime(other).del("a") == done);
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", ports.back().host_port) == "a 192.0.2.2");
    CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  }
}

TEST_CASE("conflict: what a container publishes by one network it publishes by the next as well") {
  Lab lab;
  const Runtime runtime(lab);
  const std::string a = lab.container("a", "10.22.0.2/16");
  const Server server(a, "a", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(runtime.add("a", {{8080, 80}}) == done);
  const std::string second =
      replaced(replaced(lab.previous_result("a"), "eth0", "eth1"), "10.22.0.2", "10.22.0.3");
  const AddOptions eth1{.result = second, .environment = {"CNI_IFNAME=eth1"}};
  CHECK(runtime.add("a", {{8080, 80}, {9090, 80}}, eth1) == done);
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 9090") == "0");
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 8080") == "0");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "a 192.0.2.2");
}

TEST_CASE(
    "conflict: a container's second network with the same address leaves the first its ports") {
  Lab lab;
  const Runtime runtime(lab);
  const std::string a = lab.container("a", "10.22.0.2/16");
  const Server server(a, "a", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(runtime.add("a", {{8080, 80}}) == done);
  const AddOptions eth1{.result = replaced(lab.previous_result("a"), "eth0", "eth1"),
                        .environment = {"CNI_IFNAME=eth1"}};
  CHECK(Runtime(lab, R"("chain":"MESOS-MAIL")", "mail").add("a", {{8080, 80}, {9090, 80}}, eth1) ==
        done);
  CHECK(connections(lab, "MESOS-WEB-ip", "tcp . 8080") == "0");
  CHECK(connections(lab, "MESOS-MAIL-ip", "tcp . 9090") == "0");
  CHECK(connections(lab, "MESOS-MAIL-ip", "tcp . 8080") == "none");
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "a 192.0.2.2");
}

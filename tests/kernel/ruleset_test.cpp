// The table that an ADD leaves, in nft's own words, against the golden of the design.
#include <doctest/doctest.h>

#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// The golden for a container of another name, the last byte of its addresses `host`.
std::string golden_of(const std::string& name, const std::string& host) {
  std::string text = golden_listing();
  text = replaced(text, "container_id: abc", "container_id: " + name);
  text = replaced(text, "web/abc/", "web/" + name + "/");
  text = replaced(text, ": 10.22.0.2 .", ": 10.22.0." + host + " .");
  return replaced(text, ": fd00::2 .", ": fd00::" + host + " .");
}

}  // namespace

TEST_CASE("ruleset: the table after an ADD is the golden, and empty of elements after DEL") {
  Lab lab;
  const Runtime runtime(lab, example_options);
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(runtime.add("abc", example_ports) == done);
  CHECK(difference(normalise(listing(lab.host())), golden_listing()) == "");

  REQUIRE(runtime.del("abc") == done);
  const std::string empty = normalise(listing(lab.host()));
  CHECK(difference(empty, without_elements(golden_listing())) == "");
  CHECK(empty.find("elements") == std::string::npos);
  CHECK(empty.find("container_id") == std::string::npos);

  lab.remove("abc");
  lab.container("def", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(runtime.add("def", example_ports) == done);
  CHECK(difference(normalise(listing(lab.host())), golden_of("def", "2")) == "");
}

TEST_CASE("ruleset: its listing loads again with nft -f and lists the same") {
  Lab lab;
  const Runtime runtime(lab, example_options);
  // Longer than nft's limit for comments, so shortened: a comment that is too long does not load.
  const std::string longest(200, 'c');
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  REQUIRE(runtime.add("abc", example_ports) == done);
  REQUIRE(runtime.add(longest, {{8081, 80}, {8082, 80, "sctp", "::ffff:192.0.2.11"}},
                      {.result = result_of("10.22.0.9/16", "fd00::9/64")}) == done);
  const std::string saved = listing(lab.host());
  nft(lab.host(), "delete table inet nft-port-mapper\n" + saved);
  CHECK(difference(listing(lab.host()), saved) == "");
  Lab other;
  nft(other.host(), saved);
  CHECK(difference(listing(other.host()), saved) == "");
}

TEST_CASE("ruleset: the hairpins of a subnet stay until its last container is gone") {
  Lab lab;
  const Runtime runtime(lab, example_options);
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  lab.container("def", "10.22.0.3/16", "fd00::3/64");
  REQUIRE(runtime.add("def", {{9090, 80}}) == done);
  REQUIRE(runtime.add("abc", example_ports) == done);
  REQUIRE(runtime.del("def") == done);
  CHECK(difference(normalise(listing(lab.host())), golden_listing()) == "");
  REQUIRE(runtime.add("def", {{8080, 80, "udp"}, {5353, 53, "tcp", "192.0.2.1"}}) == done);
  REQUIRE(runtime.del("abc") == done);
  std::string expected = golden_of("def", "3");
  for (const std::string port : {"8080", "5353"}) {
    const std::string tcp = "tcp . " + port, udp = "udp . " + port;
    expected = replaced(expected, port == "8080" ? tcp : udp, port == "8080" ? udp : tcp);
  }
  CHECK(difference(normalise(listing(lab.host())), expected) == "");
  REQUIRE(runtime.del("def") == done);
  CHECK(difference(normalise(listing(lab.host())), without_elements(golden_listing())) == "");
}

TEST_CASE("ruleset: a last container with a thousand ports leaves no hairpins either") {
  Lab lab;
  const Runtime runtime(lab, example_options);
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  for (const int count : {50, 200, 1000}) {
    CAPTURE(count);
    Mappings ports;
    for (int i = 0; i < count; ++i) ports.push_back({static_cast<std::uint16_t>(10000 + i), 80});
    REQUIRE(runtime.add("abc", ports) == done);
    REQUIRE(runtime.del("abc") == done);
    CHECK(difference(normalise(listing(lab.host())), without_elements(golden_listing())) == "");
  }
}

TEST_CASE("ruleset: containers with addresses of their own leave no hairpins behind them") {
  Lab lab;
  lab.network("cni1", "10.99.0.1/16", "fd99::1/64");
  const Runtime runtime(lab, example_options);
  const AddOptions stays{.result = result_of("10.22.0.2/16", "fd00::2/64")};
  const AddOptions goes{.result = result_of("10.99.0.9/32", "fd99::9/128")};
  REQUIRE(runtime.add("abc", example_ports, stays) == done);
  REQUIRE(runtime.add("def", {{9090, 80}}, goes) == done);
  const std::string both = listing(lab.host());
  CHECK(both.find("10.99.0.9 . 10.99.0.9") != std::string::npos);
  CHECK(both.find("127.0.0.0/8 . 10.99.0.9") != std::string::npos);
  CHECK(both.find("fd99::9 . fd99::9") != std::string::npos);
  REQUIRE(runtime.del("def") == done);
  CHECK(difference(normalise(listing(lab.host())), golden_listing()) == "");
}

TEST_CASE(
    "ruleset: a subnet of another length or masqAll since the last ADD does not refuse the next") {
  Lab lab;
  const Runtime before(lab);
  const Runtime after(lab, R"("chain":"MESOS-WEB","masqAll":true)");
  CHECK(before.add("a", {{8081, 80}}, {.result = result_of("10.22.0.11/16", "fd00::11/64")}) ==
        done);
  CHECK(before.add("b", {{8082, 80}}, {.result = result_of("10.22.0.12/24", "fd00::12/96")}) ==
        done);
  CHECK(before.add("c", {{8083, 80}}, {.result = result_of("10.22.0.13/32", "fd00::13/128")}) ==
        done);
  CHECK(after.add("d", {{8084, 80}}, {.result = result_of("10.22.0.14/16", "fd00::14/64")}) ==
        done);
  CHECK(before.add("e", {{8085, 80}}, {.result = result_of("10.22.0.15/16", "fd00::15/64")}) ==
        done);
  for (const char* container : {"a", "b", "c", "d", "e"}) CHECK(before.del(container) == done);
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("ruleset: an ADD without ports makes no table") {
  Lab lab;
  const Runtime runtime(lab, example_options);
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  CHECK(runtime.add("abc", {}) == done);
  CHECK(listing(lab.host()).empty());
  CHECK(runtime.del("abc") == done);
  CHECK(listing(lab.host()).empty());
}

TEST_CASE("ruleset: networks without a chain share one, those with excludeDevices have their own") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(Runtime(lab, "", "web").add("abc", {{8080, 80}}) == done);
  REQUIRE(Runtime(lab, "", "mail").add("abc", {{8081, 80}}) == done);
  std::string text = listing(lab.host());
  CHECK(text.find("chain networks {\n\t\tjump hostports\n\t}") != std::string::npos);
  REQUIRE(Runtime(lab, R"("excludeDevices":["cni0"])", "guarded").add("abc", {{8082, 80}}) == done);
  text = listing(lab.host());
  CHECK(text.find("chain networks {\n\t\tjump hostports\n\t\tjump "
                  "hostports-guarded\n\t}") != std::string::npos);
  CHECK(
      text.find("chain hostports {\n\t\tmeta nfproto ipv4 ct label set 127 dnat ip to ip daddr") !=
      std::string::npos);
  CHECK(text.find("chain hostports-guarded {\n\t\tcomment \"network: guarded\"\n\t\tiifname "
                  "\"cni0\" return\n\t\tmeta nfproto ipv4 ct label set 127 dnat ip to") !=
        std::string::npos);
}

// Host addresses: which a port may be published on, which are not here, and what stays link-local.
#include <doctest/doctest.h>

#include "tests/support/runtime.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

std::string ctl(const Lab& lab, const std::vector<std::string>& words) {
  std::vector<std::string> all = {CTL};
  all.insert(all.end(), words.begin(), words.end());
  const RunResult result = run(all, {.ns = lab.host()});
  return std::to_string(result.status) + "\n" + result.out + result.err;
}

RunResult add(const Lab& lab, const std::string& address) {
  return Plugin{PLUGIN}.call(
      lab, lab.host(), "ADD", "abc",
      chained_config("web", lab.previous_result("abc"), to_json({{8080, 80, "tcp", address}}),
                     R"("chain":"A")"));
}

std::string not_here(const std::string& address) {
  return "nft-port-mapper: no interface of this host has " + address +
         " now; its ports answer once one has it\n";
}

// One line of python: a connection to a link-local address, which needs the interface.
std::string ask_link_local(const std::string& ns, const std::string& address,
                           const std::string& device) {
  const std::string script =
      "import socket\n"
      "s = socket.socket(socket.AF_INET6); s.settimeout(3)\n"
      "a = socket.getaddrinfo('" +
      address + "%" + device +
      "', 8080, socket.AF_INET6)[0][4]\n"
      "try:\n"
      "  s.connect(a); print(s.recv(100).decode().split()[0])\n"
      "except ConnectionRefusedError: print('refused')\n"
      "except TimeoutError: print('timeout')\n"
      "except OSError as e: print(e.strerror)\n";
  const RunResult result = run({"python3", "-c", script}, {.ns = ns});
  return result.out + result.err;
}

std::string link_local_of(const std::string& ns, const std::string& device) {
  const std::string text = tool(ns, "ip -6 -br addr show dev " + device + " scope link");
  const std::size_t at = text.find("fe80:");
  return text.substr(at, text.find('/', at) - at);
}

}  // namespace

TEST_CASE("host address: one that no interface has is published, and said everywhere") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  for (const char* here : {"192.0.2.1", "127.0.0.9", "2001:db8::1", "::ffff:192.0.2.11"}) {
    CAPTURE(here);
    CHECK(add(lab, here).err == "");
  }
  for (const char* any : {"", "0.0.0.0", "::", "::ffff:0.0.0.0"}) CHECK(add(lab, any).err == "");
  CHECK(add(lab, "192.0.2.255").err == not_here("192.0.2.255"));
  CHECK(add(lab, "2001:db8::99").err == not_here("2001:db8::99"));
  CHECK(add(lab, "240.0.0.1").err == not_here("240.0.0.1"));
  const RunResult published = add(lab, "192.0.2.99");
  CHECK(published.status == 0);
  CHECK(published.err == not_here("192.0.2.99"));
  CHECK(ctl(lab, {"list"}) ==
        "0\n"
        "PROTO  HOST             ENDPOINT      CONTAINER  NETWORK  CONNECTIONS  STATE\n"
        "tcp    192.0.2.99:8080  10.22.0.2:80  abc        web      0            alive\n"
        "nft-port-mapperctl: no interface of this host has the address of 1 port; list -o wide"
        " shows which\n");
  CHECK(ctl(lab, {"list", "--columns", "port,here"}) == "0\nPORT      HERE\n8080/tcp  no\n");
  CHECK(ctl(lab, {"list", "--json"}).find(R"("hostPort":8080,"here":false,)") != std::string::npos);
  CHECK(ctl(lab, {"check"}) ==
        "0\nnote: port 192.0.2.99:8080/tcp of web/abc/eth0 does not answer: no interface of this "
        "host "
        "has 192.0.2.99 now\nno findings\n");
  CHECK(ctl(lab, {"doctor"})
            .find("note     no interface of this host has the address of "
                  "192.0.2.99:8080/tcp\n") != std::string::npos);
  // It comes: on an interface, or by a route that makes it local.
  const auto is_here = [&] {
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.99", 8080) == "abc 192.0.2.2");
    CHECK(ctl(lab, {"list", "--json"}).find(R"("here":true,)") != std::string::npos);
    CHECK(ctl(lab, {"check"}) == "0\nno findings\n");
    CHECK(ctl(lab, {"doctor"}).find("ok       addresses: ") != std::string::npos);
    CHECK(add(lab, "192.0.2.99").err == "");
  };
  tool(lab.host(), "ip addr add 192.0.2.99/32 dev lan0");
  is_here();
  tool(lab.host(), "ip addr del 192.0.2.99/32 dev lan0");
  tool(lab.host(), "ip route add local 192.0.2.96/28 dev lo");
  tool(lab.client(), "ip route add 192.0.2.99/32 via 192.0.2.1");
  is_here();
}

TEST_CASE("host address: what the kernel lets an interface have is not refused") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  for (const std::string address : {"240.0.0.1", "0.1.2.3"}) {
    tool(lab.host(), "ip addr add " + address + "/32 dev lan0");
    tool(lab.client(), "ip route add " + address + "/32 via 192.0.2.1");
    CHECK(add(lab, address).err == "");
    CHECK(ask(lab.client(), Protocol::tcp, address, 8080) == "abc 192.0.2.2");
  }
}

TEST_CASE("host address: link-local traffic to a port on any address stays the host's") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Server server(abc, "abc", Protocol::tcp, "::", 80);
  REQUIRE(add(lab, "").err == "");
  const std::string lan = link_local_of(lab.host(), "lan0");
  const std::string bridge = link_local_of(lab.host(), "cni0");
  const auto seen = [&] {
    return ask_link_local(lab.client(), lan, "eth0") + ask_link_local(abc, bridge, "eth0") +
           ask_link_local(lab.host(), lan, "lan0");
  };
  for (const bool bridge_netfilter : {false, true}) {
    lab.bridge_netfilter(bridge_netfilter);
    CHECK(seen() == "refused\nrefused\nrefused\n");
    const Server own(lab.host(), "host", Protocol::tcp, "::", 8080);
    CHECK(seen() == "host\nhost\nhost\n");
    CHECK(ask(lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
  }
}

// lib/app/ctl/port_table: published ports as lines of text, and how they are sorted.
#include "lib/app/ctl/port_table.hpp"

#include <doctest/doctest.h>

#include "lib/app/ctl/facts.hpp"
#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::ctl;
using namespace portmapper::test;

namespace {

ListedPort listed(const char* host, int number, const char* container, const char* id,
                  const char* network, nft::Liveness state = nft::Liveness::alive) {
  ListedPort one{.published = published(host, Protocol::tcp, number),
                 .endpoint = endpoint(container, 8080),
                 .attachment = {network, id, "eth0"}};
  one.owner = state;
  return one;
}

const std::string kLongId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    longest = std::max(longest, end - at);
    at = end + 1;
  }
  return longest;
}

std::string ports_sorted_by(const std::string& column, bool descending = false) {
  std::vector<ListedPort> ports = {
      listed("0.0.0.0", 9, "10.22.0.10", "b", "web"),
      listed("0.0.0.0", 80, "10.22.0.9", "a", "mail"),
      listed("192.0.2.100", 8080, "10.22.0.2", "c", "db", nft::Liveness::dead)};
  ports[0].connections = 9;
  ports[1].connections = 10;
  ports[2].standby = true;
  sort_ports(ports, *parse_column(column), descending);
  return format_table(ports, {.columns = {parse_column("port")}, .has_headings = false});
}

}  // namespace

TEST_CASE("port table: long names are cut before addresses, and a line has 80 characters") {
  const std::vector<ListedPort> names = {
      listed("0.0.0.0", 8080, "10.22.0.2", kLongId.c_str(), "kubernetes-production-network")};
  CHECK(format_table(names, {}) ==
        "PROTO  HOST          ENDPOINT        CONTAINER     NETWORK    CONNECTIONS  STATE\n"
        "tcp    0.0.0.0:8080  10.22.0.2:8080  0123456789ab  kube..ork  0            alive\n");
}

TEST_CASE("port table: the longest addresses are cut in their middle, a port stays") {
  const char* const host = "2001:db8:1234:5678:9abc:def0:1234:5678";
  const std::vector<ListedPort> ports = {listed(host, 65535,
                                                "fd00:1234:5678:9abc:def0:1234:5678:9abc",
                                                kLongId.c_str(), "kubernetes-production-network")};
  const std::string table = format_table(ports, {});
  CHECK(longest_line(table) == 80);
  CHECK(table.find("..:65535  ") != std::string::npos);
  // Nothing is cut where somebody asked for it whole, or the terminal has the room.
  View whole{.is_cut = false, .has_whole_ids = true};
  CHECK(format_table(ports, whole).find("[" + std::string(host) + "]:65535") != std::string::npos);
  CHECK(format_table(ports, whole).find(kLongId) != std::string::npos);
  View wide;
  wide.screen.width = 200;
  CHECK(format_table(ports, wide).find("kubernetes-production-network") != std::string::npos);
}

TEST_CASE("port table: what is not known is a dash, so every column has a word") {
  std::vector<ListedPort> ports = {listed("0.0.0.0", 80, "10.22.0.2", "abc", "web")};
  ports.push_back(ports.front());
  ports[1].pod = {"default", "nginx"};
  ports[1].chain = "WEB";
  ports[1].is_here = false;
  ports[1].endpoint.reset();
  CHECK(format_table(ports, {.columns = wide_columns(), .is_cut = false}) ==
        "PROTO  HOST        ENDPOINT        CONTAINER  NETWORK  CONNECTIONS  STATE  INTERFACE  "
        "CHAIN  "
        "NAMESPACE  POD    HERE  PROCESSES\n"
        "tcp    0.0.0.0:80  10.22.0.2:8080  abc        web      0            alive  eth0       -   "
        "   "
        "-          -      yes   -\n"
        "tcp    0.0.0.0:80  missing         abc        web      0            alive  eth0       WEB "
        "   "
        "default    nginx  no    -\n");
}

TEST_CASE("port table: numbers and addresses are sorted as such") {
  CHECK(ports_sorted_by("port") == "9/tcp\n80/tcp\n8080/tcp\n");
  CHECK(ports_sorted_by("port", true) == "8080/tcp\n80/tcp\n9/tcp\n");
  CHECK(ports_sorted_by("endpoint") == "8080/tcp\n80/tcp\n9/tcp\n");
  CHECK(ports_sorted_by("host") == "9/tcp\n80/tcp\n8080/tcp\n");
  CHECK(ports_sorted_by("connections", true) == "80/tcp\n9/tcp\n8080/tcp\n");
  CHECK(ports_sorted_by("network") == "8080/tcp\n80/tcp\n9/tcp\n");
  CHECK(ports_sorted_by("state") == "9/tcp\n80/tcp\n8080/tcp\n");
}

TEST_CASE("port table: container IDs are shortened to what is unique, and told once where asked") {
  const std::vector<ListedPort> ports = {listed("0.0.0.0", 1, "10.22.0.2", kLongId.c_str(), "web"),
                                         listed("0.0.0.0", 2, "10.22.0.2", kLongId.c_str(), "web")};
  View view{.columns = {parse_column("container")}, .has_headings = false};
  CHECK(format_table(ports, view) == "0123456789ab\n0123456789ab\n");
  view.once = true;
  view.has_whole_ids = true;
  CHECK(format_table(ports, view) == kLongId + "\n");
}

TEST_CASE("port table: STATE has a colour where the screen has some, and nothing else") {
  const std::vector<ListedPort> ports = {
      listed("0.0.0.0", 1, "10.22.0.2", "a", "web"),
      listed("0.0.0.0", 2, "10.22.0.2", "b", "web", nft::Liveness::dead),
      listed("0.0.0.0", 3, "10.22.0.2", "c", "web", nft::Liveness::unknown)};
  View view{.columns = {parse_column("container"), parse_column("state")}, .has_headings = false};
  view.screen.has_colours = true;
  CHECK(format_table(ports, view) ==
        "a  \033[32malive\033[0m\n"
        "b  \033[31mdead\033[0m\n"
        "c  \033[33munknown\033[0m\n");
}

TEST_CASE("facts: a port as JSON, the pod where it is known") {
  std::vector<ListedPort> ports = {listed("0.0.0.0", 80, "10.22.0.2", "abc", "web")};
  ports.front().pod = {"default", "nginx"};
  CHECK(
      format_json(ports) ==
      R"({"ports":[{"protocol":"tcp","hostAddress":"0.0.0.0","hostPort":80,"here":true,)"
      R"("containerAddress":"10.22.0.2","containerPort":8080,"containerID":"abc","network":"web",)"
      R"("interface":"eth0","podName":"nginx","podNamespace":"default","chain":"","connections":0,)"
      R"("standby":false,"alive":true,"state":"alive"}]})"
      "\n");
  ports.front().pod = {"", "nginx"};
  CHECK(format_json(ports).find("podNamespace") == std::string::npos);
}

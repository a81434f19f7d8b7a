#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "lib/cni/request.hpp"
#include "lib/cni/versions.hpp"

using namespace portmapper;
using namespace portmapper::cni;

namespace {

using Variables = std::map<std::string, std::string>;

Result<Request> read(const Variables& variables) {
  return read_request([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

struct Case {
  Variables variables;
  ErrorKind kind;
  std::string expected;
};

const std::string kIdRule =
    " is not a container ID: a letter or digit, then letters, digits, '_', '.', '-'";
const std::string kIfnameRule =
    " is not an interface name: 1 to 15 bytes of UTF-8, not '.' or '..', without '/', ':', '\"', "
    "white space, control characters";

}  // namespace

TEST_CASE("the Mesos agent's environment") {
  const Result<Request> request = read({{"CNI_COMMAND", "ADD"},
                                        {"CNI_CONTAINERID", "parent.child"},
                                        {"CNI_IFNAME", "eth0"},
                                        {"CNI_NETNS", "/proc/7/ns/net"},
                                        {"CNI_PATH", "/usr/lib/cni"}});
  REQUIRE(request);
  CHECK(request->command == Command::add);
  CHECK(request->container_id == "parent.child");
  CHECK(request->ifname == "eth0");
  CHECK(request->netns == "/proc/7/ns/net");
  CHECK(request->path == "/usr/lib/cni");
}

TEST_CASE("DEL after a reboot has no CNI_NETNS, or an empty one") {
  Variables variables{{"CNI_COMMAND", "DEL"}, {"CNI_CONTAINERID", "a"}, {"CNI_IFNAME", "eth0"}};
  CHECK(read(variables));
  variables["CNI_NETNS"] = "";
  CHECK(read(variables));
  variables["CNI_NETNS"] = "not\na path";
  CHECK(read(variables));
}

TEST_CASE("GC, STATUS and VERSION need nothing, and take no container ID") {
  for (const std::string command : {"GC", "STATUS", "VERSION"}) {
    const Result<Request> request = read({{"CNI_COMMAND", command}, {"CNI_CONTAINERID", "a/b"}});
    REQUIRE(request);
    CHECK(to_string(request->command) == command);
    CHECK(request->container_id.empty());
  }
}

TEST_CASE("an interface name that no JSON can hold, or that a terminal acts upon, is refused") {
  CHECK(is_interface_name("\u00e4th0"));
  CHECK_FALSE(is_interface_name("eth\xdf"));
  CHECK_FALSE(is_interface_name("eth\u0085"));
  CHECK_FALSE(is_interface_name("eth\x7f"));
}

TEST_CASE("what is wrong with the environment is said in full") {
  const std::string unset =
      "CNI_COMMAND is not set: this program is a CNI plugin, which container runtimes"
      " call; it is not meant to be run by hand";
  const std::vector<Case> cases = {
      {{}, ErrorKind::invalid_input, unset},
      {{{"CNI_COMMAND", ""}}, ErrorKind::invalid_input, unset},
      {{{"CNI_COMMAND", "add"}},
       ErrorKind::unsupported_command,
       "CNI_COMMAND: \"add\" is not one of ADD, DEL, CHECK, GC, STATUS, VERSION"},
      {{{"CNI_COMMAND", "A\n\x1b" + std::string(4096, 'D')}},
       ErrorKind::unsupported_command,
       "CNI_COMMAND: \"A\\n\\u001b" + std::string(61, 'D') +
           "\"... (4099 bytes) is not one of ADD, DEL, CHECK, GC, STATUS, VERSION"},
      {{{"CNI_COMMAND", "ADD"}},
       ErrorKind::invalid_input,
       "CNI_CONTAINERID is not set; CNI_IFNAME is not set; CNI_NETNS is not set"},
      {{{"CNI_COMMAND", "CHECK"},
        {"CNI_CONTAINERID", "-a"},
        {"CNI_IFNAME", "sixteen-bytes-xx"},
        {"CNI_NETNS", ""}},
       ErrorKind::invalid_input,
       "CNI_CONTAINERID: \"-a\"" + kIdRule + "; CNI_IFNAME: \"sixteen-bytes-xx\"" + kIfnameRule +
           "; CNI_NETNS is empty"},
      {{{"CNI_COMMAND", "DEL"}, {"CNI_CONTAINERID", "a b"}},
       ErrorKind::invalid_input,
       "CNI_CONTAINERID: \"a b\"" + kIdRule + "; CNI_IFNAME is not set"},
      {{{"CNI_COMMAND", "ADD"},
        {"CNI_CONTAINERID", "not found\xff" + std::string(4096, '/')},
        {"CNI_IFNAME", "e\nth0"},
        {"CNI_NETNS", "/run\nnetns"}},
       ErrorKind::invalid_input,
       "CNI_CONTAINERID: \"not\\u0020found\\ufffd" + std::string(54, '/') + "\"... (4106 bytes)" +
           kIdRule + "; CNI_IFNAME: \"e\\nth0\"" + kIfnameRule +
           "; CNI_NETNS: \"/run\\nnetns\" is not a path: it has control characters"},
  };
  for (const Case& item : cases) {
    const Result<Request> request = read(item.variables);
    REQUIRE_FALSE(request);
    CHECK(request.error().kind == item.kind);
    CHECK(request.error().message() == item.expected);
  }
}

TEST_CASE("CNI names and interface names") {
  for (const char* name : {"a", "0", "web", "P.C", "a_b-c.d"}) CHECK(is_cni_name(name));
  CHECK(is_cni_name(std::string(4096, 'a')));
  for (const char* name : {"", ".a", "-a", "_a", "a/b", "a b", "\xc3\xbc", "a\n"})
    CHECK_FALSE(is_cni_name(name));
  for (const char* name : {"eth0", "a", "fifteen-bytes-x", "...", "e*", "\xc3\xbc"})
    CHECK(is_interface_name(name));
  for (const char* name :
       {"", ".", "..", "a/b", "a:b", "a b", "a\"b", "a\tb", "a\x7f", "sixteen-bytes-xx"})
    CHECK_FALSE(is_interface_name(name));
}

TEST_CASE("supported versions, and their order") {
  for (const std::string_view version : kCniVersions) CHECK(is_supported(version));
  for (const char* version : {"", "0.0.9", "1.0", "1.2.0", "v1.0.0", "1.0.0 "})
    CHECK_FALSE(is_supported(version));
  CHECK(version_at_least("0.4.0", "0.4.0"));
  CHECK(version_at_least("1.1.0", "0.4.0"));
  CHECK_FALSE(version_at_least("0.3.1", "0.4.0"));
}

// What a container is called by who had it made: from CNI_ARGS to the owner entry, and back.
#include <doctest/doctest.h>

#include "lib/cni/cache_entry.hpp"
#include "lib/cni/pod_arguments.hpp"
#include "lib/cni/request.hpp"
#include "nft/transaction.hpp"
#include "nft/userdata.hpp"
#include "tests/support/bytes.hpp"
#include "tests/support/example.hpp"

using namespace portmapper;
using namespace portmapper::nft;
using namespace portmapper::test;

namespace {

std::string pod(const char* arguments) {
  const Pod read = cni::pod_of(arguments);
  return read.space + "|" + read.name;
}

std::span<const std::uint8_t> span_of(const std::string& bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

// What nft would list, and what is read again.
std::string listed(const ElementData& data) {
  return listed_comment(span_of(encode(data)));
}
ElementData again(const ElementData& data) {
  return parse_element_data(span_of(encode(data)));
}

}  // namespace

TEST_CASE("pod: CNI_ARGS as containerd and podman set them") {
  CHECK(pod("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
            "K8S_POD_INFRA_CONTAINER_ID=abc") == "default|web");
  CHECK(pod("K8S_POD_NAME=web") == "|web");
  CHECK(pod("K8S_POD_NAME=a;K8S_POD_NAME=b") == "|b");
  CHECK(pod(nullptr) == "|");
}

TEST_CASE("pod: what is no name is nobody's, and no error") {
  for (const char* arguments :
       {"", ";;;", "K8S_POD_NAME", "K8S_POD_NAME=", "=web", "K8S_POD_NAME=a b", "K8S_POD_NAME=a/b",
        "K8S_POD_NAME=a:b", "K8S_POD_NAME=a\"b", "K8S_POD_NAME=a)", "K8S_POD_NAME=\033[31m",
        "k8s_pod_name=web"}) {
    CAPTURE(arguments);
    CHECK(pod(arguments) == "|");
  }
  CHECK(pod(("K8S_POD_NAME=" + std::string(253, 'n')).c_str()) == "|" + std::string(253, 'n'));
  CHECK(pod(("K8S_POD_NAME=" + std::string(254, 'n')).c_str()) == "|");
  CHECK(pod(("K8S_POD_NAMESPACE=" + std::string(64, 'n')).c_str()) == "|");
}

TEST_CASE("pod: ADD alone reads it") {
  const auto read = [](const std::string& command) {
    return cni::read_request([&command](const char* name) -> const char* {
      const std::string_view variable(name);
      if (variable == "CNI_COMMAND") return command.c_str();
      if (variable == "CNI_ARGS") return "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web";
      return variable == "CNI_IFNAME" ? "eth0" : "abc";
    });
  };
  CHECK(read("ADD")->pod == Pod{"default", "web"});
  CHECK(read("DEL")->pod == Pod{});
}

TEST_CASE("pod: libcni's cache keeps the arguments as pairs") {
  const auto read = [](const std::string& arguments) {
    return cni::parse_cache_entry(R"({"kind":"cniCacheV1","containerId":"abc","config":"e30=",)"
                                  R"("ifName":"eth0","networkName":"web","cniArgs":)" +
                                      arguments + "}",
                                  "nft-port-mapper")
        ->pod;
  };
  CHECK(read(R"([["IgnoreUnknown","1"],["K8S_POD_NAMESPACE","x"],["K8S_POD_NAME","y"]])") ==
        Pod{"x", "y"});
  for (const std::string_view arguments :
       {"null", "[]", R"([["K8S_POD_NAME"]])", R"(["K8S_POD_NAME","y"])", R"([[1,2]])",
        R"({"K8S_POD_NAME":"y"})", R"([["K8S_POD_NAME",7]])"}) {
    CAPTURE(arguments);
    CHECK_FALSE(read(std::string(arguments)).is_known());
  }
}

TEST_CASE("pod: an owner entry's comment names it, and is read without it") {
  ElementData data{.comment = "web/abc/eth0", .pod = {"default", "nginx"}};
  CHECK(listed(data) == "web/abc/eth0 (default:nginx)");
  CHECK(again(data) == data);
  data.pod.space.clear();
  CHECK(listed(data) == "web/abc/eth0 (nginx)");
  CHECK(again(data) == data);
  data.pod = {};
  CHECK(listed(data) == "web/abc/eth0");
  Attachment attachment;
  CHECK(parse_attachment_comment(again(data).comment, attachment));
}

TEST_CASE("pod: a comment that only looks like it stays as it is") {
  for (const char* comment : {"web/abc/eth0 ()", "web/abc/eth0 (a b)", "web/abc/eth0 (a:)",
                              "web/abc/eth0 (:b)", "web/abc/eth0(a)", "web/abc/eth0 (a) "}) {
    CAPTURE(comment);
    const ElementData data{.comment = comment};
    CHECK(again(data) == data);
  }
}

TEST_CASE("pod: a name that nft's comment has no room for is a type of its own") {
  const std::string name(120, 'n');
  const ElementData data{.comment = "web/abc/eth0", .pod = {"default", name}};
  CHECK(listed(data) == "web/abc/eth0");
  CHECK(again(data) == data);
  CHECK(encode(data) == std::string("\0\x0dweb/abc/eth0\0", 15) +
                            "\xad\x80"
                            "default:" +
                            name);
}

TEST_CASE("pod: the namespace's path, which says who lives, goes before the name") {
  const NetworkNamespace netns{
      .path = "/run/netns/" + std::string(100, 'p'), .device = 4, .inode = 7};
  const ElementData data{.comment = "web/abc/eth0",
                         .netns = netns,
                         .chain = std::string(80, 'c'),
                         .pod = {"", std::string(60, 'n')}};
  const ElementData read = again(data);
  CHECK(read.netns == netns);
  CHECK_FALSE(read.pod.is_known());
  CHECK(encode(data).size() <= 254);
}

TEST_CASE("pod: a plan's owner entries have it, and no other element") {
  PlanInput input = example_input();
  input.pod = {"default", "nginx"};
  const std::string text = to_string(insertion(make_plan(std::move(input))));
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(" (default:nginx)", at)) != std::string::npos; ++at)
    ++count;
  CHECK(count == 3);
  CHECK(text.find(
            "owners { \"kjuc1tc0rsd2rf4\" . 0x00000000 comment \"web/abc/eth0 (default:nginx)\"") !=
        std::string::npos);
}

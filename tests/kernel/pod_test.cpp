// The pod that CNI_ARGS names: kept with the owner, listed, and no part of who the owner is.
#include <doctest/doctest.h>

#include "tests/support/cni_cache.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const AddOptions kNginx = {
    .environment = {
        "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=nginx;K8S_POD_UID=7"}};
const std::string kPods = "8080/tcp  default  nginx\n9090/tcp  default  nginx\n";

std::string pods(const Lab& lab) {
  const RunResult listed = ctl(lab, {"list", "--quiet", "--columns", "port,namespace,pod"});
  CHECK(listed.err == "");
  return listed.out;
}

}  // namespace

TEST_CASE(
    "pod: list, owner and the table's comments name it, reloaded too, and DEL leaves nothing") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const Runtime runtime(lab);
  REQUIRE(runtime.add("abc", {{8080, 80}, {9090, 90}}, kNginx) == done);
  CHECK(pods(lab) == kPods);
  CHECK(listing(lab.host()).find(R"x(comment "web/abc/eth0 (default:nginx)")x") !=
        std::string::npos);
  const std::string who =
      "0.0.0.0:8080/tcp is published by container abc of network web (eth0; pod nginx of namespace "
      "default) and leads to 10.22.0.2:80.\n";
  CHECK(ctl(lab, {"owner", "8080"}).out == who);
  nft(lab.host(), "delete table inet nft-port-mapper\n" + listing(lab.host()));
  CHECK(pods(lab) == kPods);
  CHECK(ctl(lab, {"owner", "8080"}).out == who);
  CHECK(ctl(lab, {"check"}).out == "no findings\n");
  REQUIRE(runtime.del("abc") == done);
  CHECK(listing(lab.host()).find("elements") == std::string::npos);
}

TEST_CASE("pod: a name is no identity: another one, or none, is the same attachment") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const Runtime runtime(lab);
  REQUIRE(runtime.add("abc", {{8080, 80}}) == done);
  const std::string without = normalise(listing(lab.host()));
  REQUIRE(runtime.add("abc", {{8080, 80}, {9090, 90}}, kNginx) == done);
  CHECK(pods(lab) == kPods);
  REQUIRE(runtime.add("abc", {{8080, 80}}) == done);
  CHECK(normalise(listing(lab.host())) == without);
  lab.container("def", "10.22.0.3/16");
  CHECK(runtime.add("def", {{8080, 80}}, kNginx) ==
        conflict("def", published_by("0.0.0.0:8080/tcp", "abc")));
}

TEST_CASE("pod: nothing that a runtime may set makes an ADD fail") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  for (const std::string& arguments :
       {std::string(";;=;"), std::string("K8S_POD_NAME=\"; flush ruleset"),
        "K8S_POD_NAME=" + std::string(253, 'n'), "K8S_POD_NAME=" + std::string(100000, 'n')}) {
    CAPTURE(arguments.size());
    CHECK(Runtime(lab).add("abc", {{8080, 80}}, {.environment = {"CNI_ARGS=" + arguments}}) ==
          done);
    CHECK(pods(lab) == "8080/tcp  -  -\n");
  }
}

TEST_CASE("pod: restore has it from libcni's cache") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const CniCache cache(lab);
  cache.write("abc", replaced(cache.entry("abc", {{8080, 80}, {9090, 90}}), R"("capabilityArgs")",
                              R"("cniArgs":[["K8S_POD_NAMESPACE","default"],)"
                              R"(["K8S_POD_NAME","nginx"]],"capabilityArgs")"));
  REQUIRE(ctl(lab, {"restore", "--from", cache.directory()}).status == 0);
  CHECK(pods(lab) == kPods);
}

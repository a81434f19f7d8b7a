// Which namespace is which where the kernel has no namespace ids, as before Linux 6.18: by the cookie.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <sstream>

#include "lib/base/netlink.hpp"
#include "nft/commit.hpp"
#include "nft/read/reader.hpp"
#include "tests/support/cni_cache.hpp"
#include "tests/support/example.hpp"
#include "tests/support/runtime.hpp"
#include "tests/support/text.hpp"
#include "tests/support/thread_in.hpp"
#include "tests/support/traced.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string kOlder = " -e inject=name_to_handle_at:error=EOPNOTSUPP";
const std::string kNoEntry = " -e inject=setns:error=EPERM";
const std::string kRefused =
    "103 cniVersion 1.0.0: " + conflict("b", published_by("0.0.0.0:8080/tcp", "a"));

// An ADD of 8080: "done", or its error.
std::string traced_add(const Traced& traced, const Lab& lab, const std::string& container,
                       const std::string& options, const std::vector<std::string>& extra = {}) {
  const RunResult result = traced.plugin(options).call(
      lab, lab.host(), "ADD", container,
      chained_config("web", lab.previous_result(container), to_json({{8080, 80}})), extra);
  return result.status == 0 && result.err.empty() ? done : verdict(result);
}

std::string older_add(const Lab& lab, const std::string& container, const std::string& more = "",
                      const std::vector<std::string>& extra = {}) {
  return traced_add(Traced(), lab, container, kOlder + more, extra);
}

std::string older_ctl(const Lab& lab, const std::vector<std::string>& words,
                      const std::string& more = "") {
  const Traced traced;
  std::vector<std::string> all = {traced.ctl(kOlder + more)};
  all.insert(all.end(), words.begin(), words.end());
  const RunResult result = run(all, {.ns = lab.host()});
  return std::to_string(result.status) + "\n" + result.out + result.err;
}

std::string listed(const Lab& lab, const std::string& more = "") {
  return last_word(older_ctl(lab, {"list"}, more));
}

// What the table has of the only owner.
nft::OwnerEntry the_owner(const Lab& lab) {
  return Lab::in(lab.host(), [] {
    Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
    REQUIRE(netlink);
    const auto owners = nft::read_owners(*netlink);
    REQUIRE(owners);
    REQUIRE(owners->size() == 1);
    return owners->front();
  });
}

NetworkNamespace recorded(const Lab& lab) {
  return the_owner(lab).netns;
}

std::uint64_t number_of(const std::string& ns) {
  struct stat status {};
  return stat(namespace_path(ns).c_str(), &status) == 0 ? status.st_ino : 0;
}

// As an ADD of container a does that is recorded so.
void publish(const Lab& lab, const nft::OwnerEntry& owner, const std::string& network = "web",
             bool standby = false) {
  nft::Plan plan = nft::make_plan({.attachment = {network, "a", "eth0"},
                                   .netns = owner.netns,
                                   .chain = {.name = owner.chain, .exclude_devices = {}},
                                   .mappings = {mapping(nullptr, Protocol::tcp, 8080, 80)},
                                   .addresses = {prefix("10.22.0.2/16")}});
  for (nft::Translation& translation : plan.translations) translation.standby = standby;
  Lab::in(lab.host(), [&plan] {
    Result<Netlink> netlink = Netlink::open(NETLINK_NETFILTER);
    REQUIRE(netlink);
    CHECK(nft::commit(*netlink, nft::insertion(plan)));
  });
}

// Container a published 8080 and died, and the number of its namespace is that of `again`. The record
// is made so: which number the kernel gives out next depends on all that run on this machine.
struct Scene {
  Lab lab;
  std::string again = lab.bare("again");

  // `more`: of the ADD that makes the record.
  explicit Scene(const std::string& more = "") {
    lab.container("a", "10.22.0.2/16");
    lab.container("b", "10.22.0.3/16");
    REQUIRE(older_add(lab, "a", more, {"CNI_NETNS=" + namespace_path(again)}) == done);
    nft::OwnerEntry owner = the_owner(lab);
    CHECK(owner.netns.inode == number_of(again));
    CHECK(owner.netns.id == 0);
    CHECK((owner.netns.cookie != 0) == more.empty());
    REQUIRE(Runtime(lab).del("a") == done);
    owner.netns.path += "-before";
    if (owner.netns.cookie != 0) --owner.netns.cookie;
    publish(lab, owner);
    CHECK(recorded(lab) == owner.netns);
  }
};

// "openat setns ...": what the ADD does from one call to another, which are part of it.
std::string calls_between(const std::string& trace, const std::string& first,
                          const std::string& last) {
  std::istringstream lines(trace);
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    if (text.empty() && line.find(first) == std::string::npos) continue;
    const std::size_t end = line.find('(');
    const std::size_t begin = line.rfind(' ', end) + 1;
    text += line.substr(begin, end - begin) + " ";
    if (line.find(last) != std::string::npos) return text;
  }
  return "no end: " + text;
}

std::string calls_of_add(const Lab& lab, const std::string& options) {
  const Traced traced;
  REQUIRE(traced_add(traced, lab, "a", options) == done);
  CHECK((recorded(lab).id != 0) == options.empty());
  CHECK((recorded(lab).cookie != 0) == (options == kOlder));
  REQUIRE(Runtime(lab).del("a") == done);
  return traced.calls();
}

}  // namespace

TEST_CASE("identity: an owner is dead whose namespace's number a living one has, by the cookie") {
  const Scene scene;
  const Lab& lab = scene.lab;
  const ThreadIn thread(scene.again);
  CHECK(listed(lab) == "dead");
  SUBCASE("prune removes its ports") {
    CHECK(older_ctl(lab, {"prune"}) == "0\nremoved web/a/eth0 (1 port)\n");
    CHECK(older_add(lab, "b") == done);
  }
  SUBCASE("ADD takes its port over") {
    CHECK(older_add(lab, "b") == done);
    CHECK(recorded(lab).inode == number_of(lab.ns("b")));
  }
  SUBCASE("so does the ADD of the container that has the number") {
    CHECK(older_add(lab, "b", "", {"CNI_NETNS=" + namespace_path(scene.again)}) == done);
    CHECK(recorded(lab).inode == number_of(scene.again));
  }
  SUBCASE("it is so for a look that does not see all processes") {
    const Traced traced;
    const RunResult result =
        run({"unshare", "--pid", "--fork", "--mount-proc", traced.ctl(kOlder), "list"},
            {.ns = lab.host()});
    CHECK(result.out.ends_with(" dead\n"));
  }
  SUBCASE("who may not enter the namespace goes by the number") {
    CHECK(listed(lab, kNoEntry) == "alive");
    CHECK(older_add(lab, "b", kNoEntry) == kRefused);
  }
}

TEST_CASE("identity: an owner lives whose cookie is that of a living namespace, by whatever path") {
  Lab lab;
  const std::string a = lab.container("a", "10.22.0.2/16");
  lab.container("b", "10.22.0.3/16");
  REQUIRE(older_add(lab, "a") == done);
  const ThreadIn thread(a);
  remove_namespace(a);
  CHECK(listed(lab) == "alive");
  CHECK(older_ctl(lab, {"prune"}) == "0\nevery owner is alive; nothing to remove\n");
  CHECK(older_add(lab, "b") == kRefused);
}

TEST_CASE("identity: a record without a cookie goes by the number") {
  const Scene scene(kNoEntry);
  const Lab& lab = scene.lab;
  const ThreadIn thread(scene.again);
  CHECK(listed(lab) == "alive");
  CHECK(older_ctl(lab, {"prune"}) == "0\nevery owner is alive; nothing to remove\n");
  CHECK(older_add(lab, "b") == kRefused);
}

TEST_CASE("identity: a DEL hands no port on to a sibling whose namespace's number is another's") {
  const Scene scene;
  const Lab& lab = scene.lab;
  nft::OwnerEntry owner = the_owner(lab);
  REQUIRE(Runtime(lab).del("a") == done);
  owner.netns.path = namespace_path(scene.again);
  const auto is_handed_on = [&] {
    publish(lab, owner);
    publish(lab, owner, "db", /*standby=*/true);
    const Traced traced;
    CHECK(traced.plugin(kOlder)
              .call(lab, lab.host(), "DEL", "a", chained_config("web", "", "[]"))
              .status == 0);
    const RunResult claims =
        run({"nft", "list", "set", "inet", "nft-port-mapper", "published-ip"}, {.ns = lab.host()});
    CHECK(Runtime(lab, "", "db").del("a") == done);
    return claims.out.find("tcp . 8080") != std::string::npos;
  };
  CHECK_FALSE(is_handed_on());
  ++owner.netns.cookie;  // which is that of the namespace
  CHECK(is_handed_on());
}

TEST_CASE("identity: restore records the cookie as ADD does") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  const CniCache cache{lab};
  REQUIRE(cache.add("abc", {{8080, 80}}) == done);
  CHECK(recorded(lab).id != 0);
  test::nft(lab.host(), "flush ruleset");
  CHECK(older_ctl(lab, {"restore", "--from", cache.directory()}) ==
        "0\nrestored web/abc/eth0 (1 port)\n"
        "restored 1 attachment; 0 published already, 0 gone\n");
  CHECK(recorded(lab).id == 0);
  CHECK(recorded(lab).cookie != 0);
  CHECK(recorded(lab).inode == number_of(lab.ns("abc")));
}

TEST_CASE("identity: with ids an ADD makes no call for the cookie, without them six") {
  Lab lab;
  lab.container("a", "10.22.0.2/16");
  (void)calls_of_add(lab, "");  // which makes the table
  const std::string now = calls_of_add(lab, "");
  CHECK(count(now, " setns(") == 0);
  CHECK(count(now, " getsockopt(") == 0);
  CHECK(calls_between(now, " name_to_handle_at(", "ns/mnt") == "name_to_handle_at newfstatat ");
  const std::string older = calls_of_add(lab, kOlder);
  // Before there were cookies: openat ioctl close.
  CHECK(calls_between(older, " name_to_handle_at(", "ns/mnt") ==
        "name_to_handle_at openat newfstatat openat setns socket getsockopt setns close_range close"
        " newfstatat ");
  CHECK(count(older, "\n") == count(now, "\n") + 3 + 6);
  // One that may not enter asks whether it is a network namespace.
  CHECK(calls_between(calls_of_add(lab, kOlder + kNoEntry), " name_to_handle_at(", "ns/mnt") ==
        "name_to_handle_at openat newfstatat openat setns close ioctl close newfstatat ");
}

TEST_CASE("identity: an ADD that cannot come back from the namespace does nothing more") {
  Lab lab;
  const std::string a = lab.container("a", "10.22.0.2/16");
  const std::string before = listing(lab.host());
  CHECK(older_add(lab, "a", " -e inject=setns:error=EINVAL:when=2") ==
        "103 cniVersion 1.0.0: cannot come back from: network namespace " + namespace_path(a) +
            ": Invalid argument");
  CHECK(listing(lab.host()) == before);
  CHECK(listing(a) == "");
}

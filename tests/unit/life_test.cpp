// Who is dead: what a look at the host says of an owner, and what that means. The table of nft/decide.hpp.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/unique_fd.hpp"
#include "lib/host/life_signs.hpp"
#include "lib/host/mount_table.hpp"
#include "lib/host/netns.hpp"
#include "nft/decide.hpp"

using namespace portmapper;
using host::FoundNamespace;
using host::LifeTrace;
using host::NamespaceLook;
using host::read_signs;
using nft::Liveness;

namespace {

constexpr Observer kHere{100, 200};
constexpr Observer kElsewhere{101, 201};
const IpAddress kAddress = *IpAddress::parse("10.22.0.2");
const IpAddress kOther = *IpAddress::parse("10.22.0.3");

NetworkNamespace netns(std::uint64_t inode, std::uint64_t id = 0) {
  return {.path = "/n/" + std::to_string(inode),
          .device = 4,
          .inode = inode,
          .id = id,
          .observer = kHere};
}

const LifeTrace kTrace{netns(7), {kAddress}};
const LifeTrace kUnrecorded{{}, {kAddress}};

NamespaceLook look_with(std::vector<FoundNamespace> found, bool is_initial = false) {
  found.push_back({netns(1), true, std::vector{kOther}});  // the host's
  return {.is_complete = true,
          .is_all_but_descriptors = true,
          .is_initial = is_initial,
          .from = kHere,
          .found = std::move(found)};
}

FoundNamespace found(std::uint64_t inode, bool has_task, std::vector<IpAddress> addresses) {
  return {netns(inode), has_task, std::move(addresses)};
}

Liveness judged(const LifeTrace& trace, const NamespaceLook& look,
                const NetworkNamespace& newcomer = {}, const host::LifeHint& hint = {}) {
  return nft::liveness_of(read_signs(trace, hint, look, newcomer));
}

}  // namespace

TEST_CASE("life: a namespace that the look does not find is gone, whoever has its address now") {
  CHECK(judged(kTrace, look_with({})) == Liveness::dead);
  CHECK(judged(kTrace, look_with({found(8, true, {kAddress})})) == Liveness::dead);
}

TEST_CASE("life: a look that is not complete, or is taken from elsewhere, proves no death") {
  NamespaceLook look = look_with({});
  look.is_complete = look.is_all_but_descriptors = false;
  CHECK(judged(kTrace, look) == Liveness::unknown);
  look = look_with({});
  look.from = kElsewhere;
  CHECK(judged(kTrace, look) == Liveness::unknown);
  look.is_initial = true;
  CHECK(judged(kTrace, look) == Liveness::dead);
  LifeTrace older = kTrace;  // an older version's
  older.netns.observer = {};
  CHECK(judged(older, look_with({})) == Liveness::unknown);
  CHECK(judged(older, look_with({}, true)) == Liveness::dead);
  NamespaceLook nowhere = look_with({});
  nowhere.from = {};
  CHECK(judged(older, nowhere) == Liveness::unknown);
}

TEST_CASE("life: whoever has a task in its namespace is alive, wherever its address is") {
  CHECK(judged(kTrace, look_with({found(7, true, {})})) == Liveness::alive);
  CHECK(judged(kTrace, look_with({found(7, true, {}), found(8, true, {kAddress})})) ==
        Liveness::alive);
}

TEST_CASE("life: a namespace without a task is alive with its address, and dead without") {
  CHECK(judged(kTrace, look_with({found(7, false, {kAddress})})) == Liveness::alive);
  CHECK(judged(kTrace, look_with({found(7, false, {})})) == Liveness::dead);
  CHECK(judged(kTrace, look_with({found(7, false, {}), found(8, true, {kAddress})})) ==
        Liveness::unknown);
  NamespaceLook look = look_with({found(7, false, {})});
  look.is_complete = look.is_all_but_descriptors = false;  // a task may be in it
  CHECK(judged(kTrace, look) == Liveness::alive);
}

TEST_CASE(
    "life: a look without some descriptors needs the kernel's word that a namespace is gone") {
  NamespaceLook look = look_with({});
  look.is_complete = false;
  CHECK(judged(kTrace, look) == Liveness::unknown);
  CHECK(judged(kTrace, look, {}, {.is_gone_for_good = true}) == Liveness::dead);
  look.from = kElsewhere;
  CHECK(judged(kTrace, look, {}, {.is_gone_for_good = true}) == Liveness::unknown);
  look = look_with({found(7, false, {})});
  look.is_complete = false;
  CHECK(judged(kTrace, look) == Liveness::dead);
  look.found.front().has_task = true;
  CHECK(judged(kTrace, look) == Liveness::alive);
}

TEST_CASE("life: the newcomer's own address is no sign of the owner's life, nor of its death") {
  const NamespaceLook look = look_with({found(7, false, {}), found(8, true, {kAddress})});
  CHECK(judged(kTrace, look, netns(8)) == Liveness::dead);
  // Another network gives out the same address.
  const NamespaceLook both = look_with({found(7, false, {kAddress}), found(8, true, {kAddress})});
  CHECK(judged(kTrace, both, netns(8)) == Liveness::alive);
  CHECK(judged(kTrace, look_with({found(7, false, {kAddress})}), netns(7)) == Liveness::alive);
}

TEST_CASE("life: an owner without a record lives while its address is somewhere") {
  CHECK(judged(kUnrecorded, look_with({found(8, false, {kAddress})})) == Liveness::alive);
  CHECK(judged(kUnrecorded, look_with({found(8, false, {})}, true)) == Liveness::dead);
  CHECK(judged(kUnrecorded, look_with({})) == Liveness::unknown);
  CHECK(judged(kUnrecorded, look_with({found(8, true, {kAddress})}, true), netns(8)) ==
        Liveness::dead);
  CHECK(judged({{}, {}}, look_with({}, true)) == Liveness::unknown);
}

TEST_CASE("life: a namespace whose addresses could not be read may have any") {
  const FoundNamespace closed{netns(8), true, std::nullopt};
  CHECK(judged(kUnrecorded, look_with({closed}, true)) == Liveness::unknown);
  CHECK(judged(kTrace, look_with({closed, found(7, false, {})})) == Liveness::unknown);
  CHECK(judged(kTrace, look_with({{netns(7), false, std::nullopt}})) == Liveness::unknown);
  CHECK(judged(kTrace, look_with({closed})) == Liveness::dead);
}

TEST_CASE("life: ids decide where the kernel has them; else the newcomer's number was used again") {
  const LifeTrace trace{netns(7, 70), {kAddress}};
  CHECK(judged(trace, look_with({{netns(7, 71), true, std::vector{kAddress}}})) == Liveness::dead);
  CHECK(judged(trace, look_with({{netns(7, 70), true, std::vector{kAddress}}})) == Liveness::alive);
  NetworkNamespace newcomer = netns(7);
  newcomer.path = "/n/new";
  const NamespaceLook look = look_with({found(7, true, {kAddress})});
  CHECK(judged(kTrace, look, newcomer) == Liveness::dead);
  CHECK(judged(kTrace, look, newcomer, {.is_at_path = true}) == Liveness::alive);
}

TEST_CASE("life: whose number a namespace with another cookie has is dead, whoever looks") {
  const auto with_cookie = [](std::uint64_t cookie) {
    NetworkNamespace one = netns(7);
    one.cookie = cookie;
    return one;
  };
  const LifeTrace trace{with_cookie(1), {kAddress}};
  NamespaceLook look = look_with({{with_cookie(2), true, std::vector{kAddress}}});
  CHECK(judged(trace, look) == Liveness::dead);
  look.is_complete = look.is_all_but_descriptors = false;
  look.from = kElsewhere;
  CHECK(judged(trace, look) == Liveness::dead);
  CHECK(judged(kTrace, look) == Liveness::alive);  // recorded without one
  look.found.front().netns = with_cookie(1);
  CHECK(judged(trace, look) == Liveness::alive);
  look.found.front().netns = netns(7);  // nobody may enter it
  CHECK(judged(trace, look) == Liveness::alive);
  // What was seen of the newcomer's before proves nothing now; nor does its path, with its cookie.
  NetworkNamespace newcomer = with_cookie(2);
  newcomer.path = "/n/new";
  CHECK(judged(trace, look, newcomer) == Liveness::alive);
  newcomer.cookie = 1;
  CHECK(judged(trace, look, newcomer) == Liveness::alive);
  newcomer.cookie = 0;
  CHECK(judged(trace, look, newcomer) == Liveness::dead);
}

TEST_CASE("life: ids come before cookies, and cookies before the number") {
  NetworkNamespace one = netns(7);
  NetworkNamespace two = netns(7);
  CHECK(host::same_netns(one, two));
  one.cookie = 1;
  CHECK(host::same_netns(one, two));
  two.cookie = 2;
  CHECK_FALSE(host::same_netns(one, two));
  CHECK(host::is_number_of_another(one, two));
  one.id = two.id = 5;
  CHECK(host::same_netns(one, two));
  two.id = 6;
  two.cookie = 1;
  CHECK_FALSE(host::same_netns(one, two));
  two.inode = 8;
  CHECK_FALSE(host::is_number_of_another(one, two));
  CHECK_FALSE(host::is_number_of_another({}, {}));
}

TEST_CASE("life: what is at its path exists, though the look may not find it") {
  NamespaceLook look = look_with({});
  look.is_complete = look.is_all_but_descriptors = false;
  CHECK(judged(kTrace, look, {}, {.is_at_path = true}) == Liveness::alive);
}

TEST_CASE("life: a saved ruleset does not bring the dead back, nor take anything from others") {
  const auto withdrawn = [](LifeSigns signs, const NetworkNamespace& netns, bool has_ended) {
    const nft::OwnerEntry one{.owner = nft::owner_hash({"web", "abc", "eth0"}),
                              .index = 0,
                              .comment = "web/abc/eth0",
                              .netns = netns,
                              .chain = "hostports",
                              .published = {kAddress, Protocol::tcp, *Port::from(8080)}};
    std::set<nft::OwnerHash> ended;
    if (has_ended) ended.insert(one.owner);
    const auto all = nft::decide_left_over({one, one}, {{one.owner, signs}}, ended);
    REQUIRE(all.size() <= 1);
    if (all.empty()) return false;
    CHECK(all[0].owner == one.owner);
    CHECK(all[0].chain == "hostports");
    CHECK(all[0].only == netns);
    return true;
  };
  const NetworkNamespace none;
  using enum NamespaceState;
  CHECK(withdrawn({unrecorded, AddressState::nowhere}, none, false));
  // A stranger has its address.
  CHECK(withdrawn({unrecorded, AddressState::elsewhere}, none, true));
  CHECK_FALSE(withdrawn({unrecorded, AddressState::elsewhere}, none, false));
  CHECK_FALSE(withdrawn({unrecorded, AddressState::unknown}, none, false));
  // Who was added since has a namespace on record: that is prune's, and its operator's.
  CHECK_FALSE(withdrawn({gone, AddressState::nowhere}, netns(7), true));
  CHECK_FALSE(withdrawn({exists, AddressState::inside}, netns(7), true));
}

TEST_CASE("mounts: fields, blanks in names, optional fields, and lines that are none") {
  const std::string lines =
      "22 26 0:21 / /sys rw,relatime shared:7 master:1 - sysfs sysfs rw\n"
      "nonsense\n\n"
      "31 26 0:4 net:[4026532288] /run/a\\040b rw - nsfs nsfs rw,hidepid=2\n"
      "32 26 0:4 / /x rw - nsfs\n";
  const UniqueFd file(memfd_create("mounts", MFD_CLOEXEC));
  REQUIRE(write(file.get(), lines.data(), lines.size()) == static_cast<ssize_t>(lines.size()));
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  std::string text;
  CHECK(host::each_mount(AT_FDCWD, path.c_str(), [&](const host::Mount& mount) {
    text += std::to_string(mount.number) + " " + std::to_string(mount.parent) + " " + mount.root +
            " " + mount.place + " " + mount.type + " " + mount.options + "\n";
  }));
  CHECK(text == "22 26 / /sys sysfs rw\n31 26 net:[4026532288] /run/a b nsfs rw,hidepid=2\n");
  CHECK_FALSE(host::each_mount(AT_FDCWD, "/proc/self/none", [](const auto&) {}));
  CHECK(host::namespace_number("net:[4026532288]", "net:[") == 4026532288);
  CHECK(host::namespace_number("mnt:[4026532288]", "net:[") == 0);
  CHECK(host::may_hang("fuse.sshfs"));
  CHECK(host::may_hang("nfs4"));
  CHECK_FALSE(host::may_hang("tmpfs"));
}

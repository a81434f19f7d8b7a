// nft-port-mapperctl uninstall: the plugin's file stays as long as anybody would miss it.
#include <doctest/doctest.h>
#include <sys/file.h>

#include <chrono>
#include <future>
#include <thread>

#include "lib/base/unique_fd.hpp"
#include "lib/host/directory_lock.hpp"
#include "tests/support/cni_cache.hpp"
#include "tests/support/install_host.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

namespace fs = std::filesystem;

std::string left(const InstallHost& host, const std::string& reason) {
  return "left " + host.target + ": " + reason + "\n";
}

}  // namespace

TEST_CASE("uninstall: the plugin stays while published ports have to be closed by it") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  REQUIRE(Runtime(lab).add("abc", {{8080, 80}}) == done);
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  REQUIRE(host.ctl(lab, {"install", list}).starts_with("0\n"));
  CHECK(host.ctl(lab, {"uninstall", list}) ==
        "0\n" + list + " is what it was before install\n" +
            left(host, "1 published ports are still to be closed by it"));
  CHECK(host.has_plugin());
  REQUIRE(Runtime(lab).del("abc") == done);
  CHECK(host.ctl(lab, {"uninstall", list}) == "0\nremoved " + host.target + "\n");
}

TEST_CASE("uninstall: the plugin stays while another list of the directory names it") {
  Lab lab;
  const InstallHost host;
  const std::string first = host.put_list("10-x.conflist");
  const std::string second = host.put_list("20-y.conflist");
  for (const std::string& list : {first, second})
    REQUIRE(host.ctl(lab, {"install", list}).starts_with("0\n"));
  CHECK(host.ctl(lab, {"uninstall", first}) == "0\n" + first + " is what it was before install\n" +
                                                   left(host, "it is still named by " + second));
  CHECK(host.has_plugin());
  // As Multus names it: a network within another's.
  host.put(host.list("00-multus.conf"),
           R"({"type":"multus","delegates":[{"plugins":[{"type":"nft-port-mapper"}]}]})");
  CHECK(host.ctl(lab, {"uninstall", host.net}) ==
        "0\n" + second + " is what it was before install\n" +
            left(host, "it is still named by " + host.list("00-multus.conf")));
  fs::remove(host.list("00-multus.conf"));
  CHECK(host.ctl(lab, {"uninstall", host.net}) == "0\nremoved " + host.target + "\n");
}

TEST_CASE("uninstall: the plugin stays while a list names it that was renamed since install") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-x.conflist");
  REQUIRE(host.ctl(lab, {"install", host.net}).starts_with("0\n"));
  const std::string renamed = host.list("20-x.conflist");
  fs::rename(list, renamed);
  CHECK(host.ctl(lab, {"uninstall", host.net}) ==
        "0\n" + left(host, "it is still named by " + renamed));
  CHECK(host.has_plugin());
}

TEST_CASE("uninstall: a list that cannot be read does not keep the others from being undone") {
  Lab lab;
  const InstallHost host;
  const std::string broken = host.put_list("10-x.conflist");
  const std::string whole = host.put_list("20-y.conflist");
  for (const std::string& list : {broken, whole})
    REQUIRE(host.ctl(lab, {"install", list}).starts_with("0\n"));
  host.put(broken, "{");
  const std::string said = host.ctl(lab, {"uninstall", host.net});
  const std::string why = said.substr(said.find("nft-port-mapperctl: ") + 20);
  CHECK(said ==
        "1\n" + whole + " is what it was before install\n" +
            left(host, "a list may name it that cannot be read: " + why.substr(0, why.find('\n'))) +
            "nft-port-mapperctl: " + why);
  CHECK(why.starts_with(broken));
  CHECK(read_file(whole) == InstallHost::recorded("10-flannel.conflist"));
  CHECK(host.has_plugin());
}

TEST_CASE("uninstall: the plugin stays while a container runs that was started with it") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  InstallHost host;
  const CniCache cache(lab);
  host.records = cache.directory();
  // Without ports: libcni calls every plugin of the list for its DEL all the same.
  cache.write("abc", cache.entry("abc", {}));
  const std::string list = host.put_list("10-flannel.conflist");
  REQUIRE(host.ctl(lab, {"install", list}).starts_with("0\n"));
  const std::string undone = "0\n" + list + " is what it was before install\n";
  const std::string needed =
      left(host, "containers were started with it, and their end needs it: web/abc/eth0");
  CHECK(host.ctl(lab, {"uninstall", list}) == undone + needed);
  CHECK(host.has_plugin());

  cache.write("def", "{");
  cache.write("abc", cache.entry("abc", {}, "", "/run/a-directory-that-is-not-mounted/abc"));
  CHECK(host.ctl(lab, {"uninstall", list}) == "0\n" + needed);
  cache.write("abc", cache.entry("abc", {}));
  lab.remove("abc");
  const std::string unreadable = host.ctl(lab, {"uninstall", list});
  CHECK(unreadable.starts_with("0\nleft " + host.target +
                               ": a container may need it whose record cannot be read: "));
  CHECK(host.has_plugin());
  cache.forget("def");
  // Its runtime was killed: the record stays for ever, the namespace does not.
  CHECK(fs::exists(cache.file("abc")));
  CHECK(host.ctl(lab, {"uninstall", list}) == "0\nremoved " + host.target + "\n");
}

TEST_CASE("uninstall: the plugin stays while a pod of Multus runs whose network calls it") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16");
  InstallHost host;
  const CniCache cache(lab);
  host.records = cache.directory();
  const std::string config =
      R"({"cniVersion":"1.0.0","name":"web","plugins":[{"type":"multus","delegates":[{"name":"cbr0",)"
      R"("plugins":[{"type":"flannel"},{"type":"nft-port-mapper"}]}]}]})";
  const auto record = [&config](const std::string& netns) {
    return R"({"kind":"cniCacheV1","containerId":"abc","config":")" + encode_base64(config) +
           R"(","ifName":"eth0","networkName":"web","netns":")" + netns + R"(","result":{}})";
  };
  cache.write("abc", record(namespace_path(lab.ns("abc"))));
  const std::string list = host.put_list("10-flannel.conflist");
  REQUIRE(host.ctl(lab, {"install", list}).starts_with("0\n"));
  CHECK(host.ctl(lab, {"uninstall", list}) ==
        "0\n" + list + " is what it was before install\n" +
            left(host, "containers were started with it, and their end needs it: web/abc/eth0"));
  CHECK(host.has_plugin());
  cache.write("abc", record("/run/netns/gone"));
  CHECK(host.ctl(lab, {"uninstall", list}) == "0\nremoved " + host.target + "\n");
}

TEST_CASE("uninstall: of a record that is damaged, the record is named") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  REQUIRE(host.ctl(lab, {"install", list}).starts_with("0\n"));
  const std::string record = host.list(".10-flannel.conflist.nft-port-mapper");
  host.put(record, "{");
  const std::string said = host.ctl(lab, {"uninstall", list});
  CHECK(said.find("nft-port-mapperctl: " + record + " ends before") != std::string::npos);
  CHECK(said.starts_with("1\n"));
  CHECK(host.has_plugin());
}

TEST_CASE("uninstall: where no runtime keeps its records, it says that it cannot know") {
  Lab lab;
  InstallHost host;
  host.records.clear();
  const std::string list = host.put_list("10-flannel.conflist");
  REQUIRE(host.ctl(lab, {"install", list}).starts_with("0\n"));
  CHECK(host.ctl(lab, {"uninstall", list}) ==
        "0\n" + list + " is what it was before install\nremoved " + host.target +
            "\nwhether containers were started with it, whose end needs it, cannot be known from"
            " here: there is no /var/lib/cni\n");
  CHECK(host.names() == "10-flannel.conflist ");
}

TEST_CASE("install, uninstall: one waits until the other has ended") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  UniqueFd other(open(host.net.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(flock(other.get(), LOCK_EX) == 0);
  std::future<std::string> installed = std::async(std::launch::async, [&] {
    return host.ctl(lab, {"install", host.net});
  });
  CHECK(installed.wait_for(std::chrono::milliseconds(500)) == std::future_status::timeout);
  CHECK(host.names() == "10-flannel.conflist ");
  other.reset();
  CHECK(installed.get().starts_with("0\n"));
  CHECK(host.has_plugin());

  // Anybody who may read the directory can have a lock on it.
  const UniqueFd again(open(host.net.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(flock(again.get(), LOCK_SH) == 0);
  const Result<host::DirectoryLock> refused =
      host::DirectoryLock::take({host.bin, host.net}, std::chrono::milliseconds(50));
  REQUIRE(!refused);
  CHECK(refused.error().message() == "for 0 s another process has had a lock on: " + host.net);
}

TEST_CASE("install, uninstall: at the same time, no list names a plugin that is not there") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  for (int round = 0; round < 8; ++round) {
    const std::vector<std::string> said = at_once(4, [&](std::size_t i) {
      return host.ctl(lab, {i % 2 == 0 ? "install" : "uninstall", host.net});
    });
    for (const std::string& one : said) REQUIRE(one.starts_with("0\n"));
    const bool names = read_file(list).find("nft-port-mapper") != std::string::npos;
    REQUIRE(names == fs::exists(host.list(".10-flannel.conflist.nft-port-mapper")));
    if (names) REQUIRE(host.has_plugin());
  }
}

// nft-port-mapperctl install and uninstall: files as they lie on a host.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/install_host.hpp"
#include "tests/support/runtime.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

namespace fs = std::filesystem;

struct stat status_of(const std::string& path) {
  struct stat status {};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status;
}

}  // namespace

TEST_CASE(
    "install: the plugin is copied, the list is replaced whole, mode and owner stay; uninstall "
    "undoes it") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.list("10-calico.conflist");
  const std::string original = InstallHost::recorded("10-calico.conflist");
  host.put(list, original);
  host.put(host.list("20-later.conflist"), InstallHost::recorded("10-flannel.conflist"));
  REQUIRE(chmod(list.c_str(), 0640) == 0);
  REQUIRE(chown(list.c_str(), 12, 34) == 0);
  CHECK(host.ctl(lab, {"install", host.net}) == "0\ncopied " + host.plugin + " to " + host.target +
                                                    "\nreplaced portmap by nft-port-mapper in " +
                                                    list + "\n");
  CHECK(host.has_plugin());
  CHECK(status_of(host.target).st_mode == (S_IFREG | 0755));
  std::string wanted = original;
  wanted.replace(wanted.find("portmap"), 7, "nft-port-mapper");
  CHECK(read_file(list) == wanted);
  CHECK(status_of(list).st_mode == (S_IFREG | 0640));
  CHECK(status_of(list).st_uid == 12);
  CHECK(status_of(list).st_gid == 34);
  CHECK(
      host.names() ==
      ".10-calico.conflist.nft-port-mapper 10-calico.conflist 20-later.conflist nft-port-mapper ");
  CHECK(host.ctl(lab, {"install", host.net}) == "0\nall is in place already\n");

  CHECK(host.ctl(lab, {"uninstall", host.net}) ==
        "0\n" + list + " is what it was before install\nremoved " + host.target + "\n");
  CHECK(read_file(list) == original);
  CHECK(status_of(list).st_mode == (S_IFREG | 0640));
  CHECK(status_of(list).st_uid == 12);
  CHECK(host.names() == "10-calico.conflist 20-later.conflist ");
  CHECK(host.ctl(lab, {"uninstall", host.net}) == "0\nnothing of install is here\n");
}

TEST_CASE("install: what cannot be done is said, and no list names a plugin that is not there") {
  Lab lab;
  const InstallHost host;
  CHECK(host.ctl(lab, {"install", host.net}) ==
        "1\ncopied " + host.plugin + " to " + host.target +
            "\nnft-port-mapperctl: there is no network configuration yet in: " + host.net + "\n");
  const std::string list = host.list("05-cilium.conflist");
  host.put(list, InstallHost::recorded("05-cilium.conflist"));
  CHECK(host.ctl(lab, {"install", list}) == "1\nnft-port-mapperctl: " + list +
                                                " has no entry of the type portmap to replace; "
                                                "with --add nft-port-mapper is put behind its"
                                                " last plugin\n");
  CHECK(read_file(list) == InstallHost::recorded("05-cilium.conflist"));
  fs::remove(host.target);
  fs::remove(host.plugin);
  CHECK(host.ctl(lab, {"install", "--add", list}) ==
        "1\nnft-port-mapperctl: cannot open: " + host.plugin + ": No such file or directory\n");
  CHECK(read_file(list) == InstallHost::recorded("05-cilium.conflist"));
  CHECK(host.names() == "05-cilium.conflist ");
}

TEST_CASE(
    "install: a file that cannot be written whole stays as it was, and nothing is left beside it") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.list("10-flannel.conflist");
  host.put(list, InstallHost::recorded("10-flannel.conflist"));
  // No file may become longer than 8 * 1024 bytes: the plugin's write fails. So would that of a
  // program built for coverage, which says so.
  const RunResult result = run({"sh", "-c",
                                "ulimit -f 16; trap '' XFSZ; export LLVM_PROFILE_FILE=/dev/null; "
                                R"(exec "$0" install --plugin "$1" --to "$2" "$3")",
                                CTL, host.plugin, host.bin, list},
                               {.ns = lab.host()});
  CHECK(result.status == 1);
  CHECK(result.err == "nft-port-mapperctl: cannot write: " + host.target + ": File too large\n");
  CHECK(host.names() == "10-flannel.conflist ");
  CHECK(read_file(list) == InstallHost::recorded("10-flannel.conflist"));
}

TEST_CASE("install: a link in the directory of plugins is somebody's own installation, and stays") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.list("10-flannel.conflist");
  host.put(list, InstallHost::recorded("10-flannel.conflist"));
  const std::string own = read_file(PLUGIN) + "another version\n";
  host.put(host.root.path("own"), own);
  REQUIRE(chmod(host.root.path("own").c_str(), 0755) == 0);
  fs::create_symlink(host.root.path("own"), host.target);
  CHECK(host.ctl(lab, {"install", list}) ==
        "0\nreplaced portmap by nft-port-mapper in " + list + "\n");
  CHECK(host.ctl(lab, {"uninstall", list}) == "0\n" + list + " is what it was before install\n");
  CHECK(fs::read_symlink(host.target) == host.root.path("own"));
  CHECK(read_file(host.root.path("own")) == own);
}

TEST_CASE(
    "install: a link that the host may follow by another root gives way to the file, and a list "
    "never names a link that dangles") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.list("10-flannel.conflist");
  host.put(list, InstallHost::recorded("10-flannel.conflist"));
  // As of a container's image: another file system.
  const std::string image = "/dev/shm/npm-install-" + std::to_string(getpid());
  fs::copy_file(PLUGIN, image);
  fs::create_symlink(image, host.target);
  const std::string said = host.ctl(lab, {"install", list});
  fs::remove(image);
  CHECK(said == "0\ncopied " + host.plugin + " to " + host.target +
                    "\nreplaced portmap by nft-port-mapper in " + list + "\n");
  CHECK(status_of(host.target).st_mode == (S_IFREG | 0755));
  CHECK(host.has_plugin());
}

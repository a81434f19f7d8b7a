// nft-port-mapperctl install: files that are no list, no program, or somebody else's at this moment.
#include <doctest/doctest.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <future>
#include <iterator>

#include "lib/app/ctl/ctl.hpp"
#include "lib/host/replace_file.hpp"
#include "tests/support/install_host.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

namespace fs = std::filesystem;

std::string replaced_in(const std::string& list) {
  return "replaced portmap by nft-port-mapper in " + list + "\n";
}

// "MODE UID" of what install is to leave.
std::string access_of(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return "nothing";
  const bool is_program = status.st_mode == (S_IFREG | 0755);
  return (is_program ? "0755 " : "another mode, ") + std::to_string(status.st_uid);
}

}  // namespace

TEST_CASE("install: a list that is written meanwhile is not lost") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  const std::string first = read_file(list);
  std::string second = first;
  second.replace(second.find("cbr0"), 4, "new0");
  std::string wanted = second;
  wanted.replace(wanted.find("portmap"), 7, "nft-port-mapper");
  const std::string record = host.list(".10-flannel.conflist.nft-port-mapper");
  int in_time = 0;
  for (int round = 0; round < 20; ++round) {
    fs::remove(record);
    host.put(list, first);
    std::future<std::string> installed = std::async(std::launch::async, [&] {
      return host.ctl(lab, {"install", list});
    });
    // It has been read by now.
    while (!fs::exists(record)) {
    }
    host.put(list, second);
    REQUIRE(installed.get().starts_with("0\n"));
    // Else it came when install was over, or between its last look and its rename.
    if (read_file(list) != wanted) continue;
    ++in_time;
    CHECK(read_file(record) == second);
  }
  CHECK(in_time > 0);
}

TEST_CASE("replace_file_if: another content stays, and nothing is left beside it") {
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  const Result<bool> replaced = host::replace_file_if(list, "what was read\n", "new\n");
  REQUIRE(replaced);
  CHECK_FALSE(*replaced);
  CHECK(read_file(list) == InstallHost::recorded("10-flannel.conflist"));
  CHECK(host.names() == "10-flannel.conflist ");
  const Result<bool> gone = host::replace_file_if(host.list("gone"), "", "new\n");
  REQUIRE(gone);
  CHECK_FALSE(*gone);
  CHECK(host.names() == "10-flannel.conflist ");
}

TEST_CASE("replace_file_if: a file that is renamed into place at that moment is not lost") {
  // Where nothing is written to a disk, that moment is a large part of the whole.
  const fs::path directory = "/dev/shm/npm-replace-" + std::to_string(getpid());
  fs::create_directory(directory);
  const std::string list = directory / "a";
  const auto put = [](const fs::path& path, const char* text) { std::ofstream(path) << text; };
  int refused = 0;
  int lost = 0;
  for (int round = 0; round < 5000; ++round) {
    put(list, "read");
    put(directory / "fresh", "theirs");
    std::atomic<bool> begins = false;
    std::future<Result<bool>> replaced = std::async(std::launch::async, [&] {
      begins = true;
      return host::replace_file_if(list, "read", "ours");
    });
    while (!begins) {
    }
    const auto begin = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() < begin + std::chrono::microseconds(round % 100)) {
    }
    fs::rename(directory / "fresh", list);
    const Result<bool> answer = replaced.get();
    REQUIRE(answer);
    if (!*answer) ++refused;
    // Before ours or after it, theirs is the last word.
    if (read_file(list) != "theirs") ++lost;
  }
  CHECK(lost == 0);
  CHECK(refused > 0);
  CHECK(std::distance(fs::directory_iterator(directory), {}) == 1);
  fs::remove_all(directory);
}

TEST_CASE("install: extended attributes and the ACL of a list stay") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  // Version 2; of the owner rw-, of user 12 r--, of the group ---, the mask r--, of others ---.
  const std::string acl(
      "\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x0c\0\0\0\x04\0\0\0\xff\xff\xff\xff"
      "\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff",
      44);
  REQUIRE(chmod(list.c_str(), 0600) == 0);
  const bool has_acls =
      setxattr(list.c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0) == 0;
  REQUIRE(setxattr(list.c_str(), "trusted.whose", "flannel's", 9, 0) == 0);
  REQUIRE(host.ctl(lab, {"install", list}).starts_with("0\n"));
  const auto attribute = [&list](const char* name) {
    std::string value(100, '\0');
    const ssize_t size = getxattr(list.c_str(), name, value.data(), value.size());
    value.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return value;
  };
  CHECK(attribute("trusted.whose") == "flannel's");
  if (has_acls) CHECK(attribute("system.posix_acl_access") == acl);
  struct stat status {};
  REQUIRE(stat(list.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == (has_acls ? 0640 : 0600));
}

TEST_CASE("install: where a file is refused to root, no capability is asked for") {
  const Error refused = mapping_failed("cannot write", "/etc/cni/net.d/10-x.conflist", EPERM);
  CHECK(ctl::failure(refused).log ==
        "nft-port-mapperctl: cannot write: /etc/cni/net.d/10-x.conflist: Operation not"
        " permitted\n");
}

TEST_CASE("install: a directory that has none of the list's other plugins is refused") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  fs::remove(host.bin + "/flannel");
  CHECK(host.ctl(lab, {"install", host.net}) ==
        "1\nnft-port-mapperctl: --to " + host.bin + " has none of the other plugins of " + list +
            ": flannel; name the directory where the runtime looks for plugins, or say --elsewhere"
            " if it looks in several\n");
  CHECK(host.names() == "10-flannel.conflist ");
  CHECK(host.ctl(lab, {"install", "--elsewhere", host.net}) ==
        "0\ncopied " + host.plugin + " to " + host.target + "\n" + replaced_in(list));
  // A link that only the host can follow counts.
  fs::create_symlink("/usr/lib/cni/nowhere", host.bin + "/flannel");
  CHECK(host.ctl(lab, {"install", host.net}) == "0\nall is in place already\n");
}

TEST_CASE("install, uninstall: another's file of our name stays, and no list names it") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  const std::string refused = "1\nnft-port-mapperctl: " + host.target +
                              " is there already and not the program nft-port-mapper of this"
                              " machine: remove it, or name another directory by --to\n";
  host.put(host.target, "another's\n");
  CHECK(host.ctl(lab, {"install", list}) == refused);
  CHECK(read_file(host.target) == "another's\n");
  CHECK(read_file(list) == InstallHost::recorded("10-flannel.conflist"));
  // What lies where ours ought to come from is no proof that it was copied.
  fs::remove(host.plugin);
  host.put(host.plugin, "another's\n");
  CHECK(host.ctl(lab, {"uninstall", list}) ==
        "0\nleft " + host.target + ": it is not the program nft-port-mapper of this machine\n");
  CHECK(read_file(host.target) == "another's\n");
  fs::remove(host.target);
  REQUIRE(mkfifo(host.target.c_str(), 0600) == 0);
  CHECK(host.ctl(lab, {"install", list}) == refused);
  CHECK(fs::is_fifo(host.target));
}

TEST_CASE("install: the plugin is root's and can be run, whatever was there") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  const std::string copied = "copied " + host.plugin + " to " + host.target + "\n";
  host.put(host.target, read_file(PLUGIN) + "an old one\n");
  REQUIRE(chmod(host.target.c_str(), 0600) == 0);
  REQUIRE(chown(host.target.c_str(), 1000, 1000) == 0);
  CHECK(host.ctl(lab, {"install", list}) == "0\n" + copied + replaced_in(list));
  CHECK(access_of(host.target) == "0755 0");
  CHECK(host.has_plugin());
  REQUIRE(chmod(host.target.c_str(), 0644) == 0);
  CHECK(host.ctl(lab, {"install", list}) == "0\n" + copied);
  CHECK(access_of(host.target) == "0755 0");
  REQUIRE(chown(host.target.c_str(), 1000, 1000) == 0);
  CHECK(host.ctl(lab, {"install", list}) == "0\n" + copied);
  CHECK(access_of(host.target) == "0755 0");
  CHECK(host.ctl(lab, {"install", list}) == "0\nall is in place already\n");
}

TEST_CASE("install: a link that does not lead to ours is refused, and no list names it") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  fs::create_symlink(host.root.path("own"), host.target);
  const std::string refused = "1\nnft-port-mapperctl: " + host.target +
                              " is a link that does not lead to the program nft-port-mapper of"
                              " this machine: remove it, or mend it\n";
  CHECK(host.ctl(lab, {"install", list}) == refused);
  host.put(host.root.path("own"), read_file(PLUGIN));  // but not executable
  CHECK(host.ctl(lab, {"install", list}) == refused);
  fs::remove(host.target);
  fs::create_symlink("/bin/true", host.target);
  CHECK(host.ctl(lab, {"install", list}) == refused);
  CHECK(read_file(list) == InstallHost::recorded("10-flannel.conflist"));
}

TEST_CASE("install: what is not our program is refused, and no list names it") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  std::string for_another = read_file(PLUGIN);
  for_another[offsetof(Elf64_Ehdr, e_machine)] ^= 1;
  for (const std::string& text :
       {std::string(), std::string("#!/bin/sh\n"), read_file("/bin/sh"), for_another}) {
    host.put(host.plugin, text);
    CHECK(host.ctl(lab, {"install", list}) ==
          "1\nnft-port-mapperctl: " + host.plugin +
              " is not the program nft-port-mapper of this machine\n");
  }
  CHECK(host.names() == "10-flannel.conflist ");
  CHECK(read_file(list) == InstallHost::recorded("10-flannel.conflist"));
}

TEST_CASE("install DIR: directories and what is no file are skipped, as libcni does") {
  Lab lab;
  const InstallHost host;
  fs::create_directory(host.list("00-d.conflist"));
  const std::string fifo = host.list("00-f.conflist");
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  fs::create_symlink(fifo, host.list("00-l.conflist"));
  const std::string list = host.put_list("10-flannel.conflist");
  const std::string copied = "copied " + host.plugin + " to " + host.target + "\n";
  CHECK(host.ctl(lab, {"install", host.net}) == "0\n" + copied + replaced_in(list));
  CHECK(host.ctl(lab, {"install", fifo}) ==
        "1\nnft-port-mapperctl: " + fifo + " is not a regular file\n");
  CHECK(host.ctl(lab, {"uninstall", host.net}) ==
        "0\n" + list + " is what it was before install\nremoved " + host.target + "\n");
}

TEST_CASE("install: where the list cannot be written, no record of it is left") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  fs::copy_file(host.plugin, host.target);
  REQUIRE(chmod(host.target.c_str(), 0755) == 0);
  // Of 1024 bytes, which a file may have: the record has as many, the list would have more.
  std::string text = read_file(list);
  text.resize(1024, '\n');
  host.put(list, text);
  const RunResult result = run({"sh", "-c",
                                "ulimit -f 2; trap '' XFSZ; export LLVM_PROFILE_FILE=/dev/null; "
                                R"(exec "$0" install --plugin "$1" --to "$2" "$3")",
                                CTL, host.plugin, host.bin, list},
                               {.ns = lab.host()});
  CHECK(result.status == 1);
  CHECK(result.err == "nft-port-mapperctl: cannot write: " + list + ": File too large\n");
  CHECK(read_file(list) == text);
  CHECK(host.names() == "10-flannel.conflist nft-port-mapper ");
}

TEST_CASE("install: what a process left that was killed goes, and nothing of others") {
  Lab lab;
  const InstallHost host;
  const std::string list = host.put_list("10-flannel.conflist");
  const std::string ours = host.list(".10-flannel.conflist.nft-port-mapper-Ab12cD");
  const std::string plugin = host.bin + "/.nft-port-mapper.nft-port-mapper-Ab12cD";
  host.put(ours, "{");
  host.put(plugin, "ELF");
  host.put(host.list(".10-flannel.conflist.Ab12cD"), "of rsync\n");
  CHECK(host.ctl(lab, {"install", list}) == "0\nremoved " + plugin +
                                                ", which was not finished\nremoved " + ours +
                                                ", which was not finished\ncopied " + host.plugin +
                                                " to " + host.target + "\n" + replaced_in(list));
  CHECK(host.names() ==
        ".10-flannel.conflist.Ab12cD .10-flannel.conflist.nft-port-mapper 10-flannel.conflist "
        "nft-port-mapper ");
}

TEST_CASE("install, uninstall: standard input is refused, and no file is called -") {
  Lab lab;
  const InstallHost host;
  const std::string list = InstallHost::recorded("10-flannel.conflist");
  for (const std::string word : {"install", "uninstall"}) {
    const RunResult result =
        run({"env", "-C", host.net, CTL, word, "--plugin", host.plugin, "--to", host.bin, "-"},
            {.input = list, .ns = lab.host()});
    CHECK(result.status == 2);
    CHECK(result.err.starts_with(
        "nft-port-mapperctl: " + word +
        ": - is no list that could be changed; name a file, or a directory\n"));
    CHECK(host.names().empty());
  }
}

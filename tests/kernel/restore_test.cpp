// nft-port-mapperctl restore: what a flush removed comes back, and nothing else does.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/support/cni_cache.hpp"
#include "tests/support/first_mounts.hpp"
#include "tests/support/monitor.hpp"
#include "tests/support/service.hpp"
#include "tests/support/tool.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string kNothingDone = "restored 0 attachments; 0 published already, 0 gone\n";

std::string said(const RunResult& result) {
  return std::to_string(result.status) + "\n" + result.out + result.err;
}

// Two containers with ports, as podman or containerd attached them.
struct Host {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64");
  CniCache cache{lab, example_options};

  Host() {
    REQUIRE(cache.add("abc", example_ports) == done);
    REQUIRE(cache.add("def", {{9090, 80}}) == done);
  }
  [[nodiscard]] std::string restore(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"restore", "--from", cache.directory()};
    words.insert(words.end(), more.begin(), more.end());
    return said(ctl(lab, words));
  }
  void flush() const { nft(lab.host(), "flush ruleset"); }
  [[nodiscard]] std::string now() const { return normalise(listing(lab.host())); }
};

std::string restored_both() {
  return "0\nrestored web/abc/eth0 (3 ports)\nrestored web/def/eth0 (2 ports)\n"
         "restored 2 attachments; 0 published already, 0 gone\n";
}

std::string problem(const std::string& text) {
  return "nft-port-mapperctl: " + text + "\n";
}

}  // namespace

TEST_CASE("restore: after a flush the table is as it was, and traffic flows again") {
  const Host host;
  const Service service(host.abc, "abc", 80);
  const std::string before = host.now();
  host.flush();
  CHECK(probe(host.lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  CHECK(host.restore() == restored_both());
  CHECK(difference(host.now(), before) == "");
  CHECK(ask(host.lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  CHECK(ask(host.lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
  CHECK(ask(host.lab.host(), Protocol::tcp, "127.0.0.1", 8080) == "abc 10.22.0.1");
  CHECK(ask(host.lab.ns("def"), Protocol::tcp, "192.0.2.1", 8080) == "abc 10.22.0.1");
  CHECK(host.cache.plugin_del("abc") == done);
  CHECK(host.cache.plugin_del("def") == done);
  CHECK(difference(host.now(), without_elements(before)) == "");
}

TEST_CASE("restore: 127.0.0.1 and UDP clients that asked in between find the container again") {
  const Host host;
  const Server tcp(host.abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  const Server udp(host.abc, "abc", Protocol::udp, "0.0.0.0", 53);
  host.flush();
  write_sysctl(host.lab.host(), "net/ipv4/conf/cni0/route_localnet", "0");
  // Somebody else's rule keeps track of connections all the time.
  nft(host.lab.host(),
      "table inet other { chain input { type filter hook input priority 0; ct state new accept; }; "
      "}");
  const Server bound(host.lab.host(), "host", Protocol::udp, "192.0.2.1", 5353);
  REQUIRE(ask(host.lab.client(), Protocol::udp, "192.0.2.1", 5353, 40000) == "host 192.0.2.2");
  CHECK(host.restore() == restored_both());
  CHECK(ask(host.lab.client(), Protocol::udp, "192.0.2.1", 5353, 40000) == "abc 192.0.2.2");
  CHECK(ask(host.lab.host(), Protocol::tcp, "127.0.0.1", 8080) == "abc 10.22.0.1");
}

TEST_CASE("restore: what is published already stays as it is, counters included") {
  const Host host;
  const Server server(host.abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  REQUIRE(ask(host.lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "abc 192.0.2.2");
  Monitor monitor(host.lab.host());
  CHECK(host.restore() == "0\nrestored 0 attachments; 2 published already, 0 gone\n");
  CHECK(monitor.stop() == "");
  CHECK(connections(host.lab, "MESOS-WEB-ip", "tcp . 8080") == "1");
}

TEST_CASE("restore: twice in a row, the second has nothing to do") {
  const Host host;
  host.flush();
  CHECK(host.restore() == restored_both());
  const std::string after = listing(host.lab.host());
  CHECK(host.restore() == "0\nrestored 0 attachments; 2 published already, 0 gone\n");
  CHECK(listing(host.lab.host()) == after);
}

TEST_CASE("restore: only what is missing comes back, and what is damaged is mended") {
  const Host host;
  const std::string before = host.now();
  SUBCASE("all ports of one attachment") {
    REQUIRE(host.cache.plugin_del("def") == done);
    CHECK(host.restore() ==
          "0\nrestored web/def/eth0 (2 ports)\n"
          "restored 1 attachment; 1 published already, 0 gone\n");
  }
  SUBCASE("a target map") {
    nft(host.lab.host(), "flush map inet nft-port-mapper MESOS-WEB-hostip");
    CHECK(host.restore() ==
          "0\nrestored web/abc/eth0 (3 ports)\n"
          "restored 1 attachment; 1 published already, 0 gone\n");
  }
  SUBCASE("the rules of a network chain") {
    nft(host.lab.host(), "flush chain inet nft-port-mapper MESOS-WEB");
    CHECK(host.restore() == "0\nrestored 0 attachments; 2 published already, 0 gone\n");
  }
  SUBCASE("a base chain and the hairpins") {
    nft(host.lab.host(),
        "flush chain inet nft-port-mapper prerouting\n"
        "flush set inet nft-port-mapper hairpin-ip");
    CHECK(host.restore() == "0\nrestored 0 attachments; 2 published already, 0 gone\n");
  }
  SUBCASE("the map of owners") {
    nft(host.lab.host(), "flush map inet nft-port-mapper owners");
    CHECK(host.restore() == restored_both());
  }
  CHECK(difference(host.now(), before) == "");
}

TEST_CASE("restore: a dry run says the same and changes nothing") {
  const Host host;
  host.flush();
  Monitor monitor(host.lab.host());
  CHECK(host.restore({"--dry-run"}) ==
        "0\nwould restore web/abc/eth0 (3 ports)\nwould restore web/def/eth0 (2 ports)\n"
        "would restore 2 attachments; 0 published already, 0 gone\n");
  CHECK(monitor.stop() == "");
  CHECK(listing(host.lab.host()) == "");
}

TEST_CASE("restore: an attachment whose network namespace is gone is not restored") {
  Host host;
  host.flush();
  host.lab.remove("abc");
  CHECK(host.restore({"--dry-run"}) ==
        "0\n"
        "would restore web/def/eth0 (2 ports)\n"
        "would skip web/abc/eth0 (3 ports): it is no longer alive\n"
        "would restore 1 attachment; 0 published already, 1 gone\n");
  CHECK(host.restore() ==
        "0\nrestored web/def/eth0 (2 ports)\nrestored 1 attachment; 0 published already, 1 gone\n");
  CHECK(listing(host.lab.host()).find("abc") == std::string::npos);
}

TEST_CASE("restore: a path that leads elsewhere by now is not the attachment's namespace") {
  const Host host;
  host.flush();
  // The namespace of a process whose number was used again, a file, and that of another container.
  for (const std::string& path : {std::string("/proc/self/ns/net"), std::string("/etc/hostname"),
                                  std::string("/dev/zero"), namespace_path(host.def)}) {
    CAPTURE(path);
    host.cache.write("abc", host.cache.entry("abc", example_ports, "", path));
    CHECK(host.restore({"--dry-run"}) ==
          "0\n"
          "would restore web/def/eth0 (2 ports)\n"
          "would skip web/abc/eth0 (3 ports): it is no longer alive\n"
          "would restore 1 attachment; 0 published already, 1 gone\n");
  }
}

TEST_CASE("restore: an entry that outlives its DEL, as those before CNI 0.4.0 do, stays deleted") {
  const Host host;
  host.flush();
  // The bridge plugin took the interface away; libcni kept the entry, the namespace lives on.
  tool(host.abc, "ip link del eth0");
  CHECK(host.restore() ==
        "0\nrestored web/def/eth0 (2 ports)\nrestored 1 attachment; 0 published already, 1 gone\n");
}

TEST_CASE("restore: a port that somebody else has by now is named, and the rest is restored") {
  const Host host;
  host.flush();
  const std::string other = host.lab.ns("other");
  REQUIRE(Runtime(host.lab).add("other", {{8080, 80}}, {.result = result_of("10.22.0.9/16")}) ==
          done);
  const std::string expected = problem(conflict("abc", published_by("0.0.0.0:8080/tcp", "other")));
  const RunResult restored = ctl(host.lab, {"restore", "--from", host.cache.directory()});
  CHECK(restored.status == 1);
  CHECK(restored.out ==
        "restored web/def/eth0 (2 ports)\nrestored 1 attachment; 0 published already, 0 gone\n");
  CHECK(restored.err == expected);
  CHECK(host.restore({"--dry-run"}) ==
        "1\nwould restore 0 attachments; 1 published already, 0 gone\n" + expected);
}

TEST_CASE("restore: what cannot be read is named, each with its reason, and the rest is restored") {
  const Host host;
  host.flush();
  const std::string results = host.cache.directory() + "/results";
  const auto sized = [&](const std::string& container, const std::string& text) {
    host.cache.write(container, text);
    return results + "/web-" + container + "-eth0";
  };
  const std::string other = host.cache.entry("other", {{1, 1}}, "{}");
  std::string problems;
  const auto expect = [&problems](const std::string& text) { problems += problem(text); };
  std::filesystem::create_symlink("/etc/passwd", results + "/0");
  expect(results + "/0 is not a regular file");
  REQUIRE(mkfifo((results + "/1").c_str(), 0600) == 0);
  expect(results + "/1 is not a regular file");
  std::filesystem::create_directory(results + "/2");
  expect(results + "/2 is not a regular file");
  expect(sized("a", other) + ": it is about web-other-eth0, which is not its name");
  expect(sized("abc", "{\"kind\":") +
         ": the cache entry ends before its last object or string does");
  REQUIRE(chown(sized("b", other).c_str(), 1000, 1000) == 0);
  expect(results + "/web-b-eth0 belongs to user 1000, not to root");
  std::filesystem::permissions(sized("c", other), std::filesystem::perms(0666));
  expect(results + "/web-c-eth0 is writable by everybody");
  std::filesystem::resize_file(sized("d", ""), (std::size_t{32} << 20) + 1);
  expect(results + "/web-d-eth0 has more than 33554432 bytes");
  expect(sized("e", R"({"cniVersion":"0.4.0","ips":[]})") +
         ": kind is missing: only libcni 0.8 and later records how an attachment was made");
  expect(sized("f", host.cache.entry("f", {{0, 1}}, "{}")) +
         ": runtimeConfig.portMappings[0].hostPort: 0 is not in 1..65535");
  expect(sized("g", host.cache.entry("g", {{1, 1}}, result_of("10.22.0.9/16"), "relative")) +
         ": it does not record a network namespace, so it is unknown whether it is alive");
  CHECK(host.restore() ==
        "1\nrestored web/def/eth0 (2 ports)\nrestored 1 attachment; 0 published already, 0 gone\n" +
            problems);
}

TEST_CASE("restore: a directory that others can write to, or that is not there, is not read") {
  const Host host;
  host.flush();
  const std::string results = host.cache.directory() + "/results";
  std::filesystem::permissions(results, std::filesystem::perms(0777));
  CHECK(host.restore() == "1\n" + kNothingDone +
                              problem("reset route_localnet of cni0: no port needs it, and no guard"
                                      " was there") +
                              problem("removed the route of ::1 on cni0: no port needs it") +
                              problem(results + " is writable by everybody"));
  CHECK(said(ctl(host.lab, {"restore", "--from", "/nowhere"})) ==
        "1\n" + kNothingDone + problem("cannot open: /nowhere: No such file or directory"));
  CHECK(listing(host.lab.host()) == "");
}

TEST_CASE("restore: a stranger gets no connections by a saved ruleset, nor does it block a port") {
  Host host;
  Lab& lab = host.lab;
  const std::string saved = tool(lab.host(), "nft list ruleset");
  const auto load_saved = [&] {
    host.flush();
    test::nft(lab.host(), saved);
  };
  lab.remove("abc");
  const std::string stranger = lab.container("stranger", "10.22.0.2/16", "fd00::2/64");
  const Service service(stranger, "stranger", 80);
  load_saved();
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "stranger 192.0.2.2");
  const std::string gone =
      "web/abc/eth0, which a saved ruleset brought back: its container is gone";
  const std::string was_gone = "restored 0 attachments; 1 published already, 1 gone\n";
  if (first_mounts().empty()) {  // in a PID namespace of our own nobody is proven gone
    CHECK(host.restore() == "0\n" + was_gone);
    CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "stranger 192.0.2.2");
    return;
  }
  CHECK(host.restore({"--dry-run"}).ends_with(problem("would remove " + gone)));
  CHECK(ask(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "stranger 192.0.2.2");
  CHECK(host.restore() == "0\n" + was_gone + problem("removed " + gone));
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  CHECK(host.restore() == "0\n" + was_gone);
}

TEST_CASE("restore: a container that ended since the ruleset was saved blocks no port") {
  Host host;
  Lab& lab = host.lab;
  // No other test has this address, whose containers may live at the same time.
  lab.container("late", "10.22.201.77/16", "fd00::c94d/64");
  REQUIRE(host.cache.add("late", {{7070, 80}}) == done);
  const std::string saved = tool(lab.host(), "nft list ruleset");
  REQUIRE(host.cache.del("late") == done);
  lab.remove("late");
  host.flush();
  test::nft(lab.host(), saved);
  const std::string as_before = "0\nrestored 0 attachments; 2 published already, 0 gone\n";
  if (first_mounts().empty()) {
    CHECK(host.restore() == as_before);
    return;
  }
  CHECK(host.restore() ==
        as_before + problem("removed web/late/eth0, which a saved ruleset brought back: its"
                            " container is gone"));
  CHECK(host.restore() == as_before);
  lab.container("new", "10.22.0.5/16", "fd00::5/64");
  CHECK(host.cache.add("new", {{7070, 80}}) == done);
}

// Excluded: what excludeDevices and excludeAddresses keep from a container, with traffic; and what
// conditions of one family do not.
#include <doctest/doctest.h>

#include "tests/support/runtime.hpp"
#include "tests/support/tool.hpp"
#include "tests/support/verdict.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

const std::string services = R"("excludeAddresses":["10.96.0.0/12","fd96::/112"])";
const std::string warning =
    "nft-port-mapper: WARNING: kube-ipvs0 makes the addresses of the cluster's services this "
    "host's "
    "own, so 0.0.0.0:8080/tcp takes what is sent to services of the same port, and so does every "
    "port on any address (CVE-2019-9946); name the cluster's service prefixes in "
    "excludeAddresses\n";

std::string ctl(const Lab& lab, const std::string& words) {
  const RunResult result = run({"sh", "-c", std::string(CTL) + " " + words}, {.ns = lab.host()});
  return std::to_string(result.status) + "\n" + result.out + result.err;
}

// What an ADD that succeeds says.
std::string notes(const Lab& lab, const std::string& more, const Mappings& ports) {
  const RunResult result =
      Plugin{PLUGIN}.call(lab, lab.host(), "ADD", "abc",
                          chained_config("web", lab.previous_result("abc"), to_json(ports), more));
  REQUIRE(result.status == 0);
  return result.err;
}

// The finding of one of the doctor's checks, "" where all is well.
std::string finding(const Lab& lab, const std::string& beginning) {
  const std::string all = ctl(lab, "doctor");
  const std::size_t at = all.find(beginning);
  if (at == std::string::npos) return "";
  std::size_t end = all.find('\n', at);
  while (all.compare(end + 1, 9, "         ") == 0) end = all.find('\n', end + 1);
  return all.substr(at, end - at);
}

void load_again(const Lab& lab) {
  const std::string saved = tool(lab.host(), "nft list ruleset");
  test::nft(lab.host(), "flush ruleset");
  test::nft(lab.host(), saved);
}

// A host of a cluster whose kube-proxy runs in IPVS mode: the services' addresses are its own.
struct Cluster {
  Lab lab;
  std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64", {.hairpin = true});
  std::string def = lab.container("def", "10.22.0.3/16", "fd00::3/64", {.hairpin = true});
  Server at_abc{abc, "abc", Protocol::tcp, "0.0.0.0", 80};
  Server at_abc6{abc, "abc", Protocol::tcp, "::", 80};
  Server at_def{def, "def", Protocol::tcp, "0.0.0.0", 80};

  Cluster() {
    for (const char* command :
         {"link add kube-ipvs0 type bridge", "addr add 10.96.0.10/32 dev kube-ipvs0",
          "addr add 10.96.0.11/32 dev kube-ipvs0", "addr add fd96::10/128 dev kube-ipvs0 nodad"})
      tool(lab.host(), std::string("ip ") + command);
  }
  // A service, the same over IPv6, and the host's own address; from the LAN, a neighbour, the host.
  [[nodiscard]] std::string seen() const {
    std::string all;
    for (const char* address : {"10.96.0.10", "fd96::10", "192.0.2.1"}) {
      for (const std::string& from : {lab.client(), def, lab.host()})
        all += probe(from, Protocol::tcp, address, 8080) + ", ";
      all += "\n";
    }
    return all;
  }
};

}  // namespace

TEST_CASE("excluded: a port on any address does not take the cluster's services (CVE-2019-9946)") {
  const Cluster cluster;
  const Lab& lab = cluster.lab;
  // Without the key it does, and the ADD says so.
  CHECK(notes(lab, R"("chain":"MESOS-WEB")", {{8080, 80}}) == warning);
  CHECK(cluster.seen() ==
        "abc 192.0.2.2, abc 10.22.0.1, abc 10.96.0.10, \n"
        "abc 2001:db8::2, abc fd00::1, abc fd96::10, \n"
        "abc 192.0.2.2, abc 10.22.0.1, abc 192.0.2.1, \n");
  CHECK(notes(lab, R"("chain":"MESOS-WEB",)" + services, {{8080, 80}}) == "");
  const std::string excluded =
      "refused, refused, refused, \n"
      "refused, refused, refused, \n"
      "abc 192.0.2.2, abc 10.22.0.1, abc 192.0.2.1, \n";
  CHECK(cluster.seen() == excluded);
  // Whoever asks for exactly one of them gets it, and any other port stays with it.
  const Runtime web(lab, R"("chain":"MESOS-WEB",)" + services);
  REQUIRE(web.add("def", {{8443, 80, "tcp", "10.96.0.11"}}) == done);
  CHECK(ask(lab.client(), Protocol::tcp, "10.96.0.11", 8443) == "def 192.0.2.2");
  CHECK(ask(lab.host(), Protocol::tcp, "10.96.0.11", 8443) == "def 10.96.0.11");
  const std::string listed = listing(lab.host());
  CHECK(listed.find("@MESOS-WEB-hostip\n\t\tip daddr 10.96.0.0/12 return\n\t\t"
                    "meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th dport map "
                    "@MESOS-WEB-ip\n") != std::string::npos);
  CHECK(listed.find("@MESOS-WEB-hostip6\n\t\tip6 daddr fd96::/112 return\n\t\t"
                    "meta nfproto ipv6 ct label set 127 dnat ip6 to meta l4proto . th dport map "
                    "@MESOS-WEB-ip6\n") != std::string::npos);
  load_again(lab);
  CHECK(difference(listing(lab.host()), listed) == "");
  CHECK(cluster.seen() == excluded);
  CHECK(ctl(lab, "check") == "0\nno findings\n");
  REQUIRE(web.add("def", {{8443, 80, "tcp", "10.96.0.11"}}) == done);
}

TEST_CASE("excluded: the doctor finds ports that take the cluster's services") {
  const Cluster cluster;
  const Lab& lab = cluster.lab;
  const auto problem = [&](const std::string& more) {
    (void)notes(lab, more, {{8080, 80}});
    return finding(lab, "problem  0.0.0.0:8080/tcp");
  };
  const std::string why = R"(
         why:  kube-ipvs0 makes every service address one of this host (CVE-2019-9946); name
               the cluster's service prefixes in the key excludeAddresses of the network's
               configuration, and start its containers again)";
  CHECK(problem(R"("chain":"A")") ==
        "problem  0.0.0.0:8080/tcp, [::]:8080/tcp take the connections to the cluster's services\n"
        "         10.96.0.10, 10.96.0.11, fd96::10" +
            why);
  // Prefixes that leave some out do not calm it.
  CHECK(
      problem(R"("chain":"A","excludeAddresses":["10.96.0.10/32","10.97.0.0/16","fd96::/112"])") ==
      "problem  0.0.0.0:8080/tcp take the connections to the cluster's services 10.96.0.11" + why);
  CHECK(problem(R"("chain":"A","excludeAddresses":["10.96.0.8/31","10.96.0.10","10.96.0.11",)"
                R"("10.96.0.12/30","fd96::10"])") == "");
  CHECK(problem(R"("chain":"A",)" + services) == "");
  load_again(lab);
  CHECK(finding(lab, "problem  ") == "");
  CHECK(finding(lab, "ok       services") ==
        "ok       services: ports on any address leave those of the cluster alone");
}

TEST_CASE("excluded: networks that exclude other addresses do not share a chain") {
  Lab lab;
  lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  lab.container("def", "10.22.0.3/16", "fd00::3/64");
  REQUIRE(Runtime(lab, R"("chain":"A",)" + services).add("abc", {{8080, 80}}) == done);
  const std::string before = listing(lab.host());
  const RunResult refused = Plugin{PLUGIN}.call(
      lab, lab.host(), "ADD", "def",
      chained_config("other", lab.previous_result("def"), to_json({{9090, 80}}), R"("chain":"A")"));
  CHECK(
      refused.out ==
      R"({"cniVersion":"1.0.0","code":101,"msg":"chain A of network other is used by network web)"
      R"( with other excludeDevices, excludeAddresses or conditions; give each of the two a chain)"
      R"( of its own"})"
      "\n");
  CHECK(listing(lab.host()) == before);
  const std::string same = R"("chain":"A","excludeAddresses":["fd96::/112","10.96.0.1/12"])";
  CHECK(Runtime(lab, same, "other").add("def", {{9090, 80}}) == done);
}

TEST_CASE("excluded: the beginning of a device's name and an asterisk exclude all that begin so") {
  Lab lab;
  lab.bridge_netfilter(false);
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  lab.network("cni1", "10.23.0.1/16", "fd01::1/64");
  lab.network("br0", "10.24.0.1/16", "fd02::1/64");
  const std::string far = lab.container("far", "10.23.0.2/16", "fd01::2/64", {.bridge = "cni1"});
  const std::string near = lab.container("near", "10.24.0.2/16", "fd02::2/64", {.bridge = "br0"});
  const Server server(abc, "abc", Protocol::tcp, "0.0.0.0", 80);
  const auto seen = [&] {
    return probe(far, Protocol::tcp, "192.0.2.1", 8080) + ", " +
           probe(near, Protocol::tcp, "192.0.2.1", 8080) + ", " +
           probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080);
  };
  const auto with = [&](const std::string& devices) {
    REQUIRE(Runtime(lab, R"("chain":"A","excludeDevices":)" + devices).add("abc", {{8080, 80}}) ==
            done);
    const std::string found = seen();
    const std::string listed = listing(lab.host());
    load_again(lab);
    CHECK(difference(listing(lab.host()), listed) == "");
    CHECK(seen() == found);
    CHECK(ctl(lab, "check") == "0\nno findings\n");
    std::string rules;
    for (std::size_t at = listed.find("iifname", listed.find("chain A {"));
         at != std::string::npos && listed.compare(at, 7, "iifname") == 0;
         at = listed.find_first_not_of("\n\t", listed.find('\n', at)))
      rules += listed.substr(at, listed.find('\n', at) - at) + ": ";
    return rules + found;
  };
  CHECK(with(R"(["cni*"])") == R"(iifname "cni*" return: refused, abc 10.24.0.2, abc 192.0.2.2)");
  CHECK(with(R"(["cni*","br0"])") ==
        R"(iifname "br0" return: iifname "cni*" return: refused, refused, abc 192.0.2.2)");
  CHECK(with(R"(["c*","br0*","cni1"])") ==
        R"(iifname "br0*" return: iifname "c*" return: refused, refused, abc 192.0.2.2)");
  CHECK(
      with(R"(["brrr*","lan1"])") ==
      R"(iifname "lan1" return: iifname "brrr*" return: abc 10.23.0.2, abc 10.24.0.2, abc 192.0.2.2)");
  // Beginnings that are neighbours, which nft would join to a range that it cannot list.
  CHECK(
      with(R"(["cnh*","cni*","br*","bs*"])") ==
      R"(iifname "br*" return: iifname "bs*" return: iifname "cnh*" return: iifname "cni*" return: )"
      R"(refused, refused, abc 192.0.2.2)");
  CHECK(with(R"(["cnh*","cni1"])") ==
        R"(iifname "cni1" return: iifname "cnh*" return: refused, abc 10.24.0.2, abc 192.0.2.2)");
  CHECK(with(R"(["lam*","lan*"])") ==
        R"(iifname "lam*" return: iifname "lan*" return: abc 10.23.0.2, abc 10.24.0.2, refused)");
}

TEST_CASE("excluded: conditions of one family leave the other open, and an ADD says so once") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const std::string v4 = R"("chain":"A","conditionsV4":["ip saddr 198.51.100.0/24"])";
  const std::string v6 = R"("chain":"A","conditionsV6":["ip6 saddr 2001:db8:1::/64"])";
  CHECK(
      notes(lab, v4, {{8080, 80}}) ==
      "nft-port-mapper: network web has conditionsV4 and no conditionsV6: over IPv6 its ports are "
      "open to everybody\n");
  const Server server(abc, "abc", Protocol::tcp, "::", 80);
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  CHECK(ask(lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
  CHECK(
      notes(lab, v6, {{8080, 80}}) ==
      "nft-port-mapper: network web has conditionsV6 and no conditionsV4: over IPv4 its ports are "
      "open to everybody\n");
  CHECK(notes(lab, v4 + R"(,"conditionsV6":["ip6 saddr 2001:db8:1::/64"])", {{8080, 80}}) == "");
  // Nothing is published over IPv6.
  CHECK(notes(lab, v4, {{8080, 80, "tcp", "192.0.2.1"}}) == "");
  CHECK(notes(lab, R"("chain":"A")", {{8080, 80}}) == "");
}

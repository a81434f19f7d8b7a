// nft-port-mapperctl doctor on hosts whose ports fail for reasons outside of every ruleset: routes,
// interfaces, sysctls and what is in the container. Each port is seen failing, and after the cure
// that is printed it works.
#include <doctest/doctest.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <cstring>
#include <thread>

#include "tests/support/cni_cache.hpp"
#include "tests/support/comes_true.hpp"
#include "tests/support/patient.hpp"
#include "tests/support/service.hpp"

using namespace portmapper;
using namespace portmapper::test;

namespace {

// What is no "ok", and the summary.
std::string findings(const RunResult& result) {
  std::istringstream lines(result.out);
  std::string text;
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with("ok ") && !line.empty()) text += line + "\n";
  return text + result.err;
}

// Who may ask, and gets an answer or not.
struct Sick : Patient {
  Sick() { server.emplace(lab.ns("abc"), "abc", Protocol::tcp, "0.0.0.0", 80); }
  std::string abc = lab.ns("abc");
  std::optional<Server> server{};
};

// The kernel does not look again at once for a neighbour that it did not find.
std::string answer_of_found(const Patient& patient) {
  tool(patient.lab.host(), "ip neigh flush all");
  return patient.answer();
}

// A second network, by which the container's default route leads.
void add_network(const Patient& patient) {
  const std::string host = patient.lab.host();
  const std::string abc = patient.lab.ns("abc");
  for (const std::string& command :
       {std::string("ip link add cni1 type bridge"),
        std::string("ip addr add 10.23.0.1/16 dev cni1"), std::string("ip link set cni1 up"),
        "ip link add veth9 type veth peer name eth1 netns " + abc,
        std::string("ip link set veth9 master cni1 up")})
    tool(host, command);
  for (const char* command : {"ip addr add 10.23.0.2/16 dev eth1", "ip link set eth1 up",
                              "ip route replace default via 10.23.0.1"})
    tool(abc, command);
}

bool has_probe(const std::string& ns) {
  return tool(ns, "ip -o link").find("npmprobe") != std::string::npos;
}

// What a router sends: "I am a default router for half an hour".
void advertise(const std::string& ns) {
  const UniqueFd socket = open_socket(ns, Family::ipv6, SOCK_RAW, IPPROTO_ICMPV6);
  const int hops = 255;
  REQUIRE(setsockopt(socket.get(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops) == 0);
  const unsigned index = Lab::in(ns, [] { return if_nametoindex("eth0"); });
  REQUIRE(setsockopt(socket.get(), IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index) == 0);
  nd_router_advert advert{};
  advert.nd_ra_type = ND_ROUTER_ADVERT;
  advert.nd_ra_router_lifetime = htons(1800);
  const SocketAddress all(parse_address("ff02::1"), 0);
  REQUIRE(sendto(socket.get(), &advert, sizeof advert, 0, all.get(), all.length) ==
          static_cast<ssize_t>(sizeof advert));
}

bool has_default_route6(const std::string& ns) {
  return tool(ns, "ip -6 route show default proto ra").find("default") != std::string::npos;
}

}  // namespace

TEST_CASE("doctor way: with two networks, rp_filter of the other bridge drops the answers") {
  const Sick patient;
  add_network(patient);
  CHECK(patient.answer() == served);
  write_sysctl(patient.lab.host(), "net/ipv4/conf/cni1/rp_filter", "1");
  CHECK(patient.failure() == "timeout");
  CHECK(findings(patient.doctor()) ==
        R"(problem  rp_filter of cni1 drops replies of 0.0.0.0:8080/tcp
         why:  it is strict: it demands that the route to 10.22.0.2, where they come from,
               leads through the same interface, and it does not
         fix:  sysctl -w net.ipv4.conf.cni1.rp_filter=2
         keep: net.ipv4.conf.cni1.rp_filter=2 in /etc/sysctl.d/90-published-ports.conf;
               without that it is lost at the next boot
1 problem, no notes
)");
  patient.mend();
  CHECK(patient.answer() == served);
  CHECK(patient.is_well());
}

TEST_CASE("doctor way: a strict rp_filter everywhere, and nothing is dropped") {
  const Sick patient;
  for (const char* device : {"all", "lan0", "cni0"})
    write_sysctl(patient.lab.host(), std::string("net/ipv4/conf/") + device + "/rp_filter", "1");
  CHECK(patient.answer() == served);
  CHECK(patient.is_well());
}

TEST_CASE("doctor way: the clients' interface is the only one that does not forward") {
  const Sick patient;
  write_sysctl(patient.lab.host(), "net/ipv4/conf/lan0/forwarding", "0");
  CHECK(patient.failure() != served);
  CHECK(findings(patient.doctor()) ==
        R"(problem  net.ipv4.conf.lan0.forwarding is 0, while other interfaces forward
         why:  the host forwards nothing that arrives there, so it drops requests to
               0.0.0.0:8080/tcp
         fix:  sysctl -w net.ipv4.conf.lan0.forwarding=1
         keep: net.ipv4.conf.lan0.forwarding=1 in /etc/sysctl.d/90-published-ports.conf;
               without that it is lost at the next boot
1 problem, no notes
)");
  patient.mend();
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor way: ip_forward is 0, and both interfaces were switched on by themselves") {
  const Sick patient;
  write_sysctl(patient.lab.host(), "net/ipv4/ip_forward", "0");
  for (const char* device : {"lan0", "cni0"})
    write_sysctl(patient.lab.host(), std::string("net/ipv4/conf/") + device + "/forwarding", "1");
  CHECK(patient.answer() == served);
  CHECK(patient.is_well());
}

TEST_CASE("doctor way: IPv6 forwarding is switched on without losing the default route") {
  const Patient patient;
  const std::string host = patient.lab.host();
  const Server server(patient.lab.ns("abc"), "abc", Protocol::tcp, "::", 80);
  write_sysctl(host, "net/ipv6/conf/all/forwarding", "0");
  write_sysctl(host, "net/ipv6/conf/lan0/accept_ra", "1");
  const auto hears_router = [&] {
    advertise(patient.lab.client());
    return has_default_route6(host);
  };
  CHECK(comes_true(hears_router));
  CHECK(probe(patient.lab.client(), Protocol::tcp, "2001:db8::1", 8080) != "abc 2001:db8::2");
  CHECK(findings(patient.doctor()) ==
        R"(problem  net.ipv6.conf.all.forwarding is 0
         why:  the host forwards no IPv6 packet, so 1 published port does not answer anybody
               but the host itself; lan0 has the default route from router advertisements,
               which a host that forwards ignores unless accept_ra is 2: that must be set
               first, or the route is lost
         fix:  sysctl -w net.ipv6.conf.lan0.accept_ra=2 net.ipv6.conf.all.forwarding=1
         keep: net.ipv6.conf.lan0.accept_ra=2, net.ipv6.conf.all.forwarding=1 in
               /etc/sysctl.d/90-published-ports.conf; without that it is lost at the next
               boot
1 problem, no notes
)");
  patient.mend();
  CHECK(has_default_route6(host));
  CHECK(ask(patient.lab.client(), Protocol::tcp, "2001:db8::1", 8080) == "abc 2001:db8::2");
  // What it protects against.
  write_sysctl(host, "net/ipv6/conf/all/forwarding", "0");
  write_sysctl(host, "net/ipv6/conf/lan0/accept_ra", "1");
  tool(host, "ip -6 route del default");
  CHECK(comes_true(hears_router));
  write_sysctl(host, "net/ipv6/conf/all/forwarding", "1");
  CHECK_FALSE(has_default_route6(host));
}

TEST_CASE("doctor way: routes that drop what goes to the container") {
  const Sick patient;
  for (const std::string kind : {"blackhole", "unreachable", "prohibit"}) {
    CAPTURE(kind);
    tool(patient.lab.host(), "ip route add " + kind + " 10.22.0.2/32");
    CHECK(patient.failure() != served);
    const std::string text = findings(patient.doctor());
    CHECK(text.find(kind + " route leads to 10.22.0.2, where 0.0.0.0:8080/tcp leads\n") !=
          std::string::npos);
    CHECK(text.starts_with("problem  a"));
    CHECK(text.ends_with("\n1 problem, no notes\n"));
    tool(patient.lab.host(), "ip route del " + kind + " 10.22.0.2/32");
  }
  CHECK(patient.answer() == served);
  CHECK(patient.is_well());
}

TEST_CASE("doctor way: a policy rule sends the answers nowhere") {
  const Sick patient;
  tool(patient.lab.host(), "ip rule add from 10.22.0.0/16 to 192.0.2.0/24 lookup 77");
  tool(patient.lab.host(), "ip route add unreachable default table 77");
  CHECK(patient.failure() != served);
  CHECK(findings(patient.doctor({"8080/tcp", "--from", "192.0.2.2"})) ==
        R"(problem  an unreachable route leads from 10.22.0.2 to clients such as 192.0.2.2
         why:  requests reach the container, and the host drops replies of 0.0.0.0:8080/tcp;
               `ip route get 192.0.2.2 from 10.22.0.2 iif cni0` shows it, `ip rule` the rules
1 problem, no notes
)");
}

TEST_CASE("doctor way: another interface has the container's subnet, and takes its packets") {
  const Sick patient;
  tool(patient.lab.host(), "ip link add other0 type bridge");
  tool(patient.lab.host(), "ip addr add 10.22.0.9/24 dev other0");
  tool(patient.lab.host(), "ip link set other0 up");
  CHECK(patient.failure() != served);
  const std::string text = findings(patient.doctor());
  CHECK(text.starts_with(
      R"(problem  packets to 10.22.0.2, where 0.0.0.0:8080/tcp leads, leave by other0, and the
         container is behind cni0
         why:  the container never sees them; cni0, other0 both have addresses of
               10.22.0.0/)"));
  CHECK(patient.doctor().status == 1);
  tool(patient.lab.host(), "ip link del other0");
  CHECK(patient.answer() == served);
}

TEST_CASE("doctor way: a bridge or a veth pair that is down, or not plugged in") {
  const Sick patient;
  const std::string host = patient.lab.host();
  const std::string veth = patient.lab.host_interface("abc");
  const std::string end = veth + ", the host's end of the link to web/abc/eth0,";
  const struct {
    std::string command;
    std::string what;
    std::string fix;
  } rows[] = {
      {"ip link set cni0 down", "problem  bridge cni0 is down\n", "ip link set cni0 up\n"},
      {"ip link set " + veth + " down", "problem  " + end + " is down\n",
       "ip link set " + veth + " up\n"},
      {"ip link set " + veth + " nomaster", "problem  " + end + " is not a port of bridge cni0\n",
       "ip link set " + veth + " master cni0\n"},
      {"bridge link set dev " + veth + " state 0",
       "problem  " + end + " is a port of a bridge that does\n         not forward\n", "state 3\n"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.command);
    tool(host, row.command);
    CHECK(patient.failure() != served);
    const std::string text = findings(patient.doctor());
    CAPTURE(text);
    CHECK(text.find(row.what) != std::string::npos);
    CHECK(text.find(row.fix) != std::string::npos);
    patient.mend();
    CHECK(answer_of_found(patient) == served);
  }
}

TEST_CASE("doctor way: the ends of the link disagree about the MTU") {
  const Sick patient;
  const std::string veth = patient.lab.host_interface("abc");
  tool(patient.lab.host(), "ip link set " + veth + " mtu 1300");
  CHECK(findings(patient.doctor()).starts_with("note     eth0 of web/abc/eth0 takes 1500 bytes, "));
  tool(patient.lab.host(), "ip link set " + veth + " mtu 1500");
  tool(patient.lab.host(), "ip link set cni0 mtu 1500");
  CHECK(patient.is_well());
}

TEST_CASE("doctor container: the address, the interface and the way back") {
  const Sick patient;
  const struct {
    std::string breaks;
    std::string what;
    std::string mends;
  } rows[] = {
      {"ip addr del 10.22.0.2/16 dev eth0",
       "problem  container web/abc/eth0 does not have 10.22.0.2\n",
       "ip addr add 10.22.0.2/16 dev eth0"},
      {"ip link set eth0 down", "problem  interface eth0 of container web/abc/eth0 is down\n",
       "true"},
      {"ip route del default",
       "problem  container web/abc/eth0 has no route back to clients such as 192.0.2.2\n", "true"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.breaks);
    tool(patient.abc, row.breaks);
    CHECK(patient.failure() != served);
    const std::string text = findings(patient.doctor());
    CAPTURE(text);
    CHECK(text.find(row.what) != std::string::npos);
    CHECK(text.find("we do not know") == std::string::npos);
    tool(patient.abc, row.mends);
    if (row.mends == "true") patient.mend();
    tool(patient.abc, "ip route replace default via 10.22.0.1");
    CHECK(answer_of_found(patient) == served);
  }
}

TEST_CASE("doctor container: rules of its own drop everything") {
  const Sick patient;
  nft(patient.abc,
      "table inet own { chain input { type filter hook input priority 0; policy drop;\n }\n }");
  CHECK(patient.failure() == "timeout");
  CHECK(
      findings(patient.doctor())
          .starts_with(
              R"(problem  container web/abc/eth0 has rules of its own that drop connections to 10.22.0.2:80
         why:  table inet own, chain input, its policy: whoever runs the container must
               accept the port there; it concerns 0.0.0.0:8080/tcp
)"));
  nft(patient.abc, "flush ruleset");
  CHECK(patient.is_well());
}

TEST_CASE("doctor container: nobody listens there, only elsewhere, only on its 127.0.0.1") {
  Sick patient;
  patient.server.reset();
  patient.is_served = false;
  const std::string nobody =
      "problem  nobody listens on 10.22.0.2:80/tcp in container web/abc/eth0\n"
      "         why:  connections are refused; it listens on ";
  const auto says = [&] {
    CHECK(patient.failure() == "refused");
    const std::string text = findings(patient.doctor());
    const std::size_t at = text.find("it listens on ");
    CHECK(text.starts_with(nobody));
    return at == std::string::npos ? text : text.substr(at + 14, text.find(':', at + 32) - at - 14);
  };
  CHECK(says() ==
        "nothing by tcp: its program has not\n               started, or has ended; it concerns "
        "0.0.0.0");
  {
    const Server loopback(patient.abc, "abc", Protocol::tcp, "127.0.0.1", 80);
    CHECK(says().starts_with("127.0.0.1:80/tcp alone"));
  }
  {
    const Server other(patient.abc, "abc", Protocol::tcp, "0.0.0.0", 8081);
    CHECK(says().starts_with("0.0.0.0:8081/tcp"));
  }
  // Of UDP the kernel says so too, and a program that says nothing is no finding.
  const Patient silent({{53, 53, "udp"}});
  CHECK(silent.is_well());
}

TEST_CASE("doctor: a port that fails for no reason that is known is never called well") {
  const Sick patient;
  // Somebody told the host another hardware address.
  tool(patient.lab.host(), "ip neigh replace 10.22.0.2 lladdr 02:00:00:00:00:99 dev cni0");
  CHECK(patient.failure() == "timeout");
  const std::string text = findings(patient.doctor());
  CAPTURE(text);
  CHECK(text.starts_with(
      R"(problem  0.0.0.0:8080/tcp fails: a connection from a test client got no answer
         why:  nothing that was looked at explains it; one from the host straight to the
               container got no answer too, so it is the container or the link to it; see
               where its packets go
         fix:  nft-port-mapperctl trace 8080/tcp
)"));
  CHECK(patient.doctor().status == 1);
  // Who minds is not tried, and is told nothing about it.
  CHECK(findings(patient.doctor({"--no-probe"})) == "no problems, no notes\n");
}

TEST_CASE("doctor: the test client leaves nothing behind, even when the doctor is killed") {
  const Sick patient;
  const std::string host = patient.lab.host();
  const std::string before = tool(host, "ip -o addr") + tool(host, "ip route show table all");
  CHECK(patient.is_well());
  CHECK(tool(host, "ip -o addr") + tool(host, "ip route show table all") == before);
  nft(host,
      "table ip fw { chain forward { type filter hook forward priority 0; policy drop;\n }\n }");
  std::thread doctor([&] {
    (void)run({"timeout", "-s", "KILL", "3", CTL, "doctor"}, {.ns = host});
  });
  CHECK(comes_true([&] { return has_probe(host); }));
  doctor.join();
  std::thread killed([&] {
    (void)run({"timeout", "-s", "KILL", "0.5", CTL, "doctor"}, {.ns = host});
  });
  killed.join();
  CHECK(comes_true([&] { return !has_probe(host); }));
  CHECK(tool(host, "ip -o addr") + tool(host, "ip route show table all") == before);
}

TEST_CASE("doctor: of one port, and for one client") {
  const Patient patient({{8080, 80}, {9090, 90}});
  patient.lab.bridge_netfilter(false);
  nft(patient.lab.host(),
      "table ip fw { chain forward { type filter hook forward priority 0; policy accept;\n"
      "tcp dport 90 drop\n }\n }");
  CHECK(patient.doctor().status == 1);
  CHECK(patient.doctor({"9090"}).status == 1);
  CHECK(patient.doctor({"8080/tcp"}).status == 0);
  CHECK(patient.doctor({"9090", "--from", "2001:db8::2"}).status == 0);
  CHECK(findings(patient.doctor({"7070/udp"})) == R"(problem  nobody publishes 7070/udp
         why:  connections to it are the host's own business; `list` shows what is published
1 problem, no notes
)");
  CHECK(patient.doctor({"web"}).status == 2);
  CHECK(patient.doctor({"--from", "web"})
            .err.starts_with("nft-port-mapperctl: --from: 'web' is not an IP address\n"));
}

TEST_CASE("after nft flush ruleset, check, doctor and owner say what restore would publish") {
  Lab lab;
  const std::string abc = lab.container("abc", "10.22.0.2/16", "fd00::2/64");
  const Service service(abc, "abc", 80);
  const CniCache cache(lab);
  REQUIRE(cache.add("abc", {{8080, 80}}) == done);
  const auto ask_ctl = [&](const std::string& words) {
    const std::string script = "set -e; mount -t tmpfs none /var/lib; mkdir /var/lib/cni; cp -a " +
                               cache.directory() + "/results /var/lib/cni/\nexec " CTL " " + words;
    return run({"unshare", "-m", "sh", "-c", script}, {.ns = lab.host()});
  };
  CHECK(ask_ctl("check").out == "no findings\n");
  nft(lab.host(), "flush ruleset");
  write_sysctl(lab.host(), "net/ipv4/conf/cni0/route_localnet", "0");
  tool(lab.host(), "ip -6 route flush table local proto 127");
  CHECK(probe(lab.client(), Protocol::tcp, "192.0.2.1", 8080) == "refused");
  const RunResult check = ask_ctl("check");
  CHECK(check.out ==
        "attachment web/abc/eth0 (2 ports) lives, and its ports are not all published;"
        " nft-port-mapperctl restore publishes them again\n");
  CHECK(check.status == 1);
  const RunResult owner = ask_ctl("owner 8080");
  CHECK(owner.out ==
        "nobody publishes 8080/tcp.\n"
        "0.0.0.0:8080/tcp was published by web/abc/eth0, which lives; nft-port-mapperctl restore"
        " publishes it again.\n"
        "[::]:8080/tcp was published by web/abc/eth0, which lives; nft-port-mapperctl restore"
        " publishes it again.\n");
  CHECK(owner.status == 1);
  const RunResult doctor = ask_ctl("doctor");
  CHECK(doctor.status == 1);
  CHECK(doctor.out.find("problem  web/abc/eth0 is alive and on record, and not published\n") !=
        std::string::npos);
  CHECK(doctor.out.find("\n         fix:  nft-port-mapperctl restore\n") != std::string::npos);
  CHECK(ask_ctl("restore").status == 0);
  CHECK(ask_ctl("check").out == "no findings\n");
}

TEST_CASE("doctor: what check finds is a problem here too") {
  const Patient patient;
  nft(patient.lab.host(), "flush chain inet nft-port-mapper networks");
  CHECK(patient.failure() != served);
  const std::string text = findings(patient.doctor());
  CAPTURE(text);
  CHECK(text.find("\n         fix:  nft-port-mapperctl check --repair\n") != std::string::npos);
  patient.mend();
  CHECK(patient.is_well());
}

// lib/app/doctor/doctor: judging a host, nothing read.
#include "lib/app/doctor/doctor.hpp"

#include <doctest/doctest.h>
#include <linux/netfilter.h>

#include "nft/foreign/walk.hpp"
#include "tests/support/healthy_host.hpp"

using namespace portmapper;
using namespace portmapper::doctor;
using portmapper::test::told;
using namespace portmapper::nft::foreign;

namespace {

RoutedPort port(const std::string& address, std::uint16_t number, const std::string& endpoint,
                std::uint16_t endpoint_number) {
  return {{*IpAddress::parse(address), Protocol::tcp, *Port::from(number)},
          {*IpAddress::parse(endpoint), *Port::from(endpoint_number)},
          {"cni0", 3}};
}

Host healthy() {
  Host host;
  host.ports = {port("0.0.0.0", 8080, "10.22.0.2", 80), port("::", 8080, "fd00::2", 80)};
  host.addresses = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")};
  host.devices = {{"eth0", 2}, {"cni0", 3}};
  host.forwards = 1;
  host.forwards6 = 1;
  host.has_table = true;
  host.bridge_calls = 0;
  host.bridge_calls6 = 0;
  host.connections = 10;
  host.most_connections = 1000;
  return host;
}

const TableId filter{NFPROTO_INET, "filter"};

nft::foreign::Chain forward(bool policy_drop, std::vector<nft::foreign::Rule> rules = {}) {
  return {filter, "forward", 1, nft::foreign::Hook{"filter", NF_INET_FORWARD, 0, policy_drop},
          std::move(rules)};
}

Host with(const nft::foreign::Chain& chain) {
  Host host = healthy();
  host.others.chains.emplace(std::pair(chain.table, chain.name), chain);
  return host;
}

nft::foreign::Rule rule(std::uint64_t handle, Verdict::Kind kind,
                        std::vector<Condition> conditions = {}) {
  return {handle, std::move(conditions), {kind, {}}, std::nullopt};
}

Condition opaque(const std::string& text) {
  return {.key = {{PacketField::opaque, text, 4}}};
}

Condition dport(std::uint16_t number) {
  const Blob bytes = {static_cast<std::uint8_t>(number >> 8),
                      static_cast<std::uint8_t>(number & 0xff)};
  return {.key = {{PacketField::dport, "dport", 2}}, .values = {{bytes, bytes}}};
}

}  // namespace

TEST_CASE("doctor: processes that a port hides are noted once, and those that keep an address") {
  const auto process = [](const char* published, const char* listens, int pid, bool is_hidden) {
    const Port number = *Port::from(8080);
    return app::HostProcess{
        {*IpAddress::parse(published), Protocol::tcp, number},
        {{Protocol::tcp, number}, *IpAddress::parse(listens), true, 7, "web", pid},
        is_hidden};
  };
  Host host = healthy();
  host.processes = {process("0.0.0.0", "::", 7, true), process("::", "::", 7, true),
                    process("0.0.0.0", "127.0.0.53", 8, false)};
  const std::string hidden =
      "note: hidden: the host's process web (pid 7) on [::]:8080/tcp | a container's port is"
      " published there, so connections go to the container and not to the process; let it listen"
      " on an address of its own, or publish the port on another address | \n";
  CHECK(told(diagnose(host)) == hidden);
  host.processes.push_back(process("0.0.0.0", "10.22.0.1", 0, false));
  CHECK(
      told(diagnose(host)) ==
      hidden +
          "note: a process that cannot be seen here keeps 10.22.0.1:8080/tcp | a container"
          " publishes the port on any address; connections to this one go to the process, but for"
          " the host's own; publish the port on this address if the container is to have it | \n");
}

TEST_CASE("doctor: a healthy host has a line of ok for each check") {
  const std::vector<Finding> findings = diagnose(healthy());
  CHECK(findings.size() == 26);
  CHECK(told(findings) == "");
  const std::string text = format(findings);
  CHECK(text.starts_with("ok       privileges: CAP_NET_ADMIN is present\n"));
  CHECK(
      text.ends_with("ok       containers: have their address, a route back and somebody who"
                     " listens\n\nno problems, no notes\n"));
}

TEST_CASE("doctor: without privileges nothing else is judged") {
  Host host;
  host.may_administer = false;
  CHECK(told(diagnose(host)) ==
        "problem: CAP_NET_ADMIN is missing | without it nothing can be read or published;"
        " the other checks were skipped | sudo nft-port-mapperctl doctor\n");
  CHECK(diagnose(host).size() == 1);
}

TEST_CASE("doctor: a kernel without nf_tables") {
  Host host = healthy();
  host.has_table = false;
  host.refusal = "nftables refused: add table inet nft-port-mapper: Operation not supported";
  CHECK(told(diagnose(host)) ==
        "problem: the kernel refuses what an ADD builds: nftables refused: add table inet"
        " nft-port-mapper: Operation not supported | no port can be published; nf_tables or"
        " one of its modules may be missing | modprobe -a nf_tables nft_chain_nat nft_ct"
        " nft_fib_inet nft_nat nft_masq\n");
}

TEST_CASE("doctor: forwarding matters for the families of the ports that are there") {
  Host host = healthy();
  host.ports.pop_back();
  host.forwards6 = 0;
  CHECK(told(diagnose(host)) ==
        "note: net.ipv6.conf.all.forwarding is 0 | ports published to IPv6 addresses would"
        " not answer; none is published now | sysctl -w net.ipv6.conf.all.forwarding=1\n");
  host.forwards6 = std::nullopt;  // a kernel without IPv6
  CHECK(told(diagnose(host)) == "");
  host.ports.push_back(port("0.0.0.0", 8081, "10.22.0.2", 81));
  host.forwards = 0;
  CHECK(told(diagnose(host)) ==
        "problem: net.ipv4.ip_forward is 0 | the host forwards no IPv4 packet, so 2"
        " published ports do not answer anybody but the host itself | sysctl -w"
        " net.ipv4.ip_forward=1\n");
}

TEST_CASE("doctor: route_localnet without the guard is a problem, with and without a table") {
  Host host = healthy();
  host.exposed_devices = {"a", "b", "c", "d", "e", "f"};
  CHECK(told(diagnose(host)) ==
        "problem: route_localnet is set without the guard on a, b, c, d and 2 more |"
        " neighbours on such an interface reach services on the host's 127.0.0.1"
        " (CVE-2020-8558) | nft-port-mapperctl check --repair\n");
  host.has_table = false;
  host.exposed_devices = {"a"};
  CHECK(told(diagnose(host)) ==
        "problem: route_localnet is set without the guard on a | neighbours on such an interface"
        " reach services on the host's 127.0.0.1 (CVE-2020-8558) | nft-port-mapperctl check"
        " --repair\n");
}

TEST_CASE("doctor: a conntrack table is nearly full from 90 per cent on") {
  Host host = healthy();
  host.connections = 899;
  CHECK(told(diagnose(host)) == "");
  host.connections = 900;
  CHECK(told(diagnose(host)) ==
        "note: the conntrack table is nearly full: 900 of 1000 | when it is full the"
        " kernel drops new connections, including those to published ports | sysctl -w"
        " net.netfilter.nf_conntrack_max=2000\n");
  host.connections = 1000;
  CHECK(told(diagnose(host)).starts_with("problem: the conntrack table is full: 1000 of 1000 | "));
  host.connections = std::nullopt;
  CHECK(told(diagnose(host)) == "");
}

TEST_CASE("doctor: bridge netfilter of one family") {
  Host host = healthy();
  host.bridge_calls6 = 1;
  const std::string text = told(diagnose(host));
  CHECK(text.starts_with("note: net.bridge.bridge-nf-call-ip6tables is 1 | "));
  CHECK(text.ends_with(" | sysctl -w net.bridge.bridge-nf-call-ip6tables=0\n"));
}

TEST_CASE("doctor: many ports are counted, not listed") {
  Host host = with(forward(true));
  host.ports.clear();
  for (std::uint16_t number = 1; number <= 100; ++number)
    host.ports.push_back(port("0.0.0.0", number, "10.22.0.2", number));
  CHECK(told(find_forward_drops(host)) ==
        "problem: table inet filter, chain forward (handle 1): its policy drops packets to"
        " 0.0.0.0:1/tcp, 0.0.0.0:2/tcp, 0.0.0.0:3/tcp, 0.0.0.0:4/tcp and 96 more | no"
        " earlier rule accepts translated connections, and connections to published ports"
        " are translated | nft add rule inet filter forward ct status dnat accept\n");
}

TEST_CASE("doctor: names that a shell would not take as they are get no command") {
  nft::foreign::Chain chain = forward(true);
  chain.table.name = "x; reboot";
  const std::vector<Finding> findings = find_forward_drops(with(chain));
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].level == Finding::Level::problem);
  CHECK(findings[0].command == "");
  CHECK(is_plain("CNI-DN-01"));
  CHECK(is_plain("eth0.100"));
  for (const char* name : {"", "-f", "a b", "$(reboot)", "a'b", "a\nb", "a;b", "a*"})
    CHECK_FALSE(is_plain(name));
}

TEST_CASE("doctor: what comes before a drop decides how sure it is") {
  // A drop that only some packets meet, and an accept that only some do.
  const auto levels = [](std::vector<nft::foreign::Rule> rules, bool policy_drop = false) {
    std::string text;
    for (const Finding& finding : find_forward_drops(with(forward(policy_drop, std::move(rules)))))
      text +=
          (finding.level == Finding::Level::problem ? "problem: " : "note: ") + finding.what + "\n";
    return text;
  };
  using Kind = Verdict::Kind;
  const std::string place = "table inet filter, chain forward, rule handle 7: ";
  const std::string ports = "packets to 0.0.0.0:8080/tcp, [::]:8080/tcp";
  CHECK(levels({rule(5, Kind::none), rule(6, Kind::accept), rule(7, Kind::drop)}) == "");
  CHECK(levels({rule(6, Kind::accept, {dport(81)}), rule(7, Kind::drop)}) ==
        "problem: " + place + "drops " + ports + "\n");
  CHECK(levels({rule(6, Kind::accept, {opaque("limit")}), rule(7, Kind::reject)}) ==
        "note: " + place + "rejects " + ports + " except where limit\n" + "note: " + place +
            "rejects replies from 0.0.0.0:8080/tcp, [::]:8080/tcp except where limit\n");
  CHECK(levels({rule(7, Kind::drop, {opaque("limit"), opaque("meta mark")})})
            .find("note: " + place + "drops " + ports + " where limit and meta mark\n") !=
        std::string::npos);
  CHECK(levels({rule(7, Kind::queue, {dport(80)})}) == "note: " + place + "queues " + ports + "\n");
  CHECK(levels({rule(6, Kind::leave), rule(7, Kind::drop)}) == "");
  CHECK(levels({rule(6, Kind::leave, {dport(80)}), rule(7, Kind::drop)}, true)
            .starts_with("problem: table inet filter, chain forward (handle 1): its policy drops " +
                         ports));
}

TEST_CASE("doctor: chains of other hooks, families and priorities are let be") {
  nft::foreign::Chain input = forward(true);
  input.hook->number = NF_INET_LOCAL_IN;
  CHECK(told(find_forward_drops(with(input))) == "");
  nft::foreign::Chain six = forward(true);
  six.table.family = NFPROTO_IPV6;
  CHECK(told(find_forward_drops(with(six))).find("drops packets to [::]:8080/tcp |") !=
        std::string::npos);
  nft::foreign::Chain nat = forward(false, {rule(4, Verdict::Kind::translate, {dport(8080)})});
  nat.hook = nft::foreign::Hook{"nat", NF_INET_PRE_ROUTING, -98, false};
  CHECK(told(find_earlier_translations(with(nat))) == "");
  nat.hook->priority = -100;
  CHECK(
      told(find_earlier_translations(with(nat))) ==
      "problem: table inet filter, chain forward, rule handle 4: translates 0.0.0.0:8080/tcp, "
      "[::]:8080/tcp | chain forward of that table has priority -100, ours have -99: connections "
      "go where that rule says, not to our container | nft delete rule inet filter forward handle "
      "4\n");
}

TEST_CASE("doctor: chains that each jump to the next twice do not take all time and memory") {
  nft::foreign::Ruleset others;
  const TableId table{NFPROTO_INET, "fw"};
  const Condition unknown{.key = {{PacketField::opaque, "limit"}}};
  for (int i = 0; i < 15; ++i) {
    nft::foreign::Chain chain{table, "c" + std::to_string(i)};
    if (i == 0) chain.hook = nft::foreign::Hook{"filter", NF_INET_FORWARD, 0, false};
    for (int jump = 0; jump < 4; ++jump)
      chain.rules.push_back(
          {.conditions = {unknown}, .verdict = {Verdict::Kind::jump, "c" + std::to_string(i + 1)}});
    chain.rules.push_back({.conditions = {unknown}, .verdict = {Verdict::Kind::accept}});
    others.chains.emplace(nft::foreign::Name{table, chain.name}, chain);
  }
  const std::vector<End> ends = walk(others, others.chains.at({table, "c0"}), Packet());
  CHECK(ends.size() < 200000);
  CHECK(ends.back().kind == Verdict::Kind::accept);
  CHECK(ends.back().handle == 0);
}

TEST_CASE("doctor: a translation whose conditions do not name the port") {
  nft::foreign::Chain nat =
      forward(false, {rule(4, Verdict::Kind::translate, {opaque("meta mark")}),
                      rule(5, Verdict::Kind::translate)});
  nat.hook = nft::foreign::Hook{"nat", NF_INET_PRE_ROUTING, -100, false};
  const std::string text = told(find_earlier_translations(with(nat)));
  CHECK(
      text.starts_with("note: table inet filter, chain forward, rule handle 4: translates "
                       "0.0.0.0:8080/tcp, [::]:8080/tcp where meta mark | "));
  CHECK(text.find("\nproblem: table inet filter, chain forward, rule handle 5: translates "
                  "0.0.0.0:8080/tcp, [::]:8080/tcp | ") != std::string::npos);
}

TEST_CASE("doctor: a long line is broken at blanks, a command never") {
  const std::string word(50, 'x');
  const std::string text =
      format({{Finding::Level::problem, word + " " + word, word + " " + word, word + " " + word}});
  CHECK(text == "problem  " + word + "\n         " + word + "\n         why:  " + word +
                    "\n               " + word +
                    "\n"
                    "         fix:  " +
                    word + " " + word + "\n\n1 problem, no notes\n");
  CHECK(format({{Finding::Level::note, "a\x1b[2J", "b", ""}}) ==
        "note     a?[2J\n         why:  b\n\nno problems, 1 note\n");
}

TEST_CASE("doctor: for programs each finding has the name of its check, which stays") {
  Host host = healthy();
  host.forwards = 0;
  host.absent_ports = {"192.0.2.99:8080/tcp"};
  std::string names;
  for (const Finding& finding : diagnose(host)) names += finding.check + " ";
  CHECK(names ==
        "privileges kernel forwarding forwarding arrival tracking filters departure translation "
        "sources networks portmap iptables-legacy listeners route_localnet br_netfilter ::1 "
        "addresses services rp_filter conntrack table records links routes containers ");
  CHECK(
      format_json({diagnose(host)[0], diagnose(host)[2]}) ==
      R"([{"check":"privileges","level":"ok","what":"privileges: CAP_NET_ADMIN is present"},)"
      R"({"check":"forwarding","level":"problem","what":"net.ipv4.ip_forward is 0",)"
      R"("why":"the host forwards no IPv4 packet, so 1 published port does not answer anybody but)"
      R"( the host itself","fix":"sysctl -w net.ipv4.ip_forward=1",)"
      R"("keep":"net.ipv4.ip_forward=1 in /etc/sysctl.d/90-published-ports.conf; without that it is)"
      R"( lost at the next boot","ports":["0.0.0.0:8080/tcp"]}])"
      "\n");
  CHECK(format_json({}) == "[]\n");
}

TEST_CASE("doctor: a problem is red and a note yellow where there are colours") {
  Host host = healthy();
  host.forwards = 0;
  host.absent_ports = {"192.0.2.99:8080/tcp"};
  const std::string text = format(diagnose(host), true);
  CHECK(text.find("\033[31mproblem\033[0m  net.ipv4.ip_forward is 0\n") != std::string::npos);
  CHECK(text.find("\033[33mnote   \033[0m  no interface of this host has the address") !=
        std::string::npos);
  CHECK(text.find("\nok       kernel: ") != std::string::npos);
  CHECK(format(diagnose(host)).find('\033') == std::string::npos);
}

// lib/app/doctor: judging a packet's way over the host, the containers and what a connection came to.
#include <doctest/doctest.h>
#include <linux/netfilter.h>

#include <cerrno>

#include "tests/support/healthy_host.hpp"

using namespace portmapper;
using namespace portmapper::doctor;
using namespace portmapper::test;

namespace {

Host with_request(int refusal) {
  Host host = host_of_one_port();
  host.ports[0].ways[0].request = {.in = "eth0", .refusal = refusal};
  return host;
}

Host with_answer(int refusal) {
  Host host = host_of_one_port();
  host.ports[0].ways[0].answer = Crossing{.in = "cni0", .refusal = refusal};
  return host;
}

}  // namespace

TEST_CASE("doctor way: a healthy host has nothing to tell, with and without trials") {
  Host host = healthy_host();
  CHECK(told(diagnose(host)) == "");
  host.ports[0].trial = {host::Answer::answered, host::Answer::answered};
  host.probe = "npmprobe1";
  CHECK(told(diagnose(host)) == "");
}

TEST_CASE("doctor way: rp_filter drops requests, or answers at the interface where they arrive") {
  Host host = with_request(EXDEV);
  host.settings["eth0"].rp_filter = 1;
  CHECK(told(diagnose(host)) ==
        "problem: rp_filter of eth0 drops requests to 0.0.0.0:8080/tcp | it is strict: it demands"
        " that the route to 192.0.2.2, where they come from, leads through the same interface, and"
        " it does not | sysctl -w net.ipv4.conf.eth0.rp_filter=2\n");
  host = with_answer(EXDEV);
  host.ports[0].ways[0].answer->in = "cni1.5";
  host.settings["cni1.5"].rp_filter = 1;
  CHECK(told(diagnose(host)) ==
        "problem: rp_filter of cni1.5 drops replies of 0.0.0.0:8080/tcp | it is strict: it demands"
        " that the route to 10.22.0.2, where they come from, leads through the same interface, and"
        " it does not | sysctl -w net/ipv4/conf/cni1.5/rp_filter=2\n");
  // A loose one drops what has no route at all: another value does not help.
  host.settings["cni1.5"].rp_filter = 2;
  CHECK(told(diagnose(host)) ==
        "problem: rp_filter of cni1.5 drops replies of 0.0.0.0:8080/tcp | there is no route to"
        " 10.22.0.2, where they come from; the host needs one | \n");
}

TEST_CASE("doctor way: a strict rp_filter that drops nothing is no finding") {
  Host host = healthy_host();
  host.settings["cni0"].rp_filter = 1;
  host.settings["eth0"].rp_filter = 1;
  CHECK(told(diagnose(host)) == "");
}

TEST_CASE("doctor way: what some clients meet and others do not is a note") {
  Host host = with_request(EXDEV);
  host.settings["eth0"].rp_filter = 1;
  Way other{.client = *IpAddress::parse("198.51.100.77")};
  other.request = {.in = "eth1", .out = "cni0"};
  host.ports[0].ways.push_back(other);
  CHECK(told(find_filtered(host))
            .starts_with("note: rp_filter of eth0 drops requests to 0.0.0.0:8080/tcp from clients"
                         " such as 192.0.2.2 | "));
}

TEST_CASE("doctor way: one interface does not forward, the others do") {
  Host host = with_request(EHOSTUNREACH);
  host.settings["eth0"].forwards = 0;
  CHECK(told(diagnose(host)) ==
        "problem: net.ipv4.conf.eth0.forwarding is 0, while other interfaces forward | the host"
        " forwards nothing that arrives there, so it drops requests to 0.0.0.0:8080/tcp | sysctl -w"
        " net.ipv4.conf.eth0.forwarding=1\n");
  host.forwards = 0;  // then it is the host that does not
  CHECK(told(diagnose(host)).starts_with("problem: net.ipv4.ip_forward is 0 | "));
  host.settings["eth0"].forwards = 1;
  host.ports[0].ways[0].request = {.in = "eth0", .out = "cni0"};
  CHECK(told(diagnose(host)) == "");  // both interfaces of the way were switched on by themselves
}

TEST_CASE("doctor way: IPv6 forwarding does not cost the default route of router advertisements") {
  Host host = healthy_host();
  host.forwards6 = 0;
  CHECK(find_unforwarded(host, Family::ipv6).at(0).command ==
        "sysctl -w net.ipv6.conf.all.forwarding=1");
  host.by_advertisement = {"eth0", "wlan0.7"};
  const Finding finding = find_unforwarded(host, Family::ipv6).at(0);
  CHECK(finding.command ==
        "sysctl -w net.ipv6.conf.eth0.accept_ra=2 net/ipv6/conf/wlan0.7/accept_ra=2"
        " net.ipv6.conf.all.forwarding=1");
  CHECK(finding.keep ==
        "net.ipv6.conf.eth0.accept_ra=2, net/ipv6/conf/wlan0.7/accept_ra=2,"
        " net.ipv6.conf.all.forwarding=1 in /etc/sysctl.d/90-published-ports.conf; without that it"
        " is lost at the next boot");
  CHECK(
      finding.why.ends_with("; eth0, wlan0.7 have the default route from router advertisements,"
                            " which a host that forwards ignores unless accept_ra is 2: that must"
                            " be set first, or the route is lost"));
  // A command without the device would lose the route.
  host.by_advertisement = {"a;reboot"};
  CHECK(find_unforwarded(host, Family::ipv6).at(0).command == "");
}

TEST_CASE("doctor way: single interfaces may forward IPv6 since Linux 6.17") {
  Host host = healthy_host();
  host.forwards6 = 0;
  host.settings["eth0"].forced6 = 1;
  CHECK(find_unforwarded(host, Family::ipv6).size() == 1);
  host.settings["cni0"].forced6 = 1;
  CHECK(told(diagnose(host)) == "");
}

TEST_CASE("doctor way: routes that drop, and none, there and back") {
  const std::string leads =
      " leads to 10.22.0.2, where 0.0.0.0:8080/tcp leads | the host drops"
      " requests to 0.0.0.0:8080/tcp; `ip route get 10.22.0.2 from 192.0.2.2"
      " iif eth0` shows it, `ip rule` the rules | \n";
  CHECK(told(diagnose(with_request(EINVAL))) == "problem: a blackhole route" + leads);
  CHECK(told(diagnose(with_request(EHOSTUNREACH))) == "problem: an unreachable route" + leads);
  CHECK(told(diagnose(with_request(EACCES))) == "problem: a prohibit route" + leads);
  CHECK(told(diagnose(with_request(ENETUNREACH))) == "problem: no route" + leads);
  CHECK(told(diagnose(with_answer(EINVAL))) ==
        "problem: a blackhole route leads from 10.22.0.2 to clients such as 192.0.2.2 | requests"
        " reach the container, and the host drops replies of 0.0.0.0:8080/tcp; `ip route get"
        " 192.0.2.2 from 10.22.0.2 iif cni0` shows it, `ip rule` the rules | \n");
}

TEST_CASE("doctor way: the route leads past the container, or ends at the host") {
  Host host = host_of_one_port();
  host.interfaces.push_back(interface_of("other0", 5));
  host.prefixes.push_back({5, *IpPrefix::parse("10.22.9.1/16")});
  host.ports[0].ways[0].request.out = "other0";
  const std::string detour =
      "packets to 10.22.0.2, where 0.0.0.0:8080/tcp leads, leave by other0, and the container is"
      " behind cni0 | the container never sees them; cni0, other0 both have addresses of"
      " 10.22.0.0/16; `ip route get 10.22.0.2` shows the route, `ip rule` the rules | \n";
  CHECK(told(diagnose(host)) == "note: " + detour);  // a program of the kernel's may send them on
  host.ports[0].trial.direct = host::Answer::silent;
  CHECK(told(diagnose(host)) == "problem: " + detour);
  host.ports[0].trial.direct = host::Answer::answered;
  CHECK(told(diagnose(host)) == "");
  host.ports[0].ways[0].request = {.in = "eth0", .out = "lo", .is_local = true};
  CHECK(told(diagnose(host)) ==
        "problem: this host itself has 10.22.0.2, where 0.0.0.0:8080/tcp leads | connections end at"
        " the host instead of the container; two interfaces must not have one address | \n");
}

TEST_CASE("doctor way: bridges and veth pairs") {
  const std::string concerns = "; it concerns 0.0.0.0:8080/tcp | ";
  Host host = host_of_one_port();
  host.interfaces[1].is_up = false;
  host.ports[0].ways[0].request = {.in = "eth0", .refusal = ENETUNREACH};
  CHECK(told(diagnose(host)) ==
        "problem: bridge cni0 is down | nothing passes an interface that is down" + concerns +
            "ip link set cni0 up\n");
  host = host_of_one_port();
  host.interfaces[2].is_up = false;
  CHECK(told(diagnose(host)) ==
        "problem: veth0, the host's end of the link to web/abc/eth0, is down | nothing passes an"
        " interface that is down" +
            concerns + "ip link set veth0 up\n");
  host = host_of_one_port();
  host.interfaces[2].port->forwards = false;
  CHECK(
      told(diagnose(host)) ==
      "problem: veth0, the host's end of the link to web/abc/eth0, is a port of a bridge that does"
      " not forward | the bridge drops what comes from there and what goes there" +
          concerns + "bridge link set dev veth0 state 3\n");
  host = host_of_one_port();
  host.interfaces[2].master = 0;
  host.interfaces[2].port.reset();
  host.ports[0].trial.direct = host::Answer::silent;
  CHECK(told(diagnose(host)) ==
        "problem: veth0, the host's end of the link to web/abc/eth0, is not a port of bridge cni0 |"
        " the route leads to the bridge, not to it" +
            concerns + "ip link set veth0 master cni0\n");
  host = host_of_one_port();
  host.interfaces[2].mtu = 1400;
  CHECK(told(diagnose(host)) ==
        "note: eth0 of web/abc/eth0 takes 1500 bytes, veth0 of the host 1400 | they are ends of one"
        " link, and what is longer than the smaller MTU is dropped there without a message: short"
        " answers arrive, long ones may not; give both the same MTU" +
            concerns + "\n");
}

TEST_CASE("doctor way: hairpin mode is asked for where br_netfilter is on") {
  Host host = host_of_one_port();
  host.bridge_calls = 1;
  const std::vector<Finding> findings = find_bridge_calls(host);
  REQUIRE(findings.size() == 2);
  CHECK(findings[1].what == "bridge port veth0 is not in hairpin mode");
  CHECK(findings[1].command == "bridge link set dev veth0 hairpin on");
  host.interfaces[2].port->hairpin = true;
  CHECK(find_bridge_calls(host).size() == 1);
}

TEST_CASE("doctor container: its address, its interface, its way back") {
  const std::string concerns = "; it concerns 0.0.0.0:8080/tcp | ";
  Host host = host_of_one_port();
  host.insides[kNetnsOfAbc].addresses.erase(host.insides[kNetnsOfAbc].addresses.begin());
  CHECK(told(diagnose(host)) ==
        "problem: container web/abc/eth0 does not have 10.22.0.2 | its ports lead there, and nobody"
        " takes what comes; somebody removed the address or the interface: start the container"
        " again" +
            concerns + "\n");
  host = host_of_one_port();
  host.insides[kNetnsOfAbc].interfaces[0].is_up = false;
  CHECK(told(diagnose(host)) ==
        "problem: interface eth0 of container web/abc/eth0 is down | it has 10.22.0.2, and nothing"
        " passes an interface that is down" +
            concerns + "nsenter --net=/run/netns/abc ip link set eth0 up\n");
  host = host_of_one_port();
  host.ports[0].ways[0].back = Crossing{.refusal = ENETUNREACH};
  CHECK(told(diagnose(host)) ==
        "problem: container web/abc/eth0 has no route back to clients such as 192.0.2.2 | requests"
        " reach it, and its replies go nowhere; it needs a default route" +
            concerns + "nsenter --net=/run/netns/abc ip route add default via 10.22.0.1\n");
  host.insides[kNetnsOfAbc].path = "/run/netns/a b";
  CHECK(find_container_faults(host).at(0).command == "");
}

TEST_CASE("doctor container: who listens") {
  const auto listening = [](std::vector<host::Listener> listeners, const char* endpoint) {
    Host host = host_of_one_port();
    host.ports[0].endpoint.address = *IpAddress::parse(endpoint);
    host.insides[kNetnsOfAbc].listeners = std::move(listeners);
    const std::string text = told(find_container_faults(host));
    const std::size_t why = text.find("refused");
    return why == std::string::npos
               ? text
               : text.substr(0, text.find(':')) +
                     text.substr(why + 7, text.find("; it concerns") - why - 7);
  };
  const auto on = [](const char* address, std::uint16_t port, bool also_ipv4 = false) {
    return host::Listener{.port = {Protocol::tcp, *Port::from(port)},
                          .address = *IpAddress::parse(address),
                          .also_ipv4 = also_ipv4};
  };
  CHECK(listening({on("0.0.0.0", 80)}, "10.22.0.2") == "");
  CHECK(listening({on("10.22.0.2", 80)}, "10.22.0.2") == "");
  CHECK(listening({on("::", 80, true)}, "10.22.0.2") == "");
  CHECK(listening({on("::", 80)}, "fd00::2") == "");
  CHECK(listening({}, "10.22.0.2") ==
        "problem; it listens on nothing by tcp: its program has not started, or has ended");
  CHECK(listening({on("0.0.0.0", 8080), on("::", 8080)}, "10.22.0.2") ==
        "problem; it listens on 0.0.0.0:8080/tcp, [::]:8080/tcp: publish that port, or let the"
        " program listen on this one");
  CHECK(listening({on("127.0.0.1", 80)}, "10.22.0.2") ==
        "problem; it listens on 127.0.0.1:80/tcp alone: let the program listen on any address"
        " (0.0.0.0 or ::)");
  CHECK(listening({on("0.0.0.0", 80)}, "fd00::2") ==
        "note; it listens on 0.0.0.0:80/tcp, so clients of the other family are served");
  // Somebody answered: the kernel hands connections on that no socket of the list waits for.
  Host host = host_of_one_port();
  host.insides[kNetnsOfAbc].listeners.clear();
  host.ports[0].trial.direct = host::Answer::answered;
  CHECK(told(find_container_faults(host)) == "");
  host.ports[0].trial.direct = host::Answer::refused;
  host.insides[kNetnsOfAbc].listed.clear();  // SCTP is not there, say
  CHECK(told(find_container_faults(host)) == "");
}

TEST_CASE("doctor container: its own rules drop, all or some") {
  const nft::foreign::TableId table{NFPROTO_INET, "own"};
  const auto with = [&table](bool policy_drop, std::vector<nft::foreign::Rule> rules) {
    nft::foreign::Chain chain{table, "input", 1,
                              nft::foreign::Hook{"filter", NF_INET_LOCAL_IN, 0, policy_drop},
                              std::move(rules)};
    Host host = host_of_one_port();
    host.insides[kNetnsOfAbc].rules.chains.emplace(nft::foreign::Name{table, "input"}, chain);
    return told(find_container_faults(host));
  };
  using Kind = nft::foreign::Verdict::Kind;
  const nft::foreign::Condition unknown{.key = {{nft::foreign::PacketField::opaque, "limit", 4}}};
  CHECK(
      with(true, {}) ==
      "problem: container web/abc/eth0 has rules of its own that drop connections to 10.22.0.2:80"
      " | table inet own, chain input, its policy: whoever runs the container must accept the port"
      " there; it concerns 0.0.0.0:8080/tcp | \n");
  CHECK(
      with(false, {{7, {unknown}, {Kind::reject, {}}, std::nullopt}}) ==
      "note: container web/abc/eth0 has rules of its own that reject some connections to"
      " 10.22.0.2:80 | table inet own, chain input, rule handle 7: whoever runs the container must"
      " accept the port there; it concerns 0.0.0.0:8080/tcp | \n");
  CHECK(with(false, {}) == "");
}

TEST_CASE("doctor container: one that nobody may enter is told of") {
  Host host = healthy_host();
  host.insides[kNetnsOfAbc] = {.path = "/run/netns/abc", .refusal = "cannot look into it"};
  CHECK(told(diagnose(host)) ==
        "note: nobody could look into web/abc/eth0 | cannot look into it; so it is not known who"
        " listens there, and whether its replies find back | \n");
}

TEST_CASE("doctor: damage, what is missing, and a port that nobody publishes") {
  Host host = healthy_host();
  host.damage = {"chain networks is missing", "port x has no target"};
  host.is_mendable = true;
  const std::string damage =
      "problem: chain networks is missing; port x has no target | our own table is not as it should"
      " be: `check` finds this too";
  CHECK(told(diagnose(host)) ==
        damage +
            ", and `check --repair` repairs what it can | nft-port-mapperctl check --repair\n");
  host.is_mendable = false;
  CHECK(told(diagnose(host)) == damage + " | \n");
  host.is_mendable = true;
  host.refusal = "no";
  CHECK(
      told(diagnose(host))
          .ends_with(damage + ", and what the kernel refuses stands in the way of a repair | \n"));
  // It explains why our table did not take a test connection.
  host.refusal.clear();
  host.probe = "npmprobe1";
  host.ports[0].trial = {host::Answer::answered, host::Answer::refused, false};
  CHECK(told(diagnose(host)).find("test client") == std::string::npos);
  host.ports[0].trial.was_taken = true;
  CHECK(told(diagnose(host)).find("test client") != std::string::npos);
  host = healthy_host();
  host.missing = {"web/def/eth0"};
  CHECK(told(diagnose(host)) ==
        "problem: web/def/eth0 is alive and on record, and not published | somebody removed our"
        " table, or their elements (nft flush ruleset, a reload of /etc/nftables.conf): their ports"
        " do not answer | nft-port-mapperctl restore\n");
  host = healthy_host();
  host.ports.clear();
  host.asked = "9090/tcp";
  CHECK(told(diagnose(host)) ==
        "problem: nobody publishes 9090/tcp | connections to it are the host's own business; `list`"
        " shows what is published | \n");
}

TEST_CASE("doctor way: clients that stand for all: a neighbour by interface, and one far away") {
  const Host host = healthy_host();
  const auto places = [&](const std::vector<host::DefaultRoute>& defaults) {
    std::string text;
    for (const ClientPlace& place : stand_ins(host.interfaces, host.prefixes, defaults, {3}))
      text += place.address.to_string() + " by " + std::to_string(place.device) + "\n";
    return text;
  };
  CHECK(places({}) == "192.0.2.2 by 2\n");
  CHECK(places({{Family::ipv4, 2}, {Family::ipv4, 4}, {Family::ipv6, 2, true}}) ==
        "198.51.100.77 by 2\n2001:db8:77::77 by 2\n192.0.2.2 by 2\n");
  CHECK(places({{Family::ipv4, 3}}) == "192.0.2.2 by 2\n");  // by a container's
}

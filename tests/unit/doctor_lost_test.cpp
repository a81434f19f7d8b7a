// lib/app/doctor: packets that routes, marks or the container's own rules lose.
#include <doctest/doctest.h>
#include <linux/netfilter.h>

#include <cerrno>

#include "lib/app/doctor/cures.hpp"
#include "tests/support/healthy_host.hpp"

using namespace portmapper;
using namespace portmapper::doctor;
using namespace portmapper::test;

namespace {

// Of the first port alone, the IPv4 one; its clients are a neighbour and one far away.
Host two_clients() {
  Host host = healthy_host();
  host.ports.pop_back();
  Way far = host.ports[0].ways[0];
  far.client = *IpAddress::parse("198.51.100.77");
  host.ports[0].ways.insert(host.ports[0].ways.begin(), far);
  return host;
}

Host with_answers(int refusal) {
  Host host = two_clients();
  for (Way& way : host.ports[0].ways) way.answer = Crossing{.in = "cni0", .refusal = refusal};
  return host;
}

}  // namespace

TEST_CASE("doctor lost: what all clients meet at one place is told once") {
  Host host = with_answers(EHOSTUNREACH);
  host.settings["cni0"].forwards = 0;
  CHECK(told(diagnose(host)) ==
        "problem: net.ipv4.conf.cni0.forwarding is 0, while other interfaces forward | the host"
        " forwards nothing that arrives there, so it drops replies of 0.0.0.0:8080/tcp | sysctl -w"
        " net.ipv4.conf.cni0.forwarding=1\n");
  host.settings["cni0"].forwards = 1;
  CHECK(told(diagnose(host)) ==
        "problem: an unreachable route leads from 10.22.0.2 to clients such as 198.51.100.77,"
        " 192.0.2.2 | requests reach the container, and the host drops replies of"
        " 0.0.0.0:8080/tcp; `ip route get 198.51.100.77 from 10.22.0.2 iif cni0` shows it, `ip"
        " rule` the rules | \n");
}

TEST_CASE("doctor lost: an interface that does not forward is told once for all containers") {
  Host host = healthy_host();
  host.ports[1] = routed_port("192.0.2.1", "10.22.0.3", "192.0.2.2");
  host.insides[kNetnsOfAbc].addresses.push_back({2, *IpPrefix::parse("10.22.0.3/16")});
  for (RoutedPort& port : host.ports)
    port.ways[0].request = {.in = "eth0", .refusal = EHOSTUNREACH};
  host.settings["eth0"].forwards = 0;
  CHECK(told(diagnose(host)) ==
        "problem: net.ipv4.conf.eth0.forwarding is 0, while other interfaces forward | the host"
        " forwards nothing that arrives there, so it drops requests to 0.0.0.0:8080/tcp,"
        " 192.0.2.1:8080/tcp | sysctl -w net.ipv4.conf.eth0.forwarding=1\n");
}

TEST_CASE("doctor lost: routes that real clients meet count, whatever the test client got") {
  Host host = two_clients();
  for (Way& way : host.ports[0].ways) way.request = {.in = "eth0", .refusal = EINVAL};
  host.ports[0].trial = {host::Answer::answered, host::Answer::answered};
  CHECK(told(diagnose(host)) ==
        "problem: a blackhole route leads to 10.22.0.2, where 0.0.0.0:8080/tcp leads | the host"
        " drops requests to 0.0.0.0:8080/tcp; `ip route get 10.22.0.2 from 198.51.100.77 iif eth0`"
        " shows it, `ip rule` the rules | \n");
}

TEST_CASE("doctor lost: a reverse path that is known fails no rule that demands one") {
  using nft::foreign::PacketField;
  const nft::foreign::TableId table{NFPROTO_INET, "firewalld"};
  const auto found = [&table](Host host, PacketField field) {
    const nft::foreign::Blob none(4);
    const nft::foreign::Condition missing{.key = {{field, "fib saddr . iif oif", none.size()}},
                                          .values = {{none, none}}};
    host.others.chains.emplace(
        nft::foreign::Name{table, "raw"},
        nft::foreign::Chain{table,
                            "raw",
                            1,
                            nft::foreign::Hook{"filter", NF_INET_PRE_ROUTING, -290},
                            {{5, {missing}, {nft::foreign::Verdict::Kind::drop, {}}}}});
    std::string text;
    for (const Finding& finding : find_arrival_drops(host)) text += finding.what + "\n";
    return text;
  };
  const std::string drops = "table inet firewalld, chain raw, rule handle 5: drops ";
  Host host = two_clients();
  CHECK(found(host, PacketField::reverse_presence) == "");
  CHECK(found(host, PacketField::reverse_oif) == "");
  // The answers leave by another interface, so what there is by this one is not known.
  host.ports[0].ways[1].answer->out = "wlan0";
  CHECK(found(host, PacketField::reverse_presence) ==
        drops + "packets to 0.0.0.0:8080/tcp where fib saddr . iif oif missing\n");
  host = two_clients();
  host.ports[0].ways.clear();
  CHECK(found(host, PacketField::reverse_oif) ==
        drops + "packets to 0.0.0.0:8080/tcp where fib saddr . iif oif 0\n" + drops +
            "replies from 0.0.0.0:8080/tcp where fib saddr . iif oif 0\n");
}

TEST_CASE("doctor container: a server of one family alone is a problem of the other's port") {
  Host host = healthy_host();
  host.insides[kNetnsOfAbc].listeners = {
      {.port = {Protocol::tcp, *Port::from(80)}, .address = IpAddress::any(Family::ipv4)}};
  host.probe = "npmprobe1";
  host.ports[0].trial = {host::Answer::answered, host::Answer::answered};
  host.ports[1].trial = {host::Answer::refused, host::Answer::refused};
  CHECK(told(diagnose(host)) ==
        "problem: nobody listens on [fd00::2]:80/tcp in container web/abc/eth0 | connections are"
        " refused; it listens on 0.0.0.0:80/tcp, so clients of the other family are served; it"
        " concerns [::]:8080/tcp | \n");
}

TEST_CASE("doctor container: its own rules drop replies, and those of iptables-legacy requests") {
  using Kind = nft::foreign::Verdict::Kind;
  const auto with = [](const nft::foreign::Chain& chain) {
    Host host = two_clients();
    host.insides[kNetnsOfAbc].rules.chains.emplace(nft::foreign::Name{chain.table, chain.name},
                                                   chain);
    return told(find_container_faults(host));
  };
  nft::foreign::Chain output{
      {NFPROTO_IPV4, "fw"}, "c", 1, nft::foreign::Hook{"filter", NF_INET_LOCAL_OUT, 0, true}};
  const std::string concerns =
      ": whoever runs the container must accept the port there; it concerns 0.0.0.0:8080/tcp | \n";
  CHECK(with(output) ==
        "problem: container web/abc/eth0 has rules of its own that drop replies from"
        " 10.22.0.2:80 | table ip fw, chain c, its policy" +
            concerns);
  // A reply belongs to a connection, and is from the port.
  const nft::foreign::Condition is_established{
      .key = {{nft::foreign::PacketField::ct_state, "ct state", 4,
               nft::foreign::blob_of(host_number(2))}},
      .values = {{{0, 0, 0, 0}, {0, 0, 0, 0}}},
      .inverted = true};
  output.rules = {{3, {is_established}, {Kind::accept, {}}}};
  CHECK(with(output) == "");
  const nft::foreign::Chain legacy{{NFPROTO_IPV4, "filter", true},
                                   "INPUT",
                                   0,
                                   nft::foreign::Hook{"filter", NF_INET_LOCAL_IN, 0},
                                   {{1, {}, {Kind::drop, {}}}}};
  CHECK(with(legacy) ==
        "problem: container web/abc/eth0 has rules of its own that drop connections to"
        " 10.22.0.2:80 | table ip filter of iptables-legacy, chain INPUT, rule number 1" +
            concerns);
}

TEST_CASE("doctor container: tables of its own that nobody could read") {
  Host host = two_clients();
  host.insides[kNetnsOfAbc].unread_tables = {"ip filter"};
  CHECK(told(diagnose(host)) ==
        "note: container web/abc/eth0 has tables of iptables-legacy that could not be read: ip"
        " filter | what their rules do with its packets is not known here; it concerns"
        " 0.0.0.0:8080/tcp | \n");
}

TEST_CASE("doctor cures: commands for tables of iptables name the variant whose they are") {
  CHECK(iptables_of({NFPROTO_IPV4, "filter"}) == "iptables-nft -t filter");
  CHECK(iptables_of({NFPROTO_IPV6, "raw"}) == "ip6tables-nft -t raw");
  CHECK(iptables_of({NFPROTO_IPV4, "nat", true}) == "iptables-legacy -t nat");
}

TEST_CASE("doctor lost: no way leads to the client that was asked about") {
  Host host = healthy_host();
  host.lost_client = IpAddress::parse("203.0.113.2");
  CHECK(told(find_lost_ways(host)) ==
        "problem: no route leads to 203.0.113.2 | whatever is answered to that client, the host"
        " drops; `ip route get 203.0.113.2` shows the route, `ip rule` the rules | \n");
}

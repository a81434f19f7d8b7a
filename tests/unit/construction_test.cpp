// nft/transaction: the batch that builds skeleton and network chain anew, as a whole text.
#include <doctest/doctest.h>

#include <string>

#include "nft/transaction.hpp"

using namespace portmapper;
using namespace portmapper::nft;

namespace {

const std::string kSets = R"(add table inet nft-port-mapper { comment "published container ports"; }
add set inet nft-port-mapper published-ip { type inet_proto . inet_service; }
add set inet nft-port-mapper published-hostip { type ipv4_addr . inet_proto . inet_service; }
add set inet nft-port-mapper published-ip6 { type inet_proto . inet_service; }
add set inet nft-port-mapper published-hostip6 { type ipv6_addr . inet_proto . inet_service; }
add map inet nft-port-mapper owners { type ifname . mark : ipv6_addr . inet_proto . inet_service; }
add map inet nft-port-mapper standby { type ifname . mark : ipv6_addr . inet_service; }
add set inet nft-port-mapper loopback-ip { type inet_proto . inet_service; }
add set inet nft-port-mapper loopback-ip6 { type inet_proto . inet_service; }
add set inet nft-port-mapper hairpin-ip { type ipv4_addr . ipv4_addr; flags interval; }
add set inet nft-port-mapper hairpin-ip6 { type ipv6_addr . ipv6_addr; flags interval; }
add set inet nft-port-mapper localnet-devices { type ifname; }
add map inet nft-port-mapper localnet-users { type ifname : ifname; }
add set inet nft-port-mapper loopback-routes { type ifname; }
add map inet nft-port-mapper loopback-users { type ifname : ifname; }
add map inet nft-port-mapper MESOS-WEB-ip { type inet_proto . inet_service : ipv4_addr . inet_service; counter; }
add map inet nft-port-mapper MESOS-WEB-hostip { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; counter; }
add map inet nft-port-mapper MESOS-WEB-ip6 { type inet_proto . inet_service : ipv6_addr . inet_service; counter; }
add map inet nft-port-mapper MESOS-WEB-hostip6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; counter; }
)";

const std::string kNetwork = R"(add chain inet nft-port-mapper MESOS-WEB
flush chain inet nft-port-mapper MESOS-WEB
add rule inet nft-port-mapper MESOS-WEB iifname { "docker0", "mesos-cni0" } return
add rule inet nft-port-mapper MESOS-WEB meta nfproto ipv4 ct label set 127 dnat ip to ip daddr . meta l4proto . th dport map @MESOS-WEB-hostip
add rule inet nft-port-mapper MESOS-WEB meta nfproto ipv4 ct label set 127 dnat ip to meta l4proto . th dport map @MESOS-WEB-ip
add rule inet nft-port-mapper MESOS-WEB meta nfproto ipv6 ct label set 127 dnat ip6 to ip6 daddr . meta l4proto . th dport map @MESOS-WEB-hostip6
add rule inet nft-port-mapper MESOS-WEB meta nfproto ipv6 ct label set 127 dnat ip6 to meta l4proto . th dport map @MESOS-WEB-ip6
add chain inet nft-port-mapper networks
flush chain inet nft-port-mapper networks
)";

const std::string kBase =
    R"(add chain inet nft-port-mapper any-address
flush chain inet nft-port-mapper any-address
add rule inet nft-port-mapper any-address socket wildcard 0 return
add rule inet nft-port-mapper any-address goto networks
add chain inet nft-port-mapper prerouting { type nat hook prerouting priority -99; policy accept; }
flush chain inet nft-port-mapper prerouting
add rule inet nft-port-mapper prerouting fib daddr type != local return
add rule inet nft-port-mapper prerouting ip daddr . meta l4proto . th dport @published-hostip jump networks
add rule inet nft-port-mapper prerouting ip6 daddr . meta l4proto . th dport @published-hostip6 jump networks
add rule inet nft-port-mapper prerouting ip6 daddr fe80::/10 return
add rule inet nft-port-mapper prerouting meta nfproto ipv4 meta l4proto . th dport @published-ip goto any-address
add rule inet nft-port-mapper prerouting meta nfproto ipv6 meta l4proto . th dport @published-ip6 goto any-address
add chain inet nft-port-mapper output { type nat hook output priority -99; policy accept; }
flush chain inet nft-port-mapper output
add rule inet nft-port-mapper output fib daddr type != local return
add rule inet nft-port-mapper output ip daddr 127.0.0.0/8 meta l4proto . th dport != @loopback-ip return
add rule inet nft-port-mapper output ip6 daddr ::1 meta l4proto . th dport != @loopback-ip6 return
add rule inet nft-port-mapper output ip daddr . meta l4proto . th dport @published-hostip jump networks
add rule inet nft-port-mapper output ip6 daddr . meta l4proto . th dport @published-hostip6 jump networks
add rule inet nft-port-mapper output ip daddr { 127.0.0.53, 127.0.0.54 } return
add rule inet nft-port-mapper output ip6 daddr fe80::/10 return
add rule inet nft-port-mapper output meta nfproto ipv4 meta l4proto . th dport @published-ip jump networks
add rule inet nft-port-mapper output meta nfproto ipv6 meta l4proto . th dport @published-ip6 jump networks
add chain inet nft-port-mapper postrouting { type nat hook postrouting priority 99; policy accept; }
flush chain inet nft-port-mapper postrouting
add rule inet nft-port-mapper postrouting ct status dnat ct label 127 ip saddr . ip daddr @hairpin-ip masquerade
add rule inet nft-port-mapper postrouting ct status dnat ct label 127 ip6 saddr . ip6 daddr @hairpin-ip6 masquerade
add chain inet nft-port-mapper localnet-guard { type filter hook prerouting priority -300; policy accept; }
flush chain inet nft-port-mapper localnet-guard
add rule inet nft-port-mapper localnet-guard iifname != "lo" ip daddr 127.0.0.0/8 drop
add rule inet nft-port-mapper localnet-guard iifname != "lo" ip saddr 127.0.0.0/8 drop
add chain inet nft-port-mapper localnet-guard-input { type filter hook input priority 0; policy accept; }
flush chain inet nft-port-mapper localnet-guard-input
add rule inet nft-port-mapper localnet-guard-input iifname != "lo" ip daddr 127.0.0.0/8 ct direction original ct status ! dnat drop
)";

std::string built(const std::vector<std::string>& jumps,
                  const std::vector<std::string>& wrong_hooks) {
  return to_string(build_tables({"MESOS-WEB", {"mesos-cni0", "docker0"}}, jumps, wrong_hooks));
}

}  // namespace

TEST_CASE("build_tables of ruleset.nft's skeleton: what is jumped to comes first") {
  CHECK(built({"MESOS-WEB"}, {}) ==
        kSets + kNetwork + "add rule inet nft-port-mapper networks jump MESOS-WEB\n" + kBase);
}

TEST_CASE("build_tables keeps the jumps to all other networks") {
  CHECK(built({"A", "MESOS-WEB", "hostports"}, {}) ==
        kSets + kNetwork +
            "add rule inet nft-port-mapper networks jump A\n"
            "add rule inet nft-port-mapper networks jump MESOS-WEB\n"
            "add rule inet nft-port-mapper networks jump hostports\n" +
            kBase);
}

TEST_CASE("base chains that hang elsewhere go before they are built") {
  CHECK(built({}, {"output", "postrouting"}) ==
        kSets +
            "add chain inet nft-port-mapper networks\n"
            "flush chain inet nft-port-mapper networks\n"
            "flush chain inet nft-port-mapper output\n"
            "delete chain inet nft-port-mapper output\n"
            "flush chain inet nft-port-mapper postrouting\n"
            "delete chain inet nft-port-mapper postrouting\n" +
            kNetwork + kBase);
}

TEST_CASE("build_tables carries no generation of its own") {
  CHECK_FALSE(build_tables({"c", {}}, {}, {}).generation);
}

TEST_CASE(
    "delete_network takes the jump, the chain, then its maps; other networks keep their jumps") {
  CHECK(to_string(delete_network("MESOS-WEB", std::vector<std::string>{"A", "hostports"})) ==
        "flush chain inet nft-port-mapper networks\n"
        "add rule inet nft-port-mapper networks jump A\n"
        "add rule inet nft-port-mapper networks jump hostports\n"
        "flush chain inet nft-port-mapper MESOS-WEB\n"
        "delete chain inet nft-port-mapper MESOS-WEB\n"
        "delete set inet nft-port-mapper MESOS-WEB-ip\n"
        "delete set inet nft-port-mapper MESOS-WEB-hostip\n"
        "delete set inet nft-port-mapper MESOS-WEB-ip6\n"
        "delete set inet nft-port-mapper MESOS-WEB-hostip6\n");
}

TEST_CASE("the skeleton alone, for a host without networks or one whose networks are intact") {
  const std::size_t own_maps = kSets.find("add map inet nft-port-mapper MESOS-WEB-ip");
  CHECK(to_string(build_tables(std::vector<std::string>{"A"}, {})) ==
        kSets.substr(0, own_maps) +
            "add chain inet nft-port-mapper networks\n"
            "flush chain inet nft-port-mapper networks\n"
            "add rule inet nft-port-mapper networks jump A\n" +
            kBase);
}

TEST_CASE("several networks at once are one skeleton and a chain for each") {
  const NetworkChain web{"MESOS-WEB", {"mesos-cni0", "docker0"}};
  const NetworkChain other{"A", {}};
  const std::vector<std::string> jumps = {"A", "MESOS-WEB"};
  const std::string both = to_string(build_tables(std::vector{other, web}, jumps, {}));
  std::string expected = to_string(build_tables(web, jumps, {}));
  // The other network's maps come before ours, its chain before ours.
  const std::string one = to_string(build_tables(other, jumps, {}));
  const auto part = [&one](const std::string& first, const std::string& behind) {
    const std::size_t at = one.find(first);
    return one.substr(at, one.find(behind) - at);
  };
  expected.insert(expected.find("add map inet nft-port-mapper MESOS-WEB-ip"),
                  part("add map inet nft-port-mapper A-ip", "add chain"));
  expected.insert(
      expected.find("add chain inet nft-port-mapper MESOS-WEB"),
      part("add chain inet nft-port-mapper A\n", "add chain inet nft-port-mapper networks"));
  CHECK(both == expected);
}

TEST_CASE("a network chain tells its network; to tell another it is made anew, behind the jumps") {
  const NetworkChain web{.name = "C", .network = "web"};
  const std::vector<std::string> jumps = {"C"};
  const std::string text = to_string(build_tables(web, jumps, std::vector<std::string>{"C"}));
  const std::string first =
      "add chain inet nft-port-mapper networks\n"
      "flush chain inet nft-port-mapper networks\n"
      "flush chain inet nft-port-mapper C\n"
      "delete chain inet nft-port-mapper C\n"
      "add chain inet nft-port-mapper C { comment \"network: web\"; }\n"
      "flush chain inet nft-port-mapper C\n";
  CHECK(text.find(first) != std::string::npos);
}

"""Hosts that are unusual and well, for tests/e2e/broken-hosts: nothing of them may be called a problem."""
from hosts_scene import Row
from rows_broken import PREROUTING, chain, nspawn, portmap


def load(ruleset):
    """A file for nft, on one line of commands."""
    return "nft -f - <<'END'\n" + ruleset + "\nEND"


DOCKER = """
table ip nat {
  chain DOCKER {
    iifname "docker0" counter return
    iifname != "docker0" tcp dport 9000 counter dnat to 172.17.0.2:80
  }
  chain PREROUTING {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local counter jump DOCKER
  }
  chain OUTPUT {
    type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local counter jump DOCKER
  }
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "docker0" ip saddr 172.17.0.0/16 counter masquerade
  }
}
table ip filter {
  chain DOCKER {
    ip daddr 172.17.0.2 iifname != "docker0" oifname "docker0" tcp dport 80 counter accept
  }
  chain DOCKER-ISOLATION-STAGE-1 {
    iifname "docker0" oifname != "docker0" counter jump DOCKER-ISOLATION-STAGE-2
    counter return
  }
  chain DOCKER-ISOLATION-STAGE-2 {
    oifname "docker0" counter drop
    counter return
  }
  chain DOCKER-USER {
    ct status dnat accept
    counter return
  }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump DOCKER-ISOLATION-STAGE-1
    oifname "docker0" ct state related,established counter accept
    oifname "docker0" counter jump DOCKER
    iifname "docker0" oifname != "docker0" counter accept
    iifname "docker0" oifname "docker0" counter accept
  }
}"""

FIREWALLD = """
table inet firewalld {
  chain mangle_PREROUTING {
    type filter hook prerouting priority mangle + 10; policy accept;
    jump mangle_PREROUTING_ZONES
  }
  chain mangle_PREROUTING_ZONES {
    iifname "eth0" goto mangle_PRE_public
    goto mangle_PRE_public
  }
  chain mangle_PRE_public {
    return
  }
  chain filter_PREROUTING {
    type filter hook prerouting priority filter + 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop
  }
  chain nat_PREROUTING {
    type nat hook prerouting priority dstnat + 10; policy accept;
    return
  }
  chain nat_POSTROUTING {
    type nat hook postrouting priority srcnat + 10; policy accept;
    oifname "eth0" ip saddr 10.22.0.0/16 masquerade
  }
  chain filter_INPUT {
    type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    meta l4proto { icmp, ipv6-icmp } accept
    tcp dport 22 accept
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24 } reject with icmpv6 addr-unreachable
    reject with icmpx admin-prohibited
  }
  chain filter_OUTPUT {
    type filter hook output priority filter + 10; policy accept;
    ct state { established, related } accept
    oifname "lo" accept
  }
}"""

KUBE_PROXY = """
table ip kube-proxy {
  set cluster-ips {
    type ipv4_addr; elements = { 10.96.0.1, 10.96.0.10 }
  }
  set nodeport-ips {
    type ipv4_addr; elements = { 203.0.113.1 }
  }
  map service-ips {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { 10.96.0.1 . tcp . 443 : goto service-x, 10.96.0.10 . udp . 53 : goto service-x }
  }
  map service-nodeports {
    type inet_proto . inet_service : verdict; elements = { tcp . 30080 : goto external-x }
  }
  map no-endpoint-services {
    type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.5 . tcp . 80 : goto reject-chain }
  }
  map no-endpoint-nodeports {
    type inet_proto . inet_service : verdict; elements = { tcp . 30099 : drop }
  }
  chain service-x {
    ip daddr 10.96.0.1 tcp dport 443 ip saddr != 10.22.0.0/16 jump mark-for-masquerade
    numgen random mod 1 vmap { 0 : goto endpoint-x }
  }
  chain endpoint-x {
    ip saddr 10.22.0.9 jump mark-for-masquerade
    meta l4proto tcp dnat to 10.22.0.9:6443
  }
  chain external-x {
    jump mark-for-masquerade
    goto service-x
  }
  chain mark-for-masquerade {
    meta mark set meta mark | 0x4000
  }
  chain masquerading {
    meta mark & 0x4000 == 0 return
    meta mark set meta mark ^ 0x4000
    masquerade fully-random
  }
  chain reject-chain {
    reject
  }
  chain services {
    ip daddr . meta l4proto . th dport vmap @service-ips
    ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
  }
  chain no-endpoint-check {
    ip daddr . meta l4proto . th dport vmap @no-endpoint-services
    ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
  }
  chain cluster-ips-check {
    ip daddr @cluster-ips reject
  }
  chain nat-prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    jump services
  }
  chain nat-output {
    type nat hook output priority -100; policy accept;
    jump services
  }
  chain nat-postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    jump masquerading
  }
  chain filter-forward {
    type filter hook forward priority -110; policy accept;
    ct state new jump no-endpoint-check
    ct state new jump cluster-ips-check
  }
  chain filter-output {
    type filter hook output priority -110; policy accept;
    ct state new jump no-endpoint-check
  }
}"""

MARTIANS = """
table inet fw {
  set banned {
    type ipv4_addr; flags interval; elements = { 198.18.0.0/16 }
  }
  chain raw {
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip saddr 127.0.0.0/8 drop
    iifname != "lo" ip daddr 127.0.0.0/8 drop
    iifname "eth0" ip saddr { 0.0.0.0/8, 224.0.0.0/4, 240.0.0.0/4 } drop
    iifname "eth0" ip saddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 } drop
    iifname "eth0" ip6 saddr fc00::/7 drop
    tcp flags & (fin|syn|rst|psh|ack|urg) == 0 drop
    ip saddr @banned drop
  }
  chain incoming {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iif lo accept
    tcp dport 22 accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
  }
  chain forwarding {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct state invalid drop
    iifname "eth0" oifname "cni0" ct status dnat accept
    iifname "cni0" accept
  }
}"""

FLOODS = """
table inet fw {
  set flood {
    type ipv4_addr; size 1000; flags dynamic,timeout; timeout 1m
  }
  chain raw {
    type filter hook prerouting priority mangle; policy accept;
    tcp dport 8080 ct state new add @flood { ip saddr limit rate over 100/second burst 200 packets } drop
    tcp dport 8080 ct count over 5000 drop
  }
}"""

UFW = "\n".join(f"""{iptables} -P FORWARD DROP
    {iptables} -N ufw-before-forward
    {iptables} -A FORWARD -j ufw-before-forward
    {iptables} -A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    {iptables} -A ufw-before-forward -m conntrack --ctstate DNAT -j ACCEPT
    {iptables} -P INPUT DROP
    {iptables} -A INPUT -p {icmp} -j ACCEPT
    {iptables} -A INPUT -p tcp --dport 22 -j ACCEPT
    {iptables} -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    {iptables} -A INPUT -i lo -j ACCEPT"""
                for iptables, icmp in (("iptables-nft", "icmp"), ("ip6tables-nft", "ipv6-icmp")))

TAILSCALE = """iptables-nft -N ts-forward
    iptables-nft -I FORWARD -j ts-forward
    iptables-nft -A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000
    iptables-nft -A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
    iptables-nft -A ts-forward -s 100.64.0.0/10 -o tailscale0 -j DROP
    iptables-nft -A ts-forward -o tailscale0 -j ACCEPT
    ip rule add pref 5210 fwmark 0x80000/0xff0000 lookup main
    ip rule add pref 5250 fwmark 0x80000/0xff0000 unreachable"""

ROWS = [
    Row("nothing unusual"),
    Row("Docker's rules beside", load(DOCKER)),
    Row("firewalld", load(FIREWALLD)),
    Row("ufw", UFW),
    Row("ufw with a route rule for the clients' interface", """iptables-nft -P FORWARD DROP
        iptables-nft -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        iptables-nft -A FORWARD -i eth0 -o cni0 -d 10.22.0.0/16 -p tcp --dport 80 -j ACCEPT"""),
    Row("kube-proxy's nftables, and the cluster's addresses on kube-ipvs0", load(KUBE_PROXY) +
        """\nip link add kube-ipvs0 type veth peer name kube-ipvs0-peer
        ip addr add 10.96.0.1/32 dev kube-ipvs0
        ip addr add 10.96.0.10/32 dev kube-ipvs0""", config={"excludeAddresses": ["10.96.0.0/12"]}),
    Row("rules against martians, bans, and an input chain that drops", load(MARTIANS)),
    Row("limits that are not reached", load(FLOODS)),
    Row("bans at netdev ingress", """nft 'add table netdev fw; add set netdev fw b { type ipv4_addr; elements = {
        198.18.0.1 }; }; add chain netdev fw c { type filter hook ingress device eth0 priority -500; };
        add rule netdev fw c ip saddr @b drop'""".replace("\n       ", "")),
    Row("policy routing for the containers, and a mark that nobody sets", """ip rule add from 10.22.0.0/16 lookup 77
        ip route add 203.0.113.0/24 dev eth0 table 77
        ip route add 10.22.0.0/16 dev cni0 table 77
        ip route add default via 203.0.113.2 table 77
        ip rule add fwmark 7 lookup 99
        ip route add blackhole default table 99"""),
    Row("portmap's rules for another port", portmap("iptables-legacy", "10.22.0.77", 9999)),
    Row("systemd-nspawn's rules for another port", nspawn(9999)),
    Row("strict rp_filter", "sysctl -qw net.ipv4.conf.all.rp_filter=1"),
    Row("br_netfilter, with hairpin mode", before="""sysctl -qw net.bridge.bridge-nf-call-iptables=1
        sysctl -qw net.bridge.bridge-nf-call-ip6tables=1
        bridge link set dev to-abc hairpin on"""),
    Row("notrack for something else", chain("inet", f"{PREROUTING} raw", "udp dport 53 notrack")),
    Row("tailscale's rules", TAILSCALE),
    Row("it listens on its own address alone", serves=(80, ("10.22.0.2", "fd00::2"))),
    Row("published on an address that another host has now", mapping={"hostIP": "203.0.113.9"}),
    Row("published on one address", "true", mapping={"hostIP": "203.0.113.1"}),
    Row("ARP and STP rules of a bridge", chain("bridge", "filter hook forward priority 0",
                                               "ether type arp arp operation request accept",
                                               "ether daddr 01:80:c2:00:00:00 drop")),
]

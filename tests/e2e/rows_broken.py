"""Ways to break the host of tests/e2e/hosts_scene.py: what tests/e2e/broken-hosts runs."""
from hosts_scene import Row

OURS = "inet nft-port-mapper"
PREROUTING = "filter hook prerouting priority"


def chain(family, base, *rules, name="fw"):
    """A table of somebody else's, with one base chain."""
    lines = [f"add table {family} {name}", f"add chain {family} {name} c {{ type {base}; }}"]
    return "nft '" + "; ".join(lines + [f"add rule {family} {name} c {rule}" for rule in rules]) + "'"


def bridge(name):
    """With a port that has a carrier."""
    return f"""ip link add {name} type bridge
        ip link add {name}-port type veth peer name {name}-peer
        ip link set {name}-port master {name} up
        ip link set {name}-peer up
        ip link set {name} up\n"""


def container(name, address):
    """Somebody else's, on cni0."""
    return f"""ip netns add {name}
        ip link add to-{name} type veth peer name eth0 netns {name}
        ip link set to-{name} master cni0 up
        ip -n {name} addr add {address}/16 dev eth0
        ip -n {name} link set eth0 up
        ip -n {name} route add default via 10.22.0.1\n"""


def portmap(iptables, target, port=8080):
    """What the CNI project's portmap leaves in table nat."""
    dnat, own = f"{iptables} -t nat", "CNI-DN-0123456789abcdef01234"
    return f"""{dnat} -N CNI-HOSTPORT-DNAT
        {dnat} -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
        {dnat} -N {own}
        {dnat} -A CNI-HOSTPORT-DNAT -p tcp -m multiport --destination-ports {port} -j {own}
        {dnat} -A {own} -p tcp --dport {port} -j DNAT --to-destination {target}:80\n"""


def nspawn(port):
    table = "ip io.systemd.nat"
    return f"""nft 'add table {table}; add map {table} map_port_ipport {{ type inet_proto . inet_service :
        ipv4_addr . inet_service; elements = {{ tcp . {port} : 10.22.0.9 . 80 }}; }}; add chain {table} prerouting {{
        type nat hook prerouting priority -101; }}; add rule {table} prerouting fib daddr type local
        dnat to meta l4proto . th dport map @map_port_ipport'""".replace("\n       ", "")


OWN_TABLE = [
    Row("our table is gone, by nft flush ruleset", "nft flush ruleset", cure="$CTL restore\n$CTL check --repair"),
    Row("our table is dormant", f"nft 'add table {OURS} {{ flags dormant; }}'"),
    Row("our chain prerouting is empty", f"nft flush chain {OURS} prerouting"),
    Row("our chain output is empty", f"nft flush chain {OURS} output"),
    Row("our chain networks is empty", f"nft flush chain {OURS} networks"),
    Row("our chain postrouting is empty", f"nft flush chain {OURS} postrouting"),
    Row("our hairpin pairs of IPv4 are gone", f"nft flush set {OURS} hairpin-ip"),
    Row("our hairpin pairs of IPv6 are gone", f"nft flush set {OURS} hairpin-ip6"),
    Row("our loopback set is empty", f"nft flush set {OURS} loopback-ip"),
    Row("our map has lost its targets", f"nft flush map {OURS} NET-WEB-ip", cure="$CTL restore"),
    Row("our claim is gone", f"nft delete element {OURS} published-ip '{{ tcp . 8080 }}'"),
    Row("route_localnet is off", "sysctl -qw net.ipv4.conf.cni0.route_localnet=0"),
    Row("the route of ::1 is gone", "ip -6 route del local ::1 dev cni0 table local"),
]

BEFORE_US = [
    Row("a raw chain drops the port", chain("ip", f"{PREROUTING} raw", "tcp dport 8080 drop")),
    Row("a mangle chain drops the port on one interface",
        chain("inet", f"{PREROUTING} mangle", "iifname eth0 tcp dport 8080 drop")),
    Row("netdev ingress drops the port",
        "nft 'add table netdev fw; add chain netdev fw c { type filter hook ingress device eth0 priority 0; };"
        " add rule netdev fw c tcp dport 8080 drop'"),
    Row("notrack for the port", chain("ip", f"{PREROUTING} raw", "tcp dport 8080 notrack")),
    Row("notrack for the answers", chain("ip", f"{PREROUTING} raw", "tcp sport 80 notrack")),
    Row("a conntrack zone at prerouting alone", chain("inet", f"{PREROUTING} raw", "ct zone set 5"),
        cure="nft delete table inet fw"),
    Row("a conntrack zone for clients alone", chain("ip", f"{PREROUTING} raw", "iifname eth0 ct zone set 7"),
        cure="nft delete table ip fw"),
    Row("a limit of connections", chain("ip", f"{PREROUTING} mangle", "tcp dport 8080 ct count over 0 drop"),
        cure="nft delete table ip fw"),
    Row("an earlier DNAT", chain("ip", "nat hook prerouting priority -101", "tcp dport 8080 dnat to 10.22.0.9:80")),
    Row("an earlier DNAT by a map",
        "nft 'add table ip fw; add map ip fw m { type inet_service : ipv4_addr . inet_service; elements = {"
        " 8080 : 10.22.0.9 . 80 }; }; add chain ip fw c { type nat hook prerouting priority -101; };"
        " add rule ip fw c dnat to tcp dport map @m'"),
    Row("an earlier redirect", chain("ip", "nat hook prerouting priority -101", "tcp dport 8080 redirect to :9")),
    Row("systemd-nspawn has the port", nspawn(8080), cure="nft delete table ip io.systemd.nat"),
    Row("portmap's rules of somebody gone", portmap("iptables-nft", "10.22.0.77"), cure="iptables-nft -t nat -F"),
    Row("portmap's rules of somebody living", container("living", "10.22.0.77") +
        portmap("iptables-legacy", "10.22.0.77"), cure="iptables-legacy -t nat -F"),
    Row("input drops neighbour discovery", chain("inet", "filter hook input priority 0; policy drop",
                                                 "ct state established,related accept", "iif lo accept") +
        "\nin client: ip neigh flush all", cure="nft delete table inet fw"),
]

LEGACY = [
    Row("iptables-legacy: the policy of FORWARD", "iptables-legacy -P FORWARD DROP"),
    Row("ip6tables-legacy: a rule of FORWARD", "ip6tables-legacy -A FORWARD -p tcp --dport 80 -j DROP"),
    Row("iptables-legacy: table nat", "iptables-legacy -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT"
        " --to 10.22.0.9:80"),
    Row("iptables-legacy: table raw", "iptables-legacy -t raw -A PREROUTING -p tcp --dport 8080 -j DROP"),
]

FORWARD = [
    Row("iptables-nft: the policy of FORWARD", "iptables-nft -P FORWARD DROP"),
    Row("iptables-nft: FORWARD rejects", "iptables-nft -A FORWARD -d 10.22.0.0/16 -j REJECT"),
    Row("a forward chain that accepts what is established",
        chain("inet", "filter hook forward priority 0; policy drop", "ct state established,related accept")),
    Row("a forward chain that accepts no answers",
        chain("inet", "filter hook forward priority 0; policy drop", "ct state new accept")),
    Row("a forward chain with a verdict map",
        "nft 'add table inet fw; add chain inet fw a; add rule inet fw a drop; add chain inet fw c {"
        " type filter hook forward priority 0; }; add rule inet fw c tcp dport vmap { 80 : goto a, 443 : accept }'"),
    Row("a forward chain with a set",
        "nft 'add table inet fw; add set inet fw p { type inet_service; elements = { 80, 81 }; }; add chain inet fw c"
        " { type filter hook forward priority 0; }; add rule inet fw c tcp dport @p reject'"),
    Row("a forward chain with a condition that we do not know",
        chain("inet", "filter hook forward priority 0", "tcp flags syn tcp option maxseg size > 100 drop"),
        cure="nft delete table inet fw"),
]

HOST = [
    Row("net.ipv4.ip_forward", "sysctl -qw net.ipv4.ip_forward=0"),
    Row("forwarding of the bridge", "sysctl -qw net.ipv4.conf.cni0.forwarding=0"),
    Row("forwarding of the clients' interface", "sysctl -qw net.ipv4.conf.eth0.forwarding=0"),
    Row("net.ipv6.conf.all.forwarding", "sysctl -qw net.ipv6.conf.all.forwarding=0"),
    Row("net.ipv6.conf.all.forwarding, with a route by router advertisement",
        """ip -6 route del default
        sysctl -qw net.ipv6.conf.all.forwarding=0
        ip -6 route add default via fe80::1 dev eth0 proto ra"""),
    Row("a blackhole route", "ip route add blackhole 10.22.0.2", cure="ip route del blackhole 10.22.0.2"),
    Row("an unreachable route", "ip route add unreachable 10.22.0.0/24",
        cure="ip route del unreachable 10.22.0.0/24"),
    Row("a detour", "ip route add 10.22.0.2 via 203.0.113.2", cure="ip route del 10.22.0.2"),
    Row("two bridges with one subnet", bridge("cni1") + "ip addr add 10.22.0.1/17 dev cni1",
        cure="ip link del cni1"),
    Row("a policy rule that prohibits", "ip rule add to 10.22.0.2 prohibit",
        cure="ip rule del to 10.22.0.2 prohibit"),
    Row("a policy rule for the clients' interface", "ip rule add iif eth0 to 10.22.0.0/16 blackhole",
        cure="ip rule del iif eth0 to 10.22.0.0/16 blackhole"),
    Row("a policy rule for the answers", "ip rule add from 10.22.0.2 blackhole",
        cure="ip rule del from 10.22.0.2 blackhole"),
    Row("a policy rule for a mark", chain("ip", f"{PREROUTING} mangle", "iifname eth0 tcp dport 8080 meta mark set 9") +
        "\nip rule add fwmark 9 blackhole", cure="ip rule del fwmark 9 blackhole"),
    Row("a table without a route for the answers",
        "ip rule add iif cni0 table 99\nip route add unreachable default table 99", cure="ip rule del iif cni0 table 99"),
    Row("rp_filter of the bridge, whose containers answer by another", "sysctl -qw net.ipv4.conf.all.rp_filter=1",
        before=bridge("cni1") + """ip addr add 10.23.0.1/16 dev cni1
        ip link add to-abc1 type veth peer name eth1 netns abc
        ip link set to-abc1 master cni1 up
        ip -n abc addr add 10.23.0.2/16 dev eth1
        ip -n abc link set eth1 up
        ip -n abc route replace default via 10.23.0.1"""),
    Row("the bridge is down", "ip link set cni0 down", cure="""ip link set cni0 up
        $CTL check --repair
        ip addr replace fd00::1/64 dev cni0 nodad"""),
    Row("the container's link is down", "ip link set to-abc down\nip neigh flush all"),
    Row("the container's link is not on the bridge", "ip link set to-abc nomaster\nip neigh flush all"),
    Row("a wrong neighbour entry", "ip neigh replace 10.22.0.2 lladdr 02:00:00:00:00:99 nud permanent dev cni0",
        cure="ip neigh del 10.22.0.2 dev cni0"),
    Row("br_netfilter without hairpin mode", "sysctl -qw net.bridge.bridge-nf-call-iptables=1", cure=""),
    Row("the bridge takes less than the container", "ip link set cni0 mtu 1300", cure=""),
]

BEHIND_US = [
    Row("a filter chain in postrouting", chain("inet", "filter hook postrouting priority 0",
                                               "ip daddr 10.22.0.2 tcp dport 80 drop")),
    Row("mangle POSTROUTING", "iptables-nft -t mangle -A POSTROUTING -o cni0 -p tcp --dport 80 -j DROP"),
    Row("another's masquerade", chain("ip", "nat hook postrouting priority srcnat", "oifname cni0 masquerade"), cure=""),
    Row("netdev egress", "nft 'add table netdev fw; add chain netdev fw c { type filter hook egress device cni0"
        " priority 0; }; add rule netdev fw c ip daddr 10.22.0.2 tcp dport 80 drop'"),
    Row("bridge output", chain("bridge", "filter hook output priority 0", "ip daddr 10.22.0.2 tcp dport 80 drop")),
    Row("bridge postrouting of one port", chain("bridge", "filter hook postrouting priority 0",
                                                "oifname to-abc tcp dport 80 drop")),
    Row("bridge prerouting of the answers", chain("bridge", "filter hook prerouting priority 0",
                                                  "iifname to-abc tcp sport 80 drop")),
    Row("bridge input of the answers", chain("bridge", "filter hook input priority 0",
                                             "ip saddr 10.22.0.2 tcp sport 80 drop")),
]

CONTAINER = [
    Row("the container has lost its address", "in abc: ip addr del 10.22.0.2/16 dev eth0\nip neigh flush all",
        cure="in abc: ip addr add 10.22.0.2/16 dev eth0\nin abc: ip route add default via 10.22.0.1"),
    Row("the container has no route back", "in abc: ip route del default"),
    Row("the container's interface is down", "in abc: ip link set eth0 down\nip neigh flush all",
        cure="""in abc: ip link set eth0 up
            in abc: ip addr add fd00::2/64 dev eth0 nodad
            in abc: ip route add default via 10.22.0.1
            in abc: ip route add default via fd00::1"""),
    Row("the container's rules drop what comes",
        "in abc: " + chain("ip", "filter hook input priority 0", "tcp dport 80 drop"),
        cure="in abc: nft delete table ip fw"),
    Row("the container's rules drop what goes",
        "in abc: " + chain("ip", "filter hook output priority 0; policy drop"), cure="in abc: nft delete table ip fw"),
    Row("the container's iptables-legacy drops what comes",
        "in abc: iptables-legacy -A INPUT -p tcp --dport 80 -j DROP", cure="in abc: iptables-legacy -F"),
    Row("nobody listens", serves=(), cure=""),
    Row("it listens on another port", serves=(81, ("0.0.0.0", "::")), cure=""),
    Row("it listens on its 127.0.0.1 alone", serves=(80, ("127.0.0.1", "::1")), cure=""),
    Row("it listens on IPv4 alone", serves=(80, ("0.0.0.0",)), cure=""),
    Row("the network leaves out the clients' interface", config={"excludeDevices": ["eth0"]}, cure=""),
    Row("the network's conditions leave out the clients",
        config={"conditionsV4": ["ip", "saddr", "!=", "203.0.113.0/24"]}, doctor=("--from", "203.0.113.2"), cure=""),
    Row("the network's conditions name another interface",
        config={"conditionsV4": ["iifname", "eth9"], "conditionsV6": ["iifname", "eth9"]}, cure=""),
]

ROWS = [*OWN_TABLE, *BEFORE_US, *LEGACY, *FORWARD, *HOST, *BEHIND_US, *CONTAINER]

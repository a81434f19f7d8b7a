"""The host that tests/e2e/broken-hosts breaks: a client's network, a bridge, one published port.

    scene.build(row)             # container abc publishes 8080 for both families
    scene.traffic(["client 4"])  # {"client 4": "answered"}, "refused", "timeout" or what the kernel said

    client  eth0 203.0.113.2/24  --  eth0 203.0.113.1/24  host, whose default route is the client
    host    cni0 10.22.0.1/16    --  eth0 10.22.0.2/16    abc, where port 80 is served

IPv6 likewise: 2001:db8:1::/64 and fd00::/64.
"""
import base64
import dataclasses
import errno
import json
import os
import re
import select
import socket
import time

import kit
import net

HOST = {4: "203.0.113.1", 6: "2001:db8:1::1"}
CLIENT = {4: "203.0.113.2", 6: "2001:db8:1::2"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
# Who connects, from where, to which address of the host.
WAYS = {f"{name} {family}": (namespace, addresses[family])
        for name, namespace, addresses in (("client", "client", HOST), ("loopback", "host", LOOPBACK),
                                           ("host", "host", HOST), ("abc itself", "abc", HOST))
        for family in (4, 6)}
PATIENCE = 1.2


@dataclasses.dataclass
class Row:
    """One host. Lines of commands run in the host's namespace, "in abc: ..." in another."""
    title: str
    breaks: str = ""
    before: str = ""                         # the container is started
    config: dict = dataclasses.field(default_factory=dict)
    mapping: dict = dataclasses.field(default_factory=dict)
    serves: tuple = (80, ("0.0.0.0", "::"))  # port and addresses; none: nobody listens
    doctor: tuple = ()                       # words for it
    cure: str = "fixes"                      # what makes it well: the fixes of its problems, or commands


def shell(commands):
    """A line each; what it says to `<<'END'` is the next ones, until END."""
    texts = re.findall(r"[^\n]*<<'END'\n.*?\nEND|[^\n]+", commands.replace("$CTL", kit.CTL), re.DOTALL)
    for line in filter(None, map(str.strip, texts)):
        enter = []
        if line.startswith("in "):
            name, line = line.removeprefix("in ").split(": ", 1)
            enter = ["ip", "netns", "exec", name]
        kit.must(*enter, "sh", "-ec", line)


def build(row):
    kit.must("ip", "link", "del", "lan0")
    kit.must("ip", "netns", "add", "client")
    kit.must("ip", "-n", "client", "link", "set", "lo", "up")
    net.link("client", "eth0", "host", "eth0")
    net.address("host", "eth0", f"{HOST[4]}/24", f"{HOST[6]}/64")
    net.address("client", "eth0", f"{CLIENT[4]}/24", f"{CLIENT[6]}/64")
    net.address("host", "cni0", "fd00::1/64")
    for gateway in CLIENT.values():
        kit.must("ip", "route", "add", "default", "via", gateway)
    for path, value in (("ipv4/ip_forward", 1), ("ipv6/conf/all/forwarding", 1),
                        ("bridge/bridge-nf-call-iptables", 0), ("bridge/bridge-nf-call-ip6tables", 0),
                        ("ipv4/icmp_ratemask", 0), ("ipv6/icmp/ratelimit", 0)):  # no refusal hangs on the clock
        net.sysctl(path, value)
    net.attach("abc", ("10.22.0.2/16", "fd00::2/64"), ("10.22.0.1", "fd00::1"), "cni0")
    if row.serves:
        net.serve("abc", "abc", *row.serves)
    net.until(lambda: net.ask("host", "tcp", "fd00::2", 80, 1) != "timeout", "abc is found")
    shell(row.before)
    add(row)


def add(row):
    """As libcni does, which keeps the configuration."""
    interfaces = [{"name": "eth0", "sandbox": "/run/netns/abc"}]
    result = {"cniVersion": "1.0.0", "interfaces": interfaces,
              "ips": [{"address": "10.22.0.2/16", "interface": 0}, {"address": "fd00::2/64", "interface": 0}]}
    plugin = {"type": "nft-port-mapper", "chain": "NET-WEB", "portWait": 0,
              "capabilities": {"portMappings": True}, **row.config}
    ports = [kit.mapping(8080, 80, **row.mapping)]
    called = {"cniVersion": "1.0.0", "name": "web", **plugin, "prevResult": result,
              "runtimeConfig": {"portMappings": ports}}
    done = kit.call("ADD", "abc", json.dumps(called))
    if done.returncode != 0:
        raise kit.Failure(f"ADD: {done.stdout}{done.stderr}")
    config = json.dumps({"cniVersion": "1.0.0", "name": "web", "plugins": [plugin]})
    entry = {"kind": "cniCacheV1", "containerId": "abc", "ifName": "eth0", "networkName": "web",
             "config": base64.b64encode(config.encode()).decode(),
             "capabilityArgs": {"portMappings": ports}, "result": result}
    cache = "/var/lib/cni"
    os.makedirs(cache, exist_ok=True)
    kit.must("mount", "-t", "tmpfs", "tmpfs", cache)
    os.mkdir(f"{cache}/results")
    with open(f"{cache}/results/web-abc-eth0", "w") as file:
        json.dump(entry, file)


def attempt(way):
    namespace, address = WAYS[way]
    client = net.make_socket(namespace, net.family_of(address), "tcp")
    client.setblocking(False)
    return client, client.connect_ex((address, 8080))


def traffic(ways):
    """All at once, since silence takes its time."""
    results, open_ones = {}, {}
    for way in ways:
        client, error = attempt(way)
        if error == errno.EINPROGRESS:
            open_ones[client.fileno()] = (way, client)
        else:
            results[way] = os.strerror(error)
    poll, end = select.poll(), time.monotonic() + PATIENCE
    for number in open_ones:
        poll.register(number, select.POLLIN)
    while open_ones and (left := end - time.monotonic()) > 0:
        for number, _ in poll.poll(left * 1000):
            poll.unregister(number)
            way, client = open_ones.pop(number)
            error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            results[way] = {0: "answered", errno.ECONNREFUSED: "refused"}.get(error, os.strerror(error))
    results.update((way, "timeout") for way, _ in open_ones.values())
    return {way: results[way] for way in ways}

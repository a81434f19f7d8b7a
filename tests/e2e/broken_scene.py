"""The host that tests/e2e/broken-hosts breaks: a client's network, a bridge, one published port.

    scene.build(scene.Wish())          # container abc publishes 8080 on both families
    scene.ask("203.0.113.1")           # what a client gets: "abc 203.0.113.2", "refused" or "timeout"

    client  eth0 203.0.113.2/24  --  host eth0 203.0.113.1/24, the default route
    host cni0 10.22.0.1/16       --  abc  eth0 10.22.0.2/16, where port 80 is served
"""
import dataclasses
import json

import kit
import net

HOST, HOST6, CLIENT, CLIENT6 = "203.0.113.1", "2001:db8:1::1", "203.0.113.2", "2001:db8:1::2"


@dataclasses.dataclass
class Wish:
    """What of the host is not as usual, before the container is started."""
    config: dict = dataclasses.field(default_factory=dict)
    mapping: dict = dataclasses.field(default_factory=dict)
    before: str = ""                        # commands
    serves: tuple = (80, ("0.0.0.0", "::"))  # port and addresses; none: nobody listens


def shell(commands, namespace=None):
    """Lines of commands; "in abc: ..." is run inside of a namespace."""
    for line in commands.strip().splitlines():
        line = line.strip()
        inside = namespace
        if line.startswith("in "):
            name, line = line.removeprefix("in ").split(": ", 1)
            inside = name
        enter = ["ip", "netns", "exec", inside] if inside else []
        kit.must(*enter, "sh", "-ec", line)


def build(wish):
    kit.must("ip", "link", "del", "lan0")
    kit.must("ip", "netns", "add", "client")
    kit.must("ip", "-n", "client", "link", "set", "lo", "up")
    net.link("client", "eth0", "host", "eth0")
    for name, addresses in (("host", (f"{HOST}/24", f"{HOST6}/64")), ("client", (f"{CLIENT}/24", f"{CLIENT6}/64"))):
        net.address(name, "eth0", *addresses)
    net.address("host", "cni0", "fd00::1/64")
    for gateway in (CLIENT, CLIENT6):
        kit.must("ip", "route", "add", "default", "via", gateway)
    for path, value in (("ipv4/ip_forward", 1), ("ipv6/conf/all/forwarding", 1),
                        ("bridge/bridge-nf-call-iptables", 0), ("bridge/bridge-nf-call-ip6tables", 0)):
        net.sysctl(path, value)
    net.attach("abc", ("10.22.0.2/16", "fd00::2/64"), ("10.22.0.1", "fd00::1"), "cni0")
    if wish.serves:
        net.serve("abc", "abc", *wish.serves)
    net.until(lambda: ask("fd00::2", "host", 80) != "timeout", "the container is found on the bridge")
    shell(wish.before)
    done = kit.call("ADD", "abc", config(wish))
    if done.returncode != 0:
        raise kit.Failure(f"ADD: {done.stdout}{done.stderr}")


def config(wish):
    result = {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/run/netns/abc"}],
              "ips": [{"address": "10.22.0.2/16", "interface": 0}, {"address": "fd00::2/64", "interface": 0}]}
    mapping = {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", **wish.mapping}
    return json.dumps({"cniVersion": "1.0.0", "name": "web", "type": "nft-port-mapper", "chain": "NET-WEB",
                       "portWait": 0, "prevResult": result,
                       "runtimeConfig": {"portMappings": [mapping]}, **wish.config})


def ask(address, name="client", port=8080, patience=1.5):
    return net.ask(name, "tcp", address, port, patience)

"""A host whose containers portmap publishes, by Debian's own with iptables-nft and as its nftables backend writes.

    host = portmap_scene.Host(directory)   # networks, records and programs in a directory of its own
    host.network("web")
    host.portmap("abc", 2, MAPPINGS)       # its ADD, and the record that libcni keeps
    host.adopt("--dry-run")
"""
import base64
import contextlib
import json
import os
import re
import signal
import subprocess

import kit
import net
from clients import serve

REAL = "/usr/lib/cni/portmap"


class Host:
    """Networks, records and programs of this test, in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.results = f"{directory}/cache/results"
        self.networks = f"{directory}/net.d"
        self.plugins = f"{directory}/plugins"
        for path in (self.results, self.networks, self.plugins, f"{directory}/bin"):
            os.makedirs(path)
        for tool in ("iptables", "ip6tables"):
            os.symlink(f"/usr/sbin/{tool}-nft", f"{directory}/bin/{tool}")
        os.symlink(kit.PLUGIN, f"{self.plugins}/nft-port-mapper")
        self.path = f"{directory}/bin:{kit.PATH}"
        self.environment = {"PATH": self.path, "LC_ALL": "C", "CNI_PATH": self.plugins}

    def network(self, name, plugin="nft-port-mapper"):
        text = {"cniVersion": "1.0.0", "name": name,
                "plugins": [{"type": "bridge", "bridge": "cni0"},
                            {"type": plugin, "capabilities": {"portMappings": True}}]}
        with open(f"{self.networks}/{name}.conflist", "w") as file:
            json.dump(text, file)

    def result(self, container, number):
        return {"cniVersion": "1.0.0",
                "interfaces": [{"name": "eth0", "sandbox": f"/run/netns/{container}"}],
                "ips": [{"address": f"10.22.0.{number}/16", "interface": 0},
                        {"address": f"fd00::{number}/64", "interface": 0}]}

    def record(self, container, number, mappings, network="web", **more):
        """What libcni keeps, made with portmap."""
        config = {"cniVersion": "1.0.0", "name": network,
                  "plugins": [{"type": "bridge", "bridge": "cni0"},
                              {"type": "portmap", "capabilities": {"portMappings": True}, **more}]}
        entry = {"kind": "cniCacheV1", "containerId": container, "networkName": network, "ifName": "eth0",
                 "netns": f"/run/netns/{container}",
                 "config": base64.b64encode(json.dumps(config).encode()).decode(),
                 "capabilityArgs": {"portMappings": mappings}, "result": self.result(container, number)}
        with open(f"{self.results}/{network}-{container}-eth0", "w") as file:
            json.dump(entry, file)

    def call(self, program, command, container, number, mappings, network="web", **more):
        text = {"cniVersion": "1.0.0", "name": network, "type": os.path.basename(program),
                "runtimeConfig": {"portMappings": mappings}, "prevResult": self.result(container, number), **more}
        environment = {**kit.environment(command, container, self.plugins), "PATH": self.path}
        result = kit.run(program, input=json.dumps(text), env=environment)
        if result.returncode != 0:
            raise kit.Failure(f"{program} {command} of {container}: {result.stdout}{result.stderr}")
        return result.stderr

    def portmap(self, container, number, mappings, network="web", recorded=True, **more):
        self.call(REAL, "ADD", container, number, mappings, network, **more)
        if recorded:
            self.record(container, number, mappings, network, **more)

    def ctl(self, *words):
        return kit.run(kit.CTL, *words, env=self.environment, timeout=600)

    def adopt(self, *words):
        return self.ctl("adopt", "--from", self.directory + "/cache", "--config", self.networks, *words)


def expect(what, got, wanted):
    if got != wanted:
        raise kit.Failure(f"{what}:\n{got}\ninstead of:\n{wanted}")


def ruleset():
    return re.sub(r"packets \d+ bytes \d+", "", kit.must("nft", "-a", "list", "ruleset"))


def names_of(text):
    """Handles and the digits of chains' names differ from run to run."""
    return re.sub(r"handle \d+", "handle N", re.sub(r"CNI-DN-[0-9a-f]{21}", "CNI-DN-HASH", text))


MAPPINGS = [kit.mapping(8080, 80), kit.mapping(5353, 53, "udp", hostIP="192.0.2.1")]


def scene():
    for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        net.sysctl(path, 1)
    net.address("host", "cni0", "fd00::1/64")
    net.address("host", "lan0", "2001:db8::1/64")
    net.attach("client", ("192.0.2.2/24", "2001:db8::2/64"), ("192.0.2.1", "2001:db8::1"), bridge="lan0")
    for number, name in ((2, "abc"), (3, "def")):
        net.attach(name, (f"10.22.0.{number}/16", f"fd00::{number}/64"), ("10.22.0.1", "fd00::1"), bridge="cni0")
        serve(name)


def table_of_backend(family, chains):
    """As portmap 1.9 writes it; rules by chain."""
    text = f'table {family} cni_hostport {{ comment "CNI portmap plugin"\n'
    for name in ("hostports", "hostip_hostports"):
        text += f"chain {name} {{\n" + "".join(f"{rule}\n" for rule in chains.get(name, ())) + "}\n"
    text += "chain hostports_all {\njump hostip_hostports\njump hostports\n}\n"
    for hook in ("prerouting", "output"):
        text += (f"chain {hook} {{\ntype nat hook {hook} priority -100;\n"
                 "fib daddr type local jump hostports_all\n}\n")
    text += "chain masquerading {\ntype nat hook postrouting priority 100;\n"
    return text + "".join(f"{rule}\n" for rule in chains.get("masquerading", ())) + "}\n}\n"


def until_stopped(host, times):
    def has_stopped():
        with contextlib.suppress(FileNotFoundError), open(f"{host.directory}/trace") as file:
            return file.read().count("stopped by SIGSTOP") == times
        return False

    net.until(has_stopped, "adopt sleeps", 600)


@contextlib.contextmanager
def adopt_stopped(host, when="1"):
    """An adopt that is stopped where it would sleep, first after it has published; the block lets it go on."""
    trace = f"{host.directory}/trace"
    with contextlib.suppress(FileNotFoundError):
        os.remove(trace)
    adopting = subprocess.Popen(
        ["strace", "-D", "-o", trace, "-e", "trace=clock_nanosleep,nanosleep",
         "-e", f"inject=clock_nanosleep,nanosleep:signal=SIGSTOP:when={when}",
         kit.CTL, "adopt", "--from", host.directory + "/cache", "--config", host.networks],
        env=host.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until_stopped(host, 1)
    if "published-ip" not in ruleset():
        raise kit.Failure("adopt stopped before it had published")
    yield adopting


def go_on(adopting):
    """Its exit status, and what it says."""
    os.kill(adopting.pid, signal.SIGCONT)
    out, err = adopting.communicate(timeout=600)
    return adopting.returncode, names_of(out), err

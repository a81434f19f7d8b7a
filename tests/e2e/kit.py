"""What the Python tests of this directory share: a host of their own, the plugin, its table.

    kit.enter(["strace"])   # in namespaces of its own from here on
    kit.call("ADD", "abc", kit.config([kit.mapping(8080, 80)]))

Network, mount and PID namespaces are those of the test's process, with a tmpfs over /run/netns:
nothing is seen outside, and all of it goes with the process, however it ends.
"""
import ctypes
import json
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
PLUGIN = f"{ROOT}/build/nft-port-mapper"
CTL = f"{ROOT}/build/nft-port-mapperctl"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PR_SET_CHILD_SUBREAPER = 36


class Failure(Exception):
    """The one clear reason of a test that failed."""


def enter(packages):
    """Comes back in namespaces of its own; before that, it is another process."""
    name = os.path.basename(sys.argv[0])
    if os.geteuid() != 0:
        sys.exit(f"tests/e2e/{name}: needs root")
    if os.environ.get("NPM_INSIDE") != name:
        need("nftables", "iproute2", *packages)
        os.environ["NPM_INSIDE"] = name
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "--pid", "--fork",
                              "--kill-child", "--mount-proc", "--net", sys.executable, *sys.argv])
    os.makedirs("/run/netns", exist_ok=True)
    must("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    host()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def need(*packages):
    subprocess.run([f"{ROOT}/packaging/need", *packages], check=True)


def host():
    """What this network namespace needs to be one: a LAN and a bridge for containers."""
    for command in ("link set lo up", "link add lan0 type bridge", "addr add 192.0.2.1/24 dev lan0",
                    "link set lan0 up", "link add cni0 type bridge",
                    "addr add 10.22.0.1/16 dev cni0", "link set cni0 up"):
        must("ip", *command.split())


def run(*command, **options):
    options = {"input": "", "env": {"PATH": PATH, "LC_ALL": "C"}, "timeout": 60, **options}
    return subprocess.run(command, capture_output=True, text=True, **options)


def must(*command, **options):
    result = run(*command, **options)
    if result.returncode != 0:
        raise Failure(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


def wait_for_orphans():
    """The delegate of a plugin that was killed goes on, and is a child of ours then."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


def result(number=2, subnet=22):
    """What a plugin before ours prints for container 10.<subnet>.0.<number>."""
    return {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/run/netns/abc"}],
            "ips": [{"address": f"10.{subnet}.0.{number}/16", "interface": 0}]}


def config(mappings, network="web", number=2, subnet=22, **more):
    """The chained form; delegating where `more` has a delegate. A conflict is answered at once."""
    text = {"cniVersion": "1.0.0", "name": network, "type": "nft-port-mapper",
            "chain": f"NET-{network.upper()}", "portWait": 0,
            "runtimeConfig": {"portMappings": mappings}, **more}
    if "delegate" not in more:
        text["prevResult"] = result(number, subnet)
    return json.dumps(text)


def mapping(host_port, container_port, protocol="tcp", **more):
    return {"hostPort": host_port, "containerPort": container_port, "protocol": protocol, **more}


def container(name, number=2, subnets=(22,)):
    """A namespace with the address of result(): one that is empty, without it, is a dead container's."""
    must("ip", "netns", "add", name)
    for subnet in subnets:
        must("ip", "-n", name, "addr", "add", f"10.{subnet}.0.{number}/16", "dev", "lo")


def environment(command, container, cni_path="/nowhere"):
    """A container without a namespace of its name has this process's."""
    netns = f"/run/netns/{container}"
    if not os.path.exists(netns):
        netns = f"/proc/{os.getpid()}/ns/net"
    return {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_IFNAME": "eth0",
            "CNI_NETNS": netns, "CNI_PATH": cni_path, "PATH": PATH}


def call(command, container, text, cni_path="/nowhere", below=()):
    return run(*below, PLUGIN, input=text, env=environment(command, container, cni_path))


def listing(text=None):
    """The table, or a listing of it, as a set of lines: "block: element or rule", counters at zero."""
    if text is None:
        text = run("nft", "list", "table", "inet", "nft-port-mapper").stdout
    text = re.sub(r"packets \d+ bytes \d+", "packets 0 bytes 0", text)
    lines, block = set(), ""
    for line in text.splitlines():
        line = line.strip()
        if line.endswith("{"):
            block = line
            lines.add(block)
            continue
        for part in re.sub(r"^elements = \{|\}$", "", line).split(", " if "{" in line else ","):
            part = part.strip().removesuffix(",")
            if part:
                lines.add(f"{block} {part}")
    return frozenset(lines)


def loopback(value=None):
    """Whether 127.0.0.1 may leave by cni0: "0" or "1"; or sets it."""
    path = "/proc/sys/net/ipv4/conf/cni0/route_localnet"
    if value is None:
        with open(path) as file:
            return file.read().strip()
    with open(path, "w") as file:
        return file.write(value)


def about_loopback(lines):
    """Of a listing, the elements that are there only for 127.0.0.1."""
    return frozenset(line for line in lines if line.startswith(
        ("set loopback-ip { tcp", "set localnet-devices { \"", "map localnet-users { \"",
         "set hairpin-ip { 127.")))


def records_of_loopback(lines):
    """Of these, the record of the device that we opened."""
    return frozenset(line for line in lines if line.startswith("set localnet-devices { \""))


def no_findings():
    result = run(CTL, "check")
    if (result.returncode, result.stdout, result.stderr) != (0, "no findings\n", ""):
        raise Failure(f"nft-port-mapperctl check: {result.stdout}{result.stderr}".strip())


def main(test):
    """Runs a test; its failure is one line."""
    try:
        test()
    except Failure as failure:
        sys.exit(f"FAILED  {failure}")

"""The scene of tests/e2e/watch and watch-egress: a container with real traffic, what libcni keeps of it, and the program.

    abc = build()             # in namespaces of its own, after kit.enter
    watch = Watch()
    watch.says(["repaired: ..."], "a flush")
"""
import atexit
import base64
import json
import os
import re
import signal
import subprocess
import threading
import time

import kit
import net
from kit import CTL, Failure

IN_TABLE = "inet nft-port-mapper"
RESULTS = "/var/lib/cni/results"
PATIENCE = 60
SETTINGS = {"chain": "NET-WEB", "portWait": 0}


def expect(what, got, wanted):
    if got != wanted and isinstance(wanted, frozenset):
        got, wanted = sorted(got - wanted), sorted(wanted - got)
    if got != wanted:
        raise Failure(f"{what}:\n{got!r}\nand ought to be:\n{wanted!r}")


class Container:
    """One that libcni attached: the plugin's ADD, and behind it the record; its DEL, and behind it none."""

    def __init__(self, name, number, ports, network="web", subnet=22, addresses=()):
        self.name, self.network = name, network
        self.mappings = [kit.mapping(host, inner) for host, inner in ports]
        self.settings = {**SETTINGS, "chain": f"NET-{network.upper()}"}
        ips = [f"10.{subnet}.0.{number}/16", *addresses]
        self.result = {"cniVersion": "1.0.0",
                       "interfaces": [{"name": "eth0", "sandbox": f"/run/netns/{name}"}],
                       "ips": [{"address": ip, "interface": 0} for ip in ips]}
        self.record = f"{RESULTS}/{network}-{name}-eth0"
        self.program = kit.PLUGIN
        self.netns = f"/run/netns/{name}"

    def call(self, command):
        text = json.dumps({"cniVersion": "1.0.0", "name": self.network, "type": "nft-port-mapper",
                           **self.settings, "runtimeConfig": {"portMappings": self.mappings},
                           "prevResult": self.result})
        environment = kit.environment(command, self.name)
        if os.path.exists(self.netns):
            environment["CNI_NETNS"] = self.netns
        answer = kit.run(self.program, input=text, env=environment)
        if answer.returncode:
            raise Failure(f"{command} of {self.name}: {answer.stdout}{answer.stderr}")

    def add(self):
        self.call("ADD")
        conflist = {"cniVersion": "1.0.0", "name": self.network, "plugins": [
            {"type": "nft-port-mapper", **self.settings, "capabilities": {"portMappings": True}}]}
        with open(self.record, "w") as file:
            json.dump({"kind": "cniCacheV1", "containerId": self.name, "ifName": "eth0",
                       "networkName": self.network, "netns": self.netns,
                       "config": base64.b64encode(json.dumps(conflist).encode()).decode(),
                       "capabilityArgs": {"portMappings": self.mappings}, "result": self.result}, file)

    def delete(self, others=0.2):
        self.call("DEL")
        time.sleep(others)  # the other plugins of the list
        os.unlink(self.record)


def from_a_terminal():
    """A shell that runs something behind itself has it ignore these, as tests/run does with its tests."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Watch:
    """The program, and what it says."""

    def __init__(self, *words, first=()):
        self.process = subprocess.Popen([CTL, "watch", *words], stdin=subprocess.DEVNULL, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={"PATH": kit.PATH, "LC_ALL": "C"}, preexec_fn=from_a_terminal)
        self.lines = []
        atexit.register(self.process.kill)  # a test that fails does not wait for it
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        net.until(lambda: self.lines, "watch begins", PATIENCE)
        self.told = 0
        self.says(["watching table inet nft-port-mapper", *first], "its beginning")

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def said(self):
        """What it said since the last time, without its name."""
        news = self.lines[self.told:]
        self.told += len(news)
        return [line.removeprefix("nft-port-mapperctl: ") for line in news]

    def says(self, wanted, what):
        net.until(lambda: len(self.lines) - self.told >= len(wanted) or self.process.poll() is not None,
                  f"watch says what it did about {what}", PATIENCE)
        expect(f"what watch says of {what}", self.said(), wanted)

    def end(self, number=None):
        """Its status, and all that it said since the last time."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.thread.join()
        out = self.process.stdout.read()
        expect("standard output", out, "")
        return status, self.said()


def nft(text):
    kit.must("nft", "-f", "-", input=text)


def answers(port=8080, to="192.0.2.1", name="client"):
    return net.ask(name, "tcp", to, port, 0.2).startswith("abc ")


def second():
    """A second, and what this machine takes longer than others: some times what check takes."""
    begin = time.monotonic()
    kit.run(CTL, "check")
    return 1 + 10 * (time.monotonic() - begin)


def soon(holds, what):
    begin = time.monotonic()
    net.until(holds, what, PATIENCE)
    took = time.monotonic() - begin
    if took > second():
        raise Failure(f"{what}, but it took {took:.2f} s")
    return took


def handle(chain, text):
    rules = kit.must("nft", "-a", "list", "chain", *IN_TABLE.split(), chain)
    return re.search(rf"{re.escape(text)}.*# handle (\d+)", rules)[1]


def build():
    os.makedirs("/var/lib/cni", exist_ok=True)
    kit.must("mount", "-t", "tmpfs", "tmpfs", "/var/lib/cni")
    os.mkdir(RESULTS, 0o700)
    for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        net.sysctl(path, 1)
    if os.path.exists("/proc/sys/net/bridge"):
        net.sysctl("bridge/bridge-nf-call-ip6tables", 0)
    net.address("host", "cni0", "fd00::1/64")
    kit.must("ip", "netns", "add", "client")
    net.link("client", "eth0", "host", "to-client")
    kit.must("ip", "link", "set", "to-client", "master", "lan0")
    net.address("client", "eth0", "192.0.2.2/24")
    net.attach("abc", ("10.22.0.2/16", "fd00::2/64"), ("10.22.0.1", "fd00::1"), "cni0")
    net.serve("abc", "abc", 80)
    abc = Container("abc", 2, [(8080, 80), (8081, 80)], addresses=["fd00::2/64"])
    abc.add()
    net.until(answers, "the port answers", PATIENCE)
    net.until(lambda: answers(to="::1", name="host"), "the port answers on ::1", PATIENCE)
    return abc

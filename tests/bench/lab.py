"""Namespaces, requests and measured runs: what the scenarios of tests/bench are made of."""

import json
import os
import statistics
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CNI_PATH = "/usr/lib/cni"
SUBNET = "10.88.0.1/16"


class Program:
    """A CNI plugin to measure: a label for the table, the file, keys for its configuration."""

    def __init__(self, label, path, options=None, is_budgeted=False):
        self.label = label
        self.path = path
        self.options = options or {}
        self.is_budgeted = is_budgeted  # how much faster we have to be is laid down

    def request(self, mappings, network, address, sandbox, options):
        """What a runtime would pass in the chained form."""
        config = {
            "cniVersion": "1.0.0",
            "name": network,
            "type": os.path.basename(self.path),
            "prevResult": {
                "cniVersion": "1.0.0",
                "interfaces": [{"name": "eth0", "sandbox": sandbox}],
                "ips": [{"interface": 0, "address": address + "/16"}],
            },
            **self.options,
            **options,
        }
        if mappings is not None:
            config["runtimeConfig"] = {"portMappings": mappings}
        return config


class Netavark(Program):
    """podman's own, which is no CNI plugin: it makes bridge and interface as well, and takes other words. A
    shell passes them on."""

    def __init__(self, label, path, directory):
        script = os.path.join(directory, label)
        with open(script, "w", encoding="utf-8") as out:
            out.write(f"""#!/bin/sh
case $CNI_COMMAND in
  ADD) exec {path} setup "$CNI_NETNS" ;;
  DEL) exec {path} teardown "$CNI_NETNS" ;;
esac
""")
        os.chmod(script, 0o755)
        super().__init__(label, script)

    def request(self, mappings, network, address, sandbox, options):
        subnet = {"subnet": "10.89.0.0/16", "gateway": "10.89.0.1"}
        ports = [
            {
                "host_ip": "",
                "container_port": mapping["containerPort"],
                "host_port": mapping["hostPort"],
                "range": 1,
                "protocol": mapping["protocol"],
            }
            for mapping in mappings
        ]
        of_network = {
            "name": network,
            "id": "0" * 64,
            "driver": "bridge",
            "network_interface": "netavark0",
            "subnets": [subnet],
            "ipv6_enabled": False,
            "internal": False,
            "dns_enabled": False,
            "ipam_options": {"driver": "host-local"},
            "options": {},
            "created": "2026-01-01T00:00:00Z",
        }
        of_container = {"static_ips": [address.replace("10.88.", "10.89.")], "interface_name": "eth0"}
        return {
            "container_id": address,
            "container_name": address,
            "networks": {network: of_container},
            "network_info": {network: of_network},
            "port_mappings": ports,
        }


def command(*words, check=True, **options):
    return subprocess.run(words, check=check, capture_output=True, text=True, **options).stdout


class Lab:
    """Everything it makes goes with it: namespaces, files, listening helpers."""

    def __init__(self, build):
        self.build = build
        self.directory = tempfile.TemporaryDirectory(prefix="npm-bench-")
        self.namespaces = []
        self.files = 0
        self.container = self.namespace("container")
        self.plugin = Program("nft-port-mapper", os.path.join(build, "nft-port-mapper"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in self.namespaces:
            command("ip", "netns", "delete", name, check=False)
        self.directory.cleanup()

    def tool(self, name):
        return os.path.join(self.build, "tests", "bench", "bench-" + name)

    @property
    def ctl(self):
        return os.path.join(self.build, "nft-port-mapperctl")

    def first_ruleset(self):
        """The last plugin that built the first ruleset (tests/older); built once, and it need not be fast."""
        tree = os.path.join(self.build, "bench", "first-ruleset")
        plugin = os.path.join(tree, "build", "nft-port-mapper")
        if not os.path.exists(plugin):
            os.makedirs(tree, exist_ok=True)
            sources = os.path.join(ROOT, "tests", "older", "first-ruleset.tar.xz")
            command("tar", "-xJf", sources, "-C", tree)
            with open(os.path.join(tree, "packaging", "CMakeLists.txt"), "w", encoding="utf-8"):
                pass  # what is installed beside the programs is not there
            environment = {**os.environ, "CXXFLAGS": "-O0"}
            words = ["-S", tree, "-B", tree + "/build", "-DCMAKE_BUILD_TYPE=None", "-DNFT_PORT_MAPPER_TESTS=OFF"]
            command("cmake", *words, env=environment)
            command("cmake", "--build", tree + "/build", "-j", str(os.cpu_count()), "--target", "nft-port-mapper")
        return Program("nft-port-mapper", plugin)

    def static_plugin(self):
        """As packaging/debian/rules builds it."""
        tree = os.path.join(self.build, "bench", "static")
        libraries = os.path.join(tree, "libraries")
        if not os.path.exists(libraries):
            command(os.path.join(ROOT, "packaging", "static-libraries"), libraries)
        words = ["-S", ROOT, "-B", tree, "-DNFT_PORT_MAPPER_TESTS=OFF", "-DNFT_PORT_MAPPER_STATIC=ON"]
        command("cmake", *words, "-DCMAKE_LIBRARY_PATH=" + libraries)
        command("cmake", "--build", tree, "-j", str(os.cpu_count()), "--target", "nft-port-mapper")
        stripped = os.path.join(tree, "stripped", "nft-port-mapper")
        os.makedirs(os.path.dirname(stripped), exist_ok=True)
        command("strip", "-o", stripped, os.path.join(tree, "nft-port-mapper"))
        # It is ours, and runs as first as the empty program does.
        self.plugin = Program("packaged", stripped)
        return self.plugin

    def namespace(self, name):
        name = f"npm-bench-{os.getpid()}-{name}"
        command("ip", "netns", "add", name)
        self.namespaces.append(name)
        return "/run/netns/" + name

    def host(self, name):
        """A host with a container network's bridge, and nothing published."""
        path = self.namespace(name)
        for words in (
            "link set lo up",
            "link add cni0 type bridge",
            "link set cni0 up",
            f"address add {SUBNET} dev cni0",
        ):
            command("ip", "-netns", os.path.basename(path), *words.split())
        return path

    def file(self, text):
        self.files += 1
        path = os.path.join(self.directory.name, str(self.files))
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def request(self, program, mappings, network="bench", address="10.88.0.2", **options):
        """A file with what a runtime would pass."""
        config = program.request(mappings, network, address, self.container, options)
        return self.file(json.dumps(config))

    def call(self, netns, program, verb, request, container="c", label=None, sandbox=None):
        """One line of a plan for bench-measure."""
        environment = [
            f"CNI_COMMAND={verb}",
            f"CNI_CONTAINERID={container}",
            f"CNI_NETNS={sandbox or self.container}",
            "CNI_IFNAME=eth0",
            f"CNI_PATH={CNI_PATH}",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        label = label or f"{program.label}/{verb}"
        priority = "first" if program is self.plugin else "ordinary"
        return [label, netns, request, priority, str(len(environment)), *environment, program.path]

    def bare(self, netns, label, *argv):
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return [label, netns, "/dev/null", "first", "1", path, *argv]

    def pause(self, netns, milliseconds):
        return self.bare(netns, "-", "pause", str(int(milliseconds * 1000)))

    def measure(self, mode, number, plan):
        text = "".join("\t".join(line) + "\n" for line in plan)
        done = subprocess.run(
            [self.tool("measure"), mode, str(number)], input=text, text=True, capture_output=True
        )
        if done.returncode != 0:
            raise SystemExit("tests/bench: " + done.stderr.strip())
        return [line.split() for line in done.stdout.splitlines()]

    def rounds(self, number, plan):
        """Medians by label: nanoseconds; and the highest peak of memory in KiB."""
        times, peaks = {}, {}
        for label, nanoseconds, peak, _ in self.measure("rounds", number, plan):
            times.setdefault(label, []).append(int(nanoseconds))
            peaks[label] = max(peaks.get(label, 0), int(peak))
        return {label: statistics.median(values) for label, values in times.items()}, peaks

    def page_faults(self, line, before=(), after=()):
        """The least that one run of it took: what else runs can only add some."""
        plan = [*before, ["counted", *line[1:]], *after]
        return min(int(words[3]) for words in self.measure("rounds", 5, plan))

    def flight(self, number, plan):
        """Nanoseconds for all, and how many failed."""
        _, nanoseconds, failures = self.measure("flight", number, plan)[0]
        return int(nanoseconds), int(failures)

    def run_all(self, plan):
        self.rounds(1, plan)

    def beside(self, netns):
        """A port of another container, as on most hosts: who is alone pays for what all share."""
        request = self.request(self.plugin, port_mappings([60500]), address="10.88.1.9")
        self.run_all([self.call(netns, self.plugin, "ADD", request, "beside", "-")])

    def publish(self, netns, count, **options):
        """`count` ports below 50,001, held by one container for tcp and, of many, one for udp."""
        plan = []
        for protocol in ("tcp", "udp"):
            size, count = min(count, 50_000), max(count - 50_000, 0)
            if size == 0:
                break
            request = self.request(
                self.plugin,
                port_mappings(range(1, size + 1), protocol),
                address="10.88.1.1",
                **options,
            )
            plan.append(self.call(netns, self.plugin, "ADD", request, "held-" + protocol, "-"))
        self.run_all(plan)


def wrapped(line, *wrapper):
    """The line of a plan, its program run by another one; not reported."""
    at = 5 + int(line[4])
    return ["-", *line[1:at], *wrapper, *line[at:]]


def port_mappings(ports, protocol="tcp", **more):
    return [
        {"hostPort": port, "containerPort": 80, "protocol": protocol, **more} for port in ports
    ]

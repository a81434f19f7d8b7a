"""What is measured. Each scenario makes its own namespaces and yields rows for the table."""

import os
import re
import statistics
from dataclasses import dataclass, field

from lab import Program, command, port_mappings, wrapped
from plots import Plot

TEST_PORT = 60001
LOCAL_PORT = 60002  # of a server on the host; nobody publishes it
MANY = 100_000


@dataclass
class Row:
    what: str  # as the table shows it
    value: float  # a ratio, seconds or MiB
    unit: str  # "x", "s" or "MiB"
    limit: float = None  # the budget
    at_least: bool = False  # of a speed-up: more is better
    detail: str = ""
    samples: dict = field(default_factory=dict)

    @property
    def kept(self):
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def milliseconds(nanoseconds):
    return f"{nanoseconds / 1e6:.2f} ms"


def ratio(what, medians, one, other, limit, **more):
    """How many times `one` is `other`."""
    detail = f"{milliseconds(medians[one])} : {milliseconds(medians[other])}"
    return Row(what, medians[one] / medians[other], "x", limit, detail=detail, **more)


def speed_up(what, medians, ours, theirs, limit=None):
    row = ratio(what, medians, theirs, ours, limit, at_least=True)
    row.detail = f"{milliseconds(medians[ours])} : {milliseconds(medians[theirs])}"
    return row


def add_and_del(lab, netns, program, request, suffix="", verbs=("ADD", "DEL")):
    return [
        lab.call(netns, program, verb, request, label=f"{program.label}/{verb}{suffix}")
        for verb in verbs
    ]


def settled(lab, netns, plan):
    """The plan, behind a pause in which the kernel frees what was deleted before, which takes its time of
    who runs meanwhile."""
    return [lab.pause(netns, 50), *plan]


def start_up(lab, peers, rounds):
    """The process, next to the floors and to the peers."""
    host = lab.host("empty")
    lab.beside(host)
    mapping = port_mappings([TEST_PORT])
    plan = [
        lab.bare(host, "empty", lab.tool("empty")),
        lab.bare(host, "floor", lab.tool("nothing")),
    ]
    plan += add_and_del(lab, host, lab.plugin, lab.request(lab.plugin, mapping))
    for i, peer in enumerate(peers):
        plan += add_and_del(lab, lab.host(f"peer-{i}"), peer, lab.request(peer, mapping))
    medians, peaks = lab.rounds(rounds, plan)
    for verb in ("ADD", "DEL"):
        ours = f"nft-port-mapper/{verb}"
        yield ratio(f"{verb} : the same libraries, doing nothing", medians, ours, "floor", 1.3)
        yield ratio(f"{verb} : an empty C program", medians, ours, "empty", 2.5)
        for peer in peers:
            what = f"{verb}, faster than {peer.label}"
            yield speed_up(what, medians, ours, f"{peer.label}/{verb}", 15 if peer.is_budgeted else None)
    peak = max(peaks[f"nft-port-mapper/{verb}"] for verb in ("ADD", "DEL"))
    yield Row("peak memory of ADD", peak / 1024, "MiB", 6)


def packaged(lab, _peers, rounds):
    """As the Debian packages have it: with as few shared libraries as this Debian allows."""
    host = lab.host("packaged")
    lab.beside(host)
    program = lab.static_plugin()
    request = lab.request(program, port_mappings([TEST_PORT]))
    plan = []
    for verb in ("ADD", "CHECK", "DEL"):
        plan += settled(lab, host, [lab.bare(host, "empty", lab.tool("empty"))])
        plan += add_and_del(lab, host, program, request, verbs=(verb,))
    medians, _ = lab.rounds(rounds, plan)
    for verb, limit in (("ADD", 1.5), ("CHECK", 1.35), ("DEL", 1.35)):
        what = f"{verb}, packaged : an empty C program"
        yield ratio(what, medians, f"{program.label}/{verb}", "empty", limit)


def redeploy(lab, _peers, rounds):
    """A DEL, and some milliseconds later the ADD of what takes its place: nobody waits for what the DEL
    leaves to the kernel."""
    host = lab.host("redeploy")
    lab.beside(host)
    request = lab.request(lab.plugin, port_mappings([TEST_PORT]))
    gaps = (0, 3, 5, 7, 10)
    plan = []
    for gap in (*gaps, 100):
        plan += settled(lab, host, add_and_del(lab, host, lab.plugin, request, verbs=("DEL",)))
        plan.append(lab.pause(host, gap))
        plan += add_and_del(lab, host, lab.plugin, request, f"/{gap}", ("ADD",))
    medians, _ = lab.rounds(max(rounds // 2, 5), plan)
    for gap in gaps:
        name = "nft-port-mapper/ADD"
        what = f"ADD {gap} ms after a DEL : after a rest"
        yield ratio(what, medians, f"{name}/{gap}", f"{name}/100", 1.15)


def in_a_row(lab, peers, rounds):
    """The packaged plugin and what others run for the same, where so many containers have a port each."""
    packaged_plugin = lab.static_plugin()
    for size, limits in ((1, {"portmap": 25, MESOS: 4}), (1000, {}), (10_000, {})):
        plan = []
        programs = [packaged_plugin, mesos_sequence(lab), *peers]
        for i, program in enumerate(programs):
            host = lab.host(f"row-{size}-{i}")
            fill(lab, host, program, size)
            request = lab.request(program, port_mappings([TEST_PORT]))
            plan += settled(lab, host, add_and_del(lab, host, program, request))
        medians, _ = lab.rounds(max(rounds * 100 // (size + 100) // 2, 3), plan)
        for verb in ("ADD", "DEL"):
            for program in programs[1:]:
                limit = limits.get(program.label) if verb == "ADD" else None
                what = f"{verb}, packaged, {size:,} published, faster than {program.label}"
                yield speed_up(what, medians, f"packaged/{verb}", f"{program.label}/{verb}", limit)


MESOS = "mesos-iptables"


def mesos_sequence(lab):
    """What mesos-cni-port-mapper has a shell run for one port, without itself and its delegate: whether the
    chain is there, and one rule; later the rule that has the container's tag."""
    script = """#!/bin/sh
exec >/dev/null 2>&1
tag="container_id: $CNI_CONTAINERID"
chain=MESOS-BENCH
read -r config
port=${config#*\\"hostPort\\": }
port=${port%%,*}
case $CNI_COMMAND in
  ADD)
    iptables -w -t nat --list $chain || {
      iptables -w -t nat -N $chain
      iptables -w -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j $chain
      iptables -w -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j $chain
    }
    iptables -w -t nat -A $chain -p tcp --dport "$port" -m comment --comment "$tag" \\
      -j DNAT --to-destination 10.88.0.2:80
    ;;
  DEL)
    iptables -w -t nat -S $chain | grep -F "$tag" | sed 's/^-A/iptables -w -t nat -D/' | sh
    ;;
esac
"""
    path = lab.file(script)
    os.chmod(path, 0o755)
    return Program(MESOS, path)


CONTAINER_CHAIN = re.compile(r"CNI-DN-[0-9a-f]+")


def fill(lab, netns, program, size):
    """`size` containers with a port each. What runs iptables would take hours for that: the rules of its
    first container are loaded again for the others, with names and numbers of their own. What writes its
    own nftables has one container more with all ports."""
    sandbox = lab.namespace(os.path.basename(netns) + "-filled")

    def add(number, ports):
        request = lab.request(program, port_mappings(ports), address="10.88.1.2")
        return lab.call(netns, program, "ADD", request, f"filled-{number}", "-", sandbox)

    lab.run_all([add(1, [1])])
    if program is lab.plugin:
        for first in range(2, size + 1, 250):  # each opens files
            lab.run_all([add(port, [port]) for port in range(first, min(first + 250, size + 1))])
        return
    saved = in_namespace(netns, "iptables-save", "-t", "nat").splitlines()
    rules = [line for line in saved if re.match(":CNI-DN", line) or re.search(r"--dports? 1\b", line)]
    if size > 1 and not rules:
        lab.run_all([add(2, range(2, size + 1))])
    copies = []
    for number in range(2, size + 1) if rules else ():
        for line in rules:
            line = CONTAINER_CHAIN.sub(f"CNI-DN-{number:020x}", line).replace("filled-1", f"filled-{number}")
            copies.append(re.sub(r"(--dports?) 1\b", rf"\1 {number}", line))
    if copies:
        text = "\n".join(["*nat", *copies, "COMMIT", ""])
        in_namespace(netns, "iptables-restore", "--noflush", input=text)


def in_namespace(netns, *words, **options):
    return command("nsenter", "--net=" + netns, *words, **options)


def flatness(lab, _peers, rounds):
    """0 and 100,000 published ports."""
    few, many = lab.host("few"), lab.host("many")
    lab.publish(few, 1)
    lab.publish(many, MANY)
    request = lab.request(lab.plugin, port_mappings([TEST_PORT]))
    without = lab.request(lab.plugin, None)
    plan = []
    for netns, suffix in ((few, "/few"), (many, "/many")):
        for deletion, name in ((request, ""), (without, "/without")):
            add = add_and_del(lab, netns, lab.plugin, request, suffix + name, ("ADD", "CHECK"))
            plan += settled(lab, netns, add)
            plan += add_and_del(lab, netns, lab.plugin, deletion, suffix + name, ("DEL",))
    medians, _ = lab.rounds(rounds, plan)
    for verb in ("ADD", "DEL", "CHECK"):
        name = f"nft-port-mapper/{verb}"
        what = f"{verb} at {MANY:,} ports : at 1"
        yield ratio(what, medians, name + "/many", name + "/few", 1.15)
    name = "nft-port-mapper/DEL/many"
    what = f"DEL without its ports at {MANY:,} : with them"
    yield ratio(what, medians, name + "/without", name, 1.15)


def networks(lab, _peers, rounds):
    """1 and 1,000 networks without a chain of their own."""
    one, thousand = lab.host("one"), lab.host("thousand")
    add_networks(lab, one, 1)
    add_networks(lab, thousand, 1000)
    request = lab.request(lab.plugin, port_mappings([TEST_PORT]))
    plan = settled(lab, one, add_and_del(lab, one, lab.plugin, request, "/one"))
    plan += settled(lab, thousand, add_and_del(lab, thousand, lab.plugin, request, "/thousand"))
    medians, _ = lab.rounds(rounds, plan)
    for verb in ("ADD", "DEL"):
        name = f"nft-port-mapper/{verb}"
        what = f"{verb} at 1,000 networks : at 1"
        yield ratio(what, medians, name + "/thousand", name + "/one", 1.3)


def add_networks(lab, netns, count, **options):
    plan = []
    for i in range(count):
        request = lab.request(
            lab.plugin, port_mappings([i + 1]), f"net-{i}", f"10.88.{i // 250}.{i % 250 + 2}"
        )
        plan.append(lab.call(netns, lab.plugin, "ADD", request, f"c-{i}", "-"))
    lab.run_all(plan)


def many_ports(lab, _peers, rounds):
    """One container, every port."""
    host = lab.host("every")
    every = range(1, 65536)
    for name, protocols, limit in (
        ("65,535 ports", ("tcp",), 0.5),
        ("3 x 65,535 ports", ("tcp", "udp", "sctp"), 1.5),
    ):
        mappings = [m for protocol in protocols for m in port_mappings(every, protocol)]
        request = lab.request(lab.plugin, mappings)
        medians, _ = lab.rounds(max(rounds // 10, 3), add_and_del(lab, host, lab.plugin, request))
        for verb in ("ADD", "DEL"):
            seconds = medians[f"nft-port-mapper/{verb}"] / 1e9
            yield Row(f"{verb} of {name}", seconds, "s", limit)
            yield Row(f"batches of that {verb}", count_batches(lab, host, request, verb), "", 1)


def count_batches(lab, netns, request, verb):
    """How many batches strace sees; ADD is undone and DEL prepared outside of it."""
    trace = os.path.join(lab.directory.name, "trace")
    line = lab.call(netns, lab.plugin, verb, request)
    add, delete = (lab.call(netns, lab.plugin, v, request, label="-") for v in ("ADD", "DEL"))
    strace = ["/usr/bin/strace", "-o", trace, "-e", "trace=sendto"]
    before, after = ([], [delete]) if verb == "ADD" else ([add], [])
    lab.run_all([*before, wrapped(line, *strace), *after])
    with open(trace, encoding="utf-8") as calls:
        return sum("NFNL_MSG_BATCH_BEGIN" in call for call in calls)


def crowd(lab, peers, _rounds):
    """Many runtimes at once."""
    containers, ports, flight = 1000, 32, 64
    rates = {}
    ours = lab.plugin
    programs = [(ours, containers), (lab.static_plugin(), containers)] + [(peer, 64) for peer in peers]
    for program, size in programs:
        host = lab.host("crowd-" + program.label.replace(" ", "-"))
        requests = [
            lab.request(
                program,
                port_mappings(range(1 + i * ports, 1 + (i + 1) * ports)),
                address=f"10.88.{i // 250}.{i % 250 + 2}",
            )
            for i in range(size)
        ]
        for verb in ("ADD", "DEL"):
            plan = [
                lab.call(host, program, verb, request, f"c-{i}")
                for i, request in enumerate(requests)
            ]
            nanoseconds, failures = lab.flight(flight, plan)
            rates[program.label, verb] = size / (nanoseconds / 1e9)
            if program is ours:
                what = f"failed {verb}, {size:,} containers x {ports} ports, {flight} in flight"
                yield Row(what, failures, "", 0)

    def faster(verb, program, other, limit):
        rate, rate_of_other = rates[program, verb], rates[other, verb]
        name = "" if program == ours.label else ", " + program
        what = f"{verb} by many at once{name}, faster than {other}"
        detail = f"{rate:.0f}/s : {rate_of_other:.1f}/s"
        return Row(what, rate / rate_of_other, "x", limit, True, detail)

    yield faster("ADD", "packaged", ours.label, 1.5)
    for peer in peers:
        for verb in ("ADD", "DEL"):
            yield faster(verb, ours.label, peer.label, 10 if peer.is_budgeted else None)


class Path:
    """client -- host -- server, where a connection to the host's port 50,001 leads to the server."""

    def __init__(self, lab, name):
        self.host = lab.host(name)
        self.client = lab.namespace(name + "-client")
        self.server = lab.namespace(name + "-server")
        host, client, server = (os.path.basename(p) for p in (self.host, self.client, self.server))
        for words in (
            f"-netns {host} link add uplink type veth peer name eth0 netns {client}",
            f"-netns {host} link add port0 type veth peer name eth0 netns {server}",
            f"-netns {host} link set port0 master cni0",
            f"-netns {host} address add 192.0.2.1/24 dev uplink",
            f"-netns {host} link set uplink up",
            f"-netns {host} link set port0 up",
            f"-netns {client} address add 192.0.2.2/24 dev eth0",
            f"-netns {client} link set eth0 up",
            f"-netns {server} address add 10.88.0.2/16 dev eth0",
            f"-netns {server} link set eth0 up",
            f"-netns {server} route add default via 10.88.0.1",
        ):
            command("ip", *words.split())
        command("nsenter", "--net=" + self.host, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def publish_test_port(self, lab, program=None, **options):
        program = program or lab.plugin
        request = lab.request(program, port_mappings([TEST_PORT]), **options)
        lab.run_all([lab.call(self.host, program, "ADD", request, "served", "-")])


def connect(lab, rounds, paths, local=()):
    """Nanoseconds of a new connection, by label; the places take turns. Of the paths that `local` names,
    also of one to a server of the host itself: "NAME/local". A tenth of the connections was faster: the
    differences are a microsecond, and what else runs delays half of the connections by several."""
    words = [lab.tool("connect"), str(rounds)]
    words += [path.server + ":80" for path in paths.values()]
    words += [f"{paths[name].host}:{LOCAL_PORT}" for name in local] + ["--"]
    words += [f"{label}={path.client}=192.0.2.1={TEST_PORT}" for label, path in paths.items()]
    words += [f"{name}/local={paths[name].client}=192.0.2.1={LOCAL_PORT}" for name in local]
    samples = {}
    for line in command(*words).splitlines():
        label, nanoseconds = line.split()
        samples.setdefault(label, []).append(int(nanoseconds))
    return {label: statistics.quantiles(values, n=10)[0] for label, values in samples.items()}


def connections(lab, _peers, rounds):
    """A new connection, however much is published."""
    paths = {name: Path(lab, name) for name in ("one", "first", "ports", "networks", "chain", "chains")}
    paths["first"].publish_test_port(lab, program=lab.first_ruleset())
    for name in ("one", "ports", "networks"):
        if name == "ports":
            lab.publish(paths[name].host, 60_000)
        if name == "networks":
            add_networks(lab, paths[name].host, 1000)
        paths[name].publish_test_port(lab)
    for i in range(99):
        request = lab.request(
            lab.plugin, port_mappings([i + 1]), f"net-{i}", chain=f"CHAIN-{i}", address="10.88.1.2"
        )
        lab.run_all([lab.call(paths["chains"].host, lab.plugin, "ADD", request, f"c-{i}", "-")])
    for name in ("chain", "chains"):
        paths[name].publish_test_port(lab, chain="LAST")
    times = connect(lab, rounds * 100, paths, ("chain", "chains"))
    what = "new connection, "
    yield ratio(what + "this ruleset : the first", times, "one", "first", 1.05)
    yield ratio(what + "60,000 ports : 1", times, "ports", "one", 1.05)
    yield ratio(what + "1,000 networks : 1", times, "networks", "one", 1.05)
    yield ratio(what + "last of 100 chains : the only one", times, "chains", "chain", 2.0)
    what += "port that nobody published, "
    yield ratio(what + "100 chains : 1", times, "chains/local", "chain/local", 1.05)


def listing(lab, _peers, rounds):
    """`list` of many, next to what the kernel needs for a dump of one set."""
    host = lab.host("list")
    lab.publish(host, MANY)
    plan = [
        lab.bare(host, "list", lab.ctl, "list", "--json"),
        lab.bare(host, "dump", lab.tool("dump"), "owners"),
    ]
    medians, _ = lab.rounds(max(rounds // 10, 3), plan)
    yield ratio(f"list --json of {MANY:,} ports : a dump of owners", medians, "list", "dump", 1.3)


def growth(lab, peers, rounds):
    """How ADD, DEL and a new connection grow with what is published."""
    lines, paths = {}, {}
    for program in (lab.plugin, *peers):
        for size in (1, 100, 500) if program in peers else (1, 100, 10_000, 50_000):
            path = Path(lab, f"{program.label}-{size}".replace(" ", "-"))
            paths[f"{program.label}:{size}"] = path
            request = lab.request(program, port_mappings(range(1, size + 1)), address="10.88.1.1")
            lab.run_all([lab.call(path.host, program, "ADD", request, "held", "-")])
            request = lab.request(program, port_mappings([TEST_PORT + 1]))
            plan = add_and_del(lab, path.host, program, request)
            medians, _ = lab.rounds(max(rounds // 4, 5), plan)
            for verb in ("ADD", "DEL"):
                point = (size, medians[f"{program.label}/{verb}"] / 1e6)
                lines.setdefault(f"{program.label} {verb}", []).append(point)
            request = lab.request(program, port_mappings([TEST_PORT]))
            lab.run_all([lab.call(path.host, program, "ADD", request, "served", "-")])
    ports = "ports published already"
    yield Plot("growth", "One more port", ports, "milliseconds", lines)

    lines = {}
    for name, time in connect(lab, rounds * 30, paths).items():
        label, size = name.split(":")
        lines.setdefault(label, []).append((int(size), time / 1e3))
    yield Plot("connections", "A new TCP connection", ports, "microseconds", lines)


SCENARIOS = (start_up, packaged, in_a_row, redeploy, flatness, networks, many_ports, crowd, connections, listing, growth)

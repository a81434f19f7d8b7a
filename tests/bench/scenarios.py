"""What is measured. Each scenario makes its own namespaces and yields rows for the table."""

import os
import statistics
from dataclasses import dataclass, field

from lab import command, port_mappings, wrapped
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
    """The plan, behind a pause in which the kernel frees what was deleted before: a batch that comes
    at once waits for that, as long in an empty table as in a full one."""
    return [lab.bare(netns, "-", "/usr/bin/sleep", "0.05"), *plan]


def start_up(lab, peers, rounds):
    """The process, next to the floors and to the peers."""
    host = lab.host("empty")
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
    for program, size in [(lab.plugin, containers)] + [(peer, 64) for peer in peers]:
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
            if program not in peers:
                what = f"failed {verb}, {size:,} containers x {ports} ports, {flight} in flight"
                yield Row(what, failures, "", 0)
    for peer in peers:
        for verb in ("ADD", "DEL"):
            ours, theirs = rates["nft-port-mapper", verb], rates[peer.label, verb]
            yield Row(
                f"{verb} by many at once, faster than {peer.label}",
                ours / theirs,
                "x",
                10 if peer.is_budgeted else None,
                True,
                f"{ours:.0f}/s : {theirs:.1f}/s",
            )


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
    """`list` of many, next to what the kernel needs for it."""
    host = lab.host("list")
    lab.publish(host, MANY)
    plan = [
        lab.bare(host, "list", lab.ctl, "list", "--json"),
        lab.bare(host, "dump", lab.tool("dump"), "owners", "hostports-ip"),
    ]
    medians, _ = lab.rounds(max(rounds // 10, 3), plan)
    yield ratio(f"list --json of {MANY:,} ports : the kernel's dumps", medians, "list", "dump", 1.3)


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


SCENARIOS = (start_up, flatness, networks, many_ports, crowd, connections, listing, growth)

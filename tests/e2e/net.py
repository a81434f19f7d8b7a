"""Hosts beside that of tests/e2e/kit.py, with traffic: the test's process has sockets in each namespace.

    net.attach("abc", ("10.22.0.2/16", "fd00::2/64"), ("10.22.0.1", "fd00::1"), bridge="cni0")
    net.serve("abc", "abc", 80)                          # TCP and UDP, IPv4 and IPv6
    net.ask("client", "tcp", "192.0.2.1", 8080, 10)      # "abc 192.0.2.2", "refused" or "timeout"

"host" is the network namespace of kit.enter(). A server answers with its name and the address that it
sees. Not for several threads: a socket is made by entering a namespace for a moment.
"""
import contextlib
import ctypes
import os
import socket
import threading
import time

import kit

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@contextlib.contextmanager
def inside(name):
    if name == "host":
        yield
        return
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{name}") as there:
        if LIBC.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise kit.Failure(f"setns {name}: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            LIBC.setns(home.fileno(), CLONE_NEWNET)


def sysctl(path, value, name="host"):
    with inside(name), open(f"/proc/sys/net/{path}", "w") as file:
        file.write(str(value))


def link(name, interface, peer_name, peer):
    """A pair of interfaces, up: one in a namespace, one in another or in the host's."""
    ends = ((peer_name, peer), (name, interface))
    kit.must(*ip(peer_name), "link", "add", peer, "type", "veth", "peer", "name", interface, "netns", name)
    for namespace, end in ends:
        kit.must(*ip(namespace), "link", "set", end, "up")


def ip(name):
    return ["ip"] if name == "host" else ["ip", "-n", name]


def address(name, interface, *addresses):
    for one in addresses:
        nodad = ["nodad"] if ":" in one else []
        kit.must(*ip(name), "addr", "add", one, "dev", interface, *nodad)


def attach(name, addresses, gateways, bridge):
    """A namespace with eth0 on the host's bridge."""
    kit.must("ip", "netns", "add", name)
    link(name, "eth0", "host", f"to-{name}")
    kit.must("ip", "link", "set", f"to-{name}", "master", bridge)
    address(name, "eth0", *addresses)
    kit.must(*ip(name), "link", "set", "lo", "up")
    for gateway in gateways:
        kit.must(*ip(name), "route", "add", "default", "via", gateway)


def two_uplinks():
    """host wan1 -- isp1 -- far, and host wan2 -- isp2 -- far; each provider drops addresses of the other.
    The host's default routes are those of wan1."""
    far = ("198.18.0.2/32", "2001:db8:f::2/128")
    kit.must("ip", "netns", "add", "far")
    kit.must(*ip("far"), "link", "set", "lo", "up")
    address("far", "lo", *far)
    for number, ours, ours6 in ((1, "198.18.1.", "2001:db8:9::"), (2, "198.51.100.", "2001:db8:2::")):
        isp, wan, inner, inner6 = f"isp{number}", f"wan{number}", f"198.18.1{number}.", f"2001:db8:f{number}::"
        kit.must("ip", "netns", "add", isp)
        for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            sysctl(path, 1, isp)
        link(isp, "customer", "host", wan)
        link(isp, "world", "far", wan)
        address("host", wan, f"{ours}1/24", f"{ours6}1/64")
        address(isp, "customer", f"{ours}254/24", f"{ours6}254/64")
        address(isp, "world", f"{inner}1/24", f"{inner6}1/64")
        address("far", wan, f"{inner}2/24", f"{inner6}2/64")
        for interface in ("all", wan):
            sysctl(f"ipv4/conf/{interface}/rp_filter", 0, "far")
            sysctl(f"ipv4/conf/{interface}/rp_filter", 0)
        for to, via, source in ((f"{ours}0/24", f"{inner}1", far[0]), (f"{ours6}/64", f"{inner6}1", far[1])):
            kit.must(*ip("far"), "route", "add", to, "via", via, "src", source.split("/")[0])
        for to, via in zip(far, (f"{inner}2", f"{inner6}2")):
            kit.must(*ip(isp), "route", "add", to, "via", via)
        with inside(isp):
            kit.must("nft", "-f", "-", input=f"""table inet customers {{ chain forward {{
                type filter hook forward priority filter;
                iifname "customer" ip saddr != {ours}0/24 drop
                iifname "customer" ip6 saddr != {ours6}/64 drop
                }}
                }}""")
    for via in ("198.18.1.254", "2001:db8:9::254"):
        kit.must("ip", "route", "add", "default", "via", via, "dev", "wan1")


# Traffic.

def make_socket(name, family, protocol):
    with inside(name):
        return socket.socket(family, KINDS[protocol])


def family_of(text):
    return socket.AF_INET6 if ":" in text else socket.AF_INET


def serve(name, text, port, addresses=("0.0.0.0", "::")):
    """Until the function that it returns is called."""
    servers = []
    for one in addresses:
        for protocol in KINDS:
            server = make_socket(name, family_of(one), protocol)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ":" in one:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((one, port))
            if protocol == "tcp":
                server.listen()
            threading.Thread(target=answer, args=(server, protocol, text), daemon=True).start()
            servers.append(server)

    def stop():
        for server in servers:
            server.close()
    return stop


def answer(server, protocol, text):
    while True:
        try:
            if protocol == "tcp":
                peer, source = server.accept()
                with peer:
                    peer.sendall(f"{text} {source[0]}".encode())
            else:
                _, source = server.recvfrom(512)
                server.sendto(f"{text} {source[0]}".encode(), source)
        except OSError:
            if server.fileno() < 0:
                return


def ask(name, protocol, to, port, patience, question=b"?"):
    """What the server says; b"..." as text where that is text."""
    with make_socket(name, family_of(to), protocol) as client:
        client.settimeout(patience)
        try:
            client.connect((to, port))
            if protocol == "udp":
                client.send(question)
            reply = client.recv(512)
            return reply.decode() if question == b"?" else reply
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return os.strerror(error.errno)


def resolve(name, resolver):
    """The address of name.test that a resolver knows; what it says, if that is no answer of a resolver."""
    query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04name\x04test\0\0\x01\0\x01"
    reply = ask(name, "udp", resolver, 53, 10, query)
    if isinstance(reply, bytes) and not reply.startswith(query[:2]):
        return reply.decode()
    return reply if isinstance(reply, str) else ".".join(str(byte) for byte in reply[-4:])


def until(holds, what, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise kit.Failure(f"waited {seconds} s until {what}")
        time.sleep(0.05)

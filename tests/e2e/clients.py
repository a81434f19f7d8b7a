"""Clients that connect without a pause, and connections that go on, while something is done to a host.

    with clients.Clients("abc"):      # until the end of the block; one that was lost is a failure
        ...
    established.goes_on("after it")

The names and addresses are those of tests/e2e/adopt's scene. Each loop is a process of its own.
"""
import socket
import subprocess
import sys

import kit
import net

PLACES = (("client", "192.0.2.1"), ("client", "2001:db8::1"), ("host", "127.0.0.1"))

# Greets each connection and echoes what it says; answers each datagram.
SERVER = """
import socket, sys, threading
def serve(peer, source):
    peer.sendall(f"{sys.argv[1]} {source[0]}\\n".encode())
    while data := peer.recv(512):
        peer.sendall(data)
def listen(family):
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("", 80))
    server.listen(512)
    print("listens", flush=True)
    while True:
        threading.Thread(target=serve, args=server.accept(), daemon=True).start()
threading.Thread(target=listen, args=(socket.AF_INET6,), daemon=True).start()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 53))
def answer():
    while True:
        data, source = udp.recvfrom(512)
        udp.sendto(data, source)
threading.Thread(target=answer, daemon=True).start()
listen(socket.AF_INET)
"""

# Connects until its input ends; what went wrong is told.
CLIENT = """
import socket, sys, threading
name, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
good, lost = 0, []
while not ended.is_set():
    try:
        with socket.create_connection((address, port), timeout=30) as client:
            reply = client.recv(512).decode()
        if not reply.startswith(name + " "):
            lost.append(f"answered {reply!r}")
        good += 1
    except OSError as error:
        lost.append(str(error))
    if good == 1:
        print("began", flush=True)
print(good, "; ".join(lost) or "none lost", flush=True)
"""


class Clients:
    """Loops of connections, from all places, for the time of a with block."""

    def __init__(self, name, port=8080):
        self.command = [name, None, str(port)]
        self.loops = []

    def __enter__(self):
        for place, address in PLACES:
            prefix = [] if place == "host" else ["ip", "netns", "exec", place]
            loop = subprocess.Popen(
                [*prefix, sys.executable, "-c", CLIENT, self.command[0], address, self.command[2]],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if loop.stdout.readline() != "began\n":
                raise kit.Failure(f"from {place} to {address}: {loop.communicate()[0]}")
            self.loops.append((place, address, loop))
        return self

    def __exit__(self, *_):
        for place, address, loop in self.loops:
            said = loop.communicate()[0].strip()
            good, lost = said.split(" ", 1)
            if lost != "none lost" or int(good) < 1:
                raise kit.Failure(f"from {place} to {address}: {said}")


class Established:
    """A connection over TCP and a flow over UDP that go on."""

    def __init__(self):
        self.tcp = net.make_socket("client", socket.AF_INET, "tcp")
        self.tcp.settimeout(30)
        self.tcp.connect(("192.0.2.1", 8080))
        self.greeting = self.tcp.recv(512)
        self.udp = net.make_socket("client", socket.AF_INET, "udp")
        self.udp.settimeout(30)
        self.udp.connect(("192.0.2.1", 5353))
        self.goes_on("at the beginning")

    def goes_on(self, when):
        for one in (self.tcp, self.udp):
            one.send(when.encode())
            said = one.recv(512).decode()
            if said != when:
                raise kit.Failure(f"{when}: an established connection answered {said!r}")


def serve(name):
    server = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", SERVER, name],
                              stdout=subprocess.PIPE, text=True)
    for _ in range(2):
        server.stdout.readline()

"""fail2ban and CrowdSec's firewall bouncer, Debian's, for tests/e2e/firewall: unpacked and not installed,
since their packages start services.

    bans.download("fail2ban")                   # before kit.enter(), whose network leads nowhere
    with bans.fail2ban(jail_local) as server:
        server.log("no password from 192.0.2.2")   # jail web: from the jail's port; "again ...": from all
        net.until(lambda: server.banned("web") == ["192.0.2.2"], "the ban")
    with bans.bouncer(["192.0.2.2"], "nftables: {}"):
        ...
"""
import contextlib
import glob
import http.server
import json
import os
import re
import subprocess
import tempfile
import threading

import kit
import net

DOWNLOADS = f"{kit.ROOT}/build/e2e-packages"
JAIL = """
[{name}]
enabled = true
backend = polling
filter =
failregex = ^{says} <ADDR>$
datepattern = {{NONE}}
maxretry = 1
port = 8080
logpath = {log}
"""


def download(*packages):
    os.makedirs(DOWNLOADS, exist_ok=True)
    missing = [package for package in packages if not glob.glob(f"{DOWNLOADS}/{package}_*.deb")]
    if not missing or os.environ.get("NPM_INSIDE"):
        return
    command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *missing]
    if kit.run(*command, cwd=DOWNLOADS, timeout=600).returncode != 0:
        subprocess.run(["apt-get", "update", "-q"], check=True, stdin=subprocess.DEVNULL)
        subprocess.run(command, cwd=DOWNLOADS, check=True, stdin=subprocess.DEVNULL)


def unpacked(package):
    """The package's files, in a directory that goes with the test's mount namespace."""
    directory = tempfile.mkdtemp(prefix=package, dir="/run/netns")
    kit.must("dpkg-deb", "-x", glob.glob(f"{DOWNLOADS}/{package}_*.deb")[0], directory)
    return directory


def write(path, text, mode="w"):
    with open(path, mode) as file:
        file.write(text)


@contextlib.contextmanager
def running(output, *command, **environment):
    """A program, whose output is shown where the test fails meanwhile."""
    with open(output, "w") as file:
        process = subprocess.Popen(command, env={"PATH": kit.PATH, **environment}, stdout=file,
                                   stderr=subprocess.STDOUT)
    try:
        yield
    except kit.Failure as failure:
        with open(output) as file:
            raise kit.Failure(f"{failure}\n{file.read()[-2000:]}") from None
    finally:
        process.terminate()
        process.wait()


class Fail2ban:
    """With jail.local as it is given, and two jails: web for port 8080, recidive for all ports."""

    def __init__(self, jail_local):
        self.root = unpacked("fail2ban")
        self.logfile = f"{self.root}/a-container.log"
        etc = f"{self.root}/etc/fail2ban"
        for name in glob.glob(f"{etc}/jail.d/*"):
            os.remove(name)  # Debian's turns sshd on, whose log is not here
        write(f"{etc}/fail2ban.local", "[Definition]\ndbfile = None\n")
        write(f"{etc}/jail.local", jail_local)
        for name, says in (("web", "no password from"), ("recidive", "again")):
            write(f"{etc}/jail.d/test.local", JAIL.format(name=name, says=says, log=self.logfile), "a")
        write(self.logfile, "")
        self.options = ("-c", etc, "-s", f"{self.root}/socket", "-p", f"{self.root}/pid")
        self.environment = {"PYTHONPATH": f"{self.root}/usr/lib/python3/dist-packages"}

    def client(self, *words):
        return kit.run(f"{self.root}/usr/bin/fail2ban-client", *self.options, *words,
                       env={"PATH": kit.PATH, **self.environment})

    def log(self, *lines):
        write(self.logfile, "".join(f"{line}\n" for line in lines), "a")

    def banned(self, jail):
        """By its rules, which come after its own status."""
        table = kit.run("nft", "list", "table", "inet", "f2b-table").stdout
        sets = "".join(re.findall(rf"set addr6?-set-{jail} {{(.*?)\n\t}}", table, re.S))
        elements = re.findall(r"elements = {(.*?)}", sets, re.S)
        return sorted(one.strip() for element in elements for one in element.split(","))


@contextlib.contextmanager
def fail2ban(jail_local):
    server = Fail2ban(jail_local)
    with running(f"{server.root}/output", f"{server.root}/usr/bin/fail2ban-server", *server.options,
                 "--logtarget=STDOUT", "-f", "start", **server.environment):
        net.until(lambda: server.client("ping").returncode == 0, "fail2ban answers")
        yield server


class Decisions(http.server.BaseHTTPRequestHandler):
    """CrowdSec's local API, as far as the bouncer asks it: who is banned, once."""
    protocol_version = "HTTP/1.1"
    banned = ()

    def do_GET(self):
        new = [{"id": number, "origin": "cscli", "type": "ban", "scope": "Ip", "value": address,
                "duration": "1h0m0s", "scenario": "test"} for number, address in enumerate(self.banned, 1)]
        body = json.dumps({"new": new if "startup=true" in self.path else None, "deleted": None}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def bouncer(banned, own):
    """With Debian's settings where `own` does not say otherwise; both addresses, IPv4 and IPv6, are banned."""
    root = unpacked("crowdsec-firewall-bouncer")
    api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Banned", (Decisions,), {"banned": banned}))
    threading.Thread(target=api.serve_forever, daemon=True).start()
    with open(f"{root}/etc/crowdsec/bouncers/crowdsec-firewall-bouncer.yaml") as file:
        text = file.read()
    for theirs, ours in (("${BACKEND}", "nftables"), ("${API_KEY}", "key"), ("log_mode: file", "log_mode: stdout"),
                         ("127.0.0.1:8080", f"127.0.0.1:{api.server_address[1]}"),
                         ("daemonize: true", "daemonize: false"),
                         ("enabled: true\n  listen_addr", "enabled: false\n  listen_addr")):
        text = text.replace(theirs, ours)
    write(f"{root}/config.yaml", text)
    write(f"{root}/config.yaml.local", own)
    with running(f"{root}/output", f"{root}/usr/bin/crowdsec-firewall-bouncer", "-c", f"{root}/config.yaml"):
        for address in banned:
            family, name = ("ip6", "crowdsec6") if ":" in address else ("ip", "crowdsec")
            net.until(lambda: address in kit.run("nft", "list", "set", family, name, f"{name}-blacklists").stdout,
                      f"the bouncer bans {address}")
        yield
    api.shutdown()

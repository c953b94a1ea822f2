"""A small network in namespaces of its own: a router with a bridge, devices on it, and servers under public addresses.

    device --- br0 [router: DHCP, DNS, the capture] --- [servers: lo holds every public address]

No namespace has an interface, a route or a resolver that leads out of the lab, so nothing here can reach the Internet
and the names and addresses of real companies can be used. `Lab` is a context manager; on the way out, also after an
error, it ends what it started and removes its namespaces, and it begins by removing those that a killed run left.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

NAMESPACES = ("nwlab-router", "nwlab-servers", "nwlab-phone", "nwlab-laptop")
ROUTER, SERVERS = NAMESPACES[:2]
ROUTER_MAC = "3c:84:6a:10:20:30"  # TP-Link
PHONE_MAC = "8e:12:34:56:78:9a"  # locally administered, as phones randomise it
LAPTOP_MAC = "a4:4c:c8:1b:2d:3e"  # Dell
LAN, GATEWAY = "192.168.1", "192.168.1.1"
LAN6 = "2001:db8:10:1::"
TOOLS = {
    "ip": "iproute2",
    "ethtool": "ethtool",
    "tcpdump": "tcpdump",
    "dnsmasq": "dnsmasq-base",
    "udhcpc": "udhcpc",
    "openssl": "openssl",
    "nghttpx": "nghttp2-proxy",
    "curl": "curl",
    "dig": "bind9-dnsutils",
}
HERE = Path(__file__).resolve().parent

LEASE_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr replace "$ip/$mask" dev "$interface"
ip route replace default via "$router" dev "$interface"
"""


def need(tools: Mapping[str, str]) -> None:
    """End with one message that names each missing tool and its Debian package."""
    missing = [f"{tool} (Debian: {package})" for tool, package in tools.items() if not shutil.which(tool)]
    if os.geteuid() != 0:
        missing.insert(0, "root (it makes network namespaces)")
    try:
        import aioquic  # noqa: F401
    except ImportError:
        missing.append("aioquic (pip install aioquic)")
    if missing:
        sys.exit("this capture cannot be made here; missing: " + ", ".join(missing))


def sh(*argv: str, stdin: str = "") -> str:
    """Run a command and return its output. Raises RuntimeError with what it said where it fails."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class Lab:
    """The network while the `with` block runs.

    names: host name -> IPv4 address, (IPv4, IPv6), or the name of another entry (a CNAME).
    tls, h3, dot: host names whose addresses serve TLS (h2, http/1.1), HTTP/3 and DNS over TLS; all serve HTTP on 80.
    records: further lines of dnsmasq's configuration (HTTPS records).
    """

    def __init__(
        self,
        names: Mapping[str, str | tuple[str, str]],
        *,
        tls: Sequence[str],
        h3: Sequence[str] = (),
        dot: Sequence[str] = (),
        addresses: Sequence[str] = (),
        records: Sequence[str] = (),
        ipv6: bool = False,
    ) -> None:
        self.names, self.tls, self.h3, self.dot, self.records, self.ipv6 = dict(names), tls, h3, dot, records, ipv6
        self.extra = list(addresses)
        self.started: list[subprocess.Popen[bytes]] = []
        self.folder = Path(tempfile.mkdtemp(prefix="nwlab-"))

    def __enter__(self) -> "Lab":
        try:
            self._clean()
            self._wire()
            self._authority()
            self._resolver()
            self._serve()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.started):
            self.end(process)
        self._clean()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clean(self) -> None:
        present = {line.split()[0] for line in sh("ip", "netns", "list").splitlines()}
        for name in NAMESPACES:
            if name in present:
                sh("ip", "netns", "delete", name)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)

    # the wires

    def _wire(self) -> None:
        for name in NAMESPACES:
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
            off = "0" if self.ipv6 and name != SERVERS else "1"
            self.run(name, ["sysctl", "-qw", f"net.ipv6.conf.default.disable_ipv6={off}"])
        # else the router's first advertisement leaves from an address that is still tentative, and is not believed
        self.run(ROUTER, ["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"])
        sh("ip", "-n", ROUTER, "link", "add", "br0", "address", ROUTER_MAC, "type", "bridge", "mcast_snooping", "0")
        sh("ip", "-n", ROUTER, "addr", "add", f"{GATEWAY}/24", "dev", "br0")
        sh("ip", "-n", ROUTER, "link", "set", "br0", "up")
        self._veth("wan0", ROUTER, "eth0", SERVERS)
        sh("ip", "-n", ROUTER, "addr", "add", "10.99.0.1/30", "dev", "wan0")
        sh("ip", "-n", SERVERS, "addr", "add", "10.99.0.2/30", "dev", "eth0")
        sh("ip", "-n", ROUTER, "route", "add", "default", "via", "10.99.0.2")
        sh("ip", "-n", SERVERS, "route", "add", "default", "via", "10.99.0.1")
        self.run(ROUTER, ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        if self.ipv6:
            self.run(SERVERS, ["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0"])
            self.run(ROUTER, ["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"])
            sh("ip", "-n", ROUTER, "addr", "add", f"{LAN6}1/64", "dev", "br0", "nodad")
            sh("ip", "-n", ROUTER, "addr", "add", "fd99::1/64", "dev", "wan0", "nodad")
            sh("ip", "-n", SERVERS, "addr", "add", "fd99::2/64", "dev", "eth0", "nodad")
            sh("ip", "-n", ROUTER, "-6", "route", "add", "default", "via", "fd99::2")
            sh("ip", "-n", SERVERS, "-6", "route", "add", "default", "via", "fd99::1")
        for address in self._public(*self.names):
            sh("ip", "-n", SERVERS, "addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))

    def _veth(self, left: str, left_ns: str, right: str, right_ns: str) -> None:
        sh("ip", "link", "add", left, "netns", left_ns, "type", "veth", "peer", "name", right, "netns", right_ns)
        for name, namespace in ((left, left_ns), (right, right_ns)):
            # without offload each frame is a segment as on a real wire
            self.run(namespace, ["ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off", "tx", "off"])
            sh("ip", "-n", namespace, "link", "set", name, "up")

    def _public(self, *names: str) -> list[str]:
        """Return the addresses of names, each once, and those that have no name where all names are asked for."""
        found: dict[str, None] = {}
        for name in names:
            value = self.names[name]
            while isinstance(value, str) and value in self.names:
                value = self.names[value]
            found.update(dict.fromkeys([value] if isinstance(value, str) else value))
        return list(found) + (self.extra if len(names) == len(self.names) else [])

    # the servers

    def _authority(self) -> None:
        ca = self.folder / "ca"
        sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
           "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", "/CN=Capture Lab CA",
           "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip

    @property
    def ca(self) -> str:
        return str(self.folder / "ca.pem")

    def certificate(self, label: str, names: Sequence[str]) -> tuple[str, str]:
        """Return the PEM files (certificate, key) of a certificate of the lab's authority for names."""
        stem = self.folder / label
        stem.with_suffix(".ext").write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names))
        sh("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
           "-keyout", f"{stem}.key", "-out", f"{stem}.csr", "-subj", f"/CN={names[0]}")  # fmt: skip
        sh("openssl", "x509", "-req", "-in", f"{stem}.csr", "-CA", self.ca, "-CAkey", f"{self.folder}/ca.key",
           "-CAcreateserial", "-days", "30", "-extfile", f"{stem}.ext", "-out", f"{stem}.pem")  # fmt: skip
        return f"{stem}.pem", f"{stem}.key"

    def key_hash(self, certificate: str) -> str:
        """Return the base64 SHA-256 of a certificate's public key, as Chromium's flag wants it."""
        script = (
            'openssl x509 -pubkey -noout -in "$1" | openssl pkey -pubin -outform der '
            "| openssl dgst -sha256 -binary | openssl base64"
        )
        return sh("sh", "-c", script, "sh", certificate).strip()

    def _resolver(self) -> None:
        lines = [f"interface=br0\ninterface=wan0\nbind-interfaces\nno-resolv\nno-hosts\nlocal=/#/\nleasefile-ro\n"
                 f"dhcp-range={LAN}.20,{LAN}.60,1h\ndhcp-authoritative\nno-ping\nlocal-ttl=60\nuser=root\n"
                 f"pid-file={self.folder}/dnsmasq.pid\n"]  # fmt: skip
        if self.ipv6:
            lines.append(f"enable-ra\ndhcp-range={LAN6},ra-only\n")
        for name, value in self.names.items():
            if isinstance(value, str) and value in self.names:
                lines.append(f"cname={name},{value}\n")
            else:
                lines.append(f"host-record={name},{value if isinstance(value, str) else ','.join(value)}\n")
        config = self.folder / "dnsmasq.conf"
        config.write_text("".join(lines) + "".join(f"{line}\n" for line in self.records))
        self.start(
            ROUTER,
            ["dnsmasq", "--keep-in-foreground", f"--conf-file={config}", f"--log-facility={self.folder}/dns.log"],
        )

    def _serve(self) -> None:
        certificate, key = self.certificate("site", list(self.names))
        self.site = certificate
        config = {
            "http": self._public(*self.names), "backend": 8080, "resolver": "10.99.0.1",
            "dot": self._public(*self.dot), "h3": self._public(*self.h3), "cert": certificate, "key": key,
        }  # fmt: skip
        path = self.folder / "servers.json"
        path.write_text(json.dumps(config))
        server = self.start(SERVERS, [sys.executable, str(HERE / "servers.py"), str(path)], stdout=subprocess.PIPE)
        assert server.stdout is not None
        if server.stdout.readline() != b"ready\n":
            raise RuntimeError("the servers did not start")
        server.stdout.close()
        self.front(self._public(*self.tls), certificate, key)

    def front(self, addresses: Sequence[str], certificate: str, key: str) -> None:
        """Serve TLS (h2, http/1.1) on port 443 of addresses."""
        listen = [f"--frontend={address},443" for address in addresses]
        quiet = [
            "--no-ocsp",
            "--workers=1",
            "--errorlog-file=/dev/null",
            "--accesslog-file=/dev/null",
            "--conf=/dev/null",
        ]
        self.start(SERVERS, ["nghttpx", *quiet, *listen, "--backend=127.0.0.1,8080", key, certificate])
        time.sleep(0.5)

    # what scripts do

    def run(
        self, namespace: str, argv: Sequence[str], *, timeout: float = 30, check: bool = True, stdin: bytes = b""
    ) -> bytes:
        """Run a command in a namespace to its end and return its output."""
        where = ["ip", "netns", "exec", self._name(namespace), *argv]
        done = subprocess.run(where, input=stdin, capture_output=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise RuntimeError(
                f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}"
            )
        return done.stdout

    def start(
        self, namespace: str, argv: Sequence[str], *, stdout: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a command in a namespace; it is ended with the lab at the latest."""
        where = ["ip", "netns", "exec", self._name(namespace), *argv]
        process = subprocess.Popen(
            where, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> None:
        """End a started command and its children, by force after five seconds."""
        if process.poll() is None:
            os.killpg(process.pid, how)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)

    @staticmethod
    def wait(path: str) -> None:
        """Wait until a file exists. Raises RuntimeError after five seconds."""
        until = time.monotonic() + 5
        while not Path(path).exists():
            if time.monotonic() > until:
                raise RuntimeError(f"{path} did not appear")
            time.sleep(0.05)

    @staticmethod
    def _name(namespace: str) -> str:
        return namespace if namespace in NAMESPACES else f"nwlab-{namespace}"

    @contextlib.contextmanager
    def capture(self, path: Path) -> Iterator[None]:
        """Write what crosses the router's bridge into path while the block runs."""
        argv = ["tcpdump", "-i", "br0", "-s", "0", "-U", "-Z", "root", "-w", str(path)]
        tcpdump = self.start(ROUTER, argv)
        time.sleep(1)
        try:
            yield
            time.sleep(1)
        finally:
            self.end(tcpdump, signal.SIGINT)

    def plug_in(self, device: str, mac: str) -> None:
        """Connect a device to the bridge by a wire; it has no address yet."""
        namespace = self._name(device)
        self._veth(f"port-{device}", ROUTER, "eth0", namespace)
        sh("ip", "-n", namespace, "link", "set", "eth0", "down")
        sh("ip", "-n", namespace, "link", "set", "eth0", "address", mac)
        sh("ip", "-n", namespace, "link", "set", "eth0", "up")
        sh("ip", "-n", ROUTER, "link", "set", f"port-{device}", "master", "br0")
        folder = Path("/etc/netns") / namespace
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(f"nameserver {GATEWAY}\n")

    def lease(self, device: str, host_name: str, address: str) -> None:
        """Let a device ask for an address by DHCP, with its host name (option 12)."""
        script = self.folder / "lease.sh"
        script.write_text(LEASE_SCRIPT)
        script.chmod(0o755)
        ask = ["-x", f"hostname:{host_name}", "-r", address]
        self.run(device, ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-s", str(script), *ask])
        self.run(device, ["ip", "addr", "show", "eth0"])

    def mdns(self, device: str, host_name: str) -> None:
        """Let avahi announce the device as host_name.local on the LAN (IPv4)."""
        config = self.folder / f"{device}-avahi.conf"
        config.write_text(
            f"[server]\nhost-name={host_name}\nuse-ipv4=yes\nuse-ipv6=no\nenable-dbus=no\n"
            "allow-interfaces=eth0\n[publish]\npublish-hinfo=no\npublish-workstation=no\n[rlimits]\n"
        )
        # a /run of its own, so that an avahi of this machine is not met
        script = 'mount -t tmpfs tmpfs /run && exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f "$1"'
        self.start(device, ["unshare", "-m", "sh", "-c", script, "sh", str(config)])

    # clients

    def curl(self, device: str, url: str, *options: str, check: bool = True) -> None:
        self.run(
            device,
            ["curl", "-sS", "-o", "/dev/null", "--max-time", "20", "--cacert", self.ca, *options, url],
            check=check,
        )

    def dig(self, device: str, *words: str) -> None:
        self.run(device, ["dig", "+tries=1", "+time=3", *words])

    def chromium(self, device: str, url: str, *flags: str, doh: str | None = None, seconds: float = 15) -> None:
        """Open one page in a Chromium without a screen and with a new profile; doh is its DNS over HTTPS server."""
        profile = tempfile.mkdtemp(dir=self.folder)
        if doh:
            state = {"dns_over_https": {"mode": "secure", "templates": doh}}
            (Path(profile) / "Local State").write_text(json.dumps(state))
        page = self.start(device, [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-default-apps", "--disable-extensions",
            "--disable-domain-reliability", f"--user-data-dir={profile}", "--dump-dom",
            f"--ignore-certificate-errors-spki-list={self.key_hash(self.site)}", *flags, url,
        ])  # fmt: skip
        try:
            page.wait(seconds)
        except subprocess.TimeoutExpired:
            self.end(page)

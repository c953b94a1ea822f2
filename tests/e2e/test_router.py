"""A home router in a network namespace: bridge, NAT, several places to capture at; what counts once, what twice."""

import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.lab import ACK, GATEWAY_MAC, SYN, Host, hello, segment, tls
from support import netns
from support.live import environment, private_folder
from support.sandboxed import LINUX

from netwatch.runtime.interfaces import local_networks

pytestmark = [
    netns.needs_root,
    LINUX,
    pytest.mark.usefixtures("router"),
    pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft(8)"),
]

NAT = "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; "
NAT += 'add rule ip nat out oifname "wan" masquerade'
ROUTER_MAC, FAR_MAC = "02:00:00:00:00:fe", "02:00:00:00:00:99"
WAN_MAC = 0x02_00_00_00_00_98
PHONE_MAC, LAPTOP_MAC = 0x8E_12_34_56_78_9A, 0xA4_4C_C8_1B_2D_3E
PHONE, LAPTOP = "mac:8e:12:34:56:78:9a", "mac:a4:4c:c8:1b:2d:3e"
SERVERS = ("9.9.9.20", "2001:4860::20")


@pytest.fixture
def router() -> Iterator[None]:
    """phone and laptop are cables to ports p0, p1 of br-lan; wan is a cable to isp; IPv4 is masqueraded."""
    with netns.network():
        for name, peer in (("p0", "phone"), ("p1", "laptop"), ("wan", "isp")):
            netns.ip(f"link add {name} type veth peer name {peer}")
        netns.ip(f"link add br-lan address {ROUTER_MAC} type bridge mcast_snooping 0")
        netns.ip("link set p0 master br-lan", "link set p1 master br-lan")
        netns.ip("link set wan address 02:00:00:00:00:98")
        netns.up("p0", "phone", "p1", "laptop", "wan", "isp", "br-lan")
        netns.ip(
            "addr add 192.168.1.1/24 dev br-lan",
            "addr add 2001:db8:5:1::1/64 dev br-lan nodad",
            "addr add 198.51.100.9/24 dev wan",
            "addr add 2001:db8:ffff::2/64 dev wan nodad",
            f"neigh add 198.51.100.1 lladdr {FAR_MAC} dev wan",
            f"neigh add 2001:db8:ffff::1 lladdr {FAR_MAC} dev wan",
            "neigh add 192.168.1.23 lladdr 8e:12:34:56:78:9a dev br-lan",
            "neigh add 192.168.1.40 lladdr a4:4c:c8:1b:2d:3e dev br-lan",
            "route add default via 198.51.100.1 dev wan",
            "route add default via 2001:db8:ffff::1 dev wan",
        )
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            Path("/proc/sys/net", name).write_text("1", "ascii")
        subprocess.run(["nft", NAT], check=True)
        yield


@pytest.fixture
def folder() -> Iterator[Path]:
    yield from private_folder()


def device(mac: int, address: str) -> Host:
    return Host(mac, packed(address))


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def opening(mac: int, address: str, name: bytes, port: int = 50_000) -> list[bytes]:
    """What a device sends to a server outside, through the router: SYN, ACK and hello."""
    client = device(mac, address)
    server = Host(GATEWAY_MAC, packed(SERVERS[":" in address]))
    frames = [
        one.data for one in tls(client, server, data=hello(name), port=port) if one.data[6:12] == mac.to_bytes(6, "big")
    ]
    return frames if ":" in address else [summed(frame) for frame in frames]


def summed(frame: bytes) -> bytes:
    """Put right the checksums of TCP over IPv4: a router drops, and does not translate, what is damaged."""
    head, segment = bytearray(frame[14:34]), bytearray(frame[34:])
    head[10:12] = segment[16:18] = b"\0\0"
    head[10:12] = checksum(head)
    segment[16:18] = checksum(head[12:20] + struct.pack(">HH", 6, len(segment)) + segment)
    return frame[:14] + bytes(head) + bytes(segment)


def checksum(data: bytes | bytearray) -> bytes:
    """RFC 1071."""
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", bytes(data) + b"\0" * (len(data) % 2)))
    total = (total & 0xFFFF) + (total >> 16)
    return (~(total + (total >> 16)) & 0xFFFF).to_bytes(2, "big")


def talk() -> None:
    """Let the phone, by IPv4 and two privacy addresses of IPv6, and the laptop open connections."""
    for name, mac, address, host, port in (
        ("phone", PHONE_MAC, "192.168.1.23", b"api.tiktokv.com", 50_000),
        ("phone", PHONE_MAC, "2001:db8:5:1:aaaa::1", b"api.tiktokv.com", 50_000),
        ("phone", PHONE_MAC, "2001:db8:5:1:bbbb::2", b"api.tiktokv.com", 50_000),
        ("laptop", LAPTOP_MAC, "192.168.1.40", b"www.example.org", 50_001),
    ):
        first, *others = opening(mac, address, host, port)
        netns.send(name, [first])
        if ":" not in address:  # what is not answered, a router takes for damaged and does not translate
            far, wan = device(0x02_00_00_00_00_99, SERVERS[0]), device(WAN_MAC, "198.51.100.9")
            netns.send("isp", [summed(segment(far, wan, ports=(443, port), flags=SYN | ACK).data)])
        netns.send(name, others)


def captured(folder: Path, *interfaces: str) -> tuple[list[dict[str, Any]], str]:
    """Watch interfaces while the devices talk; return the flows to the servers, and what was said."""
    out = folder / "live.jsonl"
    words = [word for name in interfaces for word in ("-i", name)]
    command = ["netwatch", "watch", *words, "--headless", "--every", "1s", "-w", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    assert process.stderr is not None
    heard = process.stderr.readline()
    while " packets" not in heard.splitlines()[-1]:
        heard += process.stderr.readline()
    talk()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    rows = [json.loads(line) for line in out.read_text("ascii").splitlines()]
    return [row for row in rows if row["server_ip"] in SERVERS], heard + said


def shape(rows: list[dict[str, Any]]) -> Counter[tuple[str, str, int]]:
    return Counter((row["device_id"], row["client_ip"], row["packets_out"]) for row in rows)


def lan(packets: int) -> Counter[tuple[str, str, int]]:
    return Counter({
        (PHONE, "192.168.1.23", packets): 1,
        (PHONE, "2001:db8:5:1:aaaa::1", packets): 1,
        (PHONE, "2001:db8:5:1:bbbb::2", packets): 1,
        (LAPTOP, "192.168.1.40", packets): 1,
    })  # fmt: skip


SENT = len(opening(PHONE_MAC, "192.168.1.23", b"api.tiktokv.com"))
NAMED = pytest.mark.parametrize("names", [("br-lan",), ("p0", "p1")], ids="+".join)


@NAMED
def test_at_the_bridge_or_all_its_ports_each_device_is_seen_on_its_own_and_once(
    folder: Path, names: tuple[str, ...]
) -> None:
    """Privacy addresses of IPv6 are one device, by its MAC address."""
    rows, _ = captured(folder, *names)
    assert shape(rows) == lan(SENT)
    assert {row["name"] for row in rows if row["device_id"] == PHONE} == {"api.tiktokv.com"}


def test_at_the_bridge_and_a_port_of_it_that_ports_packets_count_twice_and_it_is_said(folder: Path) -> None:
    rows, said = captured(folder, "br-lan", "p0")
    assert "br-lan is a bridge of p0: what both show counts twice; leave one out" in said
    once = lan(SENT)
    assert {key[:2]: key[2] for key in shape(rows)} == {
        key[:2]: SENT if key[0] == LAPTOP else 2 * SENT for key in once
    }  # fmt: skip


def test_at_the_wan_ipv4_is_one_address_and_all_is_the_routers_device(folder: Path) -> None:
    """Also the LAN's IPv6 addresses: beyond the router all frames have its MAC address."""
    rows, _ = captured(folder, "wan")
    assert len({row["device_id"] for row in rows}) == 1
    assert {row["client_ip"] for row in rows} == {"198.51.100.9", "2001:db8:5:1:aaaa::1", "2001:db8:5:1:bbbb::2"}
    assert len(rows) == 4


def test_at_lan_and_wan_ipv4_shows_as_two_flows_and_ipv6_as_one_of_twice_the_packets(folder: Path) -> None:
    """NAT makes another flow of a flow; without NAT it is the same one, seen twice."""
    rows, _ = captured(folder, "br-lan", "wan")
    found = Counter((row["client_ip"], row["packets_out"]) for row in rows)
    assert found == {
        ("192.168.1.23", SENT): 1,
        ("192.168.1.40", SENT): 1,
        ("198.51.100.9", SENT): 2,
        ("2001:db8:5:1:aaaa::1", 2 * SENT): 1,
        ("2001:db8:5:1:bbbb::2", 2 * SENT): 1,
    }


def test_the_lans_prefix_is_local_and_the_providers_is_not() -> None:
    assert local_networks() == ["198.51.100.9/32", "2001:db8:5:1::/64", "2001:db8:ffff::2/128"]

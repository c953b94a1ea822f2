"""libpcap as a fallback: what it takes, what is refused before it sees it, and what its programs say."""

import subprocess
import sys

import pytest
from support import cbpf
from support.packets import eth, ip4, tcp, udp

from netwatch.filters.assembler import PROGRAM_MAX
from netwatch.model.errors import UsageError
from netwatch.runtime import libpcap

pytestmark = pytest.mark.skipif(not libpcap.available(), reason="needs libpcap")

SYN, ACK, DNS = tcp(flags=2), tcp(flags=16), udp(dport=53)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("tcp[tcpflags] & tcp-syn != 0", [True, False, False]),
        ("tcp[13] & 2 != 0", [True, False, False]),
        ("src host 192.0.2.10 and dst port 53", [False, False, True]),
        ("ether host 02:00:00:00:00:01 and udp", [False, False, True]),
        ("ip[2:2] > 28 and not len > 1000", [True, True, False]),
        ("ip proto \\udp", [False, False, True]),
        ("src portrange 39999-40001 and (dst net 198.51.100.0/24)", [True, True, True]),
        ("host 2001:db8::1 or src net 192.0.2.0 mask 255.255.255.0 and tcp", [True, True, False]),
        ("ip broadcast or len <= 42", [False, False, True]),
        ("icmp[icmptype] = icmp-echo or dst port (443 or 80)", [True, True, False]),
    ],
)
def test_what_tcpdump_has_and_netwatch_has_not(text: str, taken: list[bool]) -> None:
    if text.startswith("ip broadcast"):
        with pytest.raises(UsageError, match="libpcap: netmask not known"):
            libpcap.compile_text(text, libpcap.ETHERNET, 100)
        return
    code = libpcap.compile_live(text, 100, names=False)
    frames = [eth(ip4(SYN, 6)), eth(ip4(ACK, 6)), eth(ip4(DNS, 17))]
    assert [cbpf.run(code, frame) for frame in frames] == [100 * verdict for verdict in taken]


def test_frames_and_packets_are_judged_and_other_links_dropped() -> None:
    code = libpcap.compile_live("src port 40000 and tcp", 100, names=False)
    packet = ip4(SYN, 6)
    assert [cbpf.run(code, eth(packet)), cbpf.run(code, packet, hardware=65_534)] == [100, 100]
    assert cbpf.run(code, eth(packet), hardware=801) == 0


def test_names_are_passed_where_they_are_wanted() -> None:
    text = "ether host 02:00:00:00:00:99"
    frames = [(eth(ip4(DNS, 17)), 1), (eth(ip4(SYN, 6)), 1), (ip4(DNS, 17), 512), (ip4(SYN, 6), 512)]
    for names, wanted in ((True, [9, 0, 9, 0]), (False, [0, 0, 0, 0])):
        code = libpcap.compile_live(text, 9, names=names)
        assert [cbpf.run(code, frame, hardware=kind) for frame, kind in frames] == wanted


@pytest.mark.parametrize(
    "text",
    [
        "host example.com", "src host 1.2.3.4.example.com", "net office", "port https", "host \\host", "gateway router",
        "host TCP", "len-14 > 3", "host 10-20", "portrange a-b", "host 1.2.3.4.5", "host beef:", "host dead.beef",
        "ether host nas", "tcp port domain", "host a\u0441me", "host 1.2.3.4\x00x", 'host "x"', "host fe80::1%eth0",
        "atalk host x", "decnet host 10.15.example", "host ::1.com", "host _", "host a", "host e.", "10.0.0.1.",
    ],
)  # fmt: skip
def test_n1_no_name_is_looked_up(text: str) -> None:
    with pytest.raises(UsageError, match=r"-f: column \d+: "):
        libpcap.compile_live(text, 100, names=True)


def test_n1_a_refused_name_opens_no_socket() -> None:
    code = """
import sys
sys.addaudithook(lambda event, _: event.startswith("socket") and print("SOCKET", event))
import ctypes
from netwatch.runtime import libpcap
from netwatch.model.errors import UsageError
library = libpcap._library()
library.pcap_compile = None  # whoever calls it fails
for text in ("host example.com", "port https"):
    try:
        libpcap.compile_text(text, 1, 100)
    except UsageError:
        print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused", "refused"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tcp and and", "-f: libpcap: can't parse filter expression: syntax error"),
        ("port 80) or (port 90", "-f: libpcap: can't parse filter expression: syntax error"),
        ("port 70000", "-f: libpcap: "),
        ("vlan 5", '-f: column 1: "vlan" is for the language of netwatch alone'),
        ("tcp " * 2_000, "-f: the expression has 8000 characters; libpcap is given up to 4096"),
        ("tcp; ls", "-f: column 4: ; has no meaning here"),
    ],
)
def test_what_is_refused_says_why(text: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        libpcap.compile_live(text, 100, names=True)
    assert str(raised.value).startswith(says)
    assert "\n" not in str(raised.value)


def test_what_is_too_long_for_the_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libpcap, "PROGRAM_MAX", 5)
    with pytest.raises(UsageError, match=r"the kernel takes no filter so long: [0-9]+ instructions"):
        libpcap.compile_live("src port 1 or 2", 100, names=False)


def test_a_system_without_libpcap_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libpcap, "_library", lambda: None)
    assert not libpcap.available()
    with pytest.raises(UsageError, match="needs libpcap"):
        libpcap.compile_live("tcp", 100, names=False)


def test_programs_fit_the_kernel() -> None:
    code = libpcap.compile_live("src port " + " or ".join(map(str, range(0, 400, 2))), 100, names=True)
    assert len(code) % 8 == 0
    assert len(code) // 8 <= PROGRAM_MAX

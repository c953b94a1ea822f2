"""Frames for filters: tags, options, extension headers, fragments, tunnels, and what is damaged."""

import struct
from ipaddress import ip_address

from hypothesis import strategies as st
from support.packets import eth, ip4, ip6, tcp, udp, vlan

from netwatch.filters.expression import Expression
from netwatch.filters.parse import parse

HOSTS4 = ["192.0.2.1", "192.0.2.200", "10.0.0.1", "255.255.255.255"]
HOSTS6 = ["2001:db8::1", "2001:db8:0:1::", "fe80::1:2:3:4", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::"]
PORTS = [0, 22, 53, 80, 443, 5353, 40_000, 65_535]
TERMS = [
    *(f"host {address}" for address in HOSTS4 + HOSTS6),
    *(
        "net 192.0.2.0/25",
        "net 10",
        "net 0.0.0.0/0",
        "net 2001:db8::/63",
        "net 2001:db8::/64",
        "net ::/0",
        "net fe80::/70",
    ),
    *(
        "port 22",
        "port 53",
        "port 443",
        "port 0",
        "portrange 60-500",
        "portrange 0-65535",
        "tcp port 80",
        "udp port 53",
    ),
    *("tcp", "udp", "sctp", "icmp", "icmp6", "proto 47", "proto 51", "proto 0", "ip", "ip6"),
]
TAGGED = ["vlan", "vlan 0", "vlan 5", "vlan 4095"]


def expressions(terms: list[str] | None = None) -> st.SearchStrategy[Expression]:
    """Return trees of packet terms."""
    return texts(terms).map(parse)


def texts(terms: list[str] | None = None) -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(terms or TERMS + TAGGED),
        lambda inner: st.one_of(
            st.builds("({} and {})".format, inner, inner),
            st.builds("({} or {})".format, inner, inner),
            st.builds("not {}".format, inner),
        ),
        max_leaves=6,
    )


def _packed(hosts: list[str]) -> st.SearchStrategy[bytes]:
    return st.sampled_from([ip_address(host).packed for host in hosts])


def _sctp(sport: int, dport: int) -> bytes:
    return struct.pack(">HHII", sport, dport, 1, 0)


@st.composite
def transports(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return a whole transport header with some payload, and its protocol."""
    ports = {"sport": draw(st.sampled_from(PORTS)), "dport": draw(st.sampled_from(PORTS))}
    body = b"a" * draw(st.sampled_from([0, 1, 30]))
    kind = draw(st.sampled_from([6, 6, 17, 17, 132, 1, 58, 50]))
    if kind == 6:
        return tcp(body, options=bytes(draw(st.sampled_from([0, 0, 12]))), **ports), kind
    if kind == 17:
        return udp(body, **ports), kind
    if kind == 132:
        return _sctp(**ports) + body, kind
    return b"\x08\0\0\0\0\0\0\0" + body, kind


@st.composite
def plain(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return an IP packet that the kernel can judge wholly, and its Ethernet type."""
    body, kind = draw(transports())
    if draw(st.booleans()):
        src, dst = draw(_packed(HOSTS4)), draw(_packed(HOSTS4))
        return ip4(body, kind, src=src, dst=dst, options=bytes(draw(st.sampled_from([0, 0, 8, 40])))), 0x0800
    for _ in range(draw(st.integers(0, 3))):
        before = draw(st.sampled_from([0, 43, 60, 44]))
        body, kind = (extension(kind, before, draw(st.sampled_from([0, 1, 3]))) + body), before
    src, dst = draw(_packed(HOSTS6)), draw(_packed(HOSTS6))
    return ip6(body, kind, src=src, dst=dst), 0x86DD


def extension(following: int, kind: int, words: int) -> bytes:
    """Return an extension header; a fragment header is that of a datagram in one piece."""
    if kind == 44:
        return struct.pack(">BBHI", following, 0, 0, 7)
    return bytes([following, words]) + bytes(6 + 8 * words)


def tagged(packet: bytes, kind: int, tags: list[tuple[int, int]]) -> bytes:
    """Put tags (type, number) before a packet, the outermost first, in an Ethernet frame."""
    for tpid, number in reversed(tags):
        packet, kind = vlan(packet, number, kind), tpid
    return eth(packet, kind)


TAGS = st.lists(st.tuples(st.sampled_from([0x8100, 0x88A8, 0x9100]), st.sampled_from([0, 5, 0x6005, 4095])), max_size=2)


def plain_frames() -> st.SearchStrategy[bytes]:
    return st.builds(lambda packet, tags: tagged(*packet, tags), plain(), TAGS)


@st.composite
def fragments(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return a first or later fragment of a few datagrams."""
    body, kind = draw(transports())
    place, more, ident = draw(st.sampled_from([0, 1, 2])), draw(st.booleans()), draw(st.integers(1, 2))
    if draw(st.booleans()):
        src, dst = draw(_packed(HOSTS4[:2])), draw(_packed(HOSTS4[:2]))
        return ip4(body, kind, src=src, dst=dst, ident=ident, fragment=place | more << 13), 0x0800
    src, dst = draw(_packed(HOSTS6[:2])), draw(_packed(HOSTS6[:2]))
    ahead = draw(st.sampled_from([b"", extension(kind, 60, 0)]))
    first = 60 if ahead else kind
    head = struct.pack(">BBHI", draw(st.sampled_from([first, kind])), 0, place << 3 | more, ident)
    return ip6(head + ahead + body, 44, src=src, dst=dst), 0x86DD


@st.composite
def carriers(draw: st.DrawFn) -> tuple[bytes, int]:
    """Return a packet that holds another one."""
    packet, kind = draw(st.one_of(plain(), fragments()))
    frame = eth(packet, kind)
    six = kind == 0x86DD
    inside, protocol = draw(
        st.sampled_from(
            [
                (packet, 41 if six else 4),
                (struct.pack(">HH", 0, kind) + packet, 47),
                (struct.pack(">HH", 0, 0x6558) + frame, 47),
                (b"\x30\0" + frame, 97),
                (udp(b"\x08\0\0\0\0\0\x07\0" + frame, dport=4789), 17),
                (udp(b"\x30\xff" + struct.pack(">HI", len(packet), 1) + packet, sport=2152), 17),
                (bytes([6 if not six else 17, 4]) + bytes(22) + tcp(), 51),
            ]
        )
    )
    outer = draw(st.sampled_from(["ip4", "ip6", "mpls", "pppoe"]))
    if outer == "ip4":
        return ip4(inside, protocol), 0x0800
    if outer == "ip6":
        return ip6(inside, protocol), 0x86DD
    if outer == "mpls":
        return b"\0\0\x11\xff" + packet, 0x8847
    return b"\x11\0\0\x01" + struct.pack(">HH", len(packet) + 2, 0x57 if six else 0x21) + packet, 0x8864


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Return any frame: often plain, often not, sometimes damaged, cut or padded."""
    packet, kind = draw(st.one_of(plain(), fragments(), carriers()))
    tags = draw(st.one_of(TAGS, st.just([(0x8100, 5)] * 4)))
    frame = bytearray(tagged(packet, kind, tags))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        frame[draw(st.integers(12, len(frame) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del frame[draw(st.integers(14, len(frame))) :]
    return bytes(frame) + bytes(draw(st.sampled_from([0, 0, 40])))

"""Captures of one household in which something hides and something forbidden may talk, for tests of verdicts."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.lab import (
    ACK,
    DATA,
    LAPTOP,
    PHONE,
    RESOLVER,
    T0,
    Frame,
    Host,
    answer,
    datagram,
    hello,
    outside,
    question,
    resolved,
    segment,
    shake,
    tls,
)  # fmt: skip
from support import hellos
from support.captures import Record, pcap

SECOND: Final = 10**9
FORBIDDEN: Final = "log-sg.tiktokv.com"
BENIGN: Final = outside("198.51.100.10")
OTHER: Final = outside("198.51.100.11")
GOAL: Final = outside("198.51.100.30")  # of the forbidden app, where its name counts
OWN: Final = outside("71.18.1.1")  # in a network of ByteDance's
VEIL: Final = outside("198.51.100.40")  # of what hides
BULK: Final = 1_300  # bytes of one packet

Frames = list[Frame]


def bulk(client: Host, server: Host, port: int, count: int, at: float, *, server_port: int = 443) -> Frames:
    """Bytes from the server that belong to a flow of TCP."""
    return [
        segment(server, client, b"\x17" * BULK, at, ports=(server_port, port), flags=DATA, seq=70_000 + n * BULK)
        for n in range(count)
    ]


def named(client: Host, server: Host, name: bytes, at: float, port: int, count: int) -> Frames:
    return tls(client, server, at, port, data=hello(name)) + bulk(client, server, port, count, at + 0.1)


# --- what hides: (packets of bulk) -> frames


def ech(count: int) -> Frames:
    extension = hellos.extension(hellos.ECH, bytes(32))
    return [
        *tls(PHONE, VEIL, 2, 51_000, data=hello(b"cloudflare-ech.com", extra=extension)),
        *bulk(PHONE, VEIL, 51_000, count, 2.1),
    ]


def doh(count: int) -> Frames:
    return named(PHONE, VEIL, b"cloudflare-dns.com", 2, 51_001, count)


def dot(count: int) -> Frames:
    return [
        *shake(PHONE, VEIL, 2, 51_002, 853),
        segment(PHONE, VEIL, hello(b"dot.example.org"), 2, ports=(51_002, 853)),
        *bulk(PHONE, VEIL, 51_002, count, 2.1, server_port=853),
    ]


def vpn(count: int) -> Frames:
    """WireGuard: an initiation, its response, transport data."""
    ports = (51_003, 51_820)
    first = datagram(PHONE, VEIL, b"\x01\0\0\0" + bytes(144), 2, ports=ports)
    second = datagram(VEIL, PHONE, b"\x02\0\0\0" + bytes(88), 2.01, ports=ports[::-1])
    rest = [datagram(VEIL, PHONE, b"\x04\0\0\0" + b"\x5a" * 1_292, 2.1, ports=ports[::-1]) for _ in range(count)]
    return [first, second, *rest]


def no_handshake(count: int) -> Frames:
    opening = segment(PHONE, VEIL, b"\x17\x03\x03\x00\x40" + b"\x99" * 64, 2, ports=(51_004, 443), seq=9_000)
    return [opening, *bulk(PHONE, VEIL, 51_004, count, 2.1)]


def no_name_offered(count: int) -> Frames:
    return [*tls(PHONE, VEIL, 2, 51_005, data=hello(None)), *bulk(PHONE, VEIL, 51_005, count, 2.1)]


def snaplen_cut(count: int) -> Frames:
    frames = tls(PHONE, VEIL, 2, 51_006, data=hello(b"hidden.example.org"))
    return [one.snapped(96) for one in [*frames, *bulk(PHONE, VEIL, 51_006, count, 2.1)]]


def encrypted_unknown(count: int) -> Frames:
    return [
        *shake(PHONE, VEIL, 2, 51_007, 9_999),
        segment(PHONE, VEIL, b"\xf3\x9a\x01\xee" * 60, 2, ports=(51_007, 9_999)),
        *bulk(PHONE, VEIL, 51_007, count, 2.1, server_port=9_999),
    ]


def ip_only(count: int) -> Frames:
    """Segments without a byte of payload, as many as weigh the same."""
    keep = [segment(VEIL, PHONE, at=2.1, ports=(443, 51_008), flags=ACK, seq=1) for _ in range(count * BULK // 40)]
    return [*shake(PHONE, VEIL, 2, 51_008), *keep]


def undecryptable(count: int) -> Frames:
    """Initials of QUIC version 1 whose tags are wrong."""
    initial = b"\xc0\0\0\0\x01\x08" + bytes(8) + b"\0\0\x44\xd0" + b"\x77" * 1_232
    ports = (51_009, 443)
    first = [datagram(PHONE, VEIL, initial, 2, ports=ports)]
    return first + [datagram(VEIL, PHONE, b"\x40" + b"\x66" * BULK, 2.1, ports=ports[::-1]) for _ in range(count)]


HIDING: Final[dict[str, Callable[[int], Frames]]] = {
    make.__name__: make
    for make in (
        ech, doh, dot, vpn, no_handshake, no_name_offered, snaplen_cut, encrypted_unknown, ip_only, undecryptable,
    )
}  # fmt: skip


# --- the forbidden app, by the evidence that it leaves


def sni() -> Frames:
    return tls(PHONE, GOAL, 5, 52_000, data=hello(FORBIDDEN.encode()))


def quic_sni() -> Frames:
    packet = hellos.initial(hellos.crypto(0, hellos.client_hello(FORBIDDEN.encode(), alpn=(b"h3",))))
    return [datagram(PHONE, GOAL, packet, 5, ports=(52_001, 443))]


def http_host() -> Frames:
    request = b"GET / HTTP/1.1\r\nHost: " + FORBIDDEN.encode() + b"\r\n\r\n"
    return [*shake(PHONE, GOAL, 5, 52_002, 80), segment(PHONE, GOAL, request, 5, ports=(52_002, 80))]


def certificate() -> Frames:
    said = hellos.records(hellos.server_hello() + hellos.certificate_message(hellos.self_signed(FORBIDDEN)))
    frames = tls(PHONE, GOAL, 5, 52_003, data=hello(None, versions=(hellos.TLS12,)))
    return [*frames, segment(GOAL, PHONE, said, 5.1, ports=(443, 52_003))]


def dns_answer() -> Frames:
    return [
        *resolved(PHONE, FORBIDDEN, GOAL, 4),
        *shake(PHONE, GOAL, 5, 52_004, 9_000),
        segment(PHONE, GOAL, b"\xf1\x02\x03\x04", 5, ports=(52_004, 9_000)),
    ]


def dns_answer_other() -> Frames:
    """The laptop was told the address to which the phone then talks."""
    return [
        *resolved(LAPTOP, FORBIDDEN, GOAL, 4),
        *shake(PHONE, GOAL, 5, 52_005, 9_000),
        segment(PHONE, GOAL, b"\xf1\x02\x03\x04", 5, ports=(52_005, 9_000)),
    ]


def network() -> Frames:
    return [
        *shake(PHONE, OWN, 5, 52_006, 9_000),
        segment(PHONE, OWN, b"\xf1\x02\x03\x04", 5, ports=(52_006, 9_000)),
    ]


def dns_query() -> Frames:
    return [datagram(PHONE, RESOLVER, question(FORBIDDEN), 4, ports=(40_000, 53))]


def blocked_lookup() -> Frames:
    nowhere = Host(0, bytes(4))
    return [
        datagram(PHONE, RESOLVER, question(FORBIDDEN), 4, ports=(40_000, 53)),
        datagram(RESOLVER, PHONE, answer(FORBIDDEN, address=nowhere), 4.01, ports=(53, 40_000)),
    ]


EVIDENCE: Final[dict[str, Callable[[], Frames]]] = {
    make.__name__: make
    for make in (
        sni, quic_sni, http_host, certificate, dns_answer, dns_answer_other, network, dns_query, blocked_lookup,
    )
}  # fmt: skip
WEAK: Final = frozenset(("dns_answer_other", "network"))


def household(hides: str | None, evidence: str | None, *, much: bool) -> Frames:
    """A phone and a laptop that talk to others; on the phone something hides, much or little, and an app may talk."""
    plain, hidden = (10, 40) if much else (100, 2)
    frames = named(PHONE, BENIGN, b"www.example.org", 1, 50_000, plain)
    frames += named(LAPTOP, OTHER, b"www.example.net", 1, 50_000, 10)
    if hides is not None:
        frames += HIDING[hides](hidden)
    if evidence is not None:
        frames += EVIDENCE[evidence]()
    return sorted(frames, key=lambda one: one.at)


def write(frames: Frames, path: Path) -> Path:
    """Write frames as a pcap file."""
    records = []
    for one in frames:
        time = T0 + round(one.at * SECOND)
        records.append(Record(time // SECOND, time % SECOND // 1_000, one.data, one.wirelen))
    path.write_bytes(pcap(records))
    return path

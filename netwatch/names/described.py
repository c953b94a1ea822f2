"""Protocols that carry no name: a table of what their first bytes look like.

Each test sees the bytes of one datagram, or the first bytes that a side sent over TCP, and the ports.
"""

from collections import Counter
from collections.abc import Callable, Container
from typing import Final

from netwatch.model.reading import Reading
from netwatch.names.reassembly import Assembler
from netwatch.names.store import Store
from netwatch.names.talk import Datagram, DatagramReader, Ports, StreamProtocol, Talk

Test = Callable[[bytes, Ports], bool]

WIREGUARD_SIZES: Final = {1: 148, 2: 92, 3: 64}  # handshake initiation, response, cookie
STUN_COOKIE: Final = b"\x21\x12\xa4\x42"  # RFC 8489 section 5
OPENVPN_PORT, NTP_PORT, NBNS_PORT, SSDP_PORT, IKE_PORT, IKE_NAT_PORT = 1194, 123, 137, 1900, 500, 4500


def wireguard(payload: bytes, _ports: Ports) -> bool:
    """Type, three reserved zeros, and the length of that type (WireGuard, protocol page, sections 5.4.2 to 5.4.7)."""
    if payload[1:4] != b"\0\0\0":
        return False
    if payload[0] == 4:
        return len(payload) >= 32 and len(payload) % 16 == 0
    return WIREGUARD_SIZES.get(payload[0]) == len(payload)


def stun(payload: bytes, _ports: Ports) -> bool:
    """RFC 8489 section 5: two zero bits, the magic cookie, a length that fits."""
    return (
        len(payload) >= 20
        and payload[0] < 0x40
        and payload[4:8] == STUN_COOKIE
        and payload[3] & 3 == 0
        and 20 + (payload[2] << 8 | payload[3]) <= len(payload)
    )


def ntp(payload: bytes, ports: Ports) -> bool:
    """RFC 5905 section 7.3: version 1 to 4; modes 6 and 7 are control messages."""
    if NTP_PORT not in ports or len(payload) < 8:
        return False
    version, mode = payload[0] >> 3 & 7, payload[0] & 7
    return 1 <= version <= 4 and (mode >= 6 or (mode > 0 and len(payload) >= 48))


def ike(payload: bytes, ports: Ports) -> bool:
    """IKE (RFC 7296 section 3.1), behind four zeros on port 4500 (RFC 3948), where ESP and keep-alives run too."""
    if IKE_NAT_PORT in ports:
        if payload == b"\xff":
            return True
        if payload[:4] != b"\0\0\0\0":
            return len(payload) >= 24
        return _ike_header(payload[4:])
    return IKE_PORT in ports and _ike_header(payload)


def _ike_header(message: bytes) -> bool:
    return (
        len(message) >= 28
        and message[:8] != bytes(8)
        and message[17] in (0x10, 0x20, 0x21)
        and 28 <= int.from_bytes(message[24:28], "big") <= 65_535
    )


def openvpn(payload: bytes, ports: Ports) -> bool:
    """A hard reset of OpenVPN (opcode 1, 2, 7, 8, 10, key 0) with a session id; its own port counts for more."""
    if len(payload) < 14 or payload[0] & 7:
        return False
    opcode, session = payload[0] >> 3, payload[1:9]
    if session in (bytes(8), b"\xff" * 8):
        return False
    if OPENVPN_PORT in ports:
        return opcode in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    if opcode not in (7, 8, 10):
        return False
    if len(payload) == 14:  # without tls-auth: no acknowledgements, packet id 0
        return payload[9:] == bytes(5)
    # with tls-auth: an HMAC of 16 to 64 bytes, then packet id 1 of the replay protection
    return any(payload[9 + size : 13 + size] == b"\0\0\0\x01" for size in (16, 20, 28, 32, 48, 64))


def openvpn_tcp(head: bytes, ports: Ports) -> bool:
    """The same behind a 16-bit length."""
    length = int.from_bytes(head[:2], "big")
    return 14 <= length <= 1_500 and len(head) >= 16 and openvpn(head[2 : 2 + length], ports)


def bittorrent(payload: bytes, _ports: Ports) -> bool:
    """The peer handshake, or a query of the distributed hash table (BEP 3, BEP 5)."""
    return payload[:20] == b"\x13BitTorrent protocol" or (
        payload[:2] == b"d1" and payload[-1:] == b"e" and (b"1:q" in payload[-64:] or b"1:y1:" in payload[-64:])
    )


def nbns(payload: bytes, ports: Ports) -> bool:
    """RFC 1002 section 4.2: on its port, a plausible header."""
    return NBNS_PORT in ports and len(payload) >= 12 and payload[4:6] in (b"\0\0", b"\0\1")


def ssdp(payload: bytes, ports: Ports) -> bool:
    """HTTP over UDP on port 1900 (UPnP Device Architecture section 1)."""
    return SSDP_PORT in ports and payload.startswith((b"M-SEARCH ", b"NOTIFY ", b"HTTP/1."))


def rtp(payload: bytes, ports: Ports) -> bool:
    """RTCP reports only: RTP itself has too little that is fixed (RFC 3550 section 6.4)."""
    return (
        len(payload) >= 8
        and payload[0] & 0xC0 == 0x80
        and payload[1] in (200, 201)
        and min(ports) >= 1_024
        and ((payload[2] << 8 | payload[3]) + 1) * 4 <= len(payload)
    )


def ssh(head: bytes, _ports: Ports) -> bool:
    """RFC 4253 section 4.2."""
    return head.startswith(b"SSH-")


def mmtls(head: bytes, _ports: Ports) -> bool:
    """WeChat's own records: the types of TLS, the version 0xf103 or 0xf104."""
    return len(head) >= 5 and head[0] in (0x15, 0x16, 0x17, 0x19) and head[1] == 0xF1 and head[2] in (3, 4)


def mqtt(head: bytes, _ports: Ports) -> bool:
    """CONNECT (MQTT 5.0 section 3.1.1): the protocol's name behind one length byte or two."""
    return head[:1] == b"\x10" and (head[2:10].find(b"\0\4MQTT") in (0, 1) or head[4:10] == b"MQIsdp")


def banner(words: tuple[bytes, ...], ports: frozenset[int]) -> Test:
    """Make a test for text protocols that one greets with: the words, on one of the ports."""

    def test(head: bytes, seen: Ports) -> bool:
        return head.startswith(words) and (seen[0] in ports or seen[1] in ports)

    return test


DATAGRAM_TESTS: Final[dict[str, Test]] = {
    "ntp": ntp,
    "nbns": nbns,
    "ssdp": ssdp,
    "ipsec": ike,
    "stun": stun,
    "wireguard": wireguard,
    "openvpn": openvpn,
    "bittorrent": bittorrent,
    "rtcp": rtp,
}

FIRST_OF: Final[dict[str, Container[int]]] = {  # what those that have no port of their own begin with
    "stun": range(0x40),
    "wireguard": range(1, 5),
    "openvpn": (0x38, 0x40, 0x50),
    "bittorrent": b"\x13d",
    "rtcp": range(0x80, 0xC0),
}
_BY_FIRST: Final = [
    tuple((protocol, DATAGRAM_TESTS[protocol]) for protocol, firsts in FIRST_OF.items() if first in firsts)
    for first in range(256)
]
FIRSTS: Final = frozenset(first for first in range(256) if _BY_FIRST[first])
PORTS: Final = frozenset((OPENVPN_PORT, NTP_PORT, NBNS_PORT, SSDP_PORT, IKE_PORT, IKE_NAT_PORT))

SHARED: Final = ("stun",)  # DTLS with names follows on the same flow

STREAM_TESTS: Final[dict[str, Test]] = {
    "ssh": ssh,
    "mmtls": mmtls,
    "mqtt": mqtt,
    "bittorrent": bittorrent,
    "smtp": banner((b"220", b"EHLO ", b"HELO "), frozenset((25, 465, 587))),
    "imap": banner((b"* OK", b"* PREAUTH"), frozenset((143, 993))),
    "pop3": banner((b"+OK",), frozenset((110, 995))),
    "ftp": banner((b"220",), frozenset((21, 990))),
    "openvpn": openvpn_tcp,
}


STREAM_FIRSTS: Final[dict[str, bytes | range]] = {
    "ssh": b"S",
    "mmtls": b"\x15\x16\x17\x19",
    "mqtt": b"\x10",
    "bittorrent": b"\x13d",
    "smtp": b"2EH",
    "imap": b"*",
    "pop3": b"+",
    "ftp": b"2",
    "openvpn": range(6),
}

STARTTLS: Final = ("smtp", "imap", "pop3", "ftp")  # a hello may follow


def datagrams(_store: Store, _anomalies: Counter[str]) -> DatagramReader:
    """Make the reader that asks the table."""
    on_ports = tuple(DATAGRAM_TESTS.items())

    def read(datagram: Datagram) -> Reading | None:
        payload, ports = datagram.payload, datagram.ports
        for protocol, test in _BY_FIRST[payload[0]] if PORTS.isdisjoint(ports) else on_ports:
            if test(payload, ports):
                return Reading(protocol, done=protocol not in SHARED)
        return None

    return read


class _Described:
    """A conversation of which no more is wanted than its protocol."""

    __slots__ = ("protocol",)

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol

    @property
    def size(self) -> int:
        return 64

    def feed(self, side: int, pieces: Assembler, ports: Ports) -> Reading | None:  # noqa: ARG002 the talk's shape
        """Say it; raises nothing."""
        return Reading(self.protocol, done=self.protocol not in STARTTLS)


def streams() -> dict[str, StreamProtocol]:
    """Return the table for TCP."""
    return {protocol: _stream(protocol, test) for protocol, test in STREAM_TESTS.items()}


def _stream(protocol: str, test: Test) -> StreamProtocol:
    def talk(_ports: Ports) -> Talk:
        return _Described(protocol)

    return StreamProtocol(test, talk, STREAM_FIRSTS[protocol])

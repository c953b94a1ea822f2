"""The self-test: names of the catalogue, as packets, through a whole engine; each must come out as its own app.

A check that rests on a catalogue which finds nothing would always pass. Every check and `doctor --self-test` run this.
"""

from collections.abc import Callable, Sequence
from struct import pack
from typing import Final, NamedTuple

import numpy as np

from netwatch.attribution.catalogue import Catalogue, Match
from netwatch.engine.engine import Engine
from netwatch.model.batch import PacketBatch
from netwatch.model.limits import BATCH_PACKETS, PAD
from netwatch.model.packets import TCP, UDP
from netwatch.names.initial import derive, version_of
from netwatch.places.local import LocalNetworks
from netwatch.places.places import Places

ETHERNET: Final = 1  # LINKTYPE_ETHERNET
MACS: Final = bytes.fromhex("02000000000a02000000000b") + b"\x08\x00"
CLIENT: Final = bytes((192, 168, 0, 2))
SERVER: Final = bytes((192, 0, 2, 1))  # documentation, RFC 5737: in nobody's network
START_NS: Final = 1_700_000_000 * 10**9
DCID: Final = b"netwatch"
PORTS: Final = 60_000  # client ports in use, from 1,024 on


class Probe(NamedTuple):
    """A name on its way through the engine. way: tls, dns, http or quic."""

    app_id: str
    name: str
    way: str


class Probed(NamedTuple):
    """How many probes were sent, and one line for each that did not come back as its app."""

    probes: int
    missed: tuple[str, ...]


def self_test(catalogue: Catalogue, places: Places, asked: Callable[[Match], bool] | None = None) -> Probed:
    """Send an endpoint of every app in a TLS hello, and one as a DNS question, an HTTP host and a QUIC hello.

    asked: only of apps with an endpoint that it holds for, and of those this endpoint.
    """
    first: dict[str, str] = {}
    for match in catalogue.endpoints():
        if match.app.id not in first and (asked is None or asked(match)):
            first[match.app.id] = match.endpoint
    examples = sorted(first.items())
    if not examples:
        return Probed(0, ("nothing that is asked about has an endpoint in the catalogue",))
    probes = [Probe(*example, "tls") for example in examples]
    probes += [Probe(*examples[0], way) for way in ("dns", "http", "quic")]
    probes = probes[: min(BATCH_PACKETS, PORTS)]
    found = _run(catalogue, places, [_frame(number, probe) for number, probe in enumerate(probes)])
    missed = [
        f"{probe.name} ({probe.way}) came back as {found.get(number) or 'nothing'}, not as {probe.app_id}"
        for number, probe in enumerate(probes)
        if found.get(number) != probe.app_id
    ]
    return Probed(len(probes), tuple(missed))


def _run(catalogue: Catalogue, places: Places, frames: Sequence[bytes]) -> dict[int, str | None]:
    """Return the app of each frame's flow or lookup, by the frame's number."""
    engine = Engine(
        catalogue, places, lambda _mac: None, LocalNetworks(), max_flows=len(frames), draw=lambda bits: 2**bits // 3
    )
    found: dict[int, str | None] = {}
    releases = [*engine.feed(_batch(frames)), *engine.finish()]
    for release in releases:
        flows = release.flows
        for port, label in zip(flows.client_port.tolist(), flows.label.tolist(), strict=True):
            found.setdefault(port - 1_024, flows.labels[label].app_id)
        for lookup in release.lookups:
            found[lookup.packet - 1] = lookup.app_id
    return found


def _batch(frames: Sequence[bytes]) -> PacketBatch:
    length = np.array([len(frame) for frame in frames], np.int32)
    count = len(frames)
    return PacketBatch(
        data=np.frombuffer(b"".join(frames) + bytes(PAD), np.uint8),
        offset=(np.cumsum(length) - length).astype(np.int64),
        caplen=length,
        wirelen=length.astype(np.uint32),
        time=START_NS + np.arange(count, dtype=np.int64),
        interface=np.zeros(count, np.uint16),
        number=np.arange(1, count + 1, dtype=np.int64),
        link_type=ETHERNET,
        interfaces=(None,),
    )


def _frame(number: int, probe: Probe) -> bytes:
    port, name = 1_024 + number, probe.name.encode("ascii")
    match probe.way:
        case "tls":
            hello = _hello(name)
            return _ip(TCP, _tcp(port, 443) + b"\x16\x03\x01" + pack(">H", len(hello)) + hello)
        case "http":
            return _ip(TCP, _tcp(port, 80) + b"GET / HTTP/1.1\r\nHost: " + name + b"\r\n\r\n")
        case "dns":
            labels = b"".join(bytes((len(label),)) + label for label in name.split(b"."))
            return _ip(UDP, _udp(port, 53, pack(">6H", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"))
        case _:
            return _ip(UDP, _udp(port, 443, _initial(_hello(name))))


def _ip(protocol: int, payload: bytes) -> bytes:
    """An Ethernet frame of IPv4 (RFC 791); checksums are not verified, so none is made."""
    return MACS + pack(">BBHIBBH", 0x45, 0, 20 + len(payload), 0, 64, protocol, 0) + CLIENT + SERVER + payload


def _tcp(source: int, target: int) -> bytes:
    return pack(">HHIIBBHHH", source, target, 1, 0, 0x50, 0x18, 0xFFFF, 0, 0)


def _udp(source: int, target: int, payload: bytes) -> bytes:
    return pack(">HHHH", source, target, 8 + len(payload), 0) + payload


def _hello(name: bytes) -> bytes:
    """A ClientHello (RFC 8446 section 4.1.2) with server_name and supported_versions."""
    entry = b"\0" + _sized(2, name)
    extensions = b"\0\0" + _sized(2, _sized(2, entry)) + b"\0\x2b" + _sized(2, _sized(1, b"\x03\x04"))
    body = b"\x03\x03" + bytes(33) + _sized(2, b"\x13\x01") + _sized(1, b"\0") + _sized(2, extensions)
    return b"\x01" + _sized(3, body)


def _sized(width: int, body: bytes) -> bytes:
    return len(body).to_bytes(width, "big") + body


def _initial(hello: bytes) -> bytes:
    """A client's Initial of QUIC version 1 (RFC 9001 section 5); a datagram that opens nothing without cryptography."""
    version = version_of(1)
    keys = None if version is None else derive(version, DCID)
    if keys is None:
        return b"\xc0"
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    frames = (b"\x06\0" + (0x4000 | len(hello)).to_bytes(2, "big") + hello).ljust(1_162, b"\0")
    length = 0x4000 | 1 + len(frames) + 16
    header = b"\xc0\0\0\0\1" + _sized(1, DCID) + b"\0\0" + length.to_bytes(2, "big")
    sealed = AESGCM(keys.key).encrypt(keys.iv.to_bytes(12, "big"), frames, header + b"\0")
    cipher = Cipher(algorithms.AES(keys.hp), modes.ECB())  # noqa: S305 the mask is of one block (section 5.4.3)
    mask = cipher.encryptor().update(sealed[3:19])
    return bytes((header[0] ^ mask[0] & 0x0F,)) + header[1:] + mask[1:2] + sealed

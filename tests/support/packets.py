"""The shared way to build frames, and batches of them, in tests. Lengths may be made to lie."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from netwatch.model.batch import PacketBatch
from netwatch.model.limits import PAD

CLIENT4, SERVER4 = bytes((192, 0, 2, 10)), bytes((198, 51, 100, 20))
CLIENT6, SERVER6 = bytes.fromhex("20010db8" + "00" * 11 + "10"), bytes.fromhex("20010db8" + "00" * 11 + "20")
SRC_MAC, DST_MAC = 0x020000000001, 0x020000000002


def batch(
    frames: Sequence[bytes],
    link_type: int = 1,
    *,
    wirelen: Sequence[int] | None = None,
    time: Sequence[int] | None = None,
    pad: bytes = b"\xa5" * PAD,
) -> PacketBatch:
    """Lay frames back to back. time: ns, default 1 ms apart.   pad: what stands behind the last one."""
    count = len(frames)
    caplen = np.array([len(frame) for frame in frames], np.int32)
    return PacketBatch(
        data=np.frombuffer(b"".join(frames) + pad, np.uint8),
        offset=np.cumsum(np.concatenate(([0], caplen[:-1])), dtype=np.int64)[:count],
        caplen=caplen,
        wirelen=caplen.astype(np.uint32) if wirelen is None else np.array(wirelen, np.uint32),
        time=np.array(time if time is not None else range(0, count * 10**6, 10**6), np.int64),
        interface=np.zeros(count, np.uint16),
        number=np.arange(1, count + 1, dtype=np.int64),
        link_type=link_type,
        interfaces=(None,),
    )


def part(whole: PacketBatch, start: int, stop: int) -> PacketBatch:
    """Return some rows of a batch, over the same buffer."""
    columns = ("offset", "caplen", "wirelen", "time", "interface", "number")
    return whole._replace(**{name: getattr(whole, name)[start:stop] for name in columns})


def scapy_bytes(packet: Any) -> bytes:
    """Build a scapy packet."""
    return bytes(packet)


def eth(payload: bytes, kind: int = 0x0800) -> bytes:
    return DST_MAC.to_bytes(6, "big") + SRC_MAC.to_bytes(6, "big") + kind.to_bytes(2, "big") + payload


def vlan(payload: bytes, number: int, kind: int = 0x0800) -> bytes:
    """A tag without the type that announces it."""
    return struct.pack(">HH", number, kind) + payload


def ip4(
    payload: bytes,
    protocol: int,
    *,
    src: bytes = CLIENT4,
    dst: bytes = SERVER4,
    total: int | None = None,
    ident: int = 1,
    fragment: int = 0,
    words: int | None = None,
    options: bytes = b"",
    version: int = 4,
) -> bytes:
    """fragment: the flags and offset field.   words: the header length field."""
    first = version << 4 | (5 + len(options) // 4 if words is None else words)
    total = 20 + len(options) + len(payload) if total is None else total
    return (
        struct.pack(">BBHHHBBH", first, 0, total & 0xFFFF, ident, fragment, 64, protocol, 0)
        + src
        + dst
        + (options + payload)
    )


def ip6(
    payload: bytes,
    following: int,
    *,
    src: bytes = CLIENT6,
    dst: bytes = SERVER6,
    length: int | None = None,
    version: int = 6,
) -> bytes:
    length = len(payload) if length is None else length
    return struct.pack(">IHBB", version << 28, length & 0xFFFF, following, 64) + src + dst + payload


def tcp(
    payload: bytes = b"",
    *,
    sport: int = 40_000,
    dport: int = 443,
    seq: int = 1,
    flags: int = 0x18,
    options: bytes = b"",
    words: int | None = None,
) -> bytes:
    words = 5 + len(options) // 4 if words is None else words
    return struct.pack(">HHIIBBHHH", sport, dport, seq, 1, words << 4, flags, 65535, 0, 0) + options + payload


def udp(payload: bytes = b"", *, sport: int = 40_000, dport: int = 53, length: int | None = None) -> bytes:
    length = 8 + len(payload) if length is None else length
    return struct.pack(">HHHH", sport, dport, length & 0xFFFF, 0) + payload

"""Captures made by hand, byte by byte, and one way to read them back."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from mmap import mmap
from struct import pack
from typing import NamedTuple

import numpy as np

from netwatch.model.limits import PAD
from netwatch.sources import CaptureInfo, Source, open_capture

MICROSECONDS = 0xA1B2_C3D4
NANOSECONDS = 0xA1B2_3C4D
PATCHED = 0xA1B2_CD34


class Record(NamedTuple):
    """One packet of a pcap file; wirelen None: the length of the frame."""

    seconds: int
    fraction: int
    frame: bytes
    wirelen: int | None = None


def pcap_header(
    order: str = "<",
    magic: int = MICROSECONDS,
    version: tuple[int, int] = (2, 4),
    link_type: int = 1,
    snaplen: int = 262_144,
) -> bytes:
    return pack(f"{order}IHHIIII", magic, *version, 0, 0, snaplen, link_type)


def pcap_record(record: Record, order: str = "<", *, swapped: bool = False, extra: bytes = b"") -> bytes:
    lengths = [len(record.frame), len(record.frame) if record.wirelen is None else record.wirelen]
    if swapped:
        lengths.reverse()
    return pack(f"{order}IIII", record.seconds, record.fraction, *lengths) + extra + record.frame


def pcap(records: Iterable[Record], order: str = "<", magic: int = MICROSECONDS, link_type: int = 1) -> bytes:
    return pcap_header(order, magic, link_type=link_type) + b"".join(pcap_record(record, order) for record in records)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = pack(f"{order}I", len(body) + 12)
    return pack(f"{order}I", kind) + length + body + length


def section(order: str = "<", options: bytes = b"") -> bytes:
    return block(0x0A0D_0D0A, pack(f"{order}IHHq", 0x1A2B_3C4D, 1, 0, -1) + options, order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(order: str = "<", link_type: int = 1, snaplen: int = 0, options: bytes = b"") -> bytes:
    return block(1, pack(f"{order}HHI", link_type, 0, snaplen) + options, order)


def tsresol(value: int, order: str = "<") -> bytes:
    return option(9, bytes([value]), order)


def tsoffset(seconds: int, order: str = "<") -> bytes:
    return option(14, pack(f"{order}q", seconds), order)


def enhanced(
    frame: bytes, ticks: int = 0, number: int = 0, order: str = "<", wirelen: int | None = None, options: bytes = b""
) -> bytes:
    wirelen = len(frame) if wirelen is None else wirelen
    head = pack(f"{order}IIIII", number, ticks >> 32, ticks & 0xFFFF_FFFF, len(frame), wirelen)
    return block(6, head + frame + bytes(-len(frame) % 4) + options, order)


def obsolete(frame: bytes, ticks: int = 0, number: int = 0, order: str = "<") -> bytes:
    head = pack(f"{order}HHIIII", number, 77, ticks >> 32, ticks & 0xFFFF_FFFF, len(frame), len(frame))
    return block(2, head + frame, order)


def simple(frame: bytes, wirelen: int | None = None, order: str = "<") -> bytes:
    return block(3, pack(f"{order}I", len(frame) if wirelen is None else wirelen) + frame, order)


class Packet(NamedTuple):
    """One packet as it was read."""

    number: int
    time: int
    frame: bytes
    wirelen: int
    interface: str | None = None
    link_type: int = 1


@dataclass
class Reading:
    packets: list[Packet]
    capture: CaptureInfo
    batches: list[int]

    @property
    def frames(self) -> list[bytes]:
        return [packet.frame for packet in self.packets]

    @property
    def times(self) -> list[int]:
        return [packet.time for packet in self.packets]


def packets_of(source: Iterator) -> Iterator[list[Packet]]:
    """Copy each batch out, having checked what PacketBatch promises."""
    for batch in source:
        columns = (batch.offset, batch.caplen, batch.wirelen, batch.time, batch.interface, batch.number)
        assert [column.dtype for column in columns] == ["i8", "i4", "u4", "i8", "u2", "i8"]
        assert 0 < len(batch.offset) <= 65_536
        assert {len(column) for column in columns} == {len(batch.offset)}
        assert batch.data.dtype == np.uint8
        assert not batch.data.flags.writeable
        ends = batch.offset + batch.caplen
        assert batch.offset.min() >= 0
        assert ends.max() + PAD <= len(batch.data)
        assert (batch.caplen <= batch.wirelen).all()
        yield [
            Packet(number, time, batch.data[start:end].tobytes(), wirelen, batch.interfaces[name], batch.link_type)
            for number, time, start, end, wirelen, name in zip(
                batch.number.tolist(),
                batch.time.tolist(),
                batch.offset.tolist(),
                ends.tolist(),
                batch.wirelen.tolist(),
                batch.interface.tolist(),
                strict=True,
            )
        ]


def opened(data: bytes, **settings: int) -> Source:
    return open_capture("-", stdin=io.BytesIO(data), **settings)


def read(data: bytes, buffer: int | None = None, **settings: int) -> Reading:
    """Read a capture in memory, through a window of `buffer` bytes."""
    with opened(data, **settings) as source:
        if buffer is not None:
            source.limit_buffer(buffer)
        batches = list(packets_of(source))
        return Reading([packet for batch in batches for packet in batch], source.capture, [len(b) for b in batches])


def in_memory(data: bytes) -> tuple[mmap, np.ndarray]:
    """Return bytes as a reader's buffer holds them."""
    raw = mmap(-1, len(data) + PAD)
    raw[: len(data)] = data
    return raw, np.frombuffer(memoryview(raw).toreadonly(), np.uint8)
